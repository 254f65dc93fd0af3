import { ZERO_UUID } from '@tidelog/core'
import {
  CreatePartitions,
  CreateTopics,
  DeleteTopics,
  DescribeTopicPartitions,
  type DescribeTopicPartitionsResponse,
  Metadata,
} from '@tidelog/protocol'
import type { RetryOptions } from '../cluster/cluster.ts'
import { hasCode, isRetriable, UnsupportedVersionError } from '../errors.ts'
import { type AclOperation, operationsOf } from './acl-operations.ts'
import { type AdminCallOptions, type AdminContext, callOptions, type ValidateOnly } from './admin-client.ts'
import { askController, outcomeOf, perItem } from './per-item.ts'
import { allOrThrow } from './results.ts'

/** A topic to make. */
export interface NewTopic {
  readonly topic: string
  /** The broker's `num.partitions` when absent. */
  readonly numPartitions?: number | undefined
  /** The broker's `default.replication.factor` when absent. */
  readonly replicationFactor?: number | undefined
  /** Brokers of each partition by its index, the preferred leader first; instead of the two numbers. */
  readonly assignments?: readonly (readonly number[])[] | undefined
  readonly configs?: Readonly<Record<string, string>> | ReadonlyMap<string, string> | undefined
}

/** What has been made. */
export interface CreatedTopic {
  readonly topic: string
  readonly topicId: string
  /** -1 from brokers that do not say. */
  readonly numPartitions: number
  readonly replicationFactor: number
  readonly configs: ReadonlyMap<string, string | null>
}

/** A topic, as listTopics() finds it. */
export interface TopicListing {
  readonly name: string
  readonly topicId: string
  readonly isInternal: boolean
}

/** A partition, as the cluster has it. */
export interface PartitionDescription {
  readonly partition: number
  /** -1: none at the moment. */
  readonly leaderId: number
  readonly leaderEpoch: number
  /** The preferred leader first. */
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  readonly offlineReplicas: readonly number[]
  /** null from brokers that keep none. KIP-966. */
  readonly eligibleLeaderReplicas: readonly number[] | null
  readonly lastKnownElr: readonly number[] | null
}

/** A topic and its partitions. */
export interface TopicDescription extends TopicListing {
  /** What this client may do; only when asked for. KIP-430. */
  readonly authorizedOperations?: readonly AclOperation[] | undefined
  readonly partitions: readonly PartitionDescription[]
}

/** What calls that change topics take, since brokers may bound how many of them a client makes (`controller_mutation_rate`). KIP-599. */
export interface TopicMutationOptions extends AdminCallOptions {
  /** Whether to wait and ask again after THROTTLING_QUOTA_EXCEEDED; true when absent. */
  readonly retryOnQuotaViolation?: boolean
}

function mutationOptions(
  context: AdminContext,
  what: string,
  { retryOnQuotaViolation = true, ...options }: TopicMutationOptions,
): RetryOptions {
  const retryIf = (error: unknown) => isRetriable(error) && (retryOnQuotaViolation || !hasCode(error, 'THROTTLING_QUOTA_EXCEEDED'))
  return { ...callOptions(context, what, options), retryIf }
}

/** Topics by name, or by id. */
export type TopicsToFind = readonly string[] | { readonly topicIds: readonly string[] }

/** Names or ids, whichever `topics` has. */
const keysOf = (topics: TopicsToFind): { readonly keys: readonly string[]; readonly byId: boolean } =>
  'topicIds' in topics ? { keys: topics.topicIds, byId: true } : { keys: topics, byId: false }

const topicText = (key: string): string => `topic ${key}`

const byName = <R extends { readonly name: string; readonly errorCode: number; readonly errorMessage?: string | null }>(
  rows: readonly R[],
) => new Map(rows.map((row) => [row.name, outcomeOf(topicText(row.name), row, () => row)]))

const entriesOf = (configs: NewTopic['configs'] = {}) => (configs instanceof Map ? [...configs] : Object.entries(configs))

