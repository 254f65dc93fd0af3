import { Bag, type BagPlace } from '@tidelog/core'
import { KafkaError } from '@tidelog/protocol'
import type { AppendOrigin, Log, ReadResult, VerificationGuard } from '@tidelog/storage'
import type { TimerWheel, WheelTimer } from './timer-wheel.ts'

export interface Appended {
  readonly baseOffset: number
  readonly lastOffset: number
  /** Ms since the Unix epoch; -1 under CreateTime. */
  readonly logAppendTimeMs: number
  readonly logStartOffset: number
}

export interface AppendOptions {
  /** 0 and 1: the leader has appended; -1: the batches lie below the high watermark. */
  readonly acks: number
  /** How long to wait for the high watermark. */
  readonly timeoutMs: number
  readonly origin?: AppendOrigin
  /** Given: what opens a transaction must carry a guard that was verified; null: it carries none. */
  readonly guard?: VerificationGuard | null | undefined
}

/** Who reads decides how far: consumers up to the high watermark or the last stable offset, a replica up to the end. */
export type FetchIsolation = 'log_end' | 'high_watermark' | 'last_stable'

export interface FetchOptions {
  readonly fetchOffset: number
  readonly maxBytes: number
  /** Gives the first batch even when it alone is larger than `maxBytes`. */
  readonly minOneBatch: boolean
  readonly isolation: FetchIsolation
}

type AbortedTransactions = readonly { readonly producerId: number; readonly firstOffset: number }[] | null

export interface Fetched {
  /** Whole batches, uncopied; the first may begin below the offset asked for. Whoever is done with them may `release` them. */
  readonly records: readonly Buffer[]
  readonly highWatermark: number
  readonly lastStableOffset: number
  readonly logStartOffset: number
  /** Aborted transactions that overlap `records`; null unless the isolation is `last_stable`. */
  readonly abortedTransactions: AbortedTransactions
}

/** Waits for a partition to have more to read. */
export interface FetchWatcher {
  /** About `bytes` more lie below the high watermark. */
  onReadable(bytes: number): void
  /** Leadership, the log's start or its existence changed: what a fetch would say has changed with it. */
  onChanged(): void
}

/** As the controller decided it. Source: LeaderAndIsr, KIP-497 (partition epoch). */
export interface PartitionState {
  readonly leaderId: number
  readonly leaderEpoch: number
  readonly partitionEpoch: number
  readonly isr: readonly number[]
  readonly replicas: readonly number[]
}

const noChunks: readonly Buffer[] = []

interface HighWatermarkWaiter {
  /** The first offset that must lie at or below the high watermark's end. */
  readonly endOffset: number
  readonly resolve: () => void
  readonly reject: (error: KafkaError) => void
  timeout: WheelTimer | undefined
}

/**
 * One partition on this broker: whether it leads, which replicas are in sync, how far is committed. The log below knows nothing of that.
 * Everything that fails because of the role is NOT_LEADER_OR_FOLLOWER.
 */
export class Partition {
  readonly topic: string
  readonly index: number
  readonly topicId: string
  readonly log: Log
  readonly #nodeId: number
  readonly #timers: TimerWheel
  readonly #watchers = new Bag<FetchWatcher>()
  /** In order of `endOffset`: appends finish in order. */
  readonly #waiters: HighWatermarkWaiter[] = []
  #state: PartitionState
  #stopped = false

  constructor(options: {
    topic: string
    index: number
    topicId: string
    log: Log
    nodeId: number
    timers: TimerWheel
    state: PartitionState
  }) {
    this.topic = options.topic
    this.index = options.index
    this.topicId = options.topicId
    this.log = options.log
    this.#nodeId = options.nodeId
    this.#timers = options.timers
    this.#state = options.state
  }

  get state(): PartitionState {
    return this.#state
  }
  get leaderEpoch(): number {
    return this.#state.leaderEpoch
  }
  get isLeader(): boolean {
    return !this.#stopped && this.#state.leaderId === this.#nodeId
  }
  get highWatermark(): number {
    return this.log.highWatermark
  }
  get logEndOffset(): number {
    return this.log.logEndOffset
  }
  get name(): string {
    return `${this.topic}-${this.index}`
  }

