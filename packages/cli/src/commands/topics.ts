import type { Admin, TopicDescription } from '@tidelog/client'
import { javaHashOrder, ZERO_UUID } from '@tidelog/core'
import { connectionOptions, connectionProperties } from '../clients.ts'
import { type CommandContext, defineCommand } from '../command.ts'
import { hasCode, javaMessage } from '../java-error.ts'
import { flag, list, number, type OptionValues, text, UsageError } from '../option-table.ts'
import { type Cell, outputFormat, outputOption, renderRows } from '../rows.ts'
import { given, isGiven, refuseTogether, requireOption } from '../rules.ts'
import { topicFilter } from '../topics/topic-filter.ts'
import {
  collisionWarning,
  isWanted,
  type PartitionFilter,
  parseReplicaAssignment,
  partitionLine,
  partitionRow,
  type TopicState,
  topicColumns,
  topicLine,
} from '../topics/topic-text.ts'

const options = {
  ...connectionOptions,
  ...outputOption,
  list: flag('Names the topics.'),
  describe: flag('Shows topics with their partitions and overridden configs.'),
  create: flag('Creates a topic.'),
  alter: flag('Adds partitions to topics. (Configs are altered by kafka-configs.)'),
  delete: flag('Deletes topics.'),
  topic: text('The topic; except with --create a regular expression for whole names.', { value: 'topic' }),
  'topic-id': text('The topic to describe, by its id.', { value: 'id' }),
  partitions: number("The number of partitions in all; with --create the broker's num.partitions when absent.", { value: 'count' }),
  'replication-factor': number("Replicas of each partition; the broker's default.replication.factor when absent.", { value: 'count' }),
  'replica-assignment': text('The brokers of each partition, for example 0:1,1:2 for two partitions.', { value: 'ids' }),
  config: list('A config of the new topic; may be repeated.', { value: 'name=value' }),
  'delete-config': list('No longer supported since Kafka 4.0; use kafka-configs.', { hidden: true }),
  'if-exists': flag('A topic that does not exist is no error.'),
  'if-not-exists': flag('A topic that exists already is no error.'),
  'exclude-internal': flag('Leaves out the topics that brokers keep for themselves.'),
  'under-replicated-partitions': flag('Only partitions that lack an in-sync replica.'),
  'unavailable-partitions': flag('Only partitions whose leader is not alive.'),
  'under-min-isr-partitions': flag('Only partitions with fewer in-sync replicas than min.insync.replicas.'),
  'at-min-isr-partitions': flag('Only partitions with exactly min.insync.replicas in-sync replicas.'),
  'topics-with-overrides': flag('Only topics with configs of their own, without their partitions.'),
  'partition-size-limit-per-response': number('Accepted; the client takes pages of the size that the broker gives.', { hidden: true }),
}
type Values = OptionValues<typeof options>

const actions = ['list', 'describe', 'create', 'alter', 'delete'] as const
const partitionReports = [
  'under-replicated-partitions',
  'under-min-isr-partitions',
  'at-min-isr-partitions',
  'unavailable-partitions',
] as const

function check(values: Values): void {
  if (given(values, actions).length !== 1)
    throw new UsageError('Command must include exactly one action: --list, --describe, --create, --alter or --delete')
  if (!isGiven(values, 'bootstrap-server')) throw new UsageError('--bootstrap-server must be specified')
  if (values.describe && isGiven(values, 'topic') && isGiven(values, 'topic-id'))
    throw new UsageError('Option "[topic]" can\'t be used with option "[topic-id]"')
  if (!values.list && !values.describe) requireOption(values, 'topic')
  if (values.alter) requireOption(values, 'partitions')
  const but = (...allowed: string[]) => actions.filter((action) => !allowed.includes(action))
  refuseTogether(values, 'config', but('create'))
  refuseTogether(values, 'partitions', but('create', 'alter'))
  refuseTogether(values, 'replication-factor', but('create'))
  refuseTogether(values, 'replica-assignment', but('create', 'alter'))
  if (values.create) refuseTogether(values, 'replica-assignment', ['partitions', 'replication-factor'])
  for (const report of partitionReports) {
    refuseTogether(values, report, but('describe'))
    refuseTogether(values, report, [...partitionReports.filter((other) => other !== report), 'topics-with-overrides'])
  }
  refuseTogether(values, 'topics-with-overrides', but('describe'))
  refuseTogether(values, 'topic-id', but('describe'))
  refuseTogether(values, 'if-exists', ['create', 'list'])
  refuseTogether(values, 'if-not-exists', but('create'))
  refuseTogether(values, 'exclude-internal', but('list', 'describe'))
  outputFormat(values.output)
}

