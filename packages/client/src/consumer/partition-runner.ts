import type { Clock } from '@tidelog/core'
import { InvalidOptionError } from '../errors.ts'
import type { OffsetAndMetadata, TopicPartition } from '../topic-partition.ts'
import { ConsumedBatch } from './consumed-batch.ts'
import type { ConsumerCore } from './consumer-core.ts'
import { type ConsumerRecord, decodeAll } from './consumer-record.ts'
import type { PartitionState } from './partition-state.ts'
import type { Position } from './position.ts'
import { Stretch } from './stretch.ts'

/** What a handler of run() is given beside its records. */
export interface HandlerContext {
  /** Aborts when the partition is revoked or lost, when run() ends, or when the consumer closes. */
  readonly signal: AbortSignal
  /** Says that the handler is at work: `maxPollIntervalMs` counts from here. */
  readonly progress: () => void
}

/** What run() takes. */
export interface RunOptions<K, V> {
  /**
   * Handles one record; awaited. A record is done, and committed if offsets are committed automatically, when it resolves; when it rejects,
   * run() does too.
   */
  readonly eachRecord?: ((record: ConsumerRecord<K, V>, context: HandlerContext) => void | Promise<void>) | undefined
  /**
   * Instead of eachRecord: handles up to `maxPollRecords` records of a partition, which are done together when it resolves. When it rejects
   * because its signal has aborted, the batch is read again by whoever has the partition then.
   */
  readonly eachBatch?: ((batch: ConsumedBatch<K, V>, context: HandlerContext) => void | Promise<void>) | undefined
  /** How many partitions are handled at a time; 1 when absent. Records of one partition are handled in order, one by one. */
  readonly partitionConcurrency?: number | undefined
  /** Ends the run: running handlers are waited for, and nothing is thrown. */
  readonly signal?: AbortSignal | undefined
}

/** How many records go by between two looks at the clock. */
const RECORDS_PER_LOOK = 16

/** The handling of some records of one partition. */
class Lane<K, V> {
  readonly state: PartitionState<K, V>
  readonly context: HandlerContext
  finished: Promise<void> = Promise.resolve()
  /** Monotonic time since which the present handler runs, or has last told of its progress. */
  sinceMs: number
  readonly #clock: Clock
  readonly #abort = new AbortController()
  #isStopped = false
  #isOver = false

  constructor(state: PartitionState<K, V>, clock: Clock) {
    this.state = state
    this.#clock = clock
    this.sinceMs = clock.monotonic()
    this.context = { signal: this.#abort.signal, progress: () => this.progress() }
  }

  /** The handler has been told to give up. */
  get isStopped(): boolean {
    return this.#isStopped
  }

  /** The next record is not handled. Asked for every record, where asking a signal would cost more. */
  get isOver(): boolean {
    return this.#isOver
  }

  end(): void {
    this.#isOver = true
  }

  progress(): void {
    this.sinceMs = this.#clock.monotonic()
  }

  stop(): void {
    this.#isOver = true
    this.#isStopped = true
    this.#abort.abort(new DOMException('The partition is not handled here any more', 'AbortError'))
  }
}

/** Feeds records to handlers, partitions beside each other. While a partition is being handled no other records of it are taken. */
export class PartitionRunner<K, V> {
  readonly #core: ConsumerCore<K, V>
  readonly #options: RunOptions<K, V>
  readonly #commit: (offsets: readonly (TopicPartition & OffsetAndMetadata)[]) => Promise<void>
  readonly #lanes = new Set<Lane<K, V>>()
  /** Of handlers that never wait. */
  readonly #stretch: Stretch
  #failure: { readonly error: unknown } | undefined

  /** @throws InvalidOptionError unless there is exactly one handler */
  constructor(
    core: ConsumerCore<K, V>,
    options: RunOptions<K, V>,
    commit: (offsets: readonly (TopicPartition & OffsetAndMetadata)[]) => Promise<void>,
  ) {
    if ((options.eachRecord === undefined) === (options.eachBatch === undefined))
      throw new InvalidOptionError('run() needs either eachRecord or eachBatch')
    this.#core = core
    this.#options = options
    this.#commit = commit
    this.#stretch = new Stretch(core.cluster.clock)
  }