  /** Takes the controller's decision. A new leader opens its epoch in the log; one that no longer leads fails what waits. */
  async become(state: PartitionState): Promise<void> {
    this.#state = state
    if (this.isLeader) {
      if (state.leaderEpoch > this.log.latestEpoch) await this.log.assignLeaderEpoch(state.leaderEpoch)
      this.#advanceHighWatermark()
    } else {
      this.#failWaiters()
    }
    this.#changed()
  }

  /** The partition leaves this broker, or its disk has failed; what waits is told so. */
  stop(reason: 'NOT_LEADER_OR_FOLLOWER' | 'KAFKA_STORAGE_ERROR' = 'NOT_LEADER_OR_FOLLOWER'): void {
    this.#stopped = true
    this.#failWaiters(reason)
    this.#changed()
  }

  /**
   * Appends batches and, with acks=-1, waits until they are committed. Calls take effect in order.
   * @throws KafkaError of the log's checks, NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS (nothing appended),
   * NOT_ENOUGH_REPLICAS_AFTER_APPEND, REQUEST_TIMED_OUT (appended, and maybe committed later).
   */
  async append(records: Buffer, { acks, timeoutMs, origin = 'client', guard }: AppendOptions): Promise<Appended> {
    this.#requireLeader()
    if (acks === -1) this.#requireInSync('NOT_ENOUGH_REPLICAS')
    const result = await this.log.append(records, { leaderEpoch: this.#state.leaderEpoch, origin, guard })
    this.#advanceHighWatermark(records.length)
    if (acks === -1) {
      if (this.log.highWatermark <= result.lastOffset) {
        // The lead may have gone while the disk was written: nobody would commit this. What is committed is acked even by a broker that is closing,
        // else its producer sends again what it can no longer tell from a gap: a snapshot remembers one batch of a producer.
        this.#requireLeader()
        await this.#committed(result.lastOffset + 1, timeoutMs)
      }
      this.#requireInSync('NOT_ENOUGH_REPLICAS_AFTER_APPEND')
    }
    return {
      baseOffset: result.firstOffset,
      lastOffset: result.lastOffset,
      logAppendTimeMs: result.logAppendTimeMs,
      logStartOffset: this.log.logStartOffset,
    }
  }

  /** Answers at once, unless the disk has to be asked. @throws KafkaError NOT_LEADER_OR_FOLLOWER, OFFSET_OUT_OF_RANGE, KAFKA_STORAGE_ERROR */
  read({ fetchOffset, maxBytes, minOneBatch, isolation }: FetchOptions): Fetched | Promise<Fetched> {
    this.#requireLeader()
    const { log } = this
    const ends = { highWatermark: log.highWatermark, lastStableOffset: log.lastStableOffset }
    const wanted = {
      startOffset: fetchOffset,
      maxBytes,
      endOffset: this.endOf(isolation),
      atLeastOneBatch: minOneBatch,
      withAborted: isolation === 'last_stable',
    }
    const recent = log.readRecent(wanted)
    return recent === undefined ? log.read(wanted).then((result) => this.#fetched(result, ends)) : this.#fetched(recent, ends)
  }

  #fetched({ records, abortedTransactions }: ReadResult, ends: { highWatermark: number; lastStableOffset: number }): Fetched {
    return {
      records: records.length === 0 ? noChunks : [records],
      highWatermark: ends.highWatermark,
      lastStableOffset: ends.lastStableOffset,
      logStartOffset: this.log.logStartOffset,
      abortedTransactions: abortedTransactions ?? null,
    }
  }

  /** Takes back the memory of what `read` returned: nothing may refer to it any more. */
  release({ records }: Pick<Fetched, 'records'>): void {
    for (const chunk of records) this.log.release(chunk)
  }

  /** Where a reader of that isolation comes to the end. */
  endOf(isolation: FetchIsolation): number {
    if (isolation === 'log_end') return this.log.logEndOffset
    return isolation === 'high_watermark' ? this.log.highWatermark : this.log.lastStableOffset
  }

  /**
   * Makes every record below `offset` unreadable; -1 stands for the high watermark.
   * @returns The log start offset.
   * @throws KafkaError OFFSET_OUT_OF_RANGE beyond the high watermark, POLICY_VIOLATION when the topic is compacted only.
   */
  async deleteRecordsBefore(offset: number): Promise<number> {
    this.#requireLeader()
    const policy = this.log.config['cleanup.policy']
    if (!policy.includes('delete')) throw new KafkaError('POLICY_VIOLATION', `${this.name} is compacted: records are deleted by key`)
    const target = offset === -1 ? this.log.highWatermark : offset
    if (!Number.isSafeInteger(target) || target < 0 || target > this.log.highWatermark) {
      throw new KafkaError('OFFSET_OUT_OF_RANGE', `${offset} lies beyond ${this.name}'s high watermark ${this.log.highWatermark}`)
    }
    const logStartOffset = await this.log.deleteRecords(target)
    this.#changed()
    return logStartOffset
  }

  /**
   * What a client believes to be the leader's epoch; -1 when it does not say.
   * @throws KafkaError NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH (older than ours), UNKNOWN_LEADER_EPOCH (newer). Source: KIP-320.
   */
  checkLeaderEpoch(currentLeaderEpoch: number): void {
    this.#requireLeader()
    if (currentLeaderEpoch === -1 || currentLeaderEpoch === this.#state.leaderEpoch) return
    throw new KafkaError(
      currentLeaderEpoch < this.#state.leaderEpoch ? 'FENCED_LEADER_EPOCH' : 'UNKNOWN_LEADER_EPOCH',
      `${this.name}: the leader's epoch is ${this.#state.leaderEpoch}, not ${currentLeaderEpoch}`,
    )
  }

  /** Tells the watcher until it leaves. */
  watch(watcher: FetchWatcher): BagPlace {
    return this.#watchers.add(watcher)
  }

  #requireLeader(): void {
    if (this.isLeader) return
    throw new KafkaError('NOT_LEADER_OR_FOLLOWER', `${this.name}: the leader is ${this.#state.leaderId}, epoch ${this.#state.leaderEpoch}`)
  }

  #requireInSync(error: 'NOT_ENOUGH_REPLICAS' | 'NOT_ENOUGH_REPLICAS_AFTER_APPEND'): void {
    const required = Math.min(this.log.config['min.insync.replicas'], this.#state.replicas.length)
    if (this.#state.isr.length >= required) return
    throw new KafkaError(error, `${this.name} has ${this.#state.isr.length} in-sync replicas where ${required} are required`)
  }

  /** What every in-sync replica has is committed: alone, that is all that is appended. */
  #advanceHighWatermark(appendedBytes = 0): void {
    const { isr } = this.#state
    if (isr.length !== 1 || isr[0] !== this.#nodeId) return
    if (this.log.highWatermark >= this.log.logEndOffset) return
    this.log.updateHighWatermark(this.log.logEndOffset)
    while (this.#waiters.length > 0 && this.#waiters[0]!.endOffset <= this.log.highWatermark) this.#settle(this.#waiters[0]!).resolve()
    this.#watchers.visit((watcher) => watcher.onReadable(appendedBytes))
  }

  #committed(endOffset: number, timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter: HighWatermarkWaiter = { endOffset, resolve, reject, timeout: undefined }
      waiter.timeout = this.#timers.add(timeoutMs, () =>
        this.#settle(waiter).reject(new KafkaError('REQUEST_TIMED_OUT', `${this.name}: not committed within ${timeoutMs} ms`)),
      )
      this.#waiters.push(waiter)
    })
  }

  #settle(waiter: HighWatermarkWaiter): HighWatermarkWaiter {
    waiter.timeout?.cancel()
    this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
    return waiter
  }

  #failWaiters(reason: 'NOT_LEADER_OR_FOLLOWER' | 'KAFKA_STORAGE_ERROR' = 'NOT_LEADER_OR_FOLLOWER'): void {
    for (const waiter of [...this.#waiters]) this.#settle(waiter).reject(new KafkaError(reason, `${this.name} is not led here any more`))
  }

  #changed(): void {
    this.#watchers.visit((watcher) => watcher.onChanged())
  }
}
