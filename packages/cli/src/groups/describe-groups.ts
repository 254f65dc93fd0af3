import type { Admin, ConsumerGroupDescription } from '@tidelog/client'
import type { CommandContext } from '../command.ts'
import { outputFormat, renderRows } from '../rows.ts'
import type { GroupValues } from './group-options.ts'
import {
  assignmentText,
  coordinatorText,
  type GroupMember,
  type GroupState,
  lagOf,
  membersTable,
  offsetsTable,
  type PartitionOffsets,
  partitionCount,
  stateTable,
} from './group-text.ts'
import { byPlace } from './places.ts'

const offsetColumns = [
  'group',
  'topic',
  'partition',
  'leaderEpoch',
  'currentOffset',
  'logEndOffset',
  'lag',
  'consumerId',
  'host',
  'clientId',
]
const memberColumns = [
  'group',
  'consumerId',
  'groupInstanceId',
  'host',
  'clientId',
  'partitions',
  'currentEpoch',
  'assignment',
  'targetEpoch',
  'targetAssignment',
  'upgraded',
]
const stateColumns = ['group', 'coordinator', 'assignmentStrategy', 'state', 'groupEpoch', 'targetAssignmentEpoch', 'members']

/** `--describe`: offsets, members or state of each group, a table a group. */
export async function describeGroups(
  admin: Admin,
  groupIds: readonly string[],
  values: GroupValues,
  context: CommandContext,
): Promise<void> {
  const { stdout, interrupted: signal } = context
  const limits = { signal, timeoutMs: values.timeout }
  const described = await admin.describeConsumerGroups(groupIds, limits)
  const groups = groupIds.flatMap((id) => described.get(id) ?? [])
  const format = outputFormat(values.output)
  const { verbose } = values
  if (values.members) {
    const membersOf = groups.map((group) => [group, group.members.map((member) => memberOf(group, member))] as const)
    if (format !== 'table') {
      const rows = membersOf
        .flatMap(([, members]) => members)
        .map((member) => ({
          ...member,
          groupInstanceId: member.groupInstanceId ?? null,
          partitions: partitionCount(member.assignment),
          assignment: assignmentText(member.assignment),
          currentEpoch: member.currentEpoch ?? null,
          targetEpoch: member.targetEpoch ?? null,
          targetAssignment: member.targetAssignment === undefined ? null : assignmentText(member.targetAssignment),
          upgraded: member.upgraded ?? null,
        }))
      stdout.write(renderRows(rows, memberColumns, format))
    } else for (const [group, members] of membersOf) if (saysState(group, 1, context)) stdout.write(membersTable(members, { verbose }))
    return
  }
  if (values.state !== undefined) {
    const states = groups.map((group) => [group, stateOf(group)] as const)
    if (format !== 'table') {
      const rows = states.map(([, state]) => ({
        ...state,
        coordinator: coordinatorText(state),
        assignmentStrategy: state.assignmentStrategy || null,
        groupEpoch: state.groupEpoch ?? null,
        targetAssignmentEpoch: state.targetAssignmentEpoch ?? null,
      }))
      stdout.write(renderRows(rows, stateColumns, format))
    } else for (const [group, state] of states) if (saysState(group, 1, context)) stdout.write(stateTable(state, { verbose }))
    return
  }
  const offsets: (readonly [ConsumerGroupDescription, PartitionOffsets[]])[] = []
  for (const group of groups) offsets.push([group, await offsetsOf(admin, group, limits)])
  if (format !== 'table') {
    const rows = offsets
      .flatMap(([, rows]) => rows)
      .map((row) => ({
        group: row.group,
        topic: row.topic,
        partition: row.partition,
        leaderEpoch: row.leaderEpoch ?? null,
        currentOffset: row.currentOffset ?? null,
        logEndOffset: row.logEndOffset ?? null,
        lag: lagOf(row) ?? null,
        consumerId: row.consumerId ?? null,
        host: row.host ?? null,
        clientId: row.clientId ?? null,
      }))
    stdout.write(renderRows(rows, offsetColumns, format))
  } else for (const [group, rows] of offsets) if (saysState(group, rows.length, context)) stdout.write(offsetsTable(rows, { verbose }))
}

