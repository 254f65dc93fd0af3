import { invariant } from '@tidelog/core'
import { batchHeader } from '@tidelog/protocol'
import { scanBatches } from './batch-scan.ts'
import { readFully, writeFully } from './file-system.ts'
import { MAX_RELATIVE_OFFSET, type OffsetIndex } from './offset-index.ts'
import type { Segment } from './segment.ts'
import type { SegmentIndexes } from './segment-indexes.ts'
import { lastOffsetOf, maxTimestampOf } from './stored-batch.ts'
import type { TimeIndex } from './time-index.ts'

const SCAN_CHUNK_BYTES = 1024 * 1024

export interface RecoveredSegment {
  /** Behind the last batch; the base offset when there is none. */
  readonly nextOffset: number
  /** Bytes that were cut off the end, and why. */
  readonly cutBytes: number
  readonly problem?: string
}

/**
 * Reads a segment that may have been written to when its broker stopped: every batch is checked, the log is cut at the first that is torn or wrong, and
 * the indexes are made to match. Indexes that match already stay as they are, byte for byte. The transaction index is left in doubt where there is
 * something to say in it: that takes the segments before.
 * @param fileBytes Size of the log file.
 */
export async function recoverSegment(segment: Segment, fileBytes: number, indexIntervalBytes: number): Promise<RecoveredSegment> {
  const { fs, pool, readMemory } = segment.context
  const old = segment.newIndexes()
  const mayKeep = (await old.offsets.load(fileBytes)) === undefined && (await old.times.load(fileBytes)) === undefined
  const matcher = mayKeep ? new IndexMatcher(old) : undefined

  const rebuilt = segment.newIndexes()
  rebuilt.clear()
  let nextOffset = segment.baseOffset
  let hasMarkers = false
  const { end, problem } = await pool.use(segment.file, (fd) =>
    scanBatches(
      fs,
      fd,
      { from: 0, to: fileBytes, chunkBytes: SCAN_CHUNK_BYTES, need: 'checked', memory: readMemory },
      (buffer, at, position, sizeBytes) => {
        const lastOffset = lastOffsetOf(buffer, at)
        if (lastOffset < nextOffset || lastOffset - segment.baseOffset > MAX_RELATIVE_OFFSET) return false
        rebuilt.note({ position, sizeBytes, lastOffset, maxTimestamp: maxTimestampOf(buffer, at) }, indexIntervalBytes)
        hasMarkers ||= batchHeader.magic(buffer, at) === 2 && batchHeader.isControl(buffer, at)
        matcher?.note(position, lastOffset, rebuilt.maxTimestamp.timestamp)
        nextOffset = lastOffset + 1
        return true
      },
    ),
  )
  rebuilt.noteMaxTimestamp()
  // A power cut may have taken any of it.
  if (hasMarkers || segment.transactionIndex.exists) segment.transactionIndex.doubt()
  const cutBytes = fileBytes - end
  if (cutBytes > 0) {
    // On disk before anything is written there, or a power cut could leave the one beside the other.
    await pool.use(segment.file, async (fd) => {
      await fs.truncate(fd, end)
      await fs.sync(fd)
    })
  }
  if (cutBytes === 0 && matcher?.matches(rebuilt) === true) {
    old.maxTimestamp = rebuilt.maxTimestamp
    old.firstTimestamp = rebuilt.firstTimestamp
    old.isUnsynced = true // whoever wrote them did not stop in order
    segment.recovered(old, end)
  } else {
    segment.recovered(rebuilt, end)
    await segment.seal()
  }
  if (cutBytes === 0) return { nextOffset, cutBytes }
  return { nextOffset, cutBytes, problem: problem ?? 'an offset goes back or lies beyond the segment' }
}

/**
 * Writes what is there again, from the batch that holds `offset` on, and makes it outlive a power cut. After a failed fsync the kernel counts pages as
 * clean that the disk never got: reading finds them, and only writing them brings them to disk.
 */
export async function writeAgain(segment: Segment, offset: number): Promise<void> {
  const { fs, pool } = segment.context
  const place = await segment.findBatch(offset)
  if (place === undefined) return
  await pool.use(segment.file, async (fd) => {
    for (let position = place.position; position < segment.sizeBytes; ) {
      const bytes = Buffer.allocUnsafe(Math.min(SCAN_CHUNK_BYTES, segment.sizeBytes - position))
      const filled = await readFully(fs, fd, bytes, position)
      invariant(filled === bytes.length, `${segment.file.path} ends before ${segment.sizeBytes}`)
      await writeFully(fs, fd, bytes, position)
      position += filled
    }
    await fs.sync(fd)
  })
}

/** Follows the batches of a log beside the indexes that were found, to tell whether every entry of theirs is true. */
class IndexMatcher {
  readonly #offsets: OffsetIndex
  readonly #times: TimeIndex
  #offsetEntry = 0
  #timeEntry = 0
  #matches = true

  constructor({ offsets, times }: SegmentIndexes) {
    this.#offsets = offsets
    this.#times = times
  }

  note(position: number, lastOffset: number, maxTimestampSoFar: number): void {
    if (this.#offsetEntry < this.#offsets.count && this.#offsets.positionAt(this.#offsetEntry) <= position) {
      if (this.#offsets.positionAt(this.#offsetEntry) !== position || this.#offsets.offsetAt(this.#offsetEntry) !== lastOffset)
        this.#matches = false
      this.#offsetEntry++
    }
    while (this.#timeEntry < this.#times.count && this.#times.offsetAt(this.#timeEntry) <= lastOffset) {
      if (this.#times.timestampAt(this.#timeEntry) !== maxTimestampSoFar) this.#matches = false
      this.#timeEntry++
    }
  }

  /** Also that there are about as many entries as `rebuilt` has, and that the time index ends with the largest timestamp. */
  matches(rebuilt: SegmentIndexes): boolean {
    return (
      this.#matches &&
      this.#offsetEntry === this.#offsets.count &&
      this.#timeEntry === this.#times.count &&
      this.#offsets.count * 2 >= rebuilt.offsets.count &&
      this.#times.lastEntry.timestamp === rebuilt.times.lastEntry.timestamp
    )
  }
}
