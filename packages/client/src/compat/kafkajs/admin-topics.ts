import type { Clock } from '@tidelog/core'
import { hasCode } from '../../errors.ts'
import { partitionName } from '../../topic-partition.ts'
import {
  KafkaJSAggregateError,
  KafkaJSBrokerNotFound,
  KafkaJSCreateTopicError,
  KafkaJSDeleteTopicRecordsError,
  KafkaJSNonRetriableError,
  KafkaJSNumberOfRetriesExceeded,
  KafkaJSTimeout,
} from './errors.ts'
import type { Link } from './link.ts'
import { offsetOf, SPECIAL_OFFSETS } from './offset-arguments.ts'
import { failuresOf } from './partial-failures.ts'
import { partitionMetadataOf } from './partitioners.ts'
import { kafkaJSErrorOf } from './protocol-errors.ts'
import { pause } from './retry.ts'
import type { Admin, AdminEventsByName } from './types-admin.ts'
import type { ITopicConfig, ITopicMetadata, ITopicPartitionConfig } from './types-admin-requests.ts'
import type { SeekEntry } from './types-client.ts'

/** kafkajs's limits of creating a topic, and of waiting for its leaders. */
const CREATION_TIMEOUT_MS = 5000
const LEADERS_TIMEOUT_MS = 10_000
const LEADERS_INTERVAL_MS = 50

/** @throws KafkaJSNonRetriableError unless it is an array of entries with a topic each, and no topic twice */
export function checkTopicEntries(entries: unknown): asserts entries is readonly { readonly topic: string }[] {
  if (!Array.isArray(entries)) throw new KafkaJSNonRetriableError(`topics must be an array, and not ${entries}`)
  if (entries.some((entry) => typeof entry?.topic !== 'string')) throw new KafkaJSNonRetriableError('the names of topics must be texts')
  if (new Set(entries.map(({ topic }) => topic)).size < entries.length) {
    throw new KafkaJSNonRetriableError('a topic comes more than once in the array')
  }
}

function checkConfigEntries({ topic, configEntries }: ITopicConfig): void {
  if (configEntries == null) return
  if (!Array.isArray(configEntries)) throw new KafkaJSNonRetriableError(`configEntries of topic ${topic} must be an array`)
  for (const entry of configEntries) {
    if (typeof entry?.name !== 'string' || typeof entry.value !== 'string') {
      throw new KafkaJSNonRetriableError(`an entry of configEntries of topic ${topic} must have a name and a value, both texts`)
    }
  }
}

/** Topics of kafkajs's Admin. */
export class AdminTopics {
  readonly #link: Link<AdminEventsByName>
  readonly #clock: Clock

  constructor(link: Link<AdminEventsByName>, clock: Clock) {
    this.#link = link
    this.#clock = clock
  }

  list(): Promise<string[]> {
    return this.#link.try(async () => (await this.#link.admin.listTopics({ includeInternal: true })).map(({ name }) => name))
  }