export async function createTopics(
  context: AdminContext,
  topics: readonly NewTopic[],
  options: ValidateOnly<TopicMutationOptions>,
): Promise<CreatedTopic[]> {
  const retry = mutationOptions(context, 'createTopics', options)
  const wanted = new Map(topics.map((topic) => [topic.topic, topic]))
  const outcomes = await perItem(context, [...wanted.keys()], retry, topicText, async (names) => {
    const response = await askController(context, options, (connection) =>
      connection.send(CreateTopics, {
        topics: names.map((name) => {
          const { numPartitions = -1, replicationFactor = -1, assignments, configs } = wanted.get(name)!
          return {
            name,
            numPartitions: assignments === undefined ? numPartitions : -1,
            replicationFactor: assignments === undefined ? replicationFactor : -1,
            assignments: (assignments ?? []).map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds })),
            configs: entriesOf(configs).map(([name, value]) => ({ name, value })),
          }
        }),
        timeoutMs: context.config['request.timeout.ms'],
        validateOnly: options.validateOnly ?? false,
      }),
    )
    return byName(response.topics)
  })
  return allOrThrow('createTopics', outcomes).map(({ name, topicId, numPartitions, replicationFactor, configs }) => ({
    topic: name,
    topicId,
    numPartitions,
    replicationFactor,
    configs: new Map((configs ?? []).map((entry) => [entry.name, entry.value])),
  }))
}

export async function deleteTopics(context: AdminContext, topics: TopicsToFind, options: TopicMutationOptions): Promise<void> {
  const { keys, byId } = keysOf(topics)
  const outcomes = await perItem(context, keys, mutationOptions(context, 'deleteTopics', options), topicText, async (pending) => {
    const response = await askController(context, options, (connection) =>
      connection.send(DeleteTopics, (version) => {
        if (byId && version < OLDEST_DELETE_BY_ID) throw new UnsupportedVersionError('the broker cannot delete topics by id')
        return {
          topics: pending.map((key) => (byId ? { name: null, topicId: key } : { name: key, topicId: ZERO_UUID })),
          topicNames: [...pending],
          timeoutMs: context.config['request.timeout.ms'],
        }
      }),
    )
    return new Map(
      response.responses.map((row) => {
        const key = byId ? row.topicId : (row.name ?? '')
        return [key, outcomeOf(topicText(key), row, () => undefined)]
      }),
    )
  })
  allOrThrow('deleteTopics', outcomes)
}
const OLDEST_DELETE_BY_ID = 6

/** How many partitions a topic shall have. */
export interface NewPartitions {
  readonly topic: string
  /** How many the topic is to have in all. */
  readonly totalCount: number
  /** Brokers of each new partition, the preferred leader first. */
  readonly assignments?: readonly (readonly number[])[] | undefined
}

export async function createPartitions(
  context: AdminContext,
  topics: readonly NewPartitions[],
  options: ValidateOnly<TopicMutationOptions>,
): Promise<void> {
  const retry = mutationOptions(context, 'createPartitions', options)
  const wanted = new Map(topics.map((topic) => [topic.topic, topic]))
  const outcomes = await perItem(context, [...wanted.keys()], retry, topicText, async (names) => {
    const response = await askController(context, options, (connection) =>
      connection.send(CreatePartitions, {
        topics: names.map((name) => {
          const { totalCount, assignments } = wanted.get(name)!
          return { name, count: totalCount, assignments: assignments?.map((brokerIds) => ({ brokerIds })) ?? null }
        }),
        timeoutMs: context.config['request.timeout.ms'],
        validateOnly: options.validateOnly ?? false,
      }),
    )
    return byName(response.results)
  })
  allOrThrow('createPartitions', outcomes)
}

