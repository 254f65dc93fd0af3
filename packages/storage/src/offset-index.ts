import { invariant } from '@tidelog/core'
import type { FileSystem } from './file-system.ts'
import { IndexFile } from './index-file.ts'

/*
 * NNN.index: entries of 8 bytes, both numbers big-endian int32, offsets growing strictly, positions too:
 *   0  last offset of a batch - base offset of the segment
 *   4  position in NNN.log where that batch starts
 * One entry every index.interval.bytes. An active segment's file is preallocated with zeros and trimmed when the segment is rolled or closed.
 */
const ENTRY_BYTES = 8
/** An index can name offsets up to this far behind its segment's base offset, so a segment holds no others. */
export const MAX_RELATIVE_OFFSET = 0x7fffffff

export interface OffsetPosition {
  readonly offset: number
  readonly position: number
}

/** Sparse map from offset to position of one segment. */
export class OffsetIndex {
  readonly baseOffset: number
  readonly file: IndexFile

  constructor(fs: FileSystem, path: string, baseOffset: number) {
    this.file = new IndexFile(fs, path, ENTRY_BYTES)
    this.baseOffset = baseOffset
  }

  get count(): number {
    return this.file.count
  }

  /** Last offset that has an entry; the base offset when none has. */
  get lastOffset(): number {
    return this.count === 0 ? this.baseOffset : this.offsetAt(this.count - 1)
  }

  isFull(maxBytes: number): boolean {
    return this.count >= Math.floor(maxBytes / ENTRY_BYTES)
  }

  offsetAt(entry: number): number {
    return this.baseOffset + this.file.entries.readInt32BE(entry * ENTRY_BYTES)
  }

  positionAt(entry: number): number {
    return this.file.entries.readInt32BE(entry * ENTRY_BYTES + 4)
  }

  append(offset: number, position: number): void {
    const relative = offset - this.baseOffset
    invariant(relative >= 0 && relative <= MAX_RELATIVE_OFFSET, `offset ${offset} lies outside ${this.file.path}`)
    invariant(this.count === 0 || offset > this.lastOffset, `offset ${offset} does not follow ${this.lastOffset} in ${this.file.path}`)
    const at = this.file.push()
    this.file.entries.writeInt32BE(relative, at)
    this.file.entries.writeInt32BE(position, at + 4)
  }

  /** Number of the last entry whose offset is not beyond `offset`; -1 when there is none. */
  entryFor(offset: number): number {
    const entries = this.file.entries
    const relative = offset - this.baseOffset
    let low = 0
    let high = this.count - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      if (entries.readInt32BE(middle * ENTRY_BYTES) <= relative) low = middle + 1
      else high = middle - 1
    }
    return high
  }

  /** Where to begin to look for `offset`: no batch before this position holds it. */
  lookup(offset: number): OffsetPosition {
    const entry = this.entryFor(offset)
    return entry < 0 ? { offset: this.baseOffset, position: 0 } : { offset: this.offsetAt(entry), position: this.positionAt(entry) }
  }

  /** Drops entries for `offset` and beyond. */
  truncateTo(offset: number): void {
    this.file.keep(this.entryFor(offset - 1) + 1)
  }

  /**
   * Reads the file and says what is wrong with it, or nothing: missing, not whole entries, offsets or positions that go back or lie outside the segment.
   * @param logBytes Size of the segment's log file.
   */
  async load(logBytes: number): Promise<string | undefined> {
    const sizeBytes = await this.file.load(logBytes + ENTRY_BYTES) // a batch is far longer than an entry
    if (sizeBytes === undefined) return 'it is missing'
    if (sizeBytes > logBytes + ENTRY_BYTES) return `it has ${sizeBytes} bytes for a log of ${logBytes}`
    if (sizeBytes % ENTRY_BYTES !== 0) return `its size ${sizeBytes} is no multiple of ${ENTRY_BYTES}`
    let lastRelative = -1
    let lastPosition = -1
    const entries = this.file.entries
    for (let at = 0; at < sizeBytes; at += ENTRY_BYTES) {
      const relative = entries.readInt32BE(at)
      const position = entries.readInt32BE(at + 4)
      if (relative <= lastRelative) return `entry ${at / ENTRY_BYTES} goes back in offset`
      if (position <= lastPosition) return `entry ${at / ENTRY_BYTES} goes back in position`
      if (position >= logBytes) return `entry ${at / ENTRY_BYTES} points beyond the log`
      lastRelative = relative
      lastPosition = position
    }
    return undefined
  }
}
