import { decodeGroupRecord, type GroupCoordinator } from '@tidelog/coordinator'
import type { Logger } from '@tidelog/core'
import { iterateBatches, type RecordBatch, readEndTxnMarker, readRecords } from '@tidelog/protocol'
import type { CoordinatorLog } from './coordinator-log.ts'

/** A batch of the offsets topic is no larger than max.message.bytes before compression by our writers; others' may be compressed. */
const maxUncompressedBytes = 64 << 20

/**
 * Brings a coordinator to the state that its log describes. Records of types that are not known here are passed over; one that cannot be
 * read is reported and passed over too, for the rest of the groups must not suffer from it.
 * @param isWanted Asked between reads: when it turns false, replay ends early.
 * @throws KafkaError when the log cannot be read
 */
export async function replayGroupLog(
  log: CoordinatorLog,
  coordinator: GroupCoordinator,
  { maxBytes, isWanted, logger }: { maxBytes: number; isWanted: () => boolean; logger: Logger },
): Promise<{ records: number; unreadable: number }> {
  const counts = { records: 0, unreadable: 0 }
  for await (const chunks of log.read(maxBytes)) {
    if (!isWanted()) break
    for (const chunk of chunks) for (const batch of iterateBatches(chunk)) replayBatch(batch, coordinator, { counts, logger })
  }
  return counts
}

function replayBatch(
  batch: RecordBatch,
  coordinator: GroupCoordinator,
  { counts, logger }: { counts: { records: number; unreadable: number }; logger: Logger },
): void {
  const unreadable = (offset: number, error: unknown) => {
    counts.unreadable++
    logger.error('a record of the offsets topic cannot be read and is passed over', { offset, error: String(error) })
  }
  const producerId = batch.isTransactional ? batch.producerId : undefined
  try {
    for (const { offset, key, value } of readRecords(batch, { maxOutputBytes: maxUncompressedBytes })) {
      counts.records++
      try {
        if (batch.isControl) {
          const marker = readEndTxnMarker({ key, value })
          if (marker !== undefined) coordinator.endTransaction(batch.producerId, marker.type === 'commit')
        } else if (key !== null) {
          const record = decodeGroupRecord(key, value)
          if (record !== undefined) coordinator.replay(record, producerId)
        }
      } catch (error) {
        unreadable(offset, error)
      }
    }
  } catch (error) {
    unreadable(batch.baseOffset, error)
  }
}
