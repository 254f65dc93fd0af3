import { type BufferPool, invariant, LazyMap, type Logger } from '@tidelog/core'
import { batchHeader, KafkaError } from '@tidelog/protocol'
import { type BatchPlace, placeOf } from './batch-place.ts'
import { scanBatches } from './batch-scan.ts'
import { DELETED_SUFFIX, INDEX_SUFFIX, LOG_SUFFIX, pathIn, segmentFile, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX } from './file-names.ts'
import { type FilePool, PooledFile } from './file-pool.ts'
import { type FileSystem, ignoringMissing, readFully, writeFully } from './file-system.ts'
import type { IndexMemory } from './index-memory.ts'
import { MAX_RELATIVE_OFFSET, type OffsetIndex } from './offset-index.ts'
import type { RollLimits } from './roll-limits.ts'
import { SegmentIndexes } from './segment-indexes.ts'
import { lastOffsetOf, maxTimestampOf, wholeBatches } from './stored-batch.ts'
import type { TimeIndex, TimestampOffset } from './time-index.ts'
import { TransactionIndex } from './transaction-index.ts'

/** Bytes read at a time when looking for a batch behind an index entry. */
const LOOKUP_CHUNK_BYTES = 8 * 1024
const REBUILD_CHUNK_BYTES = 1024 * 1024
/** Kafka's default: how dense an index is that is made anew when a segment's own setting is not at hand. */
const DEFAULT_INDEX_INTERVAL_BYTES = 4096
/** Places where the latest reads ended, and the next ones of their consumers will begin. */
const REMEMBERED_READS = 16

/** What the segments of a log share. */
export interface SegmentContext {
  readonly fs: FileSystem
  readonly pool: FilePool
  readonly indexMemory: IndexMemory
  /** What readers get their bytes in. */
  readonly readMemory: BufferPool
  readonly logger: Logger
  readonly dir: string
}

/**
 * One segment: NNN.log, whose name is the offset that its first batch may have, and its indexes. Batches lie in NNN.log one after the other as they
 * came from the wire. Writes go to the end only; the owner does one at a time.
 */
export class Segment {
  readonly baseOffset: number
  readonly file: PooledFile
  readonly transactionIndex: TransactionIndex
  /** Bytes of whole batches; what lies beyond is a write that has not succeeded (yet). */
  sizeBytes: number
  /** Wall-clock ms of the last write known from the file system; stands in for timestamps where records have none. */
  modifiedMs: number
  /** The index files have their full size, as those of an active segment do. */
  isPreallocated = false
  /** Its files are called *.deleted. */
  isDeleted = false
  readonly #context: SegmentContext
  #indexes: SegmentIndexes
  readonly #readEnds = new LazyMap<number, number>()
  #loading: Promise<void> | undefined
  #rebuilding: Promise<void> | undefined
  /** How often the log was cut: what was read before tells nothing of what is there now. */
  #cuts = 0

  constructor(context: SegmentContext, baseOffset: number, sizeBytes: number, modifiedMs: number) {
    this.#context = context
    this.baseOffset = baseOffset
    this.sizeBytes = sizeBytes
    this.modifiedMs = modifiedMs
    this.file = new PooledFile(this.pathOf(LOG_SUFFIX))
    this.#indexes = this.newIndexes()
    this.transactionIndex = new TransactionIndex(context.fs, this.pathOf(TRANSACTION_INDEX_SUFFIX))
  }

  /** Makes the files of a new segment; what had their names, a segment that was never used, is emptied. */
  static async create(context: SegmentContext, baseOffset: number, maxIndexBytes: number, nowMs: number): Promise<Segment> {
    const segment = await Segment.createBare(context, baseOffset, nowMs)
    await segment.offsetIndex.file.create(maxIndexBytes)
    await segment.timeIndex.file.create(maxIndexBytes)
    segment.isPreallocated = true
    return segment
  }

  /** As `create`, without index files, which must not be there: they come with the first entry. Where inodes are dear, that is half the work. */
  static async createBare(context: SegmentContext, baseOffset: number, nowMs: number): Promise<Segment> {
    const segment = Segment.unmade(context, baseOffset, nowMs)
    await segment.make()
    return segment
  }

  /** A new segment that has no file yet: `make` comes ahead of the first write. */
  static unmade(context: SegmentContext, baseOffset: number, nowMs: number): Segment {
    const segment = new Segment(context, baseOffset, 0, nowMs)
    segment.#indexes.clear()
    return segment
  }

  /** Makes the log file, empty. */
  async make(): Promise<void> {
    await this.#context.fs.close(await this.#context.fs.open(this.file.path, 'replace'))
  }

