import { InvalidOptionError } from '../errors.ts'
import type { OffsetAndMetadata, TopicPartition } from '../topic-partition.ts'
import type { ConsumerCore } from './consumer-core.ts'
import { type ConsumerRecord, decodeAll } from './consumer-record.ts'
import type { PartitionState } from './partition-state.ts'
import { ConsumedBatch } from './record-streams.ts'

/** What a handler of run() is given beside its records. */
export interface HandlerContext {
  /** Aborts when the partition is revoked or lost, when run() ends, or when the consumer closes. */
  readonly signal: AbortSignal
  /** Says that the handler is at work: `maxPollIntervalMs` counts from here. */
  readonly progress: () => void
}

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

/** The handling of some records of one partition. */
interface Lane<K, V> {
  readonly state: PartitionState<K, V>
  readonly abort: AbortController
  readonly finished: Promise<void>
  /** Monotonic time since which the present handler runs, or has last told of its progress. */
  sinceMs: number
}

/** Feeds records to handlers, partitions beside each other. While a partition is being handled no other records of it are taken. */
export class PartitionRunner<K, V> {
  readonly #core: ConsumerCore<K, V>
  readonly #options: RunOptions<K, V>
  readonly #commit: (offsets: readonly (TopicPartition & OffsetAndMetadata)[]) => Promise<void>
  readonly #lanes = new Set<Lane<K, V>>()
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
  }

  async run(): Promise<void> {
    const core = this.#core
    const { signal, partitionConcurrency = 1 } = this.#options
    const { closing } = core.cluster
    const onAbort = () => core.notifier.notify()
    signal?.addEventListener('abort', onAbort)
    core.beforeRevoke = (states) => this.#stop((lane) => states.includes(lane.state))
    core.oldestHandlerSinceMs = () => this.#oldestSinceMs()
    core.enter()
    try {
      while (!signal?.aborted && !core.cluster.closed && this.#failure === undefined) {
        await core.advance()
        while (this.#lanes.size < partitionConcurrency && this.#startLane()) {}
        await core.notifier.wait(Number.POSITIVE_INFINITY, closing).catch((error) => {
          if (!core.cluster.closed) throw error
        })
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
    const state = this.#core.take(this.#core.config['max.poll.records'], records, true)
    if (state === undefined) return false
    state.isBusy = true
    const lane = { state, abort: new AbortController(), sinceMs: this.#core.cluster.clock.monotonic(), finished: Promise.resolve() }
    lane.finished = this.#handle(lane, records).finally(() => {
      state.isBusy = false
      this.#lanes.delete(lane)
      this.#core.notifier.notify()
    })
    this.#lanes.add(lane)
    return true
  }

  async #handle(lane: Omit<Lane<K, V>, 'finished'>, records: readonly ConsumerRecord<K, V>[]): Promise<void> {
    const { state, abort } = lane
    const { generation } = state
    const { signal } = abort
    const { clock } = this.#core.cluster
    // Behind the last record, and behind what is not for users there: the markers of transactions.
    const end = state.position
    const progress = () => {
      lane.sinceMs = clock.monotonic()
    }
    const isCurrent = () => state.generation === generation
    try {
      const { eachBatch, eachRecord } = this.#options
      if (eachBatch !== undefined) {
        const decoding = this.#core.decodesEagerly ? decodeAll(records) : undefined
        if (decoding !== undefined) await decoding
        await eachBatch(new ConsumedBatch(state, records, this.#commit), { signal, progress })
        if (isCurrent()) state.consumed = end
      }
      for (const [index, record] of eachRecord === undefined ? [] : records.entries()) {
        if (signal.aborted || !isCurrent()) break
        progress()
        const decoding = this.#core.decodesEagerly ? record.decode() : undefined
        if (decoding !== undefined) await decoding
        await eachRecord!(record, { signal, progress })
        if (isCurrent())
          state.consumed = index === records.length - 1 ? end : { offset: record.offset + 1, leaderEpoch: record.leaderEpoch }
      }
    } catch (error) {
      // A handler that gives up because it was told to is no failure.
      if (!signal.aborted) this.#failure ??= { error }
    }
    // What was taken and not handled is read again, unless the user has gone elsewhere.
    if (isCurrent() && state.consumed !== undefined && end !== undefined && state.consumed.offset < end.offset) state.seek(state.consumed)
  }

  async #stop(which: (lane: Lane<K, V>) => boolean): Promise<void> {
    const stopping = [...this.#lanes].filter(which)
    for (const { abort } of stopping) abort.abort(new DOMException('The partition is not handled here any more', 'AbortError'))
    await Promise.all(stopping.map(({ finished }) => finished))
  }

  #oldestSinceMs(): number | undefined {
    let oldest: number | undefined
    for (const { sinceMs } of this.#lanes) if (oldest === undefined || sinceMs < oldest) oldest = sinceMs
    return oldest
  }
}
