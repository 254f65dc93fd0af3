/**
 * The header of a record batch, format v2 (magic 2), big-endian, as functions on a buffer and the position `at` where the batch starts:
 *
 *    0 baseOffset int64              offset of the first record
 *    8 batchLength int32             bytes that follow this field
 *   12 partitionLeaderEpoch int32    set by the leader; not covered by the CRC
 *   16 magic int8                    2
 *   17 crc uint32                    CRC-32C of everything from `attributes` to the end of the batch
 *   21 attributes int16              bits 0-2 codec (0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd); bit 3 timestamp type (1: LogAppendTime);
 *                                    bit 4 transactional; bit 5 control batch; bit 6 baseTimestamp is the delete horizon
 *   23 lastOffsetDelta int32         offset of the last record − baseOffset; kept when compaction removes that record
 *   27 baseTimestamp int64           timestamp of the first record; records hold differences to it
 *   35 maxTimestamp int64            the largest timestamp; the append time under LogAppendTime
 *   43 producerId int64              −1: not idempotent
 *   51 producerEpoch int16
 *   53 baseSequence int32
 *   57 recordsCount int32
 *   61 records, compressed as one when the codec is not 0
 *
 * int64 fields are read as the nearest double: see ByteReader.int64. Magic 0 and 1 have `baseOffset`, `batchLength` and `magic` at the same places.
 * Source: KIP-98, KIP-534 (delete horizon).
 */
import { crc32c } from '@tidelog/core'

/** baseOffset and batchLength: what comes before the bytes that batchLength counts. */
export const LOG_OVERHEAD_BYTES = 12
/** Size of a v2 batch without records. */
export const BATCH_OVERHEAD_BYTES = 61
/** How many bytes it takes to know size and magic of a batch of any format. */
export const HEADER_BYTES_UP_TO_MAGIC = 17

const BATCH_LENGTH_AT = 8
const PARTITION_LEADER_EPOCH_AT = 12
const MAGIC_AT = 16
const CRC_AT = 17
const ATTRIBUTES_AT = 21
const LAST_OFFSET_DELTA_AT = 23
const BASE_TIMESTAMP_AT = 27
const MAX_TIMESTAMP_AT = 35
const PRODUCER_ID_AT = 43
const PRODUCER_EPOCH_AT = 51
const BASE_SEQUENCE_AT = 53
const RECORDS_COUNT_AT = 57

export const CODEC_MASK = 0x07
export const LOG_APPEND_TIME_FLAG = 0x08
export const TRANSACTIONAL_FLAG = 0x10
export const CONTROL_FLAG = 0x20
export const DELETE_HORIZON_FLAG = 0x40

const TWO_POW_32 = 2 ** 32

function getInt64(buffer: Buffer, at: number): number {
  return buffer.readInt32BE(at) * TWO_POW_32 + buffer.readUInt32BE(at + 4)
}

function putInt64(buffer: Buffer, at: number, value: number): void {
  buffer.writeInt32BE(Math.floor(value / TWO_POW_32), at)
  buffer.writeUInt32BE(value >>> 0, at + 4)
}

export const baseOffset = (buffer: Buffer, at: number): number => getInt64(buffer, at)
export const batchLength = (buffer: Buffer, at: number): number => buffer.readInt32BE(at + BATCH_LENGTH_AT)
export const partitionLeaderEpoch = (buffer: Buffer, at: number): number => buffer.readInt32BE(at + PARTITION_LEADER_EPOCH_AT)
export const magic = (buffer: Buffer, at: number): number => buffer.readInt8(at + MAGIC_AT)
export const crc = (buffer: Buffer, at: number): number => buffer.readUInt32BE(at + CRC_AT)
export const attributes = (buffer: Buffer, at: number): number => buffer.readInt16BE(at + ATTRIBUTES_AT)
export const lastOffsetDelta = (buffer: Buffer, at: number): number => buffer.readInt32BE(at + LAST_OFFSET_DELTA_AT)
export const baseTimestamp = (buffer: Buffer, at: number): number => getInt64(buffer, at + BASE_TIMESTAMP_AT)
export const maxTimestamp = (buffer: Buffer, at: number): number => getInt64(buffer, at + MAX_TIMESTAMP_AT)
export const producerId = (buffer: Buffer, at: number): number => getInt64(buffer, at + PRODUCER_ID_AT)
export const producerEpoch = (buffer: Buffer, at: number): number => buffer.readInt16BE(at + PRODUCER_EPOCH_AT)
export const baseSequence = (buffer: Buffer, at: number): number => buffer.readInt32BE(at + BASE_SEQUENCE_AT)
export const recordsCount = (buffer: Buffer, at: number): number => buffer.readInt32BE(at + RECORDS_COUNT_AT)

/** Bytes of the whole batch, header included. */
export const sizeBytes = (buffer: Buffer, at: number): number => LOG_OVERHEAD_BYTES + batchLength(buffer, at)
/** Offset of the last record (inclusive). */
export const lastOffset = (buffer: Buffer, at: number): number => baseOffset(buffer, at) + lastOffsetDelta(buffer, at)
/** 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd; 5 to 7 mean nothing. */
export const codecId = (buffer: Buffer, at: number): number => attributes(buffer, at) & CODEC_MASK
export const isLogAppendTime = (buffer: Buffer, at: number): boolean => (attributes(buffer, at) & LOG_APPEND_TIME_FLAG) !== 0
export const isTransactional = (buffer: Buffer, at: number): boolean => (attributes(buffer, at) & TRANSACTIONAL_FLAG) !== 0
export const isControl = (buffer: Buffer, at: number): boolean => (attributes(buffer, at) & CONTROL_FLAG) !== 0
export const hasProducerId = (buffer: Buffer, at: number): boolean => producerId(buffer, at) >= 0

