import type { OffsetAndMetadata, TopicPartition } from '../topic-partition.ts'
import type { ConsumerRecord } from './consumer-record.ts'
import type { PartitionState } from './partition-state.ts'

/** Records of one partition, in order. */
export class ConsumedBatch<K = Buffer, V = Buffer> implements Iterable<ConsumerRecord<K, V>>, TopicPartition {
  readonly topic: string
  readonly partition: number
  /** In order of offset. */
  readonly records: readonly ConsumerRecord<K, V>[]
  /** Of the partition, when the batch was fetched; -1: unknown. */
  readonly highWatermark: number
  /** Where the partition goes on: behind the last record, and behind what is not for users there, such as the markers of transactions. */
  readonly nextOffset: number
  readonly #leaderEpoch: number
  readonly #commit: (offsets: readonly (TopicPartition & OffsetAndMetadata)[]) => Promise<void>

  /** @internal @param state As it is right behind taking `records`. */
  constructor(
    { topic, partition, highWatermark, position }: PartitionState<K, V>,
    records: readonly ConsumerRecord<K, V>[],
    commit: (offsets: readonly (TopicPartition & OffsetAndMetadata)[]) => Promise<void>,
  ) {
    this.topic = topic
    this.partition = partition
    this.highWatermark = highWatermark
    this.records = records
    this.nextOffset = position!.offset
    this.#leaderEpoch = position!.leaderEpoch
    this.#commit = commit
  }

  /** How many records it holds, at least one. */
  get count(): number {
    return this.records.length
  }

  /** `nextOffset`, as commit() takes it. */
  offsets(): (TopicPartition & OffsetAndMetadata)[] {
    const { topic, partition, nextOffset: offset } = this
    return [{ topic, partition, offset, ...(this.#leaderEpoch < 0 ? {} : { leaderEpoch: this.#leaderEpoch }) }]
  }

  /** @throws CommitFailedError, BrokerError, TimeoutError */
  commit(): Promise<void> {
    return this.#commit(this.offsets())
  }

  [Symbol.iterator](): Iterator<ConsumerRecord<K, V>> {
    return this.records[Symbol.iterator]()
  }
}
