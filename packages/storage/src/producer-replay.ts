import { batchAt } from '@tidelog/protocol'
import { markerOf } from './append-validation.ts'
import { scanBatches } from './batch-scan.ts'
import type { LogState } from './log-state.ts'
import { ProducerState } from './producer-state.ts'
import type { Segment } from './segment.ts'
import { leaderEpochOf } from './stored-batch.ts'
import type { AbortedTransaction } from './transaction-index.ts'

const SCAN_CHUNK_BYTES = 1024 * 1024

export interface ReplayedSegment {
  /** Transactions that were aborted by what was read, in the order of their markers. */
  readonly aborted: AbortedTransaction[]
  /** Why not all of it could be read. */
  readonly problem?: string
}

/**
 * Reads a segment's batches into `producers`, as they were appended.
 * @param options `from`: begins with the batch that holds this offset, or the first behind it. `producersFrom`: batches before it are known already.
 * `onEpoch` is told the leader epoch and first offset of every batch.
 */
export async function replaySegment(
  segment: Segment,
  producers: ProducerState,
  {
    from = segment.baseOffset,
    producersFrom = from,
    onEpoch,
  }: { from?: number; producersFrom?: number; onEpoch?: (epoch: number, firstOffset: number) => void } = {},
): Promise<ReplayedSegment> {
  const { fs, pool, readMemory } = segment.context
  const position = from <= segment.baseOffset ? 0 : (await segment.findBatch(from))?.position
  const aborted: AbortedTransaction[] = []
  if (position === undefined) return { aborted }
  const { end, problem } = await pool.use(segment.file, (fd) =>
    scanBatches(
      fs,
      fd,
      { from: position, to: segment.sizeBytes, chunkBytes: SCAN_CHUNK_BYTES, need: 'whole', memory: readMemory },
      (buffer, at, _position, sizeBytes) => {
        const batch = batchAt(buffer, at, at + sizeBytes)!
        onEpoch?.(leaderEpochOf(buffer, at), batch.baseOffset)
        if (batch.magic !== 2 || !batch.hasProducerId || batch.lastOffset < producersFrom) return true
        const producerBatch = {
          producerId: batch.producerId,
          producerEpoch: batch.producerEpoch,
          baseSequence: batch.baseSequence,
          firstOffset: batch.baseOffset,
          lastOffset: batch.lastOffset,
          maxTimestamp: batch.maxTimestamp,
          isTransactional: batch.isTransactional,
          isControl: batch.isControl,
          marker: markerOf(batch),
        }
        for (const { isAborted, ...transaction } of producers.append([producerBatch], 'replication')) {
          if (isAborted) aborted.push(transaction)
        }
        return true
      },
    ),
  )
  return problem === undefined ? { aborted } : { aborted, problem: `${segment.file.path} cannot be read at ${end}: ${problem}` }
}

/**
 * Makes the transaction index of a segment anew, on disk when it resolves: from the newest producer snapshot that is not behind the segment's beginning
 * and the batches behind that. Transactions behind damage that cannot be read stay unknown; whoever reads there is told of the damage itself.
 */
export async function rebuildTransactionIndex(state: LogState, segment: Segment): Promise<void> {
  const { segments, snapshots, logger, name } = state
  const producers = new ProducerState(name)
  const snapshot = await snapshots.newest(segment.baseOffset)
  // Expired producers too: the transactions of one that is silent are over all the same.
  if (snapshot !== undefined) producers.restore(snapshot.entries, 0, Number.POSITIVE_INFINITY)
  const from = snapshot?.offset ?? segments.first.baseOffset
  let aborted: AbortedTransaction[] = []
  for (const source of segments.all.slice(Math.max(0, segments.indexOf(from)), segments.all.indexOf(segment) + 1)) {
    const replayed = await replaySegment(source, producers, { from: Math.max(from, source.baseOffset) })
    aborted = replayed.aborted
    if (replayed.problem === undefined) continue
    logger.error('A transaction index is made from what can be read', { path: segment.transactionIndex.path, reason: replayed.problem })
  }
  await segment.transactionIndex.replace(aborted)
  await segment.transactionIndex.sync()
}