/** Sequence number of the last record; after 2^31−1 comes 0. −1 without a producer id. */
export function lastSequence(buffer: Buffer, at: number): number {
  const first = baseSequence(buffer, at)
  return first < 0 ? -1 : addSequence(first, lastOffsetDelta(buffer, at))
}

/** `sequence` + `increment` as producers count: after 2^31−1 comes 0. */
export function addSequence(sequence: number, increment: number): number {
  const sum = sequence + increment
  return sum > 0x7fffffff ? sum - 0x80000000 : sum
}

/** Not covered by the CRC. */
export function setBaseOffset(buffer: Buffer, at: number, offset: number): void {
  putInt64(buffer, at, offset)
}

/** Not covered by the CRC. */
export function setPartitionLeaderEpoch(buffer: Buffer, at: number, epoch: number): void {
  buffer.writeInt32BE(epoch, at + PARTITION_LEADER_EPOCH_AT)
}

/**
 * Stamps the batch with the time of its append, as a topic with message.timestamp.type=LogAppendTime wants it, and renews the CRC.
 * Readers then see `timestampMs` as the timestamp of every record.
 */
export function setLogAppendTime(buffer: Buffer, at: number, timestampMs: number): void {
  buffer.writeInt16BE(attributes(buffer, at) | LOG_APPEND_TIME_FLAG, at + ATTRIBUTES_AT)
  putInt64(buffer, at + MAX_TIMESTAMP_AT, timestampMs)
  setCrc(buffer, at)
}

/** Sets the largest timestamp of a CreateTime batch to what its records really hold, and renews the CRC. */
export function setMaxTimestamp(buffer: Buffer, at: number, timestampMs: number): void {
  buffer.writeInt16BE(attributes(buffer, at) & ~LOG_APPEND_TIME_FLAG, at + ATTRIBUTES_AT)
  putInt64(buffer, at + MAX_TIMESTAMP_AT, timestampMs)
  setCrc(buffer, at)
}

/** Sets what an idempotent producer knows only when it sends; the CRC is renewed. */
export function setProducerState(
  buffer: Buffer,
  at: number,
  state: { producerId: number; producerEpoch: number; baseSequence: number; isTransactional: boolean },
): void {
  const flags = attributes(buffer, at)
  buffer.writeInt16BE(state.isTransactional ? flags | TRANSACTIONAL_FLAG : flags & ~TRANSACTIONAL_FLAG, at + ATTRIBUTES_AT)
  putInt64(buffer, at + PRODUCER_ID_AT, state.producerId)
  buffer.writeInt16BE(state.producerEpoch, at + PRODUCER_EPOCH_AT)
  buffer.writeInt32BE(state.baseSequence, at + BASE_SEQUENCE_AT)
  setCrc(buffer, at)
}

/** The CRC of the batch as it stands; the whole batch must be in the buffer. */
function computeCrc(buffer: Buffer, at: number): number {
  return crc32c(buffer.subarray(at + ATTRIBUTES_AT, at + sizeBytes(buffer, at)))
}

export const isCrcValid = (buffer: Buffer, at: number): boolean => computeCrc(buffer, at) === crc(buffer, at)

export function setCrc(buffer: Buffer, at: number): void {
  buffer.writeUInt32BE(computeCrc(buffer, at), at + CRC_AT)
}

export interface BatchHeader {
  readonly baseOffset: number
  readonly partitionLeaderEpoch: number
  readonly attributes: number
  readonly lastOffsetDelta: number
  readonly baseTimestamp: number
  readonly maxTimestamp: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly recordsCount: number
}

/** Writes the header in front of records that are there already: `totalBytes` is the size of the whole batch. */
export function writeHeader(buffer: Buffer, at: number, totalBytes: number, header: BatchHeader): void {
  putInt64(buffer, at, header.baseOffset)
  buffer.writeInt32BE(totalBytes - LOG_OVERHEAD_BYTES, at + BATCH_LENGTH_AT)
  buffer.writeInt32BE(header.partitionLeaderEpoch, at + PARTITION_LEADER_EPOCH_AT)
  buffer.writeInt8(2, at + MAGIC_AT)
  buffer.writeInt16BE(header.attributes, at + ATTRIBUTES_AT)
  buffer.writeInt32BE(header.lastOffsetDelta, at + LAST_OFFSET_DELTA_AT)
  putInt64(buffer, at + BASE_TIMESTAMP_AT, header.baseTimestamp)
  putInt64(buffer, at + MAX_TIMESTAMP_AT, header.maxTimestamp)
  putInt64(buffer, at + PRODUCER_ID_AT, header.producerId)
  buffer.writeInt16BE(header.producerEpoch, at + PRODUCER_EPOCH_AT)
  buffer.writeInt32BE(header.baseSequence, at + BASE_SEQUENCE_AT)
  buffer.writeInt32BE(header.recordsCount, at + RECORDS_COUNT_AT)
  setCrc(buffer, at)
}
