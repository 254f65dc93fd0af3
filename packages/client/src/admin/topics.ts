import { ZERO_UUID } from '@tidelog/core'
import {
  CreatePartitions,
  CreateTopics,
  DeleteTopics,
  DescribeTopicPartitions,
  type DescribeTopicPartitionsResponse,
  Metadata,
} from '@tidelog/protocol'
import type { Outcome } from '../cluster/per-leader.ts'
import { BrokerError, type ClientError, hasCode, isRetriable } from '../errors.ts'
import { type AdminCallOptions, type AdminContext, callOptions } from './admin-client.ts'
import { allOrThrow } from './results.ts'

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

export interface CreatedTopic {
  readonly topic: string
  readonly topicId: string
  /** -1 from brokers that do not say. */
  readonly numPartitions: number
  readonly replicationFactor: number
  readonly configs: ReadonlyMap<string, string | null>
}

export interface TopicListing {
  readonly name: string
  readonly topicId: string
  readonly isInternal: boolean
}

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

export interface TopicDescription extends TopicListing {
  readonly partitions: readonly PartitionDescription[]
}

interface TopicResult {
  readonly name: string | null
  readonly errorCode: number
  readonly errorMessage: string | null
}

/**
 * One outcome a topic, asked of the controller and asked again for the topics that may yet succeed.
 * @param ask Answers for the topics it is given.
 */
async function perTopic<R extends TopicResult>(
  context: AdminContext,
  what: string,
  names: readonly string[],
  options: AdminCallOptions,
  ask: (names: readonly string[]) => Promise<readonly R[]>,
): Promise<Map<string, Outcome<R>>> {
  const outcomes = new Map<string, Outcome<R>>()
  const retry = callOptions(context, what, options)
  let pending = [...new Set(names)]
  let retriableFailure: ClientError | undefined
  try {
    await context.cluster.retry(retry, async () => {
      for (const result of await ask(pending)) {
        const { name, errorCode, errorMessage } = result
        if (name === null || !pending.includes(name)) continue
        if (errorCode === 0) outcomes.set(name, { value: result })
        else outcomes.set(name, { error: new BrokerError(errorCode, `topic ${name}`, errorMessage) })
      }
      pending = pending.filter((name) => isRetriableNow(outcomes.get(name)))
      retriableFailure = outcomes.get(pending[0] ?? '')?.error
      if (retriableFailure === undefined) return
      await context.cluster.refresh(retry)
      throw retriableFailure
    })
  } catch (error) {
    if (retriableFailure === undefined) throw error
    options.signal?.throwIfAborted()
  }
  return outcomes
}

/** A topic that does not exist will not come to exist by asking again; a controller that has moved will. */
const isRetriableNow = (outcome: Outcome<unknown> | undefined): boolean =>
  outcome?.error !== undefined && isRetriable(outcome.error) && !hasCode(outcome.error, 'UNKNOWN_TOPIC_OR_PARTITION', 'UNKNOWN_TOPIC_ID')

const entriesOf = (configs: NewTopic['configs'] = {}) => (configs instanceof Map ? [...configs] : Object.entries(configs))

export async function createTopics(
  context: AdminContext,
  topics: readonly NewTopic[],
  options: AdminCallOptions & { readonly validateOnly?: boolean },
): Promise<CreatedTopic[]> {
  const { cluster, config } = context
  const byName = new Map(topics.map((topic) => [topic.topic, topic]))
  const outcomes = await perTopic(context, 'createTopics', [...byName.keys()], options, async (names) => {
    const connection = await cluster.controllerConnection(options)
    const response = await connection.send(CreateTopics, {
      topics: names.map((name) => {
        const { numPartitions = -1, replicationFactor = -1, assignments, configs } = byName.get(name)!
        return {
          name,
          numPartitions: assignments === undefined ? numPartitions : -1,
          replicationFactor: assignments === undefined ? replicationFactor : -1,
          assignments: (assignments ?? []).map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds })),
          configs: entriesOf(configs).map(([name, value]) => ({ name, value })),
        }
      }),
      timeoutMs: config['request.timeout.ms'],
      validateOnly: options.validateOnly ?? false,
    })
    return response.topics
  })
  return allOrThrow('createTopics', outcomes).map(({ name, topicId, numPartitions, replicationFactor, configs }) => ({
    topic: name,
    topicId,
    numPartitions,
    replicationFactor,
    configs: new Map((configs ?? []).map((entry) => [entry.name, entry.value])),
  }))
}

export async function deleteTopics(context: AdminContext, names: readonly string[], options: AdminCallOptions): Promise<void> {
  const { cluster, config } = context
  const outcomes = await perTopic(context, 'deleteTopics', names, options, async (pending) => {
    const connection = await cluster.controllerConnection(options)
    const response = await connection.send(DeleteTopics, (version) => ({
      topics: version >= 6 ? pending.map((name) => ({ name, topicId: ZERO_UUID })) : [],
      topicNames: pending,
      timeoutMs: config['request.timeout.ms'],
    }))
    return response.responses
  })
  allOrThrow('deleteTopics', outcomes)
}

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
  options: AdminCallOptions & { readonly validateOnly?: boolean },
): Promise<void> {
  const { cluster, config } = context
  const byName = new Map(topics.map((topic) => [topic.topic, topic]))
  const outcomes = await perTopic(context, 'createPartitions', [...byName.keys()], options, async (names) => {
    const connection = await cluster.controllerConnection(options)
    const response = await connection.send(CreatePartitions, {
      topics: names.map((name) => {
        const { totalCount, assignments } = byName.get(name)!
        return { name, count: totalCount, assignments: assignments?.map((brokerIds) => ({ brokerIds })) ?? null }
      }),
      timeoutMs: config['request.timeout.ms'],
      validateOnly: options.validateOnly ?? false,
    })
    return response.results
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

export async function describeTopics(
  context: AdminContext,
  names: readonly string[],
  options: AdminCallOptions,
): Promise<Map<string, TopicDescription>> {
  const outcomes = await perTopic(context, 'describeTopics', names, options, async (pending) => {
    const connection = await context.cluster.anyConnection(options)
    if (connection.serves(DescribeTopicPartitions)) {
      return (await describeByPage(context, pending, options)).map((topic) => ({ ...topic, errorMessage: null }))
    }
    const response = await connection.send(Metadata, { topics: pending.map((name) => ({ name })), allowAutoTopicCreation: false })
    return response.topics.map((topic) => ({
      ...topic,
      errorMessage: null,
      partitions: topic.partitions.map((partition) => ({ ...partition, eligibleLeaderReplicas: null, lastKnownElr: null })),
    }))
  })
  return new Map(allOrThrow('describeTopics', outcomes).map((topic) => [topic.name ?? '', descriptionOf(topic)]))
}

type DescribedTopic = DescribeTopicPartitionsResponse['topics'][number]

async function describeByPage({ cluster }: AdminContext, names: readonly string[], options: AdminCallOptions): Promise<DescribedTopic[]> {
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
      responsePartitionLimit: PARTITIONS_PER_PAGE,
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

function descriptionOf({
  name,
  topicId,
  isInternal,
  partitions,
}: Pick<DescribedTopic, 'name' | 'topicId' | 'isInternal' | 'partitions'>): TopicDescription {
  return {
    name: name ?? '',
    topicId,
    isInternal,
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
