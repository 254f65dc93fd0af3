import type { ConsumerRecord } from './consumer-record.ts'
import type { FetchedChunk } from './fetched-chunk.ts'
import type { PartitionState } from './partition-state.ts'

export interface RecordTakerOptions {
  /** What was not there yet can be taken. */
  readonly notify: () => void
  /** A chunk has been handed out: there is room for the next. */
  readonly onDrained: (state: PartitionState) => void
}

/** So many batches may be in the making, or made and not begun, while others are handed out: decompressed, each may be large. */
const MAX_PREPARED = 2

/** Takes records out of what has been fetched, one partition's chunk after the other's, so that none keeps the others waiting. */
export class RecordTaker<K, V> {
  readonly #options: RecordTakerOptions
  #partitions: readonly PartitionState<K, V>[] = []
  /** The partition to take from next. */
  #cursor = 0
  #takenFrom: PartitionState<K, V> | undefined
  readonly #one: ConsumerRecord<K, V>[] = []
  /** Chunks whose next batch is being decompressed, or has been and waits to be taken. */
  readonly #prepared = new Map<FetchedChunk<K, V>, { readonly state: PartitionState<K, V>; readonly preparing: Promise<void> }>()

  constructor(options: RecordTakerOptions) {
    this.#options = options
  }

  setPartitions(partitions: readonly PartitionState<K, V>[]): void {
    this.#partitions = partitions
    this.#cursor = 0
    this.#prepared.clear()
  }

  /**
   * Up to `max` records of what is there, one fetched chunk after the other, so that no partition keeps others waiting.
   * @param onlyOne All of one partition, whose state is returned.
   * @throws CorruptRecordError; the position stays before the record, so that seek() gets past it
   */
  take(max: number, into: ConsumerRecord<K, V>[], onlyOne = false): PartitionState<K, V> | undefined {
    const partitions = this.#partitions
    let idle = 0
    while (into.length < max && idle < partitions.length) {
      const state = partitions[this.#cursor]!
      const held = state.chunks.length
      const before = into.length
      const hasMore = !state.isPaused && !state.isBusy && this.#takeFrom(state, max, into)
      if (!hasMore) this.#cursor = (this.#cursor + 1) % partitions.length
      if (onlyOne && into.length > 0) {
        this.#takenFrom = state
        return state
      }
      idle = into.length > before || state.chunks.length < held ? 0 : idle + 1
    }
    return undefined
  }

  /** The next record, of the partition `takenFrom`; undefined when nothing is there. @throws as take() */
  takeOne(): ConsumerRecord<K, V> | undefined {
    const state = this.#partitions[this.#cursor]
    if (state !== undefined && !state.isPaused && !state.isBusy) {
      const record = this.#nextOf(state)
      if (record !== undefined) {
        this.#takenFrom = state
        return record
      }
    }
    this.#one.length = 0
    return this.take(1, this.#one, true) === undefined ? undefined : this.#one[0]
  }

  #nextOf(state: PartitionState<K, V>): ConsumerRecord<K, V> | undefined {
    try {
      const chunk = state.chunks[0]
      if (chunk === undefined || !chunk.isOpen) return undefined
      if (this.#prepared.size > 0) this.#prepared.delete(chunk)
      return chunk.next()
    } catch (error) {
      state.refetch()
      throw error
    }
  }

  /** What takeOne(), or take() of one partition, has last taken something from. */
  get takenFrom(): PartitionState<K, V> | undefined {
    return this.#takenFrom
  }

  /** Takes from the partition's first chunk. True: there is more in it. */
  #takeFrom(state: PartitionState<K, V>, max: number, into: ConsumerRecord<K, V>[]): boolean {
    const chunk = state.chunks[0]
    if (chunk === undefined || !this.#mayOpen(chunk)) return false
    if (chunk.preparing === undefined) this.#prepared.delete(chunk)
    try {
      chunk.take(max, into)
    } catch (error) {
      state.refetch()
      // What has been taken is handed out first; the bad batch is met again.
      if (into.length === 0) throw error
    }
    if (into.length === max) return true
    if (chunk.preparing !== undefined) this.#awaitPrepared(chunk, state)
    else if (state.chunks[0] === chunk) {
      state.shiftChunk()
      this.#options.onDrained(state)
    }
    return false
  }

  /** False: it would have to be decompressed, perhaps, and enough of that is going on. */
  #mayOpen(chunk: FetchedChunk<K, V>): boolean {
    const prepared = this.#prepared
    if (prepared.size === 0 || chunk.isOpen || chunk.preparing !== undefined || prepared.has(chunk)) return true
    let count = 0
    for (const [other, { state }] of prepared) {
      // Dropped by a seek, or by a revocation.
      if (state.chunks[0] !== other) prepared.delete(other)
      // Nobody takes those now.
      else if (!state.isPaused && !state.isBusy) count++
    }
    return count < MAX_PREPARED
  }

  #awaitPrepared(chunk: FetchedChunk<K, V>, state: PartitionState<K, V>): void {
    const preparing = chunk.preparing!
    if (this.#prepared.get(chunk)?.preparing === preparing) return
    this.#prepared.set(chunk, { state, preparing })
    preparing.then(() => this.#options.notify())
  }
}
