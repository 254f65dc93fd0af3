import type { Random } from '@tidelog/core'
import type { PartitionInfo } from '../cluster/metadata-cache.ts'
import type { ProducerRecord } from './producer-record.ts'

/** Decides the partition of a record that names none. @returns 0 to partitionCount − 1 */
export type Partitioner<K = unknown, V = unknown> = (record: ProducerRecord<K, V>, key: Uint8Array | null, partitionCount: number) => number

/** Every record to the next partition of its topic, whether or not it has a key. A partitioner of one's own for each producer. */
export function roundRobinPartitioner(): Partitioner {
  const next = new Map<string, number>()
  return ({ topic }, _key, partitionCount) => {
    const count = next.get(topic) ?? 0
    next.set(topic, (count + 1) % Number.MAX_SAFE_INTEGER)
    return count % partitionCount
  }
}

export interface StickyOptions {
  readonly batchSizeBytes: number
  readonly isAdaptive: boolean
  /** Batches that wait for a partition. */
  readonly queueLength: (partition: number) => number
  /** Whether a broker takes what there is for it. */
  readonly isAvailable: (leaderId: number) => boolean
  /** Whether the partition's open batch has no room for so many more bytes; if so nothing is added to it any more. */
  readonly closeIfFull: (partition: number, bytes: number) => boolean
}

/**
 * What Java does without a partitioner class: a key's hash decides; records without key stick to one partition until it has got a batch
 * of bytes, and then move to another, rather to one with a short queue, and to none whose broker takes nothing. KIP-480, KIP-794.
 */
export class StickyPartitions {
  readonly #random: Random
  readonly #queueLength: (partition: number) => number
  readonly #isAvailable: (leaderId: number) => boolean
  readonly #closeIfFull: (partition: number, bytes: number) => boolean
  readonly #batchSizeBytes: number
  readonly #isAdaptive: boolean
  #partition = -1
  #bytes = 0

  constructor(random: Random, options: StickyOptions) {
    this.#random = random
    this.#queueLength = options.queueLength
    this.#isAvailable = options.isAvailable
    this.#closeIfFull = options.closeIfFull
    this.#batchSizeBytes = options.batchSizeBytes
    this.#isAdaptive = options.isAdaptive
  }

  /** The partition for the next record without key, of `recordBytes` at the most; `appended` is told of it. */
  next(partitions: readonly PartitionInfo[], recordBytes: number): number {
    if (this.#partition < 0 || this.#bytes >= this.#batchSizeBytes || this.#partition >= partitions.length || this.#isFull(recordBytes)) {
      this.#partition = this.#choose(partitions)
      this.#bytes = 0
    }
    return this.#partition
  }

  /** What the record has added to its batch. */
  appended(bytes: number): void {
    this.#bytes += bytes
  }

  /** It has got a batch: what would begin the next one there is better off elsewhere. */
  #isFull(recordBytes: number): boolean {
    return this.#bytes > 0 && this.#closeIfFull(this.#partition, recordBytes)
  }

  #choose(partitions: readonly PartitionInfo[]): number {
    const led = partitions.filter(({ leaderId }) => leaderId >= 0)
    const available = this.#isAdaptive ? led.filter(({ leaderId }) => this.#isAvailable(leaderId)) : led
    const candidates = available.length > 0 ? available : led.length > 0 ? led : partitions
    if (candidates.length === 1 || !this.#isAdaptive) return candidates[this.#random.int(candidates.length)]!.partition
    const lengths = candidates.map(({ partition }) => this.#queueLength(partition))
    const weightOfEmpty = Math.max(...lengths) + 1
    let ticket = this.#random.int(lengths.reduce((sum, length) => sum + weightOfEmpty - length, 0))
    for (const [index, length] of lengths.entries()) {
      ticket -= weightOfEmpty - length
      if (ticket < 0) return candidates[index]!.partition
    }
    return candidates[0]!.partition
  }
}