/** kafka-topics. */
export const topics = defineCommand({
  name: 'topics',
  summary: 'Lists, describes, creates, alters and deletes topics.',
  options,
  check,
  async run(values, context) {
    const admin = await context.clients.admin(connectionProperties(values))
    try {
      if (values.list) await listTopics(admin, values, context)
      else if (values.describe) await describeTopics(admin, values, context)
      else if (values.create) await createTopic(admin, values, context)
      else if (values.alter) await alterTopics(admin, values, context)
      else await deleteTopics(admin, values, context)
      return 0
    } catch (error) {
      context.interrupted.throwIfAborted()
      context.stdout.write(`Error while executing topic command : ${javaMessage(error)}\n`)
      return 1
    } finally {
      await admin.close()
    }
  },
})

/** The names that `--topic` means, sorted. */
async function matchingTopics(admin: Admin, values: Values, { signal }: { signal: AbortSignal }): Promise<string[]> {
  const wanted = values.topic === undefined ? () => true : topicFilter(values.topic)
  const listed = await admin.listTopics({ includeInternal: !values['exclude-internal'], signal })
  return listed
    .map(({ name }) => name)
    .filter(wanted)
    .sort()
}

function requireTopics(names: readonly string[], values: Values): void {
  if (names.length === 0 && values.topic !== undefined && !values['if-exists'])
    throw new Error(`Topic '${values.topic}' does not exist as expected`)
}

async function listTopics(admin: Admin, values: Values, { stdout, interrupted }: CommandContext): Promise<void> {
  const names = await matchingTopics(admin, values, { signal: interrupted })
  const format = outputFormat(values.output)
  if (format === 'table')
    stdout.write(`${names.join('\n')}\n`) // an empty line where there is none, as Kafka's tool prints
  else
    stdout.write(
      renderRows(
        names.map((topic) => ({ topic })),
        ['topic'],
        format,
      ),
    )
}

async function createTopic(admin: Admin, values: Values, { stdout, interrupted }: CommandContext): Promise<void> {
  const topic = values.topic as string
  const { partitions, 'replication-factor': replicationFactor, 'replica-assignment': assignment } = values
  stdout.write(collisionWarning(topic))
  if (partitions !== undefined && partitions < 1) throw new Error('The partitions must be greater than 0')
  if (replicationFactor !== undefined && (replicationFactor < 1 || replicationFactor > 32767))
    throw new Error('The replication factor must be between 1 and 32767 inclusive')
  const configs = new Map(
    values.config.map((pair) => {
      const equals = pair.indexOf('=')
      if (equals === -1)
        throw new Error('requirement failed: Invalid topic config: all configs to be added must be in the format "key=val".')
      return [pair.slice(0, equals).trim(), pair.slice(equals + 1).trim()] as const
    }),
  )
  const assignments = assignment === undefined ? undefined : parseReplicaAssignment(assignment)
  try {
    await admin.createTopics([{ topic, numPartitions: partitions, replicationFactor, assignments, configs }], { signal: interrupted })
  } catch (error) {
    if (values['if-not-exists'] && hasCode(error, 'TOPIC_ALREADY_EXISTS')) return
    throw error
  }
  stdout.write(`Created topic ${topic}.\n`)
}

async function alterTopics(admin: Admin, values: Values, { interrupted: signal }: CommandContext): Promise<void> {
  const names = await matchingTopics(admin, values, { signal })
  requireTopics(names, values)
  if (names.length === 0) return
  const assignment = values['replica-assignment'] === undefined ? undefined : parseReplicaAssignment(values['replica-assignment'])
  const described = await admin.describeTopics(names, { signal })
  const changes = names.map((topic) => ({
    topic,
    totalCount: values.partitions as number,
    // The option names the brokers of all partitions, the request only those of the new ones.
    assignments: assignment?.slice(described.get(topic)?.partitions.length ?? 0),
  }))
  await admin.createPartitions(changes, { signal })
}

