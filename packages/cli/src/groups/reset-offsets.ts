import { readFileSync } from 'node:fs'
import type { Admin, OffsetSpec } from '@tidelog/client'
import { type CommandContext, CommandFailure } from '../command.ts'
import { hasCode } from '../java-error.ts'
import { outputFormat, renderRows } from '../rows.ts'
import type { GroupValues } from './group-options.ts'
import { type NewOffset, newOffsetsCsv, newOffsetsTable } from './group-text.ts'
import { parseDateTime, parseDuration } from './iso-time.ts'
import { byPlace, type CallLimits, type Place, placesOf } from './places.ts'

/** `--reset-offsets`: finds the new offsets of each group, writes them when told to, and prints them. */
export async function resetOffsets(admin: Admin, groupIds: readonly string[], values: GroupValues, context: CommandContext): Promise<void> {
  const { stdout, interrupted: signal } = context
  const limits = { signal, timeoutMs: values.timeout }
  const fromFile = values['from-file'] === undefined ? undefined : readOffsetsFile(values['from-file'], groupIds)
  const rows: NewOffset[] = []
  for (const group of groupIds) {
    const state = await stateOf(admin, group, limits)
    if (state !== 'Empty' && state !== 'Dead') {
      stdout.write(`\nError: Assignments can only be reset if the group '${group}' is inactive, but the current state is ${state}.\n`)
      continue
    }
    const own = fromFile?.filter((row) => row.group === group)
    const planned = own === undefined ? await plan(admin, group, values, limits, stdout) : await withinRange(admin, own, limits)
    if (values.execute && planned.length > 0) await admin.alterConsumerGroupOffsets(group, planned, limits)
    rows.push(...planned)
  }
  const format = outputFormat(values.output)
  if (format !== 'table')
    stdout.write(
      renderRows(
        rows.map((row) => ({ ...row })),
        ['group', 'topic', 'partition', 'offset'],
        format,
      ),
    )
  else if (values.export) stdout.write(`${newOffsetsCsv(rows, { withGroup: groupIds.length > 1 })}\n`)
  else stdout.write(newOffsetsTable(rows))
}

async function stateOf(admin: Admin, group: string, limits: CallLimits): Promise<string> {
  try {
    return (await admin.describeConsumerGroups([group], limits)).get(group)?.state ?? 'Dead'
  } catch (error) {
    // Brokers since KIP-1043 answer so for a group that does not exist; its offsets may be set all the same.
    if (hasCode(error, 'GROUP_ID_NOT_FOUND')) return 'Dead'
    throw error
  }
}

async function plan(
  admin: Admin,
  group: string,
  values: GroupValues,
  limits: CallLimits,
  stdout: { write(text: string): unknown },
): Promise<NewOffset[]> {
  const committed = await admin.listConsumerGroupOffsets(group, limits)
  const places = values['all-topics']
    ? [...committed.keys()].map(({ topic, partition }) => ({ topic, partition })).sort(byPlace)
    : await placesOf(admin, values.topic, limits)
  const at = async (wanted: readonly Place[], spec: OffsetSpec) => {
    const found =
      wanted.length === 0
        ? []
        : await admin.listOffsets(
            wanted.map(({ topic, partition }) => ({ topic, partition, spec })),
            limits,
          )
    return wanted.map((place, i) => ({ group, topic: place.topic, partition: place.partition, offset: found[i]?.offset ?? -1 }))
  }
  if (values['to-earliest']) return at(places, 'earliest')
  if (values['to-latest']) return at(places, 'latest')
  if (values['to-offset'] !== undefined) {
    const offset = values['to-offset']
    return withinRange(
      admin,
      places.map((place) => ({ ...place, group, offset })),
      limits,
    )
  }
  if (values['shift-by'] !== undefined) {
    const shift = values['shift-by']
    const shifted = places.map((place) => {
      const current = committed.get(place)
      if (current === undefined)
        throw new Error(`Cannot shift offset for partition ${place.topic}-${place.partition} since there is no current committed offset`)
      return { ...place, group, offset: current.offset + shift }
    })
    return withinRange(admin, shifted, limits)
  }
  if (values['to-current']) {
    const known = places.filter((place) => committed.has(place)).map((place) => ({ ...place, group, offset: committed.get(place)!.offset }))
    const others = await at(
      places.filter((place) => !committed.has(place)),
      'latest',
    )
    return [...known, ...others].sort(byPlace)
  }
  const timestamp =
    values['to-datetime'] !== undefined ? parseDateTime(values['to-datetime']) : Date.now() - parseDuration(values['by-duration'] as string)
  const found = await at(places, { timestamp })
  const beyond = found.filter(({ offset }) => offset === -1)
  for (const { topic, partition } of beyond)
    stdout.write(`\nWarn: Partition ${partition} from topic ${topic} is empty. Falling back to latest known offset.\n`)
  const ends = new Map((await at(beyond, 'latest')).map((row) => [`${row.topic}-${row.partition}`, row.offset]))
  return found.map((row) => ({ ...row, offset: ends.get(`${row.topic}-${row.partition}`) ?? row.offset }))
}

/** An offset below a log's start becomes its start, one beyond its end its end. */
async function withinRange(admin: Admin, rows: readonly NewOffset[], limits: CallLimits): Promise<NewOffset[]> {
  if (rows.length === 0) return []
  const bounds = (spec: OffsetSpec) =>
    admin.listOffsets(
      rows.map(({ topic, partition }) => ({ topic, partition, spec })),
      limits,
    )
  const [starts, ends] = await Promise.all([bounds('earliest'), bounds('latest')])
  return rows.map((row, i) => ({ ...row, offset: Math.min(Math.max(row.offset, starts[i]?.offset ?? 0), ends[i]?.offset ?? 0) }))
}

/** `topic,partition,offset` for the one group that was named, or `group,topic,partition,offset`. @throws CommandFailure */
export function readOffsetsFile(path: string, groupIds: readonly string[]): NewOffset[] {
  let content: string
  try {
    content = readFileSync(path, 'utf8')
  } catch (error) {
    throw new CommandFailure(`Cannot read ${path}: ${(error as Error).message}`)
  }
  return content.split(/\r?\n/).flatMap((line, i) => {
    if (line.trim() === '') return []
    const cells = line.split(',').map((cell) => cell.trim().replace(/^"(.*)"$/, '$1'))
    const [group, topic, partition, offset] = cells.length === 3 && groupIds.length === 1 ? [groupIds[0], ...cells] : cells
    if (
      cells.length > 4 ||
      !group ||
      !topic ||
      !/^\d+$/.test(partition ?? '') ||
      !/^\d+$/.test(offset ?? '') ||
      !Number.isSafeInteger(Number(offset))
    )
      throw new CommandFailure(
        `${path}, line ${i + 1}: '${line}' is neither topic,partition,offset for one group nor group,topic,partition,offset`,
      )
    return [{ group, topic, partition: Number(partition), offset: Number(offset) }]
  })
}