/** Tells on the side what a reader of the table should know. @returns Whether there is a table to print. */
function saysState({ groupId, state }: ConsumerGroupDescription, rows: number, { stdout, stderr }: CommandContext): boolean {
  if (state === 'Dead') stdout.write(`\nError: Consumer group '${groupId}' does not exist.\n`)
  else if (state === 'Empty') stderr.write(`\nConsumer group '${groupId}' has no active members.\n`)
  else if (state !== 'Stable') stderr.write(`\nWarning: Consumer group '${groupId}' is rebalancing.\n`)
  return state !== 'Dead' && rows > 0
}

function memberOf(group: ConsumerGroupDescription, member: ConsumerGroupDescription['members'][number]): GroupMember {
  const { memberId, groupInstanceId, host, clientId, memberEpoch, targetAssignment, upgraded } = member
  return {
    group: group.groupId,
    consumerId: memberId,
    groupInstanceId: groupInstanceId ?? undefined,
    host,
    clientId,
    assignment: byTopic(member.assignment),
    currentEpoch: memberEpoch,
    targetEpoch: group.targetAssignmentEpoch,
    targetAssignment: targetAssignment && byTopic(targetAssignment),
    upgraded,
  }
}

function byTopic(partitions: readonly { topic: string; partition: number }[]): Map<string, number[]> {
  const topics = new Map<string, number[]>()
  for (const { topic, partition } of partitions) {
    const known = topics.get(topic)
    if (known === undefined) topics.set(topic, [partition])
    else known.push(partition)
  }
  return topics
}

function stateOf(group: ConsumerGroupDescription): GroupState {
  const { groupId, coordinator, partitionAssignor, state, members, groupEpoch, targetAssignmentEpoch } = group
  const { nodeId: id, host, port } = coordinator
  return {
    group: groupId,
    coordinator: { id, host, port },
    assignmentStrategy: partitionAssignor,
    state,
    members: members.length,
    groupEpoch,
    targetAssignmentEpoch,
  }
}

/** A row for every partition that a member has or the group has committed; busy members first, partitions of nobody last. */
async function offsetsOf(
  admin: Admin,
  group: ConsumerGroupDescription,
  limits: { signal: AbortSignal; timeoutMs?: number | undefined },
): Promise<PartitionOffsets[]> {
  const committed = await admin.listConsumerGroupOffsets(group.groupId, limits)
  const members = group.members.filter(({ assignment }) => assignment.length > 0).sort((a, b) => b.assignment.length - a.assignment.length)
  const places = members.flatMap((member) =>
    [...member.assignment]
      .sort(byPlace)
      .map((place) => ({ ...place, consumerId: member.memberId, host: member.host, clientId: member.clientId })),
  )
  const isAssigned = new Set(places.map(({ topic, partition }) => `${topic}-${partition}`))
  const unassigned = [...committed.keys()].filter(({ topic, partition }) => !isAssigned.has(`${topic}-${partition}`)).sort(byPlace)
  const nobody = { consumerId: undefined, host: undefined, clientId: undefined }
  const all = [...places, ...unassigned.map(({ topic, partition }) => ({ topic, partition, ...nobody }))]
  const ends = await endOffsets(admin, all, limits)
  return all.map((place, i) => {
    const offset = committed.get(place)
    return { ...place, group: group.groupId, leaderEpoch: offset?.leaderEpoch, currentOffset: offset?.offset, logEndOffset: ends[i] }
  })
}

/** undefined for a partition that has gone, or whose leader does not answer. */
async function endOffsets(
  admin: Admin,
  places: readonly { topic: string; partition: number }[],
  { signal, timeoutMs }: { signal: AbortSignal; timeoutMs?: number | undefined },
): Promise<(number | undefined)[]> {
  if (places.length === 0) return []
  const queries = places.map(({ topic, partition }) => ({ topic, partition, spec: 'latest' }) as const)
  try {
    return (await admin.listOffsets(queries, { signal, timeoutMs })).map(({ offset }) => offset)
  } catch {
    signal.throwIfAborted()
    const one = async (query: (typeof queries)[number]) => (await admin.listOffsets([query], { signal, timeoutMs }))[0]?.offset
    return Promise.all(queries.map((query) => one(query).catch(() => undefined)))
  }
}