  get hasUnsyncedIndexes(): boolean {
    return this.isPreallocated || this.#indexes.isUnsynced
  }

  get context(): SegmentContext {
    return this.#context
  }

  get offsetIndex(): OffsetIndex {
    return this.#indexes.offsets
  }

  get timeIndex(): TimeIndex {
    return this.#indexes.times
  }

  get indexBytes(): number {
    return this.#indexes.memoryBytes
  }

  get isLoaded(): boolean {
    return this.#indexes.isLoaded
  }

  /** The largest timestamp and the last offset of the batch that has it. The indexes must be loaded. */
  get maxTimestamp(): TimestampOffset {
    return this.#indexes.maxTimestamp
  }

  /** The largest timestamp if there is one, else when the file was last written; what retention goes by. */
  get largestTimestampMs(): number {
    return this.maxTimestamp.timestamp >= 0 ? this.maxTimestamp.timestamp : this.modifiedMs
  }

  pathOf(suffix: string): string {
    return pathIn(this.#context.dir, segmentFile(this.baseOffset, suffix) + (this.isDeleted ? DELETED_SUFFIX : ''))
  }

  /** Indexes that know of no batch and no file yet. */
  newIndexes(): SegmentIndexes {
    const paths = { offsets: this.pathOf(INDEX_SUFFIX), times: this.pathOf(TIME_INDEX_SUFFIX) }
    return new SegmentIndexes(this.#context.fs, paths, this.baseOffset)
  }

  /** Goes on with what recovery found: the log ends at `sizeBytes`, `indexes` speak of all of it. */
  recovered(indexes: SegmentIndexes, sizeBytes: number): void {
    this.#indexes = indexes
    this.sizeBytes = sizeBytes
    this.#readEnds.clear()
  }

  /** Brings the indexes into memory, whole and right: what is missing or wrong is made anew from the log. */
  async load(): Promise<void> {
    if (!this.isLoaded) {
      this.#loading ??= this.#loadIndexes().finally(() => {
        this.#loading = undefined
      })
      await this.#loading
    }
    this.#context.indexMemory.touch(this)
  }

