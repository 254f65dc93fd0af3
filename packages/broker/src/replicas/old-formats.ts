import type { Offload } from '@tidelog/core'
import { batchHeader, downConvert, iterateBatches, KafkaError, upConvert } from '@tidelog/protocol'

/**
 * Between the record formats of old requests and the v2 batches in the log: Produce 0 to 2 brings message sets, Fetch 0 and 1 takes format v0,
 * 2 and 3 v1. Source: KIP-31, KIP-32, KIP-98, KIP-110 (zstd).
 */

const FIRST_FETCH_WITH_V1 = 2
const zstd = 4
/** What one old request's records may grow to when they are decompressed. */
const MAX_UNCOMPRESSED_BYTES = 64 * 1024 * 1024

/**
 * A producer's message set as one v2 batch. Keys and timestamps are checked when it is appended.
 * @throws KafkaError CORRUPT_MESSAGE, INVALID_RECORD, UNSUPPORTED_COMPRESSION_TYPE
 */
export function batchOfMessageSet(messages: Buffer, offload: Offload): Promise<Buffer> {
  const anyTime = { minTimestampMs: Number.NEGATIVE_INFINITY, maxTimestampMs: Number.POSITIVE_INFINITY }
  return upConvert(messages, { ...anyTime, requireKeys: false, maxOutputBytes: MAX_UNCOMPRESSED_BYTES }, offload)
}

/**
 * Batches as the message set that a Fetch below version 4 understands.
 * @throws KafkaError UNSUPPORTED_COMPRESSION_TYPE when the first batch is compressed with zstd; a later one only ends the result.
 */
export async function messageSetOf(
  apiVersion: number,
  records: readonly Buffer[],
  { fetchOffset, offload }: { fetchOffset: number; offload: Offload },
): Promise<readonly Buffer[]> {
  const toMagic = apiVersion < FIRST_FETCH_WITH_V1 ? 0 : 1
  const converted: Buffer[] = []
  for (const chunk of records) {
    const known = withoutZstd(chunk, converted.length === 0)
    converted.push(...(await downConvert(known, { toMagic, firstOffset: fetchOffset, maxOutputBytes: MAX_UNCOMPRESSED_BYTES }, offload)))
    if (known.length < chunk.length) break
  }
  return converted
}

/** The batches before the first that is compressed with zstd. */
function withoutZstd(records: Buffer, isFirst: boolean): Buffer {
  for (const { at, magic } of iterateBatches(records)) {
    if (magic < 2 || batchHeader.codecId(records, at) !== zstd) continue
    if (isFirst && at === 0) throw new KafkaError('UNSUPPORTED_COMPRESSION_TYPE', 'zstd has no place in a message set')
    return records.subarray(0, at)
  }
  return records
}