export async function listTopics(
  context: AdminContext,
  { includeInternal = false, ...options }: AdminCallOptions & { readonly includeInternal?: boolean },
): Promise<TopicListing[]> {
  const response = await context.cluster.requestAny(
    Metadata,
    (version) => ({ topics: version === 0 ? [] : null, allowAutoTopicCreation: false }),
    callOptions(context, 'listTopics', options),
  )
  return response.topics
    .filter(({ errorCode, isInternal }) => errorCode === 0 && (includeInternal || !isInternal))
    .map(({ name, topicId, isInternal }) => ({ name: name ?? '', topicId, isInternal }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Partitions a page of DescribeTopicPartitions; the broker may give fewer. */
const PARTITIONS_PER_PAGE = 2000
const OLDEST_METADATA_BY_ID = 12
const OLDEST_METADATA_WITH_OPERATIONS = 8

/** What describeTopics() takes. */
export interface DescribeTopicsOptions extends AdminCallOptions {
  /** Tell what this client may do with each topic. KIP-430. */
  readonly includeAuthorizedOperations?: boolean
  /** Most partitions that one answer of the broker holds; a topic of more is described by several. KIP-966. */
  readonly partitionSizeLimitPerResponse?: number
}

/** By name or by id, whichever was asked for. */
export async function describeTopics(
  context: AdminContext,
  topics: TopicsToFind,
  options: DescribeTopicsOptions,
): Promise<Map<string, TopicDescription>> {
  const { includeAuthorizedOperations = false } = options
  const { keys, byId } = keysOf(topics)
  const outcomesOf = (described: readonly DescribedTopic[]) =>
    new Map(
      described.map((topic) => {
        const key = byId ? topic.topicId : (topic.name ?? '')
        return [key, outcomeOf(topicText(key), topic, () => descriptionOf(topic, includeAuthorizedOperations))]
      }),
    )
  const outcomes = await perItem(context, keys, callOptions(context, 'describeTopics', options), topicText, async (pending) => {
    const connection = await context.cluster.anyConnection(options)
    // Kafka describes pages of topics by name only.
    if (!byId && connection.serves(DescribeTopicPartitions)) return outcomesOf(await describeByPage(context, pending, options))
    const response = await connection.send(Metadata, (version) => {
      if (byId && version < OLDEST_METADATA_BY_ID) throw new UnsupportedVersionError('the broker cannot describe topics by id')
      return {
        topics: pending.map((key) => (byId ? { name: null, topicId: key } : { name: key })),
        allowAutoTopicCreation: false,
        includeTopicAuthorizedOperations: includeAuthorizedOperations && version >= OLDEST_METADATA_WITH_OPERATIONS,
      }
    })
    const described = response.topics.map((topic) => ({
      ...topic,
      partitions: topic.partitions.map((partition) => ({ ...partition, eligibleLeaderReplicas: null, lastKnownElr: null })),
    }))
    return outcomesOf(described)
  })
  const descriptions = allOrThrow('describeTopics', outcomes)
  return new Map([...outcomes.keys()].map((key, index) => [key, descriptions[index]!]))
}

type DescribedTopic = DescribeTopicPartitionsResponse['topics'][number]

async function describeByPage(
  { cluster }: AdminContext,
  names: readonly string[],
  { partitionSizeLimitPerResponse = PARTITIONS_PER_PAGE, ...options }: DescribeTopicsOptions,
): Promise<DescribedTopic[]> {
  const topics = new Map<string, DescribedTopic>()
  let cursor: DescribeTopicPartitionsResponse['nextCursor'] = null
  do {
    const after = cursor
    const connection = await cluster.anyConnection(options)
    const response: DescribeTopicPartitionsResponse = await connection.send(DescribeTopicPartitions, {
      // The cursor's topic and those behind it, in the broker's order.
      topics: [...names]
        .filter((name) => after === null || name >= after.topicName)
        .sort()
        .map((name) => ({ name })),
      responsePartitionLimit: partitionSizeLimitPerResponse,
      cursor: after,
    })
    for (const topic of response.topics) {
      const known = topics.get(topic.name ?? '')
      if (known === undefined) topics.set(topic.name ?? '', topic)
      else known.partitions.push(...topic.partitions)
    }
    cursor = response.nextCursor
    const stuck = after !== null && cursor?.topicName === after.topicName && cursor.partitionIndex <= after.partitionIndex
    if (stuck) cursor = null
  } while (cursor !== null)
  return [...topics.values()]
}

function descriptionOf(topic: DescribedTopic, includeAuthorizedOperations: boolean): TopicDescription {
  const { name, topicId, isInternal, partitions, topicAuthorizedOperations } = topic
  return {
    name: name ?? '',
    topicId,
    isInternal,
    // DescribeTopicPartitions tells them unasked.
    authorizedOperations: includeAuthorizedOperations ? operationsOf(topicAuthorizedOperations) : undefined,
    partitions: partitions
      .map((partition) => ({
        partition: partition.partitionIndex,
        leaderId: partition.leaderId,
        leaderEpoch: partition.leaderEpoch,
        replicas: partition.replicaNodes,
        isr: partition.isrNodes,
        offlineReplicas: partition.offlineReplicas,
        eligibleLeaderReplicas: partition.eligibleLeaderReplicas,
        lastKnownElr: partition.lastKnownElr,
      }))
      .sort((a, b) => a.partition - b.partition),
  }
}
