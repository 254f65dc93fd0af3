import type { ConsumerCore } from './consumer-core.ts'
import type { ConsumerRecord } from './consumer-record.ts'
import type { PartitionState } from './partition-state.ts'

export interface RunOptions<K, V> {
  /**
   * Handles one record; awaited. Its signal aborts when the partition is revoked or lost, when run() ends, or when the consumer closes.
   * A record is done, and committed if offsets are committed automatically, when it resolves; when it rejects, run() does too.
   */
  readonly eachRecord: (record: ConsumerRecord<K, V>, context: { readonly signal: AbortSignal }) => void | Promise<void>
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
  /** Monotonic time since which the present handler runs. */
  sinceMs: number
}

/** Feeds records to handlers, partitions beside each other. While a partition is being handled no other records of it are taken. */
export class PartitionRunner<K, V> {
  readonly #core: ConsumerCore<K, V>
  readonly #options: RunOptions<K, V>
  readonly #lanes = new Set<Lane<K, V>>()
  #failure: { readonly error: unknown } | undefined

  constructor(core: ConsumerCore<K, V>, options: RunOptions<K, V>) {
    this.#core = core
    this.#options = options
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

  async #handle(
    lane: { state: PartitionState<K, V>; abort: AbortController; sinceMs: number },
    records: readonly ConsumerRecord<K, V>[],
  ): Promise<void> {
    const { state, abort } = lane
    const { generation } = state
    const { clock } = this.#core.cluster
    const context = { signal: abort.signal }
    try {
      for (const record of records) {
        if (abort.signal.aborted || state.generation !== generation) break
        lane.sinceMs = clock.monotonic()
        if (this.#core.decodesEagerly) await record.decode()
        await this.#options.eachRecord(record, context)
        if (state.generation === generation) state.consumed = { offset: record.offset + 1, leaderEpoch: record.leaderEpoch }
      }
    } catch (error) {
      // A handler that gives up because it was told to is no failure.
      if (!abort.signal.aborted) this.#failure ??= { error }
    }
    // What was taken and not handled is read again, unless the user has gone elsewhere.
    if (
      state.generation === generation &&
      state.consumed !== undefined &&
      state.position !== undefined &&
      state.consumed.offset < records.at(-1)!.offset + 1
    ) {
      state.seek(state.consumed)
    }
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
