import { dirname } from 'node:path'
import { invariant } from '@tidelog/core'
import { KafkaError } from '@tidelog/protocol'
import { LogCleaning } from './compaction/log-cleaning.ts'
import { ignoringMissing } from './file-system.ts'
import { FlushTimer } from './flush-timer.ts'
import type { EpochEndOffset, EpochEntry } from './leader-epochs.ts'
import type { LogConfig } from './log-config.ts'
import { loadLog, makeLog, newLog, reloadLog } from './log-loader.ts'
import { type LogOptions, partsOf } from './log-options.ts'
import { findByTimestamp, findMaxTimestamp, type ReadOptions, type ReadResult, readLog, type TimestampAndOffset } from './log-reader.ts'
import { LogReads } from './log-reads.ts'
import { dueSegments, removeDue, segmentsBeforeStart } from './log-retention.ts'
import { LogRoller } from './log-roller.ts'
import { failLog, type LogState, storageError } from './log-state.ts'
import { type TruncationActions, truncateFully, truncateLog } from './log-truncation.ts'
import { type AppendOptions, type AppendResult, LogWriter } from './log-writer.ts'
import { writePartitionMetadata } from './partition-metadata.ts'
import type { ProducerState } from './producer-state.ts'
import type { Segment } from './segment.ts'
import { SegmentRemovals } from './segment-removals.ts'

/**
 * One partition's records on disk, in Kafka's files. Offsets: log start <= last stable <= high watermark <= log end. Everything that changes the log
 * happens one after the other; reads go on beside it.
 */
export class Log {
  readonly topic: string
  readonly partition: number
  readonly cleaning: LogCleaning
  #dir: string
  readonly #state: LogState
  readonly #writer: LogWriter
  #roller: LogRoller
  readonly #flushTimer: FlushTimer
  readonly #onLogStartChanged: () => Promise<void>
  readonly #onRecoveryPointLowered: () => Promise<void>
  readonly #onTruncating: (offset: number) => Promise<void>
  #chain: Promise<unknown> = Promise.resolve()
  #isClosed = false
  readonly #removals: SegmentRemovals
  readonly #reads: LogReads

  /** @throws Node's error when the folder cannot be read, KafkaError CORRUPT_MESSAGE when flushed batches are damaged where they have to be read. */
  static async open(options: LogOptions): Promise<Log> {
    const { recoveryPoint, logStartOffset = 0, compactedUpTo = 0, cleanShutdown = false } = options
    return new Log(options, await loadLog({ ...partsOf(options), recoveryPoint, logStartOffset, compactedUpTo, cleanShutdown }))
  }

  /** The log of a new partition. It can be used at once; its files are made by `make`, or ahead of the first thing that is written. */
  static create(options: LogOptions): Log {
    return new Log(options, newLog(partsOf(options)))
  }

