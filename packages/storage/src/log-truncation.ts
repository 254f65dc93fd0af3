import { restoreProducers } from './log-loader.ts'
import type { LogState } from './log-state.ts'
import { Segment } from './segment.ts'

export interface TruncationActions {
  remove(segment: Segment): Promise<void>
  /** The recovery point went back: on disk when it resolves. */
  onRecoveryPointLowered(): Promise<void>
  /** The same of the log's start. */
  onLogStartLowered(): Promise<void>
}

/**
 * Removes batches that hold or lie behind `offset`. Epochs, producers, recovery point and high watermark follow. On disk when it resolves: what is
 * written behind the cut must never stand beside what was cut off, whatever a power cut takes.
 */
export async function truncateLog(state: LogState, offset: number, actions: TruncationActions): Promise<void> {
  const { segments, epochs, snapshots, logger } = state
  if (offset >= state.logEndOffset) return
  if (offset <= segments.first.baseOffset) return truncateFully(state, offset, actions)
  const last = segments.indexOf(offset - 1)
  const place = await segments.all[last]!.findBatch(offset)
  // The batch at the cut holds the log's start too: with it nothing is left, and the start stays where it is.
  if (place !== undefined && place.baseOffset < state.logStartOffset) return truncateFully(state, state.logStartOffset, actions)
  logger.info('Truncating a log', { partition: state.name, from: state.logEndOffset, to: offset })
  await lowerRecoveryPoint(state, place?.baseOffset ?? offset, actions)
  await removeFrom(state, last + 1, actions)
  const { active } = segments
  if (place !== undefined) {
    await active.truncateTo(offset)
    await active.sealDurably()
    state.logEndOffset = place.baseOffset
  } else {
    state.logEndOffset = offset
  }
  active.isPreallocated = false
  await settle(state, actions)
  await snapshots.removeAfter(state.logEndOffset)
  epochs.truncateFromEnd(state.logEndOffset)
  await epochs.save()
  await syncNames(state)
  await restoreProducers(state)
}

/** Removes all records; the next one gets `offset`. On disk when it resolves. */
export async function truncateFully(state: LogState, offset: number, actions: TruncationActions): Promise<void> {
  const { segments, epochs, snapshots, producers, context, config, clock, logger } = state
  logger.info('Removing all records of a log', { partition: state.name, startAt: offset })
  await lowerRecoveryPoint(state, Math.min(offset, segments.first.baseOffset), actions)
  await removeFrom(state, 0, actions)
  segments.add(await Segment.create(context, offset, config['segment.index.bytes'], clock.now()))
  state.logEndOffset = offset
  await settle(state, actions)
  state.logStartOffset = offset
  epochs.clear()
  await epochs.save()
  producers.clear()
  await snapshots.removeAfter(-1)
  await syncNames(state)
}

/** Ahead of the cut: a start that finds it half done must look at all that is left behind it. */
async function lowerRecoveryPoint(state: LogState, offset: number, { onRecoveryPointLowered }: TruncationActions): Promise<void> {
  if (state.recoveryPoint <= offset) return
  state.recoveryPoint = offset
  await onRecoveryPointLowered()
}

/** Newest first, each on disk before the next: what a stop leaves is a log without a hole. */
async function removeFrom(state: LogState, index: number, { remove }: TruncationActions): Promise<void> {
  for (const segment of state.segments.removeFrom(index).reverse()) {
    await remove(segment)
    await syncNames(state)
  }
}

function syncNames({ context: { fs, dir } }: LogState): Promise<void> {
  return fs.syncDirectory(dir)
}

async function settle(state: LogState, { onLogStartLowered }: TruncationActions): Promise<void> {
  state.tail.clear()
  state.activeSinceMs = state.clock.now()
  state.highWatermark = Math.min(state.highWatermark, state.logEndOffset)
  if (state.logStartOffset <= state.logEndOffset) return
  state.logStartOffset = state.logEndOffset
  await onLogStartLowered()
}
