import type { Logger } from '@tidelog/core'
import { batchHeader, iterateBatches, type RecordBatch, readEndTxnMarker, readRecords } from '@tidelog/protocol'
import type { CoordinatorLog } from './coordinator-log.ts'

/** A batch of an internal topic is no larger than max.message.bytes before compression by our writers; others' may be compressed. */
const maxUncompressedBytes = 64 << 20

/** Takes what a coordinator's log holds, in its order. */
export interface ReplaySink {
  /** @param producerId Of the batch when it is transactional. @throws when the bytes cannot be read */
  record(key: Buffer, value: Buffer | null, producerId: number | undefined): void
  endTransaction(producerId: number, committed: boolean): void
}

/**
 * Brings a coordinator to the state that its log describes. A record that cannot be read, or a batch whose checksum is wrong, is reported and
 * passed over, for the rest must not suffer from it.
 * @param isWanted Asked between reads: when it turns false, replay ends early.
 * @throws KafkaError when the log cannot be read
 */
export async function replayLog(
  log: CoordinatorLog,
  sink: ReplaySink,
  { maxBytes, isWanted, logger }: { maxBytes: number; isWanted: () => boolean; logger: Logger },
): Promise<{ records: number; unreadable: number }> {
  const counts = { records: 0, unreadable: 0 }
  for await (const chunks of log.read(maxBytes)) {
    if (!isWanted()) break
    for (const chunk of chunks) for (const batch of iterateBatches(chunk)) replayBatch(batch, sink, { counts, logger })
  }
  return counts
}

function replayBatch(
  batch: RecordBatch,
  sink: ReplaySink,
  { counts, logger }: { counts: { records: number; unreadable: number }; logger: Logger },
): void {
  const unreadable = (offset: number, error: unknown) => {
    counts.unreadable++
    logger.error('a record of an internal topic cannot be read and is passed over', { offset, error: String(error) })
  }
  // Bytes that have changed on the disk may still decode, as an offset that nobody has committed.
  if (batch.magic === 2 && !batchHeader.isCrcValid(batch.buffer, batch.at)) {
    unreadable(batch.baseOffset, 'the checksum of its batch is wrong')
    return
  }
  const producerId = batch.isTransactional ? batch.producerId : undefined
  try {
    for (const { offset, key, value } of readRecords(batch, { maxOutputBytes: maxUncompressedBytes })) {
      counts.records++
      try {
        if (batch.isControl) {
          const marker = readEndTxnMarker({ key, value })
          if (marker !== undefined) sink.endTransaction(batch.producerId, marker.type === 'commit')
        } else if (key !== null) sink.record(key, value, producerId)
      } catch (error) {
        unreadable(offset, error)
      }
    }
  } catch (error) {
    unreadable(batch.baseOffset, error)
  }
}
