import type { LogState } from '../log-state.ts'
import type { Segment } from '../segment.ts'

/** How much of a log there is to clean. */
export interface Cleanable {
  /** Before it the log was cleaned. */
  readonly firstDirtyOffset: number
  /** Where the first segment begins that must stay as it is. */
  readonly firstUncleanableOffset: number
  /** Share of what can be cleaned that was not cleaned before; 0 when there is nothing. */
  readonly dirtyRatio: number
  /** A record has waited for max.compaction.lag.ms. */
  readonly isOverdue: boolean
  /** The checkpoint is no offset of this log: `firstDirtyOffset` should take its place. */
  readonly isCheckpointWrong: boolean
}

/**
 * Works out what of a log can be cleaned: whole segments behind the checkpoint that lie below the last stable offset, are not the active one and hold
 * nothing younger than min.compaction.lag.ms. Rules are those of Kafka 4.3's LogCleanerManager.
 * @param checkpoint From cleaner-offset-checkpoint.
 */
export async function cleanableOf(
  state: LogState,
  { checkpoint, lastStableOffset }: { checkpoint: number | undefined; lastStableOffset: number },
): Promise<Cleanable> {
  const { config, clock, logger, logStartOffset, logEndOffset, segments } = state
  const nowMs = clock.now()
  let firstDirtyOffset = checkpoint ?? logStartOffset
  const isCheckpointWrong = firstDirtyOffset < logStartOffset || firstDirtyOffset > logEndOffset
  if (isCheckpointWrong) {
    // With cleanup.policy=compact,delete the log's start overtakes the checkpoint in the ordinary course of things.
    if (firstDirtyOffset > logEndOffset || !config['cleanup.policy'].includes('delete')) {
      logger.warn('The cleaner checkpoint is no offset of the log; all of it is cleaned anew', {
        partition: state.name,
        checkpoint: firstDirtyOffset,
        logStartOffset,
        logEndOffset,
      })
    }
    firstDirtyOffset = logStartOffset
  }
  const { active } = segments
  const dirty = segmentsFrom(state, firstDirtyOffset)
  const young = await firstYoung(dirty, nowMs - config['min.compaction.lag.ms'], config['min.compaction.lag.ms'])
  const limit = Math.min(lastStableOffset, young?.baseOffset ?? Number.POSITIVE_INFINITY)
  const firstUncleanableOffset = (segmentsFrom(state, limit)[0] ?? active).baseOffset
  let cleanBytes = 0
  let dirtyBytes = 0
  for (const segment of segments.all) if (segment.baseOffset < firstDirtyOffset) cleanBytes += segment.sizeBytes
  for (const segment of dirty) if (segment.baseOffset < firstUncleanableOffset) dirtyBytes += segment.sizeBytes
  const totalBytes = cleanBytes + dirtyBytes
  return {
    firstDirtyOffset,
    firstUncleanableOffset,
    dirtyRatio: totalBytes === 0 ? 0 : dirtyBytes / totalBytes,
    isOverdue: dirtyBytes > 0 && (await isOverdue(dirty, nowMs - config['max.compaction.lag.ms'])),
    isCheckpointWrong,
  }
}

/** Closed segments from the one that holds `offset` on. */
function segmentsFrom({ segments }: LogState, offset: number): readonly Segment[] {
  return segments.all.slice(Math.max(0, segments.indexOf(offset)), -1)
}

async function firstYoung(closed: readonly Segment[], olderThanMs: number, lagMs: number): Promise<Segment | undefined> {
  if (lagMs === 0) return undefined
  for (const segment of closed) {
    await segment.load()
    if (segment.largestTimestampMs > olderThanMs) return segment
  }
  return undefined
}

/** Whether a segment begins with a batch from before `beforeMs`. Without max.compaction.lag.ms nothing is that old. */
async function isOverdue(closed: readonly Segment[], beforeMs: number): Promise<boolean> {
  if (beforeMs <= 0) return false
  for (const segment of closed) {
    const timestamp = (await segment.firstTimestamp()) ?? -1
    if (timestamp > 0 && timestamp < beforeMs) return true
  }
  return false
}
