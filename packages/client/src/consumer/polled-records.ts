import { groupByTopic, type OffsetAndMetadata, PartitionMap, type TopicPartition } from '../topic-partition.ts'
import type { ConsumerRecord } from './consumer-record.ts'

/** What one poll brought: records in order within each partition. */
export class PolledRecords<K = Buffer, V = Buffer> implements Iterable<ConsumerRecord<K, V>> {
  readonly #records: readonly ConsumerRecord<K, V>[]
  #byPartition: PartitionMap<ConsumerRecord<K, V>[]> | undefined

  /** @internal */
  constructor(records: readonly ConsumerRecord<K, V>[]) {
    this.#records = records
  }

  /** How many records there are, of all partitions. */
  get count(): number {
    return this.#records.length
  }

  /** `timeoutMs` passed before there was a record. */
  get isEmpty(): boolean {
    return this.#records.length === 0
  }

  /** Those that have records here. */
  partitions(): TopicPartition[] {
    return [...this.#grouped().keys()]
  }

  /** Records of one partition, in order. */
  of(partition: TopicPartition): readonly ConsumerRecord<K, V>[] {
    return this.#grouped().get(partition) ?? []
  }

  /** The position behind the last record of each partition, as commit() takes it. */
  offsets(): (TopicPartition & OffsetAndMetadata)[] {
    return [...this.#grouped()].map(([{ topic, partition }, records]) => ({ topic, partition, ...offsetBehind(records.at(-1)!) }))
  }

  [Symbol.iterator](): Iterator<ConsumerRecord<K, V>> {
    return this.#records[Symbol.iterator]()
  }

  #grouped(): PartitionMap<ConsumerRecord<K, V>[]> {
    if (this.#byPartition !== undefined) return this.#byPartition
    const grouped = new PartitionMap<ConsumerRecord<K, V>[]>()
    for (const records of groupByTopic(this.#records).values()) {
      for (const record of records) {
        const known = grouped.get(record)
        if (known === undefined) grouped.set(record, [record])
        else known.push(record)
      }
    }
    this.#byPartition = grouped
    return grouped
  }
}

export const offsetBehind = ({ offset, leaderEpoch }: { readonly offset: number; readonly leaderEpoch: number }): OffsetAndMetadata =>
  leaderEpoch >= 0 ? { offset: offset + 1, leaderEpoch } : { offset: offset + 1 }
