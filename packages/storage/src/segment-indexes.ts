import { invariant } from '@tidelog/core'
import type { FileSystem } from './file-system.ts'
import { OffsetIndex } from './offset-index.ts'
import { TimeIndex, type TimestampOffset } from './time-index.ts'

/** Where a batch lies in a segment, as far as indexes go. */
export interface NotedBatch {
  readonly position: number
  readonly sizeBytes: number
  readonly lastOffset: number
  readonly maxTimestamp: number
}

/** The offset and time index of one segment and the timestamps it rolls and is found by. Appends, recovery and rebuilding all note batches here, so they give the same indexes. */
export class SegmentIndexes {
  readonly offsets: OffsetIndex
  readonly times: TimeIndex
  /** Timestamp of the first batch; undefined while it is not known. */
  firstTimestamp: number | undefined
  /** The files may differ from what a power cut would leave of them. */
  isUnsynced = false
  readonly #baseOffset: number
  #maxTimestamp: TimestampOffset | undefined
  #bytesSinceEntry = 0

  constructor(fs: FileSystem, paths: { offsets: string; times: string }, baseOffset: number) {
    this.offsets = new OffsetIndex(fs, paths.offsets, baseOffset)
    this.times = new TimeIndex(fs, paths.times, baseOffset)
    this.#baseOffset = baseOffset
  }

  /** The indexes are in memory and the largest timestamp is known. */
  get isLoaded(): boolean {
    return this.offsets.file.isLoaded && this.times.file.isLoaded && this.#maxTimestamp !== undefined
  }

  /** The files say all that is in memory. */
  get areInFiles(): boolean {
    return this.offsets.file.isInFile && this.times.file.isInFile
  }

  get memoryBytes(): number {
    return this.offsets.file.memoryBytes + this.times.file.memoryBytes
  }

  /** The largest timestamp and the last offset of the batch that has it. */
  get maxTimestamp(): TimestampOffset {
    invariant(this.#maxTimestamp !== undefined, `${this.times.file.path}: the timestamps of its log are not known yet`)
    return this.#maxTimestamp
  }

  set maxTimestamp(found: TimestampOffset) {
    this.#maxTimestamp = found
  }

  /** Begins anew, in memory, for a segment whose batches will be noted one after the other. */
  clear(): void {
    this.offsets.file.clear()
    this.times.file.clear()
    this.#maxTimestamp = { timestamp: -1, offset: this.#baseOffset }
    this.firstTimestamp = undefined
    this.#bytesSinceEntry = 0
    this.isUnsynced = true
  }

  /**
   * Takes in the batch that follows those noted so far: an entry goes before the first batch that starts more than index.interval.bytes behind the one
   * of the last entry.
   */
  note({ position, sizeBytes, lastOffset, maxTimestamp }: NotedBatch, indexIntervalBytes: number): void {
    this.isUnsynced = true
    if (maxTimestamp > this.maxTimestamp.timestamp) this.#maxTimestamp = { timestamp: maxTimestamp, offset: lastOffset }
    if (this.firstTimestamp === undefined) this.firstTimestamp = maxTimestamp
    if (this.#bytesSinceEntry > indexIntervalBytes) {
      this.offsets.append(lastOffset, position)
      this.noteMaxTimestamp()
      this.#bytesSinceEntry = 0
    }
    this.#bytesSinceEntry += sizeBytes
  }

  /** Adds the largest timestamp to the time index, unless it is there: beside every entry of the offset index, and at a segment's end. */
  noteMaxTimestamp(): void {
    this.times.maybeAppend(this.maxTimestamp.timestamp, this.maxTimestamp.offset)
  }

  /** Drops entries for `offset` and beyond; the largest timestamp has to be found anew. */
  truncateTo(offset: number): void {
    this.offsets.truncateTo(offset)
    this.times.truncateTo(offset)
    this.#bytesSinceEntry = 0
    this.isUnsynced = true
  }

  /** Brings the files up to date, without what is preallocated. */
  async write({ sync }: { sync: boolean }): Promise<void> {
    for (const { file } of [this.offsets, this.times]) if (file.isLoaded && (await file.write({ trim: true, sync }))) this.isUnsynced = true
    if (sync) this.isUnsynced = false
  }

  /** Drops the copies in memory. */
  unload(): void {
    this.offsets.file.unload()
    this.times.file.unload()
  }
}