  /** Drops the indexes from memory, unless they are empty, being written to, or hold what is not in their files. */
  unloadIndexes(): void {
    if (this.isPreallocated || !this.#indexes.areInFiles || this.sizeBytes === 0) return
    this.#indexes.unload()
  }

  /** Timestamp of the first batch, -1 when it has none; undefined while the segment is empty. Segments roll by it. */
  async firstTimestamp(): Promise<number | undefined> {
    if (this.#indexes.firstTimestamp === undefined && this.sizeBytes > 0) {
      await this.#scan(0, this.sizeBytes, (buffer, at) => {
        this.#indexes.firstTimestamp = maxTimestampOf(buffer, at)
        return false
      })
    }
    return this.#indexes.firstTimestamp
  }

  /** Writes `bytes`, whole batches, behind what is there. They count once `noteBatch` has been told of each. */
  async write(bytes: Buffer): Promise<void> {
    await this.#context.pool.use(this.file, (fd) => writeFully(this.#context.fs, fd, bytes, this.sizeBytes))
  }

  /** Cuts off what a failed write left behind. */
  async cutUnwritten(): Promise<void> {
    await this.#context.pool.use(this.file, (fd) => this.#context.fs.truncate(fd, this.sizeBytes))
  }

  /** Takes the batch that lies at the end of the log file into the indexes and the size. */
  noteBatch(lastOffset: number, maxTimestamp: number, sizeBytes: number, indexIntervalBytes: number): void {
    this.#indexes.note({ position: this.sizeBytes, sizeBytes, lastOffset, maxTimestamp }, indexIntervalBytes)
    this.sizeBytes += sizeBytes
  }

  /** Whether the segment must make way for a new one before `addedBytes` up to `lastOffset` are appended. `firstTimestamp` must be known. */
  mustRoll(batch: { addedBytes: number; lastOffset: number; maxTimestamp: number }, limits: RollLimits): boolean {
    if (this.sizeBytes > limits.segmentBytes - batch.addedBytes) return true
    if (batch.lastOffset - this.baseOffset > MAX_RELATIVE_OFFSET) return true
    if (this.offsetIndex.isFull(limits.maxIndexBytes) || this.timeIndex.isFull(limits.maxIndexBytes)) return true
    if (this.sizeBytes === 0) return false
    const first = this.#indexes.firstTimestamp ?? -1
    const waitedMs = first >= 0 ? batch.maxTimestamp - first : limits.nowMs - limits.createdMs
    return waitedMs > limits.segmentMs
  }

  /**
   * The first batch whose last offset is not before `offset`, or undefined when the segment has none.
   * @throws KafkaError CORRUPT_MESSAGE when the log cannot be read on.
   */
  async findBatch(offset: number): Promise<BatchPlace | undefined> {
    await this.load()
    const { position } = this.offsetIndex.lookup(offset)
    const found = await this.#findFrom(position, offset)
    if (found !== 'index is wrong') return found
    this.#context.logger.warn('Rebuilding an index that does not match its log', { path: this.offsetIndex.file.path })
    await this.rebuildIndexes()
    const again = await this.#findFrom(this.offsetIndex.lookup(offset).position, offset)
    invariant(again !== 'index is wrong', `${this.offsetIndex.file.path} does not match its log after it was rebuilt`)
    return again
  }

  /**
   * An offset at or before the first batch whose largest timestamp is not before `timestamp`. The entry of the time index that it comes from is
   * checked against the log; the indexes are made anew when it is wrong.
   */
  async lookupTimestamp(timestamp: number): Promise<TimestampOffset> {
    await this.load()
    const entry = this.timeIndex.lookup(timestamp)
    if (entry.timestamp < 0) return entry
    const place = await this.findBatch(entry.offset)
    if (place?.maxTimestamp === entry.timestamp) return { timestamp: entry.timestamp, offset: place.baseOffset }
    this.#context.logger.warn('Rebuilding a time index that does not match its log', { path: this.timeIndex.file.path })
    await this.rebuildIndexes()
    return this.timeIndex.lookup(timestamp)
  }

  /** The first batch behind `place` whose largest timestamp is not before `timestamp`. */
  async findTimestamp(place: BatchPlace, timestamp: number): Promise<BatchPlace | undefined> {
    let found: BatchPlace | undefined
    await this.scanHeaders(place.position + place.sizeBytes, (buffer, at, position, sizeBytes) => {
      if (maxTimestampOf(buffer, at) < timestamp) return true
      found = placeOf(buffer, at, position, sizeBytes)
      return false
    })
    return found
  }

  /**
   * Reads whole batches, from the one that holds `startOffset` on.
   * @param limitOffset No batch that reaches to this offset is returned.
   * @returns Nothing when there is no such batch, or when it is longer than `maxBytes` and `atLeastOneBatch` is false. The bytes may be given back to
   * the context's read memory.
   */
  async read(startOffset: number, maxBytes: number, limitOffset: number, atLeastOneBatch: boolean): Promise<Buffer | undefined> {
    const { fs, pool, readMemory } = this.#context
    const visibleBytes = this.sizeBytes
    let position = this.#readEnds.get(startOffset)
    let firstBatchBytes = 0
    if (position === undefined) {
      const place = await this.findBatch(startOffset)
      if (place === undefined) return undefined
      position = place.position
      firstBatchBytes = place.sizeBytes
    }
    const end = Math.min(this.sizeBytes, visibleBytes)
    if (position >= end) return undefined
    const wanted = Math.min(Math.max(maxBytes, atLeastOneBatch ? firstBatchBytes : 0, batchHeader.BATCH_OVERHEAD_BYTES), end - position)
    let bytes = readMemory.allocate(wanted)
    let filled = await pool.use(this.file, (fd) => readFully(fs, fd, bytes, position))
    firstBatchBytes = filled < batchHeader.LOG_OVERHEAD_BYTES ? filled : batchHeader.sizeBytes(bytes, 0)
    if (firstBatchBytes > wanted && atLeastOneBatch && firstBatchBytes <= end - position) {
      readMemory.release(bytes)
      bytes = readMemory.allocate(firstBatchBytes)
      filled = await pool.use(this.file, (fd) => readFully(fs, fd, bytes, position))
    }
    const { batchesEnd, nextOffset } = wholeBatches(bytes, filled, Math.max(maxBytes, atLeastOneBatch ? firstBatchBytes : 0), limitOffset)
    if (batchesEnd === 0) {
      readMemory.release(bytes)
      return undefined
    }
    this.#rememberRead(nextOffset, position + batchesEnd)
    return bytes.subarray(0, batchesEnd)
  }

  /** Reads the whole batch at `place`. */
  async readBatch(place: BatchPlace): Promise<Buffer> {
    const { fs, pool } = this.#context
    const bytes = Buffer.allocUnsafeSlow(place.sizeBytes)
    const filled = await pool.use(this.file, (fd) => readFully(fs, fd, bytes, place.position))
    if (filled < bytes.length) throw new KafkaError('CORRUPT_MESSAGE', `${this.file.path} ends inside the batch at ${place.position}`)
    return bytes
  }

  /** Cuts the log and its indexes: the batch that holds `offset`, and all behind it, go. Returns the bytes that went. */
  async truncateTo(offset: number): Promise<number> {
    const { fs, pool } = this.#context
    const place = await this.findBatch(offset)
    if (place === undefined) return 0
    const removed = this.sizeBytes - place.position
    this.sizeBytes = place.position
    this.#cuts++
    await pool.use(this.file, (fd) => fs.truncate(fd, place.position))
    this.#indexes.truncateTo(place.baseOffset)
    await this.transactionIndex.truncateTo(place.baseOffset)
    this.#readEnds.clear()
    if (this.sizeBytes === 0) this.#indexes.firstTimestamp = undefined
    await this.#refreshMaxTimestamp()
    return removed
  }

  /** Makes the log file, and for a closed segment its indexes, outlive a power cut. */
  async flush({ indexes }: { indexes: boolean }): Promise<void> {
    await this.#context.pool.use(this.file, (fd) => this.#context.fs.sync(fd))
    if (!indexes) return
    await this.#indexes.write({ sync: true })
    await this.transactionIndex.sync()
  }

  /** As `seal`, and on disk: a start after a clean stop believes the indexes. */
  async sealDurably(): Promise<void> {
    await this.seal()
    if (this.#indexes.isUnsynced) await this.flush({ indexes: true })
    else await this.transactionIndex.sync()
  }

  /** Brings the index files up to date and trims them: the segment is not written any more. */
  async seal(): Promise<void> {
    if (!this.isLoaded) return
    this.#indexes.noteMaxTimestamp()
    await this.#indexes.write({ sync: false })
    this.isPreallocated = false
  }

  /** Grows the index files of an active segment to their full size, once there is an entry for them: most of many partitions hold a few records. */
  async preallocateIndexes(maxIndexBytes: number): Promise<void> {
    if (this.offsetIndex.count === 0) return
    await this.offsetIndex.file.preallocate(maxIndexBytes)
    await this.timeIndex.file.preallocate(maxIndexBytes)
    this.isPreallocated = true
  }

  /** Takes the files out of the log by renaming them to *.deleted; reads that are under way end well. */
  async markDeleted(): Promise<void> {
    const { fs, pool, indexMemory } = this.#context
    indexMemory.forget(this)
    const [logPath, ...indexPaths] = this.#paths()
    this.isDeleted = true
    this.offsetIndex.file.path = this.pathOf(INDEX_SUFFIX)
    this.timeIndex.file.path = this.pathOf(TIME_INDEX_SUFFIX)
    this.transactionIndex.path = this.pathOf(TRANSACTION_INDEX_SUFFIX)
    // It is open meanwhile, so that nobody looks for it by either name.
    const renamed = pool.use(this.file, async () => {
      await fs.rename(logPath!, logPath + DELETED_SUFFIX)
      this.file.path = this.pathOf(LOG_SUFFIX)
    })
    await ignoringMissing(renamed)
    for (const path of indexPaths) await ignoringMissing(fs.rename(path, path + DELETED_SUFFIX))
  }

  /**
   * Makes both indexes anew from the headers of the batches. The log is believed and not changed. Reads and appends go on meanwhile, with the old
   * indexes until the new ones speak of every batch.
   */
  rebuildIndexes(): Promise<void> {
    this.#rebuilding ??= this.#rebuild().finally(() => {
      this.#rebuilding = undefined
    })
    return this.#rebuilding
  }

  /** Unlinks what `markDeleted` has renamed. */
  async removeDeleted(): Promise<void> {
    const { fs, pool } = this.#context
    await pool.close(this.file, { forEver: true })
    for (const path of this.#paths()) await ignoringMissing(fs.unlink(path))
  }

  async close(): Promise<void> {
    this.#context.indexMemory.forget(this)
    await this.#context.pool.close(this.file)
  }

  /** Visits batches by their headers. */
  async scanHeaders(from: number, visit: Parameters<typeof scanBatches>[3]): Promise<void> {
    const { end, problem } = await this.#scan(from, this.sizeBytes, visit)
    if (problem !== undefined) throw new KafkaError('CORRUPT_MESSAGE', `${this.file.path} cannot be read at ${end}: ${problem}`)
  }

  #paths(): string[] {
    return [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX].map((suffix) => this.pathOf(suffix))
  }

  async #rebuild(): Promise<void> {
    const indexes = this.newIndexes()
    let end = 0
    let cuts = -1
    while (end < this.sizeBytes || cuts !== this.#cuts) {
      if (cuts !== this.#cuts) {
        cuts = this.#cuts
        indexes.clear()
        end = 0
      }
      const scanned = await this.#scan(
        end,
        this.sizeBytes,
        (buffer, at, position, sizeBytes) => {
          const batch = { position, sizeBytes, lastOffset: lastOffsetOf(buffer, at), maxTimestamp: maxTimestampOf(buffer, at) }
          indexes.note(batch, DEFAULT_INDEX_INTERVAL_BYTES)
          return true
        },
        REBUILD_CHUNK_BYTES,
      )
      end = scanned.end
      if (scanned.problem !== undefined && cuts === this.#cuts) break // whoever reads on there is told
    }
    indexes.offsets.file.path = this.pathOf(INDEX_SUFFIX)
    indexes.times.file.path = this.pathOf(TIME_INDEX_SUFFIX)
    this.#indexes = indexes
    // Those of an active segment reach their files when it is closed.
    if (!this.isPreallocated && !this.isDeleted) await this.seal()
  }

  async #scan(from: number, to: number, visit: Parameters<typeof scanBatches>[3], chunkBytes = LOOKUP_CHUNK_BYTES) {
    const { fs, pool, readMemory: memory } = this.#context
    return pool.use(this.file, (fd) => scanBatches(fs, fd, { from, to, chunkBytes, need: 'header', memory }, visit))
  }

  async #findFrom(position: number, offset: number): Promise<BatchPlace | 'index is wrong' | undefined> {
    let place: BatchPlace | undefined
    let isIndexWrong = false
    const { end, problem } = await this.#scan(position, this.sizeBytes, (buffer, at, batchPosition, sizeBytes) => {
      const baseOffset = batchHeader.baseOffset(buffer, at)
      const lastOffset = lastOffsetOf(buffer, at)
      if (batchPosition === position && position > 0 && (baseOffset > offset || baseOffset < this.baseOffset)) {
        isIndexWrong = true
        return false
      }
      if (lastOffset < offset) return true
      place = placeOf(buffer, at, batchPosition, sizeBytes)
      return false
    })
    if (isIndexWrong) return 'index is wrong'
    if (problem !== undefined) {
      if (position > 0 && end === position) return 'index is wrong'
      throw new KafkaError('CORRUPT_MESSAGE', `${this.file.path} cannot be read at ${end}: ${problem}`)
    }
    return place
  }

  async #loadIndexes(): Promise<void> {
    const problem =
      (await this.#loadIndex(this.offsetIndex)) ?? (await this.#loadIndex(this.timeIndex)) ?? (await this.#refreshMaxTimestamp())
    if (problem === undefined) return
    this.#context.logger.warn('Rebuilding the indexes of a segment', { path: this.file.path, reason: problem })
    await this.rebuildIndexes()
  }

  async #loadIndex(index: OffsetIndex | TimeIndex): Promise<string | undefined> {
    if (index.file.isLoaded) return undefined
    const problem = await index.load(this.sizeBytes)
    return problem === undefined ? undefined : `${index.file.path}: ${problem}`
  }

  /**
   * Finds the largest timestamp: that of the time index's last entry, unless a batch behind it has a larger one, as when the index was cut.
   * Returns what is wrong with that entry, or nothing.
   */
  async #refreshMaxTimestamp(): Promise<string | undefined> {
    const last = this.timeIndex.lastEntry
    if (this.timeIndex.count > 0) {
      const place = await this.#findFrom(this.offsetIndex.lookup(last.offset).position, last.offset)
      if (place === 'index is wrong') return `${this.offsetIndex.file.path}: it does not match its log`
      if (place === undefined || place.maxTimestamp !== last.timestamp) {
        return `${this.timeIndex.file.path}: its last entry does not match the log`
      }
    }
    let max = last
    const from = this.timeIndex.count > 0 ? this.offsetIndex.lookup(last.offset).position : 0
    await this.scanHeaders(from, (buffer, at) => {
      const timestamp = maxTimestampOf(buffer, at)
      if (timestamp > max.timestamp) max = { timestamp, offset: lastOffsetOf(buffer, at) }
      return true
    })
    this.#indexes.maxTimestamp = max
    return undefined
  }

  #rememberRead(nextOffset: number, nextPosition: number): void {
    this.#readEnds.delete(nextOffset)
    this.#readEnds.set(nextOffset, nextPosition)
    if (this.#readEnds.size <= REMEMBERED_READS) return
    for (const oldest of this.#readEnds.keys()) {
      this.#readEnds.delete(oldest)
      break
    }
  }
}
