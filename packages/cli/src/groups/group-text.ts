import { padded } from '../rows.ts'

/** What `kafka-consumer-groups` prints, column by column. A value that does not exist is shown as `-`. */

const missing = '-'
const shown = (value: string | number | undefined) => (value === undefined || value === '' ? missing : String(value))
const widest = (minimum: number, values: readonly string[]) => values.reduce((width, value) => Math.max(width, value.length), minimum)
const widestOf = <T>(rows: readonly T[], minimum: number, textOf: (row: T) => string) => widest(minimum, rows.map(textOf))

export interface PartitionOffsets {
  readonly group: string
  readonly topic: string
  readonly partition: number
  readonly leaderEpoch: number | undefined
  /** What the group has committed. */
  readonly currentOffset: number | undefined
  readonly logEndOffset: number | undefined
  readonly consumerId: string | undefined
  readonly host: string | undefined
  readonly clientId: string | undefined
}

export function lagOf({ currentOffset, logEndOffset }: PartitionOffsets): number | undefined {
  return currentOffset === undefined || logEndOffset === undefined ? undefined : logEndOffset - currentOffset
}

/** `--describe --offsets`. */
export function offsetsTable(rows: readonly PartitionOffsets[], { verbose }: { verbose: boolean }): string {
  const widths = [
    widestOf(rows, 15, ({ group }) => group),
    widestOf(rows, 15, ({ topic }) => topic),
    10,
    ...(verbose ? [15] : []),
    15,
    15,
    15,
    widestOf(rows, 15, ({ consumerId }) => shown(consumerId)),
    widestOf(rows, 15, ({ host }) => shown(host)),
    0,
  ]
  const header = ['GROUP', 'TOPIC', 'PARTITION', 'CURRENT-OFFSET', 'LOG-END-OFFSET', 'LAG', 'CONSUMER-ID', 'HOST', 'CLIENT-ID']
  if (verbose) header.splice(3, 0, 'LEADER-EPOCH')
  const lines = rows.map((row) => [
    row.group,
    row.topic,
    row.partition,
    ...(verbose ? [shown(row.leaderEpoch)] : []),
    shown(row.currentOffset),
    shown(row.logEndOffset),
    shown(lagOf(row)),
    shown(row.consumerId),
    shown(row.host),
    shown(row.clientId),
  ])
  return asTable([header, ...lines], widths)
}

export interface GroupMember {
  readonly group: string
  readonly consumerId: string
  readonly groupInstanceId: string | undefined
  readonly host: string
  readonly clientId: string
  /** Partition numbers by topic. */
  readonly assignment: ReadonlyMap<string, readonly number[]>
  /** What only members of groups of the consumer protocol have. KIP-848. */
  readonly currentEpoch: number | undefined
  readonly targetEpoch: number | undefined
  readonly targetAssignment: ReadonlyMap<string, readonly number[]> | undefined
  /** False for a classic member of such a group. */
  readonly upgraded: boolean | undefined
}

/** `topic:0,1;other:2`; `-` for none. */
export function assignmentText(assignment: GroupMember['assignment']): string {
  if (assignment.size === 0) return missing
  return [...assignment]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([topic, partitions]) => `${topic}:${[...partitions].sort((a, b) => a - b).join(',')}`)
    .join(';')
}

export function partitionCount(assignment: GroupMember['assignment']): number {
  return [...assignment.values()].reduce((count, partitions) => count + partitions.length, 0)
}

/** `--describe --members`. The column GROUP-INSTANCE-ID appears only when a member has one, UPGRADED only when there are members to upgrade. */
export function membersTable(rows: readonly GroupMember[], { verbose }: { verbose: boolean }): string {
  const withInstance = rows.some(({ groupInstanceId }) => groupInstanceId !== undefined && groupInstanceId !== '')
  const assignments = rows.map(({ assignment }) => assignmentText(assignment))
  const targets = rows.map(({ targetAssignment }) => (targetAssignment === undefined ? missing : assignmentText(targetAssignment)))
  const isMixed = verbose && rows.some(({ upgraded }) => upgraded === false)
  const widths = [
    widestOf(rows, 15, ({ group }) => group),
    widestOf(rows, 15, ({ consumerId }) => consumerId),
    ...(withInstance ? [widestOf(rows, 17, ({ groupInstanceId }) => groupInstanceId ?? '')] : []),
    widestOf(rows, 15, ({ host }) => host),
    widestOf(rows, 15, ({ clientId }) => clientId),
    15,
    ...(verbose ? [15, widest(20, assignments), 15, widest(20, targets)] : []),
    ...(isMixed ? [0] : []),
  ]
  const header = ['GROUP', 'CONSUMER-ID', 'HOST', 'CLIENT-ID', '#PARTITIONS']
  if (withInstance) header.splice(2, 0, 'GROUP-INSTANCE-ID')
  if (verbose) header.push('CURRENT-EPOCH', 'CURRENT-ASSIGNMENT', 'TARGET-EPOCH', 'TARGET-ASSIGNMENT')
  if (isMixed) header.push('UPGRADED')
  const lines = rows.map((row, i) => [
    row.group,
    row.consumerId,
    ...(withInstance ? [row.groupInstanceId ?? ''] : []),
    row.host,
    row.clientId,
    partitionCount(row.assignment),
    ...(verbose ? [shown(row.currentEpoch), assignments[i]!, shown(row.targetEpoch), targets[i]!] : []),
    ...(isMixed ? [String(row.upgraded ?? missing)] : []),
  ])
  return asTable([header, ...lines], widths, verbose ? '' : ' ')
}