  /** Use `open`. */
  constructor(
    options: Pick<LogOptions, 'topic' | 'partition' | 'dir' | 'onLogStartChanged' | 'onRecoveryPointLowered' | 'onTruncating'>,
    state: LogState,
  ) {
    this.topic = options.topic
    this.partition = options.partition
    this.#dir = options.dir
    this.#onLogStartChanged = options.onLogStartChanged ?? (() => Promise.resolve())
    this.#onRecoveryPointLowered = options.onRecoveryPointLowered ?? (() => Promise.resolve())
    this.#onTruncating = options.onTruncating ?? (() => Promise.resolve())
    this.#state = state
    this.#removals = new SegmentRemovals(state)
    this.#reads = new LogReads(state, { closedError: () => (this.#isClosed ? this.#closedError() : undefined), settled: () => this.#chain })
    this.#roller = new LogRoller(state)
    this.#writer = new LogWriter(state, {
      exclusive: (run) => this.#exclusive(run),
      roll: (baseOffset) => this.#roller.roll(baseOffset),
      flush: () => this.#roller.flush(),
      onWritten: () => this.#flushTimer.onWritten(),
    })
    this.cleaning = new LogCleaning(state, {
      lastStableOffset: () => this.lastStableOffset,
      change: (run) => this.#exclusive(() => this.#writing(run)),
      remove: (segment) => this.#removals.add(segment),
    })
    this.#flushTimer = new FlushTimer(state, () => this.flush().catch(() => {})) // the log has failed or closed, and said so
  }

  /** The partition's folder. */
  get dir(): string {
    return this.#dir
  }

  /** The log dir that the folder lies in. */
  get logDir(): string {
    return dirname(this.#dir)
  }

  /** The topic's id; undefined when nobody knows it. */
  get topicId(): string | undefined {
    return this.#state.topicId
  }

  get name(): string {
    return this.#state.name
  }

  get config(): LogConfig {
    return this.#state.config
  }

  get logStartOffset(): number {
    return this.#state.logStartOffset
  }

  get logEndOffset(): number {
    return this.#state.logEndOffset
  }

  get highWatermark(): number {
    return this.#state.highWatermark
  }

  /** Before it, every transaction is decided: readers of committed records stop here. */
  get lastStableOffset(): number {
    const { highWatermark, logStartOffset, producers } = this.#state
    const unstable = producers.firstUnstableOffset
    return unstable === undefined ? highWatermark : Math.max(Math.min(unstable, highWatermark), Math.min(logStartOffset, highWatermark))
  }

  /** Everything before it outlives a power cut. */
  get recoveryPoint(): number {
    return this.#state.recoveryPoint
  }

  /** At or before the recovery point: what its checkpoint says. */
  get recoveryStart(): number {
    return this.#roller.recoveryStart
  }

  /** The latest leader epoch; -1 when none is known. */
  get latestEpoch(): number {
    return this.#state.epochs.latest?.epoch ?? -1
  }

  get leaderEpochs(): readonly EpochEntry[] {
    return this.#state.epochs.entries
  }

  get sizeBytes(): number {
    return this.#state.segments.sizeBytes
  }

  get segmentCount(): number {
    return this.#state.segments.all.length
  }

  /** Base offset of the first segment: what lies between it and the log start offset is deleted only logically. */
  get firstSegmentOffset(): number {
    return this.#state.segments.first.baseOffset
  }

  /** Every segment's first offset and when its file was last written, oldest first. */
  segmentTimes(): Promise<{ readonly baseOffset: number; readonly modifiedMs: number }[]> {
    return this.#reads.segmentTimes()
  }

  /** Producers that the partition knows. */
  get producers(): Pick<ProducerState, 'highestProducerId' | 'activeProducers' | 'guardFor'> {
    return this.#state.producers
  }

  /** The disk failed: appends are refused, reads may still work. */
  get isFailed(): boolean {
    return this.#state.failure !== undefined
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Bytes that opening it has cut off its end. */
  get recoveryCutBytes(): number {
    return this.#state.recoveryCutBytes
  }

  /**
   * Appends one or more whole v2 batches as they came from the wire. Takes its place in the log when it is called: appends and their answers keep that
   * order. `records` must not change until the promise settles.
   * @returns Offsets, see AppendResult. Resolves when the bytes are in the page cache; with flush.messages reached, when they are on disk.
   * @throws KafkaError what validation refuses (see prepareAppend), OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE;
   * KAFKA_STORAGE_ERROR when the directory goes offline: nothing of `records` is then readable.
   */
  append(records: Buffer, options: AppendOptions): Promise<AppendResult> {
    if (this.#isClosed) return Promise.reject(this.#closedError())
    return this.#writer.append(records, options)
  }

  /** Reads whole batches. @throws KafkaError OFFSET_OUT_OF_RANGE, CORRUPT_MESSAGE; KAFKA_STORAGE_ERROR when the disk cannot be read. */
  read(options: ReadOptions): Promise<ReadResult> {
    return this.#reads.run(() => readLog(this.#state, options))
  }

  /** As `read`, at once, when the answer is in memory; else undefined. */
  readRecent(options: ReadOptions): ReadResult | undefined {
    return this.#reads.recent(options)
  }

  /** Takes back the memory of what `read` returned: nothing may refer to it any more. Whoever does not call it leaves it to the garbage collector. */
  release(records: Buffer): void {
    this.#state.context.readMemory.release(records)
  }

  /** The first record whose timestamp is not before `timestampMs`, or undefined. */
  offsetForTimestamp(timestampMs: number): Promise<TimestampAndOffset | undefined> {
    return this.#reads.run(() => findByTimestamp(this.#state, timestampMs))
  }

  /** The first record with the largest timestamp, or undefined. KIP-734. */
  maxTimestampOffset(): Promise<TimestampAndOffset | undefined> {
    return this.#reads.run(() => findMaxTimestamp(this.#state))
  }

  /** The last epoch that is not beyond `epoch`, and where it ends; -1 and -1 when nothing is known. KIP-101. */
  endOffsetForEpoch(epoch: number): EpochEndOffset {
    return this.#state.epochs.endOffsetFor(epoch, this.#state.logEndOffset)
  }

  /** The leader epoch that `offset` was written in; undefined when it is not known. */
  epochForOffset(offset: number): number | undefined {
    return this.#state.epochs.epochForOffset(offset)
  }

  /** Sets the high watermark, as the partition's owner knows it; never beyond the log end. */
  updateHighWatermark(offset: number): void {
    const state = this.#state
    state.highWatermark = Math.min(Math.max(offset, state.logStartOffset), state.logEndOffset)
    state.producers.onHighWatermark(state.highWatermark)
  }

  /**
   * Notes that a leader of `epoch` begins at the log's end, as a broker does when it becomes leader. It reaches the disk ahead of the first record
   * that is appended in it: an epoch without a record may be forgotten by a crash, which begins another one.
   */
  assignLeaderEpoch(epoch: number): Promise<void> {
    return this.#exclusive(async () => {
      this.#requireWritable()
      this.#state.epochs.assign(epoch, this.#state.logEndOffset)
    })
  }

  /** Makes the files of a new log; does nothing for any other. @throws KafkaError KAFKA_STORAGE_ERROR */
  make(): Promise<void> {
    return this.#exclusive(() => this.#writing(async () => {}))
  }

  /** Writes down whose records these are, where nobody knew. */
  assignTopicId(topicId: string): Promise<void> {
    return this.#exclusive(() =>
      this.#writing(async () => {
        const state = this.#state
        invariant(state.topicId === undefined, `${this.name} is of topic ${state.topicId}`)
        await writePartitionMetadata(state.context.fs, state.context.dir, topicId)
        state.topicId = topicId
        state.isTopicIdSynced = false
      }),
    )
  }

  /**
   * Makes `offset` the log's start and deletes the segments before it.
   * @param offset -1: the high watermark.
   * @returns The log start offset. @throws KafkaError OFFSET_OUT_OF_RANGE beyond the high watermark. KIP-107.
   */
  async deleteRecords(offset: number): Promise<number> {
    const target = offset === -1 ? this.#state.highWatermark : offset
    if (!(Number.isSafeInteger(target) && target >= 0 && target <= this.#state.highWatermark)) {
      throw new KafkaError(
        'OFFSET_OUT_OF_RANGE',
        `Cannot delete records of ${this.name} up to ${offset}: the high watermark is ${this.#state.highWatermark}`,
      )
    }
    await this.#exclusive(() => this.#writing(() => this.#advanceLogStart(target)))
    await this.cleaning.stop()
    await this.#removeDue(segmentsBeforeStart)
    return this.#state.logStartOffset
  }

  /** Takes over a log start offset from the leader. */
  advanceLogStart(offset: number): Promise<void> {
    return this.#exclusive(() => this.#writing(() => this.#advanceLogStart(offset)))
  }

  /** Deletes what retention no longer keeps, unless the log is being compacted: then it waits for the next time. Returns how many segments went. */
  async applyRetention(): Promise<number> {
    return this.cleaning.isActive ? 0 : this.#removeDue(dueSegments)
  }

  async #removeDue(dueNow: typeof dueSegments): Promise<number> {
    let removed = 0
    const actions = {
      roll: () => this.#roller.roll(this.#state.logEndOffset),
      advanceLogStart: (offset: number) => this.#advanceLogStart(offset),
      remove: (segment: Segment) => this.#removals.add(segment),
    }
    await this.#exclusive(() =>
      this.#writing(async () => {
        removed = await removeDue(this.#state, dueNow, actions)
      }),
    )
    return removed
  }

  /** Removes records from `offset` on, as a follower does that was ahead of a new leader. Whole batches go. */
  truncateTo(offset: number): Promise<void> {
    return this.#truncating(offset, () => truncateLog(this.#state, offset, this.#truncationActions))
  }

  /** Removes all records; the log goes on at `offset`. */
  truncateFullyAndStartAt(offset: number): Promise<void> {
    return this.#truncating(offset, () => truncateFully(this.#state, offset, this.#truncationActions))
  }

  get #truncationActions(): TruncationActions {
    return {
      remove: (segment) => this.#removals.add(segment),
      onRecoveryPointLowered: this.#onRecoveryPointLowered,
      onLogStartLowered: this.#onLogStartChanged,
    }
  }

  /** Closes the active segment and begins a new one, unless it is empty. */
  roll(): Promise<void> {
    return this.#exclusive(() =>
      this.#writing(async () => {
        if (this.#state.segments.active.sizeBytes > 0) await this.#roller.roll(this.#state.logEndOffset)
      }),
    )
  }

  /** Forces everything that is written to disk. */
  flush(): Promise<void> {
    return this.#exclusive(() => this.#writing(() => this.#roller.flush()))
  }

  /** Forces to disk what has waited for flush.ms. */
  async flushIfDue(): Promise<void> {
    const { config, clock, lastFlushMs, recoveryPoint, logEndOffset } = this.#state
    if (recoveryPoint < logEndOffset && clock.now() - lastFlushMs >= config['flush.ms']) await this.flush()
  }

  /** @param producerIdExpirationMs What producer.id.expiration.ms is from now on. */
  removeExpiredProducers(producerIdExpirationMs = this.#state.producerIdExpirationMs): void {
    this.#state.producerIdExpirationMs = producerIdExpirationMs
    this.#state.producers.removeExpired(this.#state.clock.now(), producerIdExpirationMs)
  }

  updateConfig(config: LogConfig): void {
    const { 'flush.ms': flushMs } = this.#state.config
    this.#state.config = config
    if (config['flush.ms'] !== flushMs) this.#flushTimer.onConfig()
  }

  /** The disk under the log failed elsewhere: nothing is appended any more. */
  fail(error: unknown): void {
    this.#state.failure ??= storageError(this.#state, error)
    void this.cleaning.stop({ forEver: true })
  }

  /** Flushes and closes, so that the next start need not check anything. Rejects when that could not be done. */
  async close(): Promise<void> {
    await this.cleaning.stop({ forEver: true })
    await this.#exclusive(async () => {
      if (this.#isClosed) return
      this.#isClosed = true
      this.#writer.rejectAll(this.#closedError())
      const state = this.#state
      try {
        if (state.failure !== undefined) throw state.failure
        if (!state.isMade) await makeLog(state)
        await this.#roller.flush()
        await this.#roller.writeSnapshot(state.logEndOffset)
        await state.snapshots.sync(state.logEndOffset)
        await state.segments.active.sealDurably()
        // One that nothing was appended in is not worth a file and an fsync in every partition: the next start begins another.
        await state.epochs.save({ butLatest: state.epochs.latest?.startOffset === state.logEndOffset })
        // Another log of the directory may have found the disk to fail meanwhile.
        if (state.failure !== undefined) throw state.failure
        await this.#removals.finish()
      } finally {
        await this.#release()
      }
    })
  }

  /** Closes without writing anything, as a crash would. */
  async abandon(): Promise<void> {
    await this.cleaning.stop({ forEver: true })
    await this.#exclusive(async () => {
      if (this.#isClosed) return
      this.#isClosed = true
      this.#writer.rejectAll(this.#closedError())
      await this.#release()
    })
  }

  /** Gives no record the offsets up to `offset`: the log that this one is a copy of had batches there, all of them compacted away. */
  skipTo(offset: number): Promise<void> {
    return this.#exclusive(() =>
      this.#writing(async () => {
        if (offset <= this.#state.logEndOffset) return
        await this.#roller.roll(offset)
        this.#state.logEndOffset = offset
      }),
    )
  }

  /**
   * Goes on in another folder, without a record appended meanwhile; readers and writers notice nothing but the wait.
   * @param prepare Makes the folder hold the same batches; may read the log. False: the log stays where it is. @param exchange Puts that folder, closed
   * in order, where the log is to be. @throws What these throw, and the log stays; KAFKA_STORAGE_ERROR when the folder cannot be opened.
   */
  relocate(prepare: () => Promise<boolean>, exchange: () => Promise<string>): Promise<boolean> {
    return this.#exclusive(async () => {
      this.#requireWritable()
      if (!(await prepare())) return false
      const state = this.#state
      await this.#roller.settled()
      await this.#reads.duringMove(async () => {
        this.#dir = await exchange()
        await reloadLog(state, this.#dir)
        this.#roller = new LogRoller(state)
        this.#removals.cancel()
      })
      return true
    })
  }

  /** Closes the log and gives its folder, if it has one yet, another name. The caller syncs the directory and removes the folder later. */
  async moveTo(dir: string): Promise<void> {
    await this.abandon()
    const renamed = this.#state.context.fs.rename(this.#dir, dir)
    await (this.#state.isMade ? renamed : ignoringMissing(renamed))
    this.#dir = dir
  }

  #closedError(): KafkaError {
    return new KafkaError('KAFKA_STORAGE_ERROR', `${this.name}: the log is closed`)
  }

  async #release(): Promise<void> {
    this.#flushTimer.cancel()
    await this.#roller.stop()
    this.#removals.cancel()
    this.#state.tail.clear()
    for (const segment of this.#state.segments.all) await segment.close()
  }

  /** Runs one thing at a time, in order of the calls. */
  #exclusive<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#chain.then(run)
    this.#chain = result.catch(() => {})
    return result
  }

  #requireWritable(): void {
    if (this.#isClosed) throw this.#closedError()
    if (this.#state.failure !== undefined) throw this.#state.failure
  }

  async #writing<T>(run: () => Promise<T>): Promise<T> {
    this.#requireWritable()
    try {
      if (!this.#state.isMade) await makeLog(this.#state)
      return await run()
    } catch (error) {
      throw failLog(this.#state, error)
    }
  }

  async #truncating(offset: number, run: () => Promise<void>): Promise<void> {
    await this.cleaning.stop()
    await this.#exclusive(() =>
      this.#writing(async () => {
        await this.#roller.settled()
        // The batch that holds the offset goes as a whole.
        const { segments } = this.#state
        await this.#onTruncating(segments.all[segments.indexOf(offset)]?.baseOffset ?? offset)
        await run()
      }),
    )
  }

  async #advanceLogStart(offset: number): Promise<void> {
    const state = this.#state
    if (offset <= state.logStartOffset) return
    state.logStartOffset = offset
    if (state.highWatermark < offset) this.updateHighWatermark(offset)
    state.producers.onLogStart(offset)
    await this.#onLogStartChanged()
    // Behind the checkpoint: epochs that reach back too far are harmless, epochs that begin too late are not.
    state.epochs.truncateFromStart(offset)
    await state.epochs.save()
  }
}
