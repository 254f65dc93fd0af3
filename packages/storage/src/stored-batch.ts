import { batchAt, batchHeader } from '@tidelog/protocol'

/*
 * A batch as it lies in a segment, of any format. Magic 2 is laid out in protocol's batch-header.ts; of magic 0 and 1 (a message, or a wrapper of
 * compressed ones) a reader of whole batches needs only these:
 *    0 offset int64 (of the last message inside)   8 size int32   12 crc uint32 (CRC-32 of what follows)   16 magic int8   17 attributes int8
 *   18 timestamp int64 (magic 1)
 */
const LEGACY_TIMESTAMP_AT = 18
const LEGACY_MIN_BYTES = 26

/** As many bytes as it takes to read everything here but the CRC, in any format. */
export const SCAN_HEADER_BYTES = batchHeader.BATCH_OVERHEAD_BYTES

/** What is wrong with the header at `at`, or nothing; only the first `SCAN_HEADER_BYTES` bytes are looked at. */
export function headerProblem(buffer: Buffer, at: number, available: number): string | undefined {
  if (available < batchHeader.HEADER_BYTES_UP_TO_MAGIC) return `${available} bytes are too few for a batch`
  const magic = batchHeader.magic(buffer, at)
  if (magic < 0 || magic > 2) return `magic ${magic} is unknown`
  const size = batchHeader.sizeBytes(buffer, at)
  const minimum = magic === 2 ? batchHeader.BATCH_OVERHEAD_BYTES : LEGACY_MIN_BYTES
  if (size < minimum) return `a size of ${size} bytes is too small for a batch`
  if (available < minimum) return `${available} bytes are too few for a batch`
  if (!Number.isSafeInteger(batchHeader.baseOffset(buffer, at)) || batchHeader.baseOffset(buffer, at) < 0)
    return 'the offset is out of range'
  if (magic === 2 && batchHeader.lastOffsetDelta(buffer, at) < 0) return 'the last offset lies before the first'
  return undefined
}

export function lastOffsetOf(buffer: Buffer, at: number): number {
  return batchHeader.magic(buffer, at) === 2 ? batchHeader.lastOffset(buffer, at) : batchHeader.baseOffset(buffer, at)
}

/** Largest timestamp in ms since the Unix epoch; -1 when the format or the records have none. */
export function maxTimestampOf(buffer: Buffer, at: number): number {
  const magic = batchHeader.magic(buffer, at)
  if (magic === 2) return batchHeader.maxTimestamp(buffer, at)
  return magic === 1 ? Number(buffer.readBigInt64BE(at + LEGACY_TIMESTAMP_AT)) : -1
}

/** -1 in formats without leader epochs. */
export function leaderEpochOf(buffer: Buffer, at: number): number {
  return batchHeader.magic(buffer, at) === 2 ? batchHeader.partitionLeaderEpoch(buffer, at) : -1
}

/** Whether the whole batch at `at`, which must be in the buffer, has the checksum that it says. */
export function isChecksumValid(buffer: Buffer, at: number): boolean {
  return batchAt(buffer, at, at + batchHeader.sizeBytes(buffer, at))?.isCrcValid ?? false
}

/** How many of the first `filled` bytes are whole batches that fit into `maxBytes` and end before `limitOffset`. */
export function wholeBatches(
  bytes: Buffer,
  filled: number,
  maxBytes: number,
  limitOffset: number,
  from = 0,
): { batchesEnd: number; nextOffset: number } {
  let at = from
  let nextOffset = -1
  while (filled - at >= batchHeader.HEADER_BYTES_UP_TO_MAGIC) {
    const sizeBytes = batchHeader.sizeBytes(bytes, at)
    if (sizeBytes < batchHeader.HEADER_BYTES_UP_TO_MAGIC || at + sizeBytes > filled || at + sizeBytes - from > maxBytes) break
    const lastOffset = lastOffsetOf(bytes, at)
    if (lastOffset >= limitOffset) break
    nextOffset = lastOffset + 1
    at += sizeBytes
  }
  return { batchesEnd: at, nextOffset }
}
