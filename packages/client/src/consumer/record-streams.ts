import { ClosedError } from '../errors.ts'
import type { OffsetAndMetadata, TopicPartition } from '../topic-partition.ts'
import type { ConsumerCore } from './consumer-core.ts'
import { type ConsumerRecord, decodeAll } from './consumer-record.ts'
import type { PartitionState } from './partition-state.ts'
import type { Position } from './position.ts'

/** Records of one partition, in order. */
export class ConsumedBatch<K = Buffer, V = Buffer> implements Iterable<ConsumerRecord<K, V>>, TopicPartition {
  readonly topic: string
  readonly partition: number
  readonly records: readonly ConsumerRecord<K, V>[]
  /** Of the partition, when the batch was fetched; -1: unknown. */
  readonly highWatermark: number
  /** Where the partition goes on: behind the last record, and behind what is not for users there, such as the markers of transactions. */
  readonly nextOffset: number
  readonly #leaderEpoch: number
  readonly #commit: (offsets: readonly (TopicPartition & OffsetAndMetadata)[]) => Promise<void>

  /** @param state As it is right behind taking `records`. */
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

/** What the loop has been given and has not come back from. */
interface Outstanding<K, V> {
  readonly state: PartitionState<K, V>
  /** A seek in the loop makes the rest void. */
  readonly generation: number
  readonly behind: Position
}

/** Iterating over what is buffered never leaves the microtask queue; after this long timers and sockets get their turn. */
const MAX_STRETCH_MS = 10
/** How many items go by between two looks at the clock. */
const ITEMS_PER_LOOK = 64

const done = { done: true, value: undefined } as const

/**
 * An async iterator over what `take` gives. An item counts as done, and is committed if offsets are committed automatically, when the loop
 * asks for the next one: a loop that throws or breaks leaves its last item undone, to be read again.
 */
export class ConsumerStream<T, K, V> implements AsyncIterableIterator<T> {
  readonly #core: ConsumerCore<K, V>
  readonly #signal: AbortSignal | undefined
  readonly #take: () =>
    | {
        readonly item: T
        readonly state: PartitionState<K, V>
        readonly behind: Position
        readonly records: readonly ConsumerRecord<K, V>[]
      }
    | undefined
  readonly #onStart: () => () => void
  #onEnd: (() => void) | undefined
  #outstanding: Outstanding<K, V> | undefined
  #isEnded = false
  #stretchSinceMs: number
  #itemsUntilLook = ITEMS_PER_LOOK

  /** @param onStart Called with the first next(); what it returns, when the loop is over. It may refuse by throwing. */
  constructor(
    core: ConsumerCore<K, V>,
    signal: AbortSignal | undefined,
    take: () => { item: T; state: PartitionState<K, V>; behind: Position; records: readonly ConsumerRecord<K, V>[] } | undefined,
    onStart: () => () => void,
  ) {
    this.#core = core
    this.#signal = signal
    this.#take = take
    this.#onStart = onStart
    this.#stretchSinceMs = core.cluster.clock.monotonic()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#isEnded) return Promise.resolve(done)
    try {
      this.#onEnd ??= this.#onStart()
    } catch (error) {
      this.#isEnded = true
      return Promise.reject(error)
    }
    this.#core.enter()
    this.#finish()
    if (!this.#core.decodesEagerly && !this.#core.needsAttention && !this.#signal?.aborted && !this.#isStretched()) {
      try {
        const taken = this.#take()
        if (taken !== undefined) return Promise.resolve(this.#give(taken))
      } catch (error) {
        this.#end()
        return Promise.reject(error)
      }
    }
    return this.#wait()
  }

  return(): Promise<IteratorResult<T>> {
    this.#outstanding = undefined
    this.#end()
    return Promise.resolve(done)
  }

  async #wait(): Promise<IteratorResult<T>> {
    const { notifier } = this.#core
    try {
      for (;;) {
        this.#signal?.throwIfAborted()
        await this.#core.advance()
        if (this.#isStretched()) await this.#breathe()
        const taken = this.#take()
        if (taken !== undefined) {
          const decoding = this.#core.decodesEagerly ? decodeAll(taken.records) : undefined
          if (decoding !== undefined) await decoding
          return this.#give(taken)
        }
        await notifier.wait(Number.POSITIVE_INFINITY, this.#signal, this.#core.cluster.closing)
        this.#stretchSinceMs = this.#core.cluster.clock.monotonic()
      }
    } catch (error) {
      this.#end()
      // Closing the consumer ends the loop; it is not the loop's failure.
      if (error instanceof ClosedError) return done
      throw error
    }
  }

  #give({ item, state, behind }: { item: T; state: PartitionState<K, V>; behind: Position }): IteratorResult<T> {
    this.#outstanding = { state, generation: state.generation, behind }
    this.#core.leaveToUser()
    return { done: false, value: item }
  }

  #finish(): void {
    const outstanding = this.#outstanding
    if (outstanding === undefined) return
    this.#outstanding = undefined
    const { state, generation, behind } = outstanding
    if (state.generation === generation) state.consumed = behind
  }

  #isStretched(): boolean {
    if (--this.#itemsUntilLook > 0) return false
    this.#itemsUntilLook = ITEMS_PER_LOOK
    return this.#core.cluster.clock.monotonic() - this.#stretchSinceMs > MAX_STRETCH_MS
  }

  async #breathe(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve))
    this.#stretchSinceMs = this.#core.cluster.clock.monotonic()
  }

  #end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#core.enter()
    this.#onEnd?.()
  }
}
