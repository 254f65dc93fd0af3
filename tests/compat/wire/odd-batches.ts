/** Batches as no producer should build them, and the plain ones beside them. */
import { crc32 } from 'node:zlib'
import { crc32c } from '@tidelog/core'
import { type BatchOptions, buildBatch, type CodecName, codecIdOf, compressSync, type NewRecord } from '@tidelog/protocol'

/** Years ago, so that it is not taken for the time of an append. */
export const someTimeMs = 1_600_000_000_000
export const codecs: readonly CodecName[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

const at = {
  baseOffset: 0,
  batchLength: 8,
  leaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  baseSequence: 53,
  recordsCount: 57,
  records: 61,
} as const

export const text = (value: string | null): Buffer | null => (value === null ? null : Buffer.from(value))

/** Records whose values say their number, timestamps one ms apart. */
export function someRecords(count: number, { key = 'k', valueBytes = 0 }: { key?: string | null; valueBytes?: number } = {}): NewRecord[] {
  return Array.from({ length: count }, (_, index) => ({
    timestamp: someTimeMs + index,
    key: text(key),
    value: Buffer.from(`v${index}`.padEnd(valueBytes, '.')),
  }))
}

export const batch = (records: readonly NewRecord[] = someRecords(1), options: BatchOptions = {}): Buffer => buildBatch(records, options)

/** A batch whose bytes `change` has altered; the CRC is made right again. */
export function altered(source: Buffer, change: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.from(source)
  change(bytes)
  bytes.writeUInt32BE(crc32c(bytes.subarray(at.attributes)), at.crc)
  return bytes
}

export const field = {
  baseOffset: (bytes: Buffer, value: number) => bytes.writeBigInt64BE(BigInt(value), at.baseOffset),
  batchLength: (bytes: Buffer, value: number) => bytes.writeInt32BE(value, at.batchLength),
  leaderEpoch: (bytes: Buffer, value: number) => bytes.writeInt32BE(value, at.leaderEpoch),
  magic: (bytes: Buffer, value: number) => bytes.writeInt8(value, at.magic),
  crc: (bytes: Buffer, value: number) => bytes.writeUInt32BE(value, at.crc),
  attributes: (bytes: Buffer, value: number) => bytes.writeInt16BE(value, at.attributes),
  lastOffsetDelta: (bytes: Buffer, value: number) => bytes.writeInt32BE(value, at.lastOffsetDelta),
  baseTimestamp: (bytes: Buffer, value: number) => bytes.writeBigInt64BE(BigInt(value), at.baseTimestamp),
  maxTimestamp: (bytes: Buffer, value: number) => bytes.writeBigInt64BE(BigInt(value), at.maxTimestamp),
  producerId: (bytes: Buffer, value: number) => bytes.writeBigInt64BE(BigInt(value), at.producerId),
  producerEpoch: (bytes: Buffer, value: number) => bytes.writeInt16BE(value, at.producerEpoch),
  baseSequence: (bytes: Buffer, value: number) => bytes.writeInt32BE(value, at.baseSequence),
  recordsCount: (bytes: Buffer, value: number) => bytes.writeInt32BE(value, at.recordsCount),
}

/** A batch with `payload` in place of its records, compressed when the codec is not none. */
export function batchAround(payload: Buffer, { count = 1, codec = 'none' as CodecName } = {}): Buffer {
  const body = codec === 'none' ? payload : compressSync(codec, payload)
  return batchOfBytes(body, { count, attributes: codecIdOf(codec) })
}

/** A batch with just these bytes behind its header. */
export function batchOfBytes(body: Buffer, { count = 1, attributes = 0 } = {}): Buffer {
  return altered(Buffer.concat([batch().subarray(0, at.records), body]), (bytes) => {
    field.batchLength(bytes, bytes.length - 12)
    field.attributes(bytes, attributes)
    field.lastOffsetDelta(bytes, count - 1)
    field.recordsCount(bytes, count)
    field.baseTimestamp(bytes, someTimeMs)
    field.maxTimestamp(bytes, someTimeMs)
  })
}

export function varint(value: number): Buffer {
  let left = value < 0 ? -2 * value - 1 : 2 * value
  const bytes: number[] = []
  while (left >= 128) {
    bytes.push((left % 128) | 128)
    left = Math.floor(left / 128)
  }
  return Buffer.from([...bytes, left])
}

export interface RawRecord {
  readonly length?: number
  readonly attributes?: number
  readonly timestampDelta?: number
  readonly offsetDelta?: number
  readonly keyLength?: number
  readonly key?: string
  readonly valueLength?: number
  readonly value?: string
  readonly headersCount?: number
  readonly headers?: Buffer
}

/** A v2 record whose lengths may lie. */
export function rawRecord(record: RawRecord = {}): Buffer {
  const {
    attributes = 0,
    timestampDelta = 0,
    offsetDelta = 0,
    key = 'k',
    value = 'v',
    headers = Buffer.alloc(0),
    headersCount = 0,
  } = record
  const body = Buffer.concat([
    Buffer.from([attributes]),
    varint(timestampDelta),
    varint(offsetDelta),
    varint(record.keyLength ?? key.length),
    Buffer.from(key),
    varint(record.valueLength ?? value.length),
    Buffer.from(value),
    varint(headersCount),
    headers,
  ])
  return Buffer.concat([varint(record.length ?? body.length), body])
}

export interface RawMessage {
  readonly offset?: number
  readonly magic: number
  readonly attributes?: number
  readonly timestamp?: number
  readonly key?: Buffer | null
  readonly value?: Buffer | null
  readonly crc?: number
}

/** One message of format v0 or v1. */
export function message({ offset = 0, magic, attributes = 0, timestamp = someTimeMs, key = null, value = null, crc }: RawMessage): Buffer {
  const sized = (bytes: Buffer | null): Buffer[] => {
    const length = Buffer.alloc(4)
    length.writeInt32BE(bytes === null ? -1 : bytes.length)
    return bytes === null ? [length] : [length, bytes]
  }
  const time = Buffer.alloc(8)
  time.writeBigInt64BE(BigInt(timestamp))
  const body = Buffer.concat([Buffer.from([magic, attributes]), ...(magic === 0 ? [] : [time]), ...sized(key), ...sized(value)])
  const header = Buffer.alloc(16)
  header.writeBigInt64BE(BigInt(offset))
  header.writeInt32BE(body.length + 4, 8)
  header.writeUInt32BE(crc ?? crc32(body), 12)
  return Buffer.concat([header, body])
}

/** A message set as an old producer sends it, wrapped when there is a codec. */
export function messageSet(
  magic: 0 | 1,
  values: readonly (string | null)[],
  { codec = 'none' as CodecName, key = 'k' as string | null, timestamp = someTimeMs } = {},
): Buffer {
  const timestampOf = (index: number): number => (timestamp === -1 ? -1 : timestamp + index)
  const messages = values.map((value, offset) =>
    message({ offset, magic, timestamp: timestampOf(offset), key: text(key), value: text(value) }),
  )
  const set = Buffer.concat(messages)
  if (codec === 'none') return set
  const last = values.length - 1
  const attributes = codecIdOf(codec)
  return message({ offset: last, magic, timestamp: timestampOf(last), attributes, value: compressSync(codec, set, { magic }) })
}
