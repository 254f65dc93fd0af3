import type { LogState } from './log-state.ts'
import type { Segment } from './segment.ts'

/** How many of the oldest segments are due for deletion, and whether the active one is among them and must be rolled first. */
export interface DueSegments {
  readonly count: number
  readonly reason: string
  readonly includesActive: boolean
}

/**
 * Which segments retention removes, oldest first: those that lie before the log's start, and with cleanup.policy=delete those beyond retention.bytes or
 * older than retention.ms. None that reaches beyond the high watermark goes. Kafka's rules, UnifiedLog.deleteOldSegments.
 */
export async function dueSegments(state: LogState): Promise<DueSegments | undefined> {
  const { config } = state
  const before = await segmentsBeforeStart(state)
  if (before !== undefined) return before
  if (!config['cleanup.policy'].includes('delete')) return undefined
  const bySize = await beyondSize(state)
  if (bySize > 0) return due(state, bySize, `the log is larger than retention.bytes ${config['retention.bytes']}`)
  const byAge = await beyondAge(state)
  if (byAge > 0) return due(state, byAge, `it is older than retention.ms ${config['retention.ms']}`)
  return undefined
}

/** The segments that lie before the log's start as a whole: all that DeleteRecords may remove at once, whatever the records' age. */
export async function segmentsBeforeStart(state: LogState): Promise<DueSegments | undefined> {
  const { segments, logStartOffset } = state
  const next = (index: number): number => segments.all[index + 1]?.baseOffset ?? state.logEndOffset
  const before = await leading(state, (_segment, index) => index < segments.all.length - 1 && next(index) <= logStartOffset)
  return before > 0 ? due(state, before, 'it lies before the log start offset') : undefined
}

function due({ segments }: LogState, count: number, reason: string): DueSegments {
  return { count, reason, includesActive: count === segments.all.length }
}

async function beyondSize(state: LogState): Promise<number> {
  const retentionBytes = state.config['retention.bytes']
  let excess = state.segments.sizeBytes - retentionBytes
  if (retentionBytes < 0 || excess <= 0) return 0
  return leading(state, (segment) => {
    if (excess < segment.sizeBytes) return false
    excess -= segment.sizeBytes
    return true
  })
}

async function beyondAge(state: LogState): Promise<number> {
  const retentionMs = state.config['retention.ms']
  if (retentionMs < 0) return 0
  const nowMs = state.retentionClock.now()
  return leading(state, async (segment) => {
    await segment.load()
    return nowMs - segment.largestTimestampMs > retentionMs
  })
}

async function leading(state: LogState, isDue: (segment: Segment, index: number) => boolean | Promise<boolean>): Promise<number> {
  const all = [...state.segments.all]
  let count = 0
  for (const [index, segment] of all.entries()) {
    const end = all[index + 1]?.baseOffset ?? state.logEndOffset
    const isEmptyActive = index === all.length - 1 && segment.sizeBytes === 0
    if (isEmptyActive || end > state.highWatermark || !(await isDue(segment, index))) break
    count++
  }
  return count
}

/** Takes the segments out that `dueNow` names, until it names none. Returns how many went. */
export async function removeDue(
  state: LogState,
  dueNow: typeof dueSegments,
  actions: {
    readonly roll: () => Promise<void>
    /** Durable when it resolves. */
    readonly advanceLogStart: (offset: number) => Promise<void>
    /** Renames the segment's files. */
    readonly remove: (segment: Segment) => Promise<void>
  },
): Promise<number> {
  const { segments, snapshots, context, logger } = state
  let removed = 0
  for (;;) {
    const due = await dueNow(state)
    if (due === undefined) return removed
    if (due.includesActive) await actions.roll()
    // The checkpoint says where the log starts until the files are gone for good: a crash brings none of them back.
    await actions.advanceLogStart(segments.all[due.count]!.baseOffset)
    for (const segment of segments.all.slice(0, due.count)) {
      logger.info('Deleting a segment', { path: segment.file.path, sizeBytes: segment.sizeBytes, reason: due.reason })
      await actions.remove(segment)
    }
    await context.fs.syncDirectory(context.dir)
    removed += segments.removeFirst(due.count).length
    await snapshots.removeBefore(segments.first.baseOffset)
  }
}
