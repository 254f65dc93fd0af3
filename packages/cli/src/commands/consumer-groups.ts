import type { Admin, ClientError } from '@tidelog/client'
import { connectionProperties } from '../clients.ts'
import { type CommandContext, CommandFailure, defineCommand } from '../command.ts'
import { describeGroups } from '../groups/describe-groups.ts'
import { checkGroupOptions, type GroupValues, groupOptions } from '../groups/group-options.ts'
import { deletedOffsetsTable, groupList } from '../groups/group-text.ts'
import { type Place, placesOf } from '../groups/places.ts'
import { regexVerdict } from '../groups/regex-verdict.ts'
import { resetOffsets } from '../groups/reset-offsets.ts'
import { hasCode, javaMessage, javaText } from '../java-error.ts'
import { UsageError } from '../option-table.ts'
import { outputFormat, renderRows } from '../rows.ts'

const noExecution =
  'WARN: No action will be performed as the --execute option is missing. In version 5.0, this command will require either --dry-run or --execute to be specified. You should add the --dry-run option explicitly if you are scripting this command and want to keep the current default behavior without prompting.\n'

const defaultTimeoutMs = 30_000

/** kafka-consumer-groups. As there, a failed action is told on stdout and leaves exit code 0; wrong options exit with 1. */
export const consumerGroups = defineCommand({
  name: 'consumer-groups',
  summary: 'Lists and describes consumer groups, moves their offsets, deletes them.',
  options: groupOptions,
  check: checkGroupOptions,
  async run(given, context) {
    const values: GroupValues = { ...given, timeout: given.timeout ?? defaultTimeoutMs }
    const { stdout, stderr } = context
    if (values['validate-regex'] !== undefined) {
      stdout.write(`${regexVerdict(values['validate-regex'])}\n`)
      return 0
    }
    if (values['reset-offsets'] && !values.execute && !values['dry-run']) stderr.write(noExecution)
    const admin = await context.clients.admin(connectionProperties(values))
    try {
      if (values.list) await listGroups(admin, values, context)
      else if (values.describe) await describe(admin, values, context)
      else if (values.delete) await deleteGroups(admin, values, context)
      else if (values['reset-offsets']) await resetOffsets(admin, await groupsOf(admin, values, context), values, context)
      else await deleteOffsets(admin, values, context)
      return 0
    } catch (error) {
      context.interrupted.throwIfAborted()
      if (error instanceof UsageError || error instanceof CommandFailure) throw error
      stdout.write(`\nError: Executing consumer group command failed due to ${javaMessage(error)}\n`)
      return 0
    } finally {
      await admin.close()
    }
  },
})

async function describe(admin: Admin, values: GroupValues, context: CommandContext): Promise<void> {
  try {
    await describeGroups(admin, await groupsOf(admin, values, context), values, context)
  } catch (error) {
    if (!hasCode(error, 'GROUP_ID_NOT_FOUND')) throw error
    context.stdout.write(`\nError: Executing consumer group command failed due to ${javaText(error)}\n`)
  }
}

/** The groups that were named, or all consumer groups. */
async function groupsOf(admin: Admin, values: GroupValues, { interrupted: signal }: CommandContext): Promise<string[]> {
  if (!values['all-groups']) return [...new Set(values.group)]
  const listed = await admin.listGroups({ protocolTypes: consumerProtocols, signal, timeoutMs: values.timeout })
  return listed.map(({ groupId }) => groupId)
}

/** A group that only commits offsets has no protocol. */
const consumerProtocols = ['', 'consumer']
const states = ['Reconciling', 'Dead', 'PreparingRebalance', 'Empty', 'Stable', 'CompletingRebalance', 'Assigning']
const types = ['Consumer', 'Classic']

