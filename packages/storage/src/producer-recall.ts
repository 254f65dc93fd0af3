import { batchHeader, KafkaError } from '@tidelog/protocol'
import type { LogState } from './log-state.ts'
import type { ProducerBatch } from './producer-state.ts'
import type { Segment } from './segment.ts'
import { lastOffsetOf, maxTimestampOf } from './stored-batch.ts'

/** Bytes before a snapshot that are looked at: many times what producers have in flight to one partition. */
const RECALL_BYTES = 256 * 1024
/** What was written so long before the segment behind it was last is not on its way any more. */
const RECALL_MS = 60_000

/**
 * A snapshot holds the last batch of every producer, in Kafka's format; a producer may have five on its way, and a broker that is killed right behind a
 * roll is sent all of them again. Those before the snapshot are read back from the segment that it closed: without them the first would look out of
 * order, as it does to Kafka, and the producer would send everything once more under another epoch, or give up.
 */
export async function recallBatches({ segments, producers, logger }: LogState, snapshotOffset: number): Promise<void> {
  const index = segments.indexOf(snapshotOffset)
  const behind = segments.all[index]
  const before = segments.all[index - 1]
  if (producers.size === 0 || behind?.baseOffset !== snapshotOffset || before === undefined) return
  if (behind.modifiedMs - before.modifiedMs > RECALL_MS) return
  const batches: ProducerBatch[] = []
  try {
    await before.scanHeaders(await recallFrom(before), (buffer, at) => {
      if (batchHeader.magic(buffer, at) !== 2 || !batchHeader.hasProducerId(buffer, at)) return true
      batches.push({
        producerId: batchHeader.producerId(buffer, at),
        producerEpoch: batchHeader.producerEpoch(buffer, at),
        baseSequence: batchHeader.baseSequence(buffer, at),
        firstOffset: batchHeader.baseOffset(buffer, at),
        lastOffset: lastOffsetOf(buffer, at),
        maxTimestamp: maxTimestampOf(buffer, at),
        isTransactional: batchHeader.isTransactional(buffer, at),
        isControl: batchHeader.isControl(buffer, at),
      })
      return true
    })
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error
    logger.warn('Batches before a snapshot cannot be read', { path: before.file.path, error })
    return
  }
  producers.recall(batches)
}

/** Where the batch of an index entry begins, about `RECALL_BYTES` before the end. */
async function recallFrom(segment: Segment): Promise<number> {
  await segment.load()
  const { offsetIndex, sizeBytes } = segment
  for (let entry = offsetIndex.count - 1; entry >= 0; entry--) {
    const position = offsetIndex.positionAt(entry)
    if (position <= sizeBytes - RECALL_BYTES) return position
  }
  return 0
}
