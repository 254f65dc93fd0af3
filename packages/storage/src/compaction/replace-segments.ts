import { join } from 'node:path'
import { INDEX_SUFFIX, LOG_SUFFIX, SWAP_SUFFIX, segmentFile, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX } from '../file-names.ts'
import type { LogState } from '../log-state.ts'
import { Segment } from '../segment.ts'
import { cleanedPath } from './cleaned-segment.ts'

/** Whether segments are still what they were when a compacted one was made from them. */
export function areUnchanged({ segments }: LogState, old: readonly { readonly segment: Segment; readonly sizeBytes: number }[]): boolean {
  const place = segments.all.indexOf(old[0]!.segment)
  return (
    place >= 0 && old.every(({ segment, sizeBytes }, index) => segments.all[place + index] === segment && segment.sizeBytes === sizeBytes)
  )
}

/** A compacted segment whose files are forced to disk. */
export interface NewSegment {
  readonly baseOffset: number
  readonly sizeBytes: number
  readonly hasTransactionIndex: boolean
  readonly modifiedMs: number
}

const suffixesOf = ({ hasTransactionIndex }: NewSegment): string[] => [
  LOG_SUFFIX,
  INDEX_SUFFIX,
  TIME_INDEX_SUFFIX,
  ...(hasTransactionIndex ? [TRANSACTION_INDEX_SUFFIX] : []),
]

/*
 * A compacted segment takes the place of those that it was made from in steps, each on disk before the next begins, so that a stop may come anywhere and
 * `finishInterruptedChanges` goes on from there: its files, *.cleaned, become *.swap, which count; the old ones leave; *.swap get their names.
 */

/** The first step: from now on the compacted segment counts. Nobody else may remove segments until `replaceSegments` has. */
export async function promoteToSwap({ context }: LogState, segment: NewSegment): Promise<void> {
  const { fs, dir } = context
  for (const suffix of suffixesOf(segment)) {
    await fs.rename(cleanedPath(dir, segment.baseOffset, suffix), join(dir, segmentFile(segment.baseOffset, suffix) + SWAP_SUFFIX))
  }
  await fs.syncDirectory(dir)
}

/**
 * The other steps, but for the last sync. Readers of the old segments end well.
 * @param old Neighbours in the log. @param remove Takes a segment's files out of service.
 */
export async function replaceSegments(
  state: LogState,
  old: readonly Segment[],
  cleaned: NewSegment,
  remove: (segment: Segment) => Promise<void>,
): Promise<void> {
  const { segments, context } = state
  const { fs, dir } = context
  const { baseOffset } = cleaned
  const finalPath = (suffix: string): string => join(dir, segmentFile(baseOffset, suffix))
  for (const segment of old) await remove(segment)
  await fs.syncDirectory(dir)
  for (const suffix of suffixesOf(cleaned)) await fs.rename(finalPath(suffix) + SWAP_SUFFIX, finalPath(suffix))
  const replacement = new Segment(context, baseOffset, cleaned.sizeBytes, cleaned.modifiedMs)
  const place = segments.all.indexOf(old[0]!)
  if (cleaned.hasTransactionIndex)
    await replacement.transactionIndex.load({ base: baseOffset, end: segments.all[place + old.length]!.baseOffset })
  segments.replace(place, old.length, replacement)
  // They stand at the beginnings of segments; those that were merged into another have none any more.
  await state.snapshots.removeAt(new Set(old.slice(1).map((segment) => segment.baseOffset)))
  // What is in memory of them is what they were.
  state.tail.dropBefore(segments.all[place + 1]!.baseOffset)
}