async function listGroups(admin: Admin, values: GroupValues, { stdout, interrupted: signal }: CommandContext): Promise<void> {
  const wanted = { states: choice('state', values.state, states), types: choice('types', values.type, types) }
  const listed = await admin.listGroups({ ...wanted, protocolTypes: consumerProtocols, signal, timeoutMs: values.timeout })
  const rows = listed.map(({ groupId, type, state }) => ({
    group: groupId,
    type: types.find((name) => name.toLowerCase() === type.toLowerCase()) ?? type,
    state,
  }))
  const format = outputFormat(values.output)
  if (format !== 'table') stdout.write(renderRows(rows, ['group', 'type', 'state'], format))
  else stdout.write(groupList(rows, { type: values.type !== undefined, state: values.state !== undefined }))
}

/** `--state stable,empty` as the names that brokers use. @throws UsageError for a name that is none. */
function choice(what: string, words: string | undefined, allowed: readonly string[]): string[] {
  if (!words) return []
  return words.split(',').map((word) => {
    const found = allowed.find((name) => name.toLowerCase() === word.trim().toLowerCase())
    if (found === undefined)
      throw new UsageError(`Invalid ${what} list '${words}'. Valid ${what === 'state' ? 'states' : what} are: ${allowed.join(', ')}`)
    return found
  })
}

async function deleteGroups(admin: Admin, values: GroupValues, context: CommandContext): Promise<void> {
  const groupIds = await groupsOf(admin, values, context)
  const failures = new Map<string, ClientError>()
  const deleted: string[] = []
  for (const group of groupIds) {
    try {
      await admin.deleteConsumerGroups([group], { signal: context.interrupted, timeoutMs: values.timeout })
      deleted.push(`'${group}'`)
    } catch (error) {
      context.interrupted.throwIfAborted()
      failures.set(group, error as ClientError)
    }
  }
  if (failures.size === 0) {
    context.stdout.write(`Deletion of requested consumer groups (${deleted.join(', ')}) was successful.\n`)
    return
  }
  const reasons = [...failures].map(([group, error]) => `* Group '${group}' could not be deleted due to: ${javaText(error)}\n`)
  context.stdout.write(`\nError: Deletion of some consumer groups failed:\n${reasons.join('')}`)
  if (deleted.length > 0) context.stdout.write(`\nThese consumer groups were deleted successfully: ${deleted.join(', ')}\n`)
}

async function deleteOffsets(admin: Admin, values: GroupValues, { stdout, interrupted: signal }: CommandContext): Promise<void> {
  const [group, another] = values.group
  if (group === undefined || another !== undefined) throw new UsageError('Option [delete-offsets] supports only one [group] at a time')
  const limits = { signal, timeoutMs: values.timeout }
  const places = await placesOf(admin, values.topic, limits)
  const { groupError, failed } = await tryDelete(admin, group, places, limits)
  if (groupError !== undefined) stdout.write(`\nError: ${javaMessage(groupError)}\n`)
  else if (failed.size > 0) stdout.write('\nError: Encountered some partition-level error, see the follow-up details.\n')
  else stdout.write(`Request succeeded for deleting offsets from group ${group}.\n`)
  const rows = places.map(({ topic, partition }) => {
    const error = groupError ?? failed.get(`${topic}-${partition}`)
    return { topic, partition, status: error === undefined ? 'Successful' : `Error: ${javaText(error)}` }
  })
  stdout.write(deletedOffsetsTable(rows))
}

interface DeletedOffsets {
  readonly groupError?: unknown
  readonly failed: ReadonlyMap<string, unknown>
}

async function tryDelete(
  admin: Admin,
  group: string,
  places: readonly Place[],
  limits: { signal: AbortSignal; timeoutMs?: number | undefined },
): Promise<DeletedOffsets> {
  try {
    await admin.deleteConsumerGroupOffsets(group, places, limits)
    return { failed: new Map() }
  } catch (error) {
    limits.signal.throwIfAborted()
    const failures = (error as { failures?: ReadonlyMap<string, ClientError> }).failures
    if (failures !== undefined) return { failed: failures }
    const [only] = places
    const isOfPartition = hasCode(error, 'GROUP_SUBSCRIBED_TO_TOPIC') || hasCode(error, 'UNKNOWN_TOPIC_OR_PARTITION')
    return isOfPartition && only !== undefined
      ? { failed: new Map([[`${only.topic}-${only.partition}`, error]]) }
      : { groupError: error, failed: new Map() }
  }
}