  async run(): Promise<void> {
    const core = this.#core
    const { signal, partitionConcurrency = 1 } = this.#options
    const { closing } = core.cluster
    const onAbort = () => {
      // No handler begins behind the end, also before the loop gets to it.
      for (const lane of this.#lanes) lane.end()
      core.notifier.notify()
    }
    signal?.addEventListener('abort', onAbort)
    core.beforeRevoke = (states) => this.#stop((lane) => states.includes(lane.state))
    core.oldestHandlerSinceMs = () => this.#oldestSinceMs()
    core.turn.end()
    const { polls } = core.metrics
    try {
      while (!signal?.aborted && !core.cluster.closed && this.#failure === undefined) {
        if (this.#stretch.isOver()) await this.#stretch.breathe()
        polls.began()
        await core.advance()
        while (this.#lanes.size < partitionConcurrency && this.#startLane()) {}
        const isIdle = this.#lanes.size === 0
        if (!isIdle) polls.ended()
        await core.notifier.wait(Number.POSITIVE_INFINITY, closing).catch((error) => {
          if (!core.cluster.closed) throw error
        })
        if (isIdle) polls.ended()
      }
    } finally {
      signal?.removeEventListener('abort', onAbort)
      await this.#stop(() => true)
      core.beforeRevoke = undefined
      core.oldestHandlerSinceMs = undefined
    }
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** False: nothing is there for a partition that is not being handled. */
  #startLane(): boolean {
    const records: ConsumerRecord<K, V>[] = []
    const state = this.#core.taker.take(this.#core.config['max.poll.records'], records, true)
    if (state === undefined) return false
    state.isBusy = true
    const lane = new Lane(state, this.#core.cluster.clock)
    this.#lanes.add(lane)
    this.#core.watchTurn()
    lane.finished = this.#handle(lane, records).finally(() => {
      state.isBusy = false
      this.#lanes.delete(lane)
      this.#core.notifier.notify()
    })
    return true
  }

  async #handle(lane: Lane<K, V>, records: readonly ConsumerRecord<K, V>[]): Promise<void> {
    const { state, context } = lane
    const { generation } = state
    // Behind the last record, and behind what is not for users there: the markers of transactions.
    const end = state.position
    const isCurrent = () => state.generation === generation
    try {
      const { eachBatch } = this.#options
      if (eachBatch === undefined) await this.#handleEach(lane, records, end, isCurrent)
      else {
        const decoding = this.#core.decodesEagerly ? decodeAll(records) : undefined
        if (decoding !== undefined) await decoding
        await eachBatch(new ConsumedBatch(state, records, this.#commit), context)
        if (isCurrent()) state.consumed = end
      }
    } catch (error) {
      // A handler that gives up because it was told to is no failure.
      if (!lane.isStopped) this.#failure ??= { error }
    }
    // What was taken and not handled is read again, unless the user has gone elsewhere.
    if (isCurrent() && state.consumed !== undefined && end !== undefined && state.consumed.offset < end.offset) state.seek(state.consumed)
  }

  async #handleEach(
    lane: Lane<K, V>,
    records: readonly ConsumerRecord<K, V>[],
    end: Position | undefined,
    isCurrent: () => boolean,
  ): Promise<void> {
    const { state, context } = lane
    const { decodesEagerly, cluster } = this.#core
    const eachRecord = this.#options.eachRecord!
    const stretch = new Stretch(cluster.clock, RECORDS_PER_LOOK)
    const last = records.at(-1)
    for (const record of records) {
      if (stretch.isOver()) {
        lane.progress()
        await stretch.breathe()
      }
      if (lane.isOver || !isCurrent()) return
      const decoding = decodesEagerly ? record.decode() : undefined
      if (decoding !== undefined) {
        lane.progress()
        await decoding
      }
      const handling = eachRecord(record, context)
      // Waiting for a handler that returns nothing would cost more than the record.
      if (handling !== undefined) {
        lane.progress()
        await handling
      }
      if (isCurrent()) state.consumed = record === last ? end : { offset: record.offset + 1, leaderEpoch: record.leaderEpoch }
    }
  }

  async #stop(which: (lane: Lane<K, V>) => boolean): Promise<void> {
    const stopping = [...this.#lanes].filter(which)
    for (const lane of stopping) lane.stop()
    await Promise.all(stopping.map(({ finished }) => finished))
  }

  #oldestSinceMs(): number | undefined {
    let oldest: number | undefined
    for (const { sinceMs } of this.#lanes) if (oldest === undefined || sinceMs < oldest) oldest = sinceMs
    return oldest
  }
}