async function deleteTopics(admin: Admin, values: Values, { interrupted: signal }: CommandContext): Promise<void> {
  const names = await matchingTopics(admin, values, { signal })
  requireTopics(names, values)
  if (names.length > 0) await admin.deleteTopics(names, { signal })
}

async function describeTopics(admin: Admin, values: Values, { stdout, interrupted: signal }: CommandContext): Promise<void> {
  const names = await topicsToDescribe(admin, values, signal)
  if (names.length === 0) return
  const { brokers } = await admin.describeCluster({ signal })
  const filter: PartitionFilter = {
    underReplicated: values['under-replicated-partitions'],
    unavailable: values['unavailable-partitions'],
    underMinIsr: values['under-min-isr-partitions'],
    atMinIsr: values['at-min-isr-partitions'],
    liveBrokers: new Set(brokers.map(({ nodeId }) => nodeId)),
  }
  const states = await readStates(admin, names, signal)
  const format = outputFormat(values.output)
  if (format !== 'table') {
    const rows: Record<string, Cell>[] = states.flatMap((topic) =>
      topic.partitions.filter((state) => isWanted(topic, state, filter)).map((state) => partitionRow(topic, state)),
    )
    stdout.write(renderRows(rows, topicColumns, format))
    return
  }
  const reportsPartitions = partitionReports.some((report) => values[report])
  for (const topic of states) {
    if (values['topics-with-overrides'] && topic.configs.every(({ isDefault }) => isDefault)) continue
    if (!reportsPartitions) stdout.write(topicLine(topic))
    if (values['topics-with-overrides']) continue
    const wanted = topic.partitions.filter((state) => isWanted(topic, state, filter))
    stdout.write(wanted.map((state) => partitionLine(topic.name, state)).join(''))
  }
}

async function topicsToDescribe(admin: Admin, values: Values, signal: AbortSignal): Promise<string[]> {
  const id = values['topic-id']
  if (id === undefined || id === ZERO_UUID) {
    const names = await matchingTopics(admin, values, { signal })
    requireTopics(names, values)
    // The tool collects descriptions in a map of just that size, filled in the order of the listing, which is a map too.
    return javaHashOrder(javaHashOrder(names), names.length)
  }
  const length = Buffer.from(id, 'base64url').length
  if (length !== 16)
    throw new Error(
      `Input string \`${id}\` decoded as ${length} bytes, which is not equal to the expected 16 bytes of a base64-encoded UUID`,
    )
  const found = (await admin.listTopics({ includeInternal: true, signal })).find(({ topicId }) => topicId === id)
  if (found === undefined && !values['if-exists']) throw new Error(`TopicId '${id}' does not exist as expected`)
  return found === undefined ? [] : [found.name]
}

async function readStates(admin: Admin, names: readonly string[], signal: AbortSignal): Promise<TopicState[]> {
  const described = await admin.describeTopics(names, { signal })
  const resources = names.map((name) => ({ type: 'topic', name }) as const)
  const configs = new Map((await admin.describeConfigs(resources, { signal })).map(({ resource, configs }) => [resource.name, configs]))
  return names.flatMap((name) => {
    const topic = described.get(name)
    if (topic === undefined) return []
    const entries = (configs.get(name) ?? []).map((entry) => ({
      name: entry.name,
      value: entry.value ?? '',
      isDefault: entry.source === 'default-config',
    }))
    return [{ ...stateOf(topic), configs: entries }]
  })
}

function stateOf({ name, topicId, isInternal, partitions }: TopicDescription): Omit<TopicState, 'configs'> {
  return {
    name,
    topicId,
    isInternal,
    partitions: partitions.map(({ partition, leaderId, replicas, isr, eligibleLeaderReplicas, lastKnownElr }) => ({
      partition,
      leader: leaderId === -1 ? undefined : leaderId,
      replicas,
      isr,
      elr: eligibleLeaderReplicas ?? [],
      lastKnownElr: lastKnownElr ?? [],
    })),
  }
}
