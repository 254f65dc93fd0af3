/**
 * One message of the old formats v0 and v1, big-endian. A message set is messages one after the other, without a count.
 *
 *    0 offset int64
 *    8 size int32             bytes that follow this field
 *   12 crc uint32             CRC-32 (IEEE) of everything from `magic` to the end of the message
 *   16 magic int8             0 or 1
 *   17 attributes int8        bits 0-2 codec (0 none, 1 gzip, 2 snappy, 3 lz4); bit 3, v1 only, timestamp type (1: LogAppendTime)
 *   18 [timestamp int64]      v1 only
 *      key: int32 length, −1 null, then the bytes
 *      value: the same
 *
 * With a codec the value is a compressed message set, and this its wrapper. The wrapper's offset is that of the last message in it;
 * the messages inside have absolute offsets in v0 and, in v1, offsets relative to the first. The wrapper's timestamp is the largest inside,
 * or the append time of all under LogAppendTime. Source: KIP-31, KIP-32.
 */
import { onFirstUse } from '@tidelog/core'
import { KafkaError } from '../errors.ts'
import { CODEC_MASK, LOG_APPEND_TIME_FLAG, LOG_OVERHEAD_BYTES } from './batch-header.ts'

const native = onFirstUse<typeof import('@node-rs/crc32')>('@node-rs/crc32')

const CRC_AT = 12
const MAGIC_AT = 16
const ATTRIBUTES_AT = 17
const TIMESTAMP_AT = 18
const KEY_AT_V0 = 18
const KEY_AT_V1 = 26
const TWO_POW_32 = 2 ** 32

/** Of the two old formats. */
export type OldMagic = 0 | 1

export interface Message {
  readonly offset: number
  readonly magic: OldMagic
  readonly codecId: number
  readonly isLogAppendTime: boolean
  /** −1 in v0. */
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
}

export interface NewMessage {
  readonly offset: number
  readonly magic: OldMagic
  readonly codecId?: number
  readonly isLogAppendTime?: boolean
  readonly timestamp: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
}

export function isMessageCrcValid(buffer: Buffer, at: number, sizeBytes: number): boolean {
  return native().crc32(buffer.subarray(at + MAGIC_AT, at + sizeBytes)) === buffer.readUInt32BE(at + CRC_AT)
}

/**
 * Reads the message that takes `sizeBytes` at `at`. Key and value are views.
 * @throws KafkaError CORRUPT_MESSAGE when its fields do not fill its size exactly.
 */
export function readMessage(buffer: Buffer, at: number, sizeBytes: number): Message {
  const magic = buffer.readInt8(at + MAGIC_AT)
  if (magic !== 0 && magic !== 1) throw new KafkaError('CORRUPT_MESSAGE', `message of magic ${magic}`)
  const end = at + sizeBytes
  const keyAt = at + (magic === 0 ? KEY_AT_V0 : KEY_AT_V1)
  const attributes = buffer.readInt8(at + ATTRIBUTES_AT)
  const key = sizedBytesAt(buffer, keyAt, end)
  const valueAt = keyAt + 4 + (key?.length ?? 0)
  const value = sizedBytesAt(buffer, valueAt, end)
  if (valueAt + 4 + (value?.length ?? 0) !== end) throw new KafkaError('CORRUPT_MESSAGE', 'message is longer than its fields')
  return {
    offset: getInt64(buffer, at),
    magic,
    codecId: attributes & CODEC_MASK,
    isLogAppendTime: magic === 1 && (attributes & LOG_APPEND_TIME_FLAG) !== 0,
    timestamp: magic === 0 ? -1 : getInt64(buffer, at + TIMESTAMP_AT),
    key,
    value,
  }
}

export function messageBytes({ magic, key, value }: Pick<NewMessage, 'magic' | 'key' | 'value'>): number {
  return (magic === 0 ? KEY_AT_V0 : KEY_AT_V1) + 8 + (key?.byteLength ?? 0) + (value?.byteLength ?? 0)
}

/** Writes a message of `messageBytes` at `at` and returns the position after it. */
export function writeMessage(buffer: Buffer, at: number, message: NewMessage): number {
  const { magic, codecId = 0, isLogAppendTime = false } = message
  const size = messageBytes(message)
  putInt64(buffer, at, message.offset)
  buffer.writeInt32BE(size - LOG_OVERHEAD_BYTES, at + 8)
  buffer.writeInt8(magic, at + MAGIC_AT)
  buffer.writeInt8(codecId | (magic === 1 && isLogAppendTime ? LOG_APPEND_TIME_FLAG : 0), at + ATTRIBUTES_AT)
  if (magic === 1) putInt64(buffer, at + TIMESTAMP_AT, message.timestamp)
  const valueAt = putSizedBytes(buffer, at + (magic === 0 ? KEY_AT_V0 : KEY_AT_V1), message.key)
  const end = putSizedBytes(buffer, valueAt, message.value)
  buffer.writeUInt32BE(native().crc32(buffer.subarray(at + MAGIC_AT, end)), at + CRC_AT)
  return end
}

function sizedBytesAt(buffer: Buffer, at: number, end: number): Buffer | null {
  if (end - at < 4) throw new KafkaError('CORRUPT_MESSAGE', 'message is shorter than its fields')
  const length = buffer.readInt32BE(at)
  if (length < 0) return null
  if (length > end - at - 4) throw new KafkaError('CORRUPT_MESSAGE', `field of ${length} bytes in a message with ${end - at - 4} left`)
  return buffer.subarray(at + 4, at + 4 + length)
}

function putSizedBytes(buffer: Buffer, at: number, bytes: Uint8Array | null): number {
  buffer.writeInt32BE(bytes === null ? -1 : bytes.byteLength, at)
  if (bytes === null) return at + 4
  buffer.set(bytes, at + 4)
  return at + 4 + bytes.byteLength
}

function getInt64(buffer: Buffer, at: number): number {
  return buffer.readInt32BE(at) * TWO_POW_32 + buffer.readUInt32BE(at + 4)
}

function putInt64(buffer: Buffer, at: number, value: number): void {
  buffer.writeInt32BE(Math.floor(value / TWO_POW_32), at)
  buffer.writeUInt32BE(value >>> 0, at + 4)
}
