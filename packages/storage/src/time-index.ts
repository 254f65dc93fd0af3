import { invariant } from '@tidelog/core'
import type { FileSystem } from './file-system.ts'
import { IndexFile } from './index-file.ts'
import { MAX_RELATIVE_OFFSET } from './offset-index.ts'

/*
 * NNN.timeindex: entries of 12 bytes, big-endian:
 *   0  int64  largest timestamp in the segment so far, in ms since the Unix epoch
 *   8  int32  last offset of the first batch that has it - base offset of the segment
 * Timestamps grow strictly, offsets never go back. One entry beside each of NNN.index, if the timestamp grew, and one when the segment is rolled or closed.
 */
const ENTRY_BYTES = 12

export interface TimestampOffset {
  /** Ms since the Unix epoch; -1 when the segment has no record with a timestamp. */
  readonly timestamp: number
  readonly offset: number
}

/** Sparse map from timestamp to offset of one segment. */
export class TimeIndex {
  readonly baseOffset: number
  readonly file: IndexFile

  constructor(fs: FileSystem, path: string, baseOffset: number) {
    this.file = new IndexFile(fs, path, ENTRY_BYTES)
    this.baseOffset = baseOffset
  }

  get count(): number {
    return this.file.count
  }

  get lastEntry(): TimestampOffset {
    return this.count === 0 ? { timestamp: -1, offset: this.baseOffset } : this.entryAt(this.count - 1)
  }

  /** One place stays free for the entry that closes the segment. */
  isFull(maxBytes: number): boolean {
    return this.count >= Math.floor(maxBytes / ENTRY_BYTES) - 1
  }

  timestampAt(entry: number): number {
    return Number(this.file.entries.readBigInt64BE(entry * ENTRY_BYTES))
  }

  offsetAt(entry: number): number {
    return this.baseOffset + this.file.entries.readInt32BE(entry * ENTRY_BYTES + 8)
  }

  entryAt(entry: number): TimestampOffset {
    return { timestamp: this.timestampAt(entry), offset: this.offsetAt(entry) }
  }

  /** Adds an entry unless the timestamp has not grown since the last one. */
  maybeAppend(timestamp: number, offset: number): void {
    const last = this.lastEntry
    if (timestamp <= last.timestamp) return
    const relative = offset - this.baseOffset
    invariant(relative >= 0 && relative <= MAX_RELATIVE_OFFSET, `offset ${offset} lies outside ${this.file.path}`)
    invariant(this.count === 0 || offset >= last.offset, `offset ${offset} lies before ${last.offset} in ${this.file.path}`)
    const at = this.file.push()
    this.file.entries.writeBigInt64BE(BigInt(timestamp), at)
    this.file.entries.writeInt32BE(relative, at + 8)
  }

  /** The last entry whose timestamp is not beyond `timestamp`; the base offset with timestamp -1 when there is none. */
  lookup(timestamp: number): TimestampOffset {
    let low = 0
    let high = this.count - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      if (this.timestampAt(middle) <= timestamp) low = middle + 1
      else high = middle - 1
    }
    return high < 0 ? { timestamp: -1, offset: this.baseOffset } : this.entryAt(high)
  }

  /** Drops entries for `offset` and beyond. */
  truncateTo(offset: number): void {
    let keep = this.count
    while (keep > 0 && this.offsetAt(keep - 1) >= offset) keep--
    this.file.keep(keep)
  }

  /**
   * Reads the file and says what is wrong with it, or nothing.
   * @param logBytes Size of the segment's log file.
   */
  async load(logBytes: number): Promise<string | undefined> {
    const sizeBytes = await this.file.load(logBytes + ENTRY_BYTES)
    if (sizeBytes === undefined) return 'it is missing'
    if (sizeBytes > logBytes + ENTRY_BYTES) return `it has ${sizeBytes} bytes for a log of ${logBytes}`
    if (sizeBytes % ENTRY_BYTES !== 0) return `its size ${sizeBytes} is no multiple of ${ENTRY_BYTES}`
    let last = { timestamp: -1, offset: this.baseOffset }
    for (let entry = 0; entry < this.count; entry++) {
      const next = this.entryAt(entry)
      if (!Number.isSafeInteger(next.timestamp)) return `entry ${entry} has a timestamp out of range`
      if (next.timestamp <= last.timestamp) return `entry ${entry} goes back in time`
      if (next.offset < last.offset) return `entry ${entry} goes back in offset`
      last = next
    }
    return undefined
  }
}
