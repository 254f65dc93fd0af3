import { join } from 'node:path'
import { scanBatches } from './batch-scan.ts'
import {
  CLEANED_SUFFIX,
  DELETED_SUFFIX,
  INDEX_SUFFIX,
  LOG_SUFFIX,
  parseSegmentFile,
  SWAP_SUFFIX,
  segmentFile,
  TIME_INDEX_SUFFIX,
  TRANSACTION_INDEX_SUFFIX,
} from './file-names.ts'
import { Segment, type SegmentContext } from './segment.ts'
import { lastOffsetOf } from './stored-batch.ts'

const SEGMENT_SUFFIXES = [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX]

/**
 * Finishes what a stop interrupted, by the names that are left, as Kafka does: *.deleted were on their way out; *.cleaned are compacted segments that
 * were not whole yet; *.swap are whole ones that replace all segments in their range, some of which may be gone already.
 * @param names Files in the folder. @returns The files that are left.
 */
export async function finishInterruptedChanges(context: SegmentContext, names: readonly string[]): Promise<string[]> {
  const { fs, dir, logger } = context
  const left = new Set(names)
  const remove = async (name: string): Promise<void> => {
    await fs.unlink(join(dir, name))
    left.delete(name)
  }
  let firstCleaned = Number.POSITIVE_INFINITY
  for (const name of names) {
    const original = originalName(name)
    if (original === undefined) continue
    if (name.endsWith(CLEANED_SUFFIX)) firstCleaned = Math.min(firstCleaned, original.baseOffset)
    if (name.endsWith(DELETED_SUFFIX) || name.endsWith(CLEANED_SUFFIX)) await remove(name)
  }
  for (const name of [...left]) {
    const original = originalName(name)
    // A split that did not come to its end: its source is still there.
    if (original !== undefined && original.baseOffset >= firstCleaned) await remove(name)
  }
  for (const name of [...left]) {
    const original = originalName(name)
    if (original === undefined || original.suffix !== LOG_SUFFIX) continue
    const nextOffset = await nextOffsetOf(context, original.baseOffset, name)
    logger.info('Finishing the replacement of segments by a compacted one', { path: join(dir, name), nextOffset })
    for (const other of [...left]) {
      const suffix = SEGMENT_SUFFIXES.find((candidate) => other.endsWith(candidate))
      const baseOffset = suffix === undefined ? undefined : parseSegmentFile(other, suffix)
      if (baseOffset !== undefined && baseOffset >= original.baseOffset && baseOffset < nextOffset) await remove(other)
    }
  }
  const swaps = [...left].filter((name) => originalName(name) !== undefined)
  if (swaps.length === 0) return [...left]
  await fs.syncDirectory(dir) // the covered ones are gone before what covers them looks like any other
  for (const name of swaps) {
    const original = originalName(name)!
    const final = segmentFile(original.baseOffset, original.suffix)
    await fs.rename(join(dir, name), join(dir, final))
    left.delete(name)
    left.add(final)
  }
  await fs.syncDirectory(dir)
  return [...left]
}

/** The segment file that NAME.deleted, .cleaned or .swap is or was to be; undefined for any other name. */
function originalName(name: string): { baseOffset: number; suffix: string } | undefined {
  const mark = [DELETED_SUFFIX, CLEANED_SUFFIX, SWAP_SUFFIX].find((candidate) => name.endsWith(candidate))
  if (mark === undefined) return undefined
  const original = name.slice(0, -mark.length)
  for (const suffix of SEGMENT_SUFFIXES) {
    const baseOffset = parseSegmentFile(original, suffix)
    if (baseOffset !== undefined) return { baseOffset, suffix }
  }
  return undefined
}

async function nextOffsetOf(context: SegmentContext, baseOffset: number, name: string): Promise<number> {
  const { fs, pool, dir } = context
  const path = join(dir, name)
  const segment = new Segment(context, baseOffset, (await fs.stat(path))?.sizeBytes ?? 0, 0)
  segment.file.path = path
  let nextOffset = baseOffset
  await pool.use(segment.file, (fd) =>
    scanBatches(fs, fd, { from: 0, to: segment.sizeBytes, chunkBytes: 64 * 1024, need: 'header' }, (buffer, at) => {
      nextOffset = lastOffsetOf(buffer, at) + 1
      return true
    }),
  )
  await pool.close(segment.file, { forEver: true })
  return nextOffset
}
