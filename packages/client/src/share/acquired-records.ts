import type { Offload } from '@tidelog/core'
import type { ShareFetchResponse } from '@tidelog/protocol'
import type { ConsumerRecord, RecordDeserializers } from '../consumer/consumer-record.ts'
import { FetchedChunk } from '../consumer/fetched-chunk.ts'
import type { ClientError } from '../errors.ts'
import { acknowledgeCodes } from './acknowledgements.ts'
import type { SharedPartition, ShareSession } from './share-session.ts'

/** A record that has been acquired and not been handed out. */
export interface AcquiredRecord<K, V> {
  readonly record: ConsumerRecord<K, V>
  readonly deliveryCount: number
}

type AcquiredRange = ShareFetchResponse['responses'][number]['partitions'][number]['acquiredRecords'][number]

export interface ReadOptions<K, V> {
  readonly deserializers: RecordDeserializers<K, V>
  readonly checkCrcs: boolean
  readonly offload: Offload
}

/**
 * Finds the records of the acquired ranges in what was fetched, and acknowledges what is no record as gaps. What cannot be read is released: somebody else may get
 * it whole, and the group gives up on it when it has been delivered as often as it allows.
 * @param ranges As they come from the broker.
 * @returns The records, and why there are no more of them.
 */
export async function readAcquired<K, V>(
  partition: SharedPartition,
  records: Buffer,
  ranges: readonly AcquiredRange[],
  session: ShareSession,
  options: ReadOptions<K, V>,
): Promise<{ records: AcquiredRecord<K, V>[]; error: ClientError | undefined }> {
  const found: AcquiredRecord<K, V>[] = []
  const ordered = [...ranges]
    .sort((a, b) => a.firstOffset - b.firstOffset)
    .filter(({ firstOffset, lastOffset }) => firstOffset <= lastOffset)
  const acknowledge = (first: number, last: number, code: 0 | 2) => {
    if (first <= last) session.acknowledgementsOf(partition).addRange(first, last, code)
  }
  let index = 0
  /** Offset of the range at `index` that has yet to be accounted for. */
  let next = ordered[0]?.firstOffset ?? 0
  const finishRange = (code: 0 | 2) => {
    acknowledge(next, ordered[index]!.lastOffset, code)
    next = ordered[++index]?.firstOffset ?? 0
  }
  let error: ClientError | undefined
  try {
    for await (const record of recordsFrom(partition, records, next, options)) {
      while (index < ordered.length && ordered[index]!.lastOffset < record.offset) finishRange(acknowledgeCodes.gap)
      const range = ordered[index]
      if (range === undefined) break
      if (record.offset < next) continue
      acknowledge(next, record.offset - 1, acknowledgeCodes.gap)
      found.push({ record, deliveryCount: range.deliveryCount })
      next = record.offset + 1
      if (next > range.lastOffset) next = ordered[++index]?.firstOffset ?? 0
    }
  } catch (failure) {
    error = failure as ClientError
  }
  while (index < ordered.length) finishRange(error === undefined ? acknowledgeCodes.gap : acknowledgeCodes.release)
  return { records: found, error }
}

/** @throws CorruptRecordError */
async function* recordsFrom<K, V>(
  { topic, partition }: SharedPartition,
  records: Buffer,
  fetchOffset: number,
  { deserializers, checkCrcs, offload }: ReadOptions<K, V>,
): AsyncGenerator<ConsumerRecord<K, V>> {
  const state = { topic, partition, fetchOffset, position: { offset: fetchOffset, leaderEpoch: -1 } }
  // The broker acquires nothing of aborted transactions when the group reads committed records only.
  const chunk = new FetchedChunk<K, V>(state, records, { deserializers, checkCrcs, abortedTransactions: null, offload })
  for (;;) {
    const record = chunk.next()
    if (record !== undefined) yield record
    else if (chunk.preparing !== undefined) await chunk.preparing
    else return
  }
}
