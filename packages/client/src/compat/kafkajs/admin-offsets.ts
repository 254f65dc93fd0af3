import type { OffsetSpec } from '../../cluster/list-offsets.ts'
import { groupByTopic, type OffsetAndMetadata, type PartitionMap, type TopicPartition } from '../../topic-partition.ts'
import { KafkaJSNonRetriableError } from './errors.ts'
import { describeGroups } from './groups.ts'
import type { Link } from './link.ts'
import { offsetOf, SPECIAL_OFFSETS } from './offset-arguments.ts'
import type { Admin, AdminEventsByName } from './types-admin.ts'
import type { FetchOffsetsPartition } from './types-admin-requests.ts'
import type { SeekEntry } from './types-client.ts'

const EARLIEST = -2
const LATEST = -1

type GroupOffsets = { topic: string; partitions: FetchOffsetsPartition[] }[]

const named = (what: string, value: unknown): void => {
  if (!value || typeof value !== 'string') throw new KafkaJSNonRetriableError(`${value} is no ${what}`)
}

/** Offsets of groups and of topics of kafkajs's Admin. */
export class AdminOffsets {
  readonly #link: Link<AdminEventsByName>

  constructor(link: Link<AdminEventsByName>) {
    this.#link = link
  }

  /** Of all topics that the group has committed when none are named; -1: nothing is committed. */
  async fetch({ groupId, topics = [], resolveOffsets = false }: Parameters<Admin['fetchOffsets']>[0]): Promise<GroupOffsets> {
    named('group', groupId)
    if (!Array.isArray(topics)) throw new KafkaJSNonRetriableError('topics must be an array')
    const offsets = await this.#link.try(() => this.#committed(groupId, topics))
    if (!resolveOffsets) return offsets
    for (const { topic, partitions } of offsets) {
      if (!partitions.some(({ offset }) => Number(offset) < 0)) continue
      // What kafkajs makes of an offset that is none: the end of the partition.
      const ends = new Map((await this.ofTopic(topic)).map(({ partition, high }) => [partition, high]))
      for (const entry of partitions) if (Number(entry.offset) < 0) entry.offset = ends.get(entry.partition) ?? entry.offset
      await this.set({ groupId, topic, partitions })
    }
    return offsets
  }

  async #committed(groupId: string, topics: readonly string[]): Promise<GroupOffsets> {
    const { admin } = this.#link
    let partitions: TopicPartition[] | undefined
    if (topics.length > 0) {
      const described = await admin.describeTopics(topics)
      partitions = topics.flatMap((topic) => described.get(topic)!.partitions.map(({ partition }) => ({ topic, partition })))
    }
    const committed: PartitionMap<OffsetAndMetadata> = await admin.listConsumerGroupOffsets(
      groupId,
      partitions === undefined ? {} : { partitions },
    )
    return [...groupByTopic(partitions ?? committed.keys())].map(([topic, entries]) => ({
      topic,
      partitions: entries.map(({ partition }) => {
        const found = committed.get({ topic, partition })
        return { partition, offset: String(found?.offset ?? -1), metadata: found?.metadata || null }
      }),
    }))
  }

  /** -1 and -2 become the offsets that they stand for. @throws KafkaJSNonRetriableError while the group has members */
  async set({ groupId, topic, partitions }: Parameters<Admin['setOffsets']>[0]): Promise<void> {
    named('group', groupId)
    named('topic', topic)
    if (!partitions || partitions.length === 0) throw new KafkaJSNonRetriableError('partitions is missing or empty')
    await this.#link.try(async () => {
      const [group] = await describeGroups(this.#link.admin, [groupId])
      if (group!.state !== 'Empty' && group!.state !== 'Dead') {
        throw new KafkaJSNonRetriableError(`the group must have no members, and it is ${group!.state}`)
      }
      const wanted = partitions.map(({ partition, offset }) => ({ topic, partition, offset: offsetOf(offset, SPECIAL_OFFSETS) }))
      const [first, last] = await Promise.all([
        this.#lookUp(
          topic,
          'earliest',
          wanted.filter(({ offset }) => offset === EARLIEST),
        ),
        this.#lookUp(
          topic,
          'latest',
          wanted.filter(({ offset }) => offset === LATEST),
        ),
      ])
      const offsets = wanted.map((entry) => ({ ...entry, offset: first.get(entry.partition) ?? last.get(entry.partition) ?? entry.offset }))
      await this.#link.admin.alterConsumerGroupOffsets(groupId, offsets)
    })
  }

  async reset({ groupId, topic, earliest = false }: { groupId: string; topic: string; earliest?: boolean }): Promise<void> {
    named('group', groupId)
    named('topic', topic)
    const partitions = await this.#link.try(() => this.#partitionsOf(topic))
    const offset = String(earliest ? EARLIEST : LATEST)
    await this.set({ groupId, topic, partitions: partitions.map((partition) => ({ partition, offset })) })
  }

  async ofTopic(topic: string): Promise<(SeekEntry & { high: string; low: string })[]> {
    named('topic', topic)
    return this.#link.try(async () => {
      const partitions = (await this.#partitionsOf(topic)).map((partition) => ({ partition }))
      const [low, high] = await Promise.all([this.#lookUp(topic, 'earliest', partitions), this.#lookUp(topic, 'latest', partitions)])
      return partitions.map(({ partition }) => {
        const end = String(high.get(partition))
        return { partition, offset: end, high: end, low: String(low.get(partition)) }
      })
    })
  }

  /** Of the first message with that timestamp, in ms, or a later one; behind the last message where there is none. */
  async ofTopicByTimestamp(topic: string, timestamp?: number): Promise<SeekEntry[]> {
    named('topic', topic)
    return this.#link.try(async () => {
      const partitions = (await this.#partitionsOf(topic)).map((partition) => ({ partition }))
      const spec: OffsetSpec = timestamp === undefined ? 'latest' : { timestamp: Number(timestamp) }
      const [high, found] = await Promise.all([this.#lookUp(topic, 'latest', partitions), this.#lookUp(topic, spec, partitions)])
      return partitions.map(({ partition }) => {
        const offset = found.get(partition)!
        return { partition, offset: String(offset >= 0 ? offset : high.get(partition)) }
      })
    })
  }

  async #partitionsOf(topic: string): Promise<number[]> {
    const described = await this.#link.admin.describeTopics([topic])
    return described.get(topic)!.partitions.map(({ partition }) => partition)
  }

  /** By partition. */
  async #lookUp(topic: string, spec: OffsetSpec, partitions: readonly { readonly partition: number }[]): Promise<Map<number, number>> {
    if (partitions.length === 0) return new Map()
    const found = await this.#link.admin.listOffsets(partitions.map(({ partition }) => ({ topic, partition, spec })))
    return new Map(found.map(({ partition, offset }) => [partition, offset]))
  }
}
