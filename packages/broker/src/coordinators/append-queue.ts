import type { Instant, Step, TransactionOfWrite, Write } from '@tidelog/coordinator'
import type { Logger } from '@tidelog/core'
import { BatchBuilder, buildEndTxnMarker, type CodecName, type ErrorName, KafkaError, type NewRecord } from '@tidelog/protocol'
import type { CoordinatorLog } from './coordinator-log.ts'

/** After these nobody knows whether the records will be committed in the end: they may lie in the log already. */
const uncertain: ReadonlySet<ErrorName> = new Set(['REQUEST_TIMED_OUT', 'NOT_ENOUGH_REPLICAS_AFTER_APPEND', 'UNKNOWN_SERVER_ERROR'])

/** The key and value bytes under which a coordinator's record is appended; a null value is a tombstone. */
export type EncodeRecord<R> = (record: R) => { key: Buffer; value: Buffer | null }

/** What is appended next. Without a batch, the writes that were taken only waited for the ones before them. */
interface NextBatch<R, E> {
  readonly taken: Write<R, E>[]
  readonly batch: Buffer | undefined
  /** Does not fit into any batch. */
  readonly tooLarge?: Write<R, E>
}

function bytesOf(records: readonly NewRecord[], builder: BatchBuilder): number {
  let bytes = 0
  for (const record of records) bytes += builder.recordBytes(record)
  return bytes
}

/**
 * Appends the writes of one coordinator partition in their order, one batch at a time: what arrives while one is under way goes into the
 * next together. A write's records stay together; every write is settled, in order.
 */
export class AppendQueue<R, E = never> {
  readonly #log: CoordinatorLog
  readonly #encode: EncodeRecord<R>
  readonly #codec: CodecName
  readonly #now: () => Instant
  readonly #onSettled: (step: Step<R, E>) => void
  readonly #onUncertain: () => void
  readonly #logger: Logger
  #waiting: Write<R, E>[] = []
  /** In the batch that is being appended. */
  #underWay: Write<R, E>[] = []
  #failedFor: ErrorName | undefined
  /** What follows from settling a write waits until the writes beside it are settled too. */
  #isSettling = false

  /**
   * @param onSettled Gets the step that follows from each settled write; what it appends goes behind.
   * @param onUncertain What was settled as failed may come back: only the log knows the state from now on.
   */
  constructor(options: {
    log: CoordinatorLog
    encode: EncodeRecord<R>
    codec: CodecName
    now: () => Instant
    onSettled: (step: Step<R, E>) => void
    onUncertain: () => void
    logger: Logger
  }) {
    this.#log = options.log
    this.#encode = options.encode
    this.#codec = options.codec
    this.#now = options.now
    this.#onSettled = options.onSettled
    this.#onUncertain = options.onUncertain
    this.#logger = options.logger
  }

  add(writes: readonly Write<R, E>[]): void {
    if (writes.length === 0) return
    this.#waiting.push(...writes)
    this.#appendNext()
  }

  /** Settles everything as failed, now and from now on; the outcome of a batch that is under way no longer counts. */
  fail(error: ErrorName): void {
    this.#failedFor = error
    const writes = [...this.#underWay, ...this.#waiting]
    this.#underWay = []
    this.#waiting = []
    this.#settle(writes, error)
    this.#appendNext()
  }

  #appendNext(): void {
    while (!this.#isSettling && this.#underWay.length === 0 && this.#waiting.length > 0) {
      if (this.#failedFor !== undefined) {
        this.#settle(this.#waiting.splice(0), this.#failedFor)
        continue
      }
      const { taken, batch, tooLarge } = this.#waiting[0]!.transaction === undefined ? this.#together() : this.#alone()
      if (tooLarge !== undefined) this.#settle([tooLarge], 'RECORD_LIST_TOO_LARGE')
      else if (batch === undefined) this.#settle(taken)
      else {
        this.#underWay = taken
        void this.#append(batch, taken[0]!.transaction)
      }
    }
  }

  /** Moves waiting writes into a batch, as many as it holds up to the next one that needs a batch of its own. */
  #together(): NextBatch<R, E> {
    const { maxBatchBytes } = this.#log
    const builder = new BatchBuilder({ codec: this.#codec })
    const taken: Write<R, E>[] = []
    for (const write of this.#waiting) {
      if (write.transaction !== undefined) break
      const records = this.#encoded(write)
      if (records.length > 0 && builder.sizeBytes + bytesOf(records, builder) > maxBatchBytes) {
        if (taken.length > 0) break
        return this.#tooLarge()
      }
      for (const record of records) builder.append(record)
      taken.push(write)
    }
    this.#waiting.splice(0, taken.length)
    return { taken, batch: builder.recordsCount === 0 ? undefined : builder.build() }
  }

  /** The next write as a batch of its producer's transaction, or as the marker that ends it. */
  #alone(): NextBatch<R, E> {
    const write = this.#waiting[0]!
    const { producerId, producerEpoch, marker } = write.transaction!
    if (marker !== undefined) {
      const { committed, coordinatorEpoch } = marker
      const type = committed ? 'commit' : 'abort'
      this.#waiting.shift()
      const timestamp = this.#now().wallMs
      return { taken: [write], batch: buildEndTxnMarker({ type, coordinatorEpoch, producerId, producerEpoch, timestamp }) }
    }
    const builder = new BatchBuilder({ codec: this.#codec, producerId, producerEpoch, isTransactional: true })
    const records = this.#encoded(write)
    if (builder.sizeBytes + bytesOf(records, builder) > this.#log.maxBatchBytes) return this.#tooLarge()
    for (const record of records) builder.append(record)
    this.#waiting.shift()
    return { taken: [write], batch: records.length === 0 ? undefined : builder.build() }
  }

  #tooLarge(): NextBatch<R, E> {
    return { taken: [], batch: undefined, tooLarge: this.#waiting.shift()! }
  }

  #encoded({ records }: Write<R, E>): NewRecord[] {
    const timestamp = this.#now().wallMs
    return records.map((record) => ({ ...this.#encode(record), timestamp }))
  }

  async #append(batch: Buffer, transaction: TransactionOfWrite | undefined): Promise<void> {
    let failure: ErrorName | undefined
    try {
      await this.#log.append(batch, transaction)
    } catch (error) {
      failure = error instanceof KafkaError ? error.errorName : 'UNKNOWN_SERVER_ERROR'
      this.#logger.warn('records of a coordinator could not be appended', { error })
    }
    // After `fail` they are settled already.
    if (this.#failedFor !== undefined) return
    const writes = this.#underWay
    this.#underWay = []
    try {
      this.#settle(writes, failure)
    } catch (error) {
      // A defect of ours: what the rest of the writes was to do with the state is not known any more.
      this.#logger.error('a coordinator failed on the outcome of an append', { error })
      this.#onUncertain()
      return
    }
    if (failure !== undefined && uncertain.has(failure)) this.#onUncertain()
    else this.#appendNext()
  }

  #settle(writes: readonly Write<R, E>[], failure?: ErrorName): void {
    this.#isSettling = true
    try {
      for (const write of writes) this.#onSettled(write.settle(this.#now(), failure))
    } finally {
      this.#isSettling = false
    }
  }
}