  /** @returns false when all of them exist. @throws KafkaJSAggregateError of KafkaJSCreateTopicErrors */
  async create({
    topics,
    validateOnly = false,
    timeout = CREATION_TIMEOUT_MS,
    waitForLeaders = true,
  }: Parameters<Admin['createTopics']>[0]): Promise<boolean> {
    checkTopicEntries(topics)
    for (const topic of topics) checkConfigEntries(topic)
    const wanted = topics.map(({ topic, numPartitions = -1, replicationFactor = -1, replicaAssignment, configEntries = [] }) => ({
      topic,
      ...(numPartitions < 0 ? {} : { numPartitions }),
      ...(replicationFactor < 0 ? {} : { replicationFactor }),
      ...(replicaAssignment === undefined || replicaAssignment.length === 0
        ? {}
        : { assignments: [...replicaAssignment].sort((a, b) => a.partition - b.partition).map(({ replicas }) => replicas) }),
      configs: new Map(configEntries.map(({ name, value }) => [name, value])),
    }))
    await this.#link.open()
    try {
      await this.#link.admin.createTopics(wanted, { validateOnly, timeoutMs: timeout })
    } catch (error) {
      const failures = failuresOf(error, topics[0]?.topic)
      if ([...failures.values()].every(({ type }) => type === 'TOPIC_ALREADY_EXISTS')) return false
      const errors = [...failures].map(([topic, failure]) => new KafkaJSCreateTopicError(failure, topic))
      throw new KafkaJSAggregateError('topics could not be created', errors)
    }
    if (waitForLeaders && !validateOnly)
      await this.#leaders(
        topics.map(({ topic }) => topic),
        Math.max(timeout, LEADERS_TIMEOUT_MS),
      )
    return true
  }

  async #leaders(topics: readonly string[], timeoutMs: number): Promise<void> {
    const deadlineMs = this.#clock.monotonic() + timeoutMs
    for (;;) {
      const described = await this.#link.admin.describeTopics(topics).catch((error) => {
        if (!hasCode(error, 'UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE')) throw kafkaJSErrorOf(error)
        return undefined
      })
      if (described !== undefined && [...described.values()].every(({ partitions }) => partitions.every(({ leaderId }) => leaderId >= 0)))
        return
      if (this.#clock.monotonic() >= deadlineMs) throw new KafkaJSTimeout(`not all partitions have a leader after ${timeoutMs} ms`)
      await pause(this.#clock, LEADERS_INTERVAL_MS)
    }
  }

  async delete({ topics, timeout = CREATION_TIMEOUT_MS }: Parameters<Admin['deleteTopics']>[0]): Promise<void> {
    if (!Array.isArray(topics)) throw new KafkaJSNonRetriableError(`topics must be an array, and not ${topics}`)
    if (topics.some((topic) => typeof topic !== 'string')) throw new KafkaJSNonRetriableError('the names of topics must be texts')
    await this.#link.try(() => this.#link.admin.deleteTopics(topics, { timeoutMs: timeout }))
  }

  async createPartitions({
    topicPartitions,
    validateOnly = false,
    timeout = CREATION_TIMEOUT_MS,
  }: Parameters<Admin['createPartitions']>[0]): Promise<boolean> {
    checkTopicEntries(topicPartitions)
    if (topicPartitions.length === 0) throw new KafkaJSNonRetriableError('topicPartitions is empty')
    const wanted = topicPartitions.map(({ topic, count, assignments }: ITopicPartitionConfig) => ({
      topic,
      totalCount: count,
      ...(assignments ? { assignments } : {}),
    }))
    await this.#link.once(() => this.#link.admin.createPartitions(wanted, { validateOnly, timeoutMs: timeout }))
    return true
  }

  /** Of all topics when none are named. */
  async fetchMetadata({ topics = [] }: { topics?: string[] } = {}): Promise<{ topics: ITopicMetadata[] }> {
    const invalid = topics.find((topic) => !topic || typeof topic !== 'string')
    if (invalid !== undefined) throw new KafkaJSNonRetriableError(`${invalid} is no topic`)
    return this.#link.once(async () => {
      const described = await this.#link.admin.describeTopics(topics.length > 0 ? topics : await this.list())
      return {
        topics: [...described.values()].map(({ name, partitions }) => ({
          name,
          partitions: partitions.map((partition) => partitionMetadataOf({ topic: name, ...partition })),
        })),
      }
    })
  }

  /** @throws KafkaJSDeleteTopicRecordsError, in a KafkaJSNumberOfRetriesExceeded or KafkaJSNonRetriableError where brokers said no */
  async deleteRecords({ topic, partitions }: { topic: string; partitions: SeekEntry[] }): Promise<void> {
    if (!topic || typeof topic !== 'string') throw new KafkaJSNonRetriableError(`${topic} is no topic`)
    if (!partitions || partitions.length === 0) throw new KafkaJSNonRetriableError('partitions is missing or empty')
    const described = (await this.#link.try(() => this.#link.admin.describeTopics([topic]))).get(topic)!
    const led = new Set(described.partitions.filter(({ leaderId }) => leaderId >= 0).map(({ partition }) => partition))
    const without = partitions.filter(({ partition }) => !led.has(partition))
    if (without.length > 0) {
      const error = new KafkaJSBrokerNotFound('the partition has no leader', { retriable: false })
      throw new KafkaJSDeleteTopicRecordsError({ topic, partitions: without.map((entry) => ({ ...entry, error })) })
    }
    const records = partitions.map(({ partition, offset }) => ({ topic, partition, beforeOffset: offsetOf(offset, SPECIAL_OFFSETS) }))
    try {
      await this.#link.admin.deleteRecords(records)
    } catch (error) {
      const failures = failuresOf(error, partitionName(records[0]!))
      const failed = partitions.flatMap((entry) => {
        const failure = failures.get(partitionName({ topic, ...entry }))
        return failure === undefined ? [] : [{ ...entry, error: failure }]
      })
      const all = new KafkaJSDeleteTopicRecordsError({ topic, partitions: failed })
      if (all.retriable) throw new KafkaJSNumberOfRetriesExceeded(all, this.#link.retries)
      throw new KafkaJSNonRetriableError(all, { cause: all })
    }
  }
}