export interface GroupState {
  readonly group: string
  readonly coordinator: { readonly host: string; readonly port: number; readonly id: number }
  readonly assignmentStrategy: string | undefined
  readonly state: string
  readonly members: number
  /** Undefined for classic groups. */
  readonly groupEpoch: number | undefined
  readonly targetAssignmentEpoch: number | undefined
}

export const coordinatorText = ({ coordinator: { host, port, id } }: GroupState) => `${host}:${port}  (${id})`

/** `--describe --state`, a table of its own for each group. */
export function stateTable(row: GroupState, { verbose }: { verbose: boolean }): string {
  const coordinator = coordinatorText(row)
  const widths = [widest(15, [row.group]), Math.max(25, coordinator.length), 20, 20, ...(verbose ? [15, 25] : []), 0]
  const header = [
    'GROUP',
    'COORDINATOR (ID)',
    'ASSIGNMENT-STRATEGY',
    'STATE',
    ...(verbose ? ['GROUP-EPOCH', 'TARGET-ASSIGNMENT-EPOCH'] : []),
    '#MEMBERS',
  ]
  const epochs = verbose ? [shown(row.groupEpoch), shown(row.targetAssignmentEpoch)] : []
  const line = [row.group, coordinator, shown(row.assignmentStrategy), row.state, ...epochs, row.members]
  return asTable([header, line], widths)
}

export interface ListedGroup {
  readonly group: string
  readonly type: string
  readonly state: string
}

/** `--list`: bare names, or columns for what was asked. */
export function groupList(rows: readonly ListedGroup[], { type, state }: { type: boolean; state: boolean }): string {
  if (!type && !state) return rows.map(({ group }) => `${group}\n`).join('')
  const width = widestOf(rows, 15, ({ group }) => group) + 10
  const lines = rows.map((row) => [row.group, ...(type ? [row.type] : []), ...(state ? [row.state] : [])])
  const header = ['GROUP', ...(type ? ['TYPE'] : []), ...(state ? ['STATE'] : [])]
  return [header, ...lines].map((cells) => `${padded(cells, [width, 20, 20])}\n`).join('')
}

export interface NewOffset {
  readonly group: string
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/** `--reset-offsets`. */
export function newOffsetsTable(rows: readonly NewOffset[]): string {
  const widths = [widestOf(rows, 15, ({ group }) => group), widestOf(rows, 15, ({ topic }) => topic), 10, 0]
  return asTable(
    [
      ['GROUP', 'TOPIC', 'PARTITION', 'NEW-OFFSET'],
      ...rows.map(({ group, topic, partition, offset }) => [group, topic, partition, offset]),
    ],
    widths,
  )
}

/** `--reset-offsets --export`: lines that `--from-file` reads; the group stands in them when there are several. */
export function newOffsetsCsv(rows: readonly NewOffset[], { withGroup }: { withGroup: boolean }): string {
  return rows.map(({ group, topic, partition, offset }) => `${withGroup ? `${group},` : ''}${topic},${partition},${offset}\n`).join('')
}

/** `--delete-offsets`: the fate of each partition. */
export function deletedOffsetsTable(
  rows: readonly { readonly topic: string; readonly partition: number; readonly status: string }[],
): string {
  const widths = [widestOf(rows, 15, ({ topic }) => topic), 10, 15]
  return asTable([['TOPIC', 'PARTITION', 'STATUS'], ...rows.map(({ topic, partition, status }) => [topic, partition, status])], widths)
}

/** Each row starts with a line break, as Kafka prints them; `end` follows a row's last column. */
function asTable(rows: readonly (readonly (string | number)[])[], widths: readonly number[], end = ''): string {
  return `${rows.map((cells) => `\n${padded(cells, widths)}${end}`).join('')}\n`
}
