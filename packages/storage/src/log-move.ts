import { invariant, type Logger } from '@tidelog/core'
import { batchHeader, KafkaError } from '@tidelog/protocol'
import type { Log } from './log.ts'
import type { RateLimit } from './rate-limit.ts'

/** Read and written at a time. */
const COPY_BYTES = 1024 * 1024

export interface LogMoveOptions {
  /** The log that serves. */
  readonly current: Log
  /** Its copy in another log dir, which grows until it takes its place. */
  readonly future: Log
  readonly rate: RateLimit
  readonly logger: Logger
  /** Exchanges the folders of the two, `future` being closed and whole. Returns where the log lies now. */
  readonly exchange: () => Promise<string>
  /** Called once: the copy has taken the log's place, or the move came to an end without it. */
  readonly onEnd: (hasMoved: boolean) => void
}

/**
 * One log on its way into another log dir: a copy follows it batch by batch, as a follower does, while it is written to and read, and takes its
 * place when both end at the same offset. Source: KIP-113, Kafka's ReplicaAlterLogDirsThread.
 */
export class LogMove {
  readonly current: Log
  readonly future: Log
  readonly #options: LogMoveOptions
  readonly #stopping = new AbortController()
  #running: Promise<void> = Promise.resolve()

  constructor(options: LogMoveOptions) {
    this.#options = options
    this.current = options.current
    this.future = options.future
  }

  /**
   * Brings the two together after a stop: cuts off what the copy has and the log has not, its end, when the broker stopped before it was on disk. To be done before anything is appended to
   * the log again. Source: KIP-101, KIP-279.
   */
  async align(): Promise<void> {
    const { current, future } = this
    // A copy follows the start of its log. One that is ahead of it was told of a deletion of which a power cut has left nothing else.
    if (future.logStartOffset > current.logStartOffset) await current.advanceLogStart(Math.min(future.logStartOffset, current.logEndOffset))
    if (future.logEndOffset > current.logEndOffset) await future.truncateTo(current.logEndOffset)
    for (;;) {
      const { latestEpoch } = future
      if (latestEpoch < 0 || future.logEndOffset === future.firstSegmentOffset) return
      const { epoch, endOffset } = current.endOffsetForEpoch(latestEpoch)
      if (epoch < 0) return future.truncateFullyAndStartAt(current.logStartOffset)
      const common = epoch === latestEpoch ? endOffset : Math.min(endOffset, future.endOffsetForEpoch(epoch).endOffset)
      if (common < 0) return future.truncateFullyAndStartAt(current.logStartOffset)
      if (future.logEndOffset > common) await future.truncateTo(common)
      if (epoch === latestEpoch || future.latestEpoch === latestEpoch) return
    }
  }

  start(): void {
    this.#running = this.#follow().then(
      (hasMoved) => this.#options.onEnd(hasMoved),
      (error: unknown) => {
        const { current, future } = this
        if (!this.#isStopping && !current.isFailed && !future.isFailed)
          this.#options.logger.error('A partition cannot move to another log dir', { partition: current.name, dir: future.dir, error })
        this.#options.onEnd(false)
      },
    )
  }

  /** Leaves log and copy as they are. Resolves when nothing of the move goes on. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted
  }

  async #follow(): Promise<boolean> {
    const { current, future } = this
    const { rate } = this.#options
    while (!this.#isStopping) {
      if (future.logEndOffset === current.logEndOffset) {
        if (await current.relocate(() => this.#completeCopy(), this.#options.exchange)) return true
        continue
      }
      const copied = await this.#copy(Math.min(COPY_BYTES, rate.bytesAtATime))
      await rate.pace(copied, this.#stopping.signal)
    }
    return false
  }

  /** The last of it, while the log takes no appends. Returns whether the copy, which is closed then, may take its place. */
  async #completeCopy(): Promise<boolean> {
    const { current, future } = this
    while (future.logEndOffset < current.logEndOffset) await this.#copy(COPY_BYTES)
    if (this.#isStopping) return false
    invariant(future.logEndOffset === current.logEndOffset, `${current.name}: its copy goes beyond it`)
    await this.#followStart()
    await future.close()
    return true
  }

  /** Copies what comes next, whole batches of about `maxBytes`. Returns the bytes. */
  async #copy(maxBytes: number): Promise<number> {
    const { current, future } = this
    if (future.logEndOffset < current.logStartOffset) await future.truncateFullyAndStartAt(current.logStartOffset)
    const startOffset = future.logEndOffset
    const endOffset = current.logEndOffset
    const records = await this.#read(startOffset, endOffset, maxBytes)
    if (records === undefined) return 0
    if (records.length === 0) {
      await future.skipTo(endOffset) // all that was there has been compacted away
      return 0
    }
    try {
      const firstOffset = batchHeader.baseOffset(records, 0)
      // The log's start may lie inside a batch.
      if (firstOffset < startOffset && future.sizeBytes === 0) await future.truncateFullyAndStartAt(firstOffset)
      await future.append(records, { leaderEpoch: -1, origin: 'replication' })
    } finally {
      current.release(records)
    }
    await this.#followStart()
    return records.length
  }

  /** Undefined: what is asked for was deleted meanwhile. */
  async #read(startOffset: number, endOffset: number, maxBytes: number): Promise<Buffer | undefined> {
    try {
      return (await this.current.read({ startOffset, maxBytes, endOffset, atLeastOneBatch: true })).records
    } catch (error) {
      const isDeleted =
        error instanceof KafkaError && error.errorName === 'OFFSET_OUT_OF_RANGE' && startOffset < this.current.logStartOffset
      if (isDeleted) return undefined
      throw error
    }
  }

  async #followStart(): Promise<void> {
    const { current, future } = this
    future.updateHighWatermark(current.highWatermark)
    const start = Math.min(current.logStartOffset, future.highWatermark)
    if (start > future.logStartOffset) await future.deleteRecords(start)
  }
}
