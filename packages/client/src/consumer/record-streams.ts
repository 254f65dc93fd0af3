import { ClosedError } from '../errors.ts'
import type { OffsetAndMetadata, TopicPartition } from '../topic-partition.ts'
import { ConsumedBatch } from './consumed-batch.ts'
import type { ConsumerCore } from './consumer-core.ts'
import { type ConsumerRecord, decodeAll } from './consumer-record.ts'
import type { PartitionState } from './partition-state.ts'
import type { Position } from './position.ts'
import { Stretch } from './stretch.ts'

/** How many records go by between two looks at the clock. */
const RECORDS_PER_LOOK = 16

const done = { done: true, value: undefined } as const

export interface StreamOptions {
  readonly signal: AbortSignal | undefined
  /** Called with the first next(); what it returns, when the loop is over. It may refuse by throwing. */
  readonly onStart: () => () => void
}

/**
 * An async iterator over what is taken from the core. An item counts as done, and is committed if offsets are committed automatically, when the
 * loop asks for the next one: a loop that throws or breaks leaves its last item undone, to be read again. While items are there, next() makes
 * nothing but its promise: what `for await` itself costs is most of a record's price.
 */
abstract class ConsumerStream<T, K, V> implements AsyncIterableIterator<T> {
  protected readonly core: ConsumerCore<K, V>
  readonly #options: StreamOptions
  readonly #stretch: Stretch
  #onEnd: (() => void) | undefined
  #isEnded = false
  #isAborted = false
  /** Of what the loop has been given and has not come back from. */
  #state: PartitionState<K, V> | undefined
  /** A seek in the loop makes the rest void. */
  #generation = 0
  #behind: Position | undefined

  constructor(core: ConsumerCore<K, V>, options: StreamOptions, itemsPerLook: number) {
    this.core = core
    this.#options = options
    this.#stretch = new Stretch(core.cluster.clock, itemsPerLook)
  }

  /** The next item, of the partition `core.taker.takenFrom`; undefined when nothing is there. */
  protected abstract take(): T | undefined
  /** @returns What must be waited for before the item is handed out. */
  protected abstract decode(item: T): Promise<void> | undefined

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#isEnded) return Promise.resolve(done)
    const { core } = this
    try {
      if (this.#onEnd === undefined) this.#start()
      core.turn.end()
      this.#finish()
      if (this.#stretch.isOver()) return this.#wait(this.#stretch.breathe())
      if (!core.needsAttention && !this.#isAborted) {
        const item = this.take()
        if (item !== undefined) {
          const decoding = core.decodesEagerly ? this.decode(item) : undefined
          return decoding === undefined ? Promise.resolve(this.#give(item)) : decoding.then(() => this.#give(item))
        }
      }
    } catch (error) {
      this.#end()
      return Promise.reject(error)
    }
    return this.#wait()
  }

  return(): Promise<IteratorResult<T>> {
    this.#state = undefined
    this.#end()
    return Promise.resolve(done)
  }

  async #wait(breathing?: Promise<void>): Promise<IteratorResult<T>> {
    const { core } = this
    const { signal } = this.#options
    core.metrics.polls.began()
    try {
      await breathing
      for (;;) {
        signal?.throwIfAborted()
        await core.advance()
        const item = this.take()
        if (item !== undefined) {
          if (core.decodesEagerly) await this.decode(item)
          return this.#give(item)
        }
        await core.notifier.wait(Number.POSITIVE_INFINITY, signal, core.cluster.closing)
        this.#stretch.restart()
      }
    } catch (error) {
      this.#end()
      // Closing the consumer ends the loop; it is not the loop's failure.
      if (error instanceof ClosedError) return done
      throw error
    } finally {
      core.metrics.polls.ended()
    }
  }

  #give(item: T): IteratorResult<T> {
    const { core } = this
    const state = core.taker.takenFrom!
    this.#state = state
    this.#generation = state.generation
    this.#behind = state.position
    core.turn.begin()
    return { done: false, value: item }
  }

  #finish(): void {
    const state = this.#state
    if (state === undefined) return
    this.#state = undefined
    if (state.generation === this.#generation) state.consumed = this.#behind
  }

  readonly #onAbort = () => {
    this.#isAborted = true
  }

  #start(): void {
    const { signal, onStart } = this.#options
    this.#onEnd = onStart()
    if (signal?.aborted) this.#onAbort()
    else signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  #end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    this.core.turn.end()
    this.#onEnd?.()
  }
}

export class RecordStream<K, V> extends ConsumerStream<ConsumerRecord<K, V>, K, V> {
  constructor(core: ConsumerCore<K, V>, options: StreamOptions) {
    super(core, options, RECORDS_PER_LOOK)
  }

  protected override take(): ConsumerRecord<K, V> | undefined {
    return this.core.taker.takeOne()
  }

  protected override decode(record: ConsumerRecord<K, V>): Promise<void> | undefined {
    return record.decode()
  }
}

export class BatchStream<K, V> extends ConsumerStream<ConsumedBatch<K, V>, K, V> {
  readonly #commit: (offsets: readonly (TopicPartition & OffsetAndMetadata)[]) => Promise<void>

  constructor(
    core: ConsumerCore<K, V>,
    options: StreamOptions,
    commit: (offsets: readonly (TopicPartition & OffsetAndMetadata)[]) => Promise<void>,
  ) {
    super(core, options, 1)
    this.#commit = commit
  }

  protected override take(): ConsumedBatch<K, V> | undefined {
    const records: ConsumerRecord<K, V>[] = []
    const state = this.core.taker.take(this.core.config['max.poll.records'], records, true)
    return state === undefined ? undefined : new ConsumedBatch(state, records, this.#commit)
  }

  protected override decode({ records }: ConsumedBatch<K, V>): Promise<void> | undefined {
    return decodeAll(records)
  }
}
