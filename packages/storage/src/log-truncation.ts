import { restoreProducers } from './log-loader.ts'
import type { LogState } from './log-state.ts'
import { Segment } from './segment.ts'

type RemoveSegment = (segment: Segment) => Promise<void>

/** Removes batches that hold or lie behind `offset`. Epochs, producers, recovery point and high watermark follow. */
export async function truncateLog(state: LogState, offset: number, remove: RemoveSegment): Promise<void> {
  const { segments, epochs, snapshots, logger } = state
  if (offset >= state.logEndOffset) return
  if (offset <= segments.first.baseOffset) return truncateFully(state, offset, remove)
  logger.info('Truncating a log', { partition: state.name, from: state.logEndOffset, to: offset })
  for (const segment of segments.removeFrom(segments.indexOf(offset - 1) + 1)) await remove(segment)
  const { active } = segments
  const place = await active.findBatch(offset)
  if (place !== undefined) {
    await active.truncateTo(offset)
    state.logEndOffset = place.baseOffset
  } else {
    state.logEndOffset = offset
  }
  active.isPreallocated = false
  await settle(state)
  await snapshots.removeAfter(state.logEndOffset)
  epochs.truncateFromEnd(state.logEndOffset)
  await epochs.save()
  await restoreProducers(state)
}

/** Removes all records; the next one gets `offset`. */
export async function truncateFully(state: LogState, offset: number, remove: RemoveSegment): Promise<void> {
  const { segments, epochs, snapshots, producers, context, config, clock, logger } = state
  logger.info('Removing all records of a log', { partition: state.name, startAt: offset })
  for (const segment of segments.removeFrom(0)) await remove(segment)
  segments.add(await Segment.create(context, offset, config['segment.index.bytes'], clock.now()))
  state.logEndOffset = offset
  state.logStartOffset = offset
  await settle(state)
  epochs.clear()
  await epochs.save()
  producers.clear()
  await snapshots.removeAfter(-1)
}

async function settle(state: LogState): Promise<void> {
  state.tail.clear()
  state.activeSinceMs = state.clock.now()
  state.recoveryPoint = Math.min(state.recoveryPoint, state.logEndOffset)
  state.highWatermark = Math.min(state.highWatermark, state.logEndOffset)
  state.logStartOffset = Math.min(state.logStartOffset, state.logEndOffset)
}
