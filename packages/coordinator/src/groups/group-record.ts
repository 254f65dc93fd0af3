import { ByteReader, ByteWriter } from '@tidelog/core'
import {
  type DataInput,
  type DataOf,
  type Fields,
  type GroupMetadataValue,
  groupMetadataKey,
  groupMetadataValue,
  offsetCommitKey,
  offsetCommitValue,
  type Schema,
} from '@tidelog/protocol'
import { type ConsumerRecord, decodeConsumerRecord, encodeConsumerRecord } from './consumer/consumer-record.ts'

/**
 * What this coordinator keeps in __consumer_offsets. On disk, keys and values begin with an int16 version, and a key's version is the
 * record's type: 0 and 1 an offset, 2 a classic group, others a group of the consumer protocol or as yet unknown here. A null value is a
 * tombstone.
 */
export type GroupRecord = OffsetRecord | ClassicGroupRecord | ConsumerRecord
export interface OffsetRecord {
  readonly kind: 'offset'
  readonly group: string
  readonly topic: string
  readonly partition: number
  readonly value: CommittedOffset | null
}
export interface ClassicGroupRecord {
  readonly kind: 'group'
  readonly group: string
  readonly value: GroupMetadataValue | null
}

export interface CommittedOffset {
  readonly offset: number
  /** Of the last consumed record; -1 when the client did not tell. */
  readonly leaderEpoch: number
  readonly metadata: string
  /** Ms since the Unix epoch. */
  readonly commitTimestamp: number
  /** Ms since the Unix epoch, from clients that named a retention time; else -1 and `offsets.retention.minutes` holds. */
  readonly expireTimestamp: number
}

const offsetKeyVersion = 1
const groupKeyVersion = 2
/** As Kafka 4.3 writes them: the newest without compact lengths, and 1 where an expiry time has to be kept. */
const offsetValueVersion = 3
const offsetValueVersionWithExpiry = 1
const groupValueVersion = 3

function encode<F extends Fields>(schema: Schema<F>, version: number, value: DataInput<Schema<F>>): Buffer {
  const writer = new ByteWriter(128)
  writer.int16(version)
  schema.codec(version).write(writer, value as Parameters<ReturnType<typeof schema.codec>['write']>[1])
  return writer.toBuffer()
}

/** The key and value bytes under which a record is appended. */
export function encodeGroupRecord(record: GroupRecord): { key: Buffer; value: Buffer | null } {
  if (record.kind === 'group') {
    const { group, value } = record
    return {
      key: encode(groupMetadataKey, groupKeyVersion, { group }),
      value: value && encode(groupMetadataValue, groupValueVersion, value),
    }
  }
  if (record.kind !== 'offset') return encodeConsumerRecord(record)
  const { group, topic, partition, value } = record
  return {
    key: encode(offsetCommitKey, offsetKeyVersion, { group, topic, partition }),
    value: value && encode(offsetCommitValue, value.expireTimestamp === -1 ? offsetValueVersion : offsetValueVersionWithExpiry, value),
  }
}

/**
 * Reads a record's bytes.
 * @returns undefined for a type of record that is not known here (it stays in the log as it is).
 * @throws MalformedError when the bytes do not hold what their version says; RangeError for a value of a newer version.
 */
export function decodeGroupRecord(key: Buffer, value: Buffer | null): GroupRecord | undefined {
  const keyReader = new ByteReader(key)
  const type = keyReader.int16()
  if (type === groupKeyVersion) {
    const { group } = groupMetadataKey.codec(type).read(keyReader)
    return { kind: 'group', group, value: value && decodeValue(groupMetadataValue, value) }
  }
  if (type < 0 || type > offsetKeyVersion) return decodeConsumerRecord(type, keyReader, value)
  const { group, topic, partition } = offsetCommitKey.codec(type).read(keyReader)
  return { kind: 'offset', group, topic, partition, value: value && committedOffset(decodeValue(offsetCommitValue, value)) }
}

/** Without the fields that nothing here reads, for there may be millions. */
const committedOffset = ({ offset, leaderEpoch, metadata, commitTimestamp, expireTimestamp }: DataOf<typeof offsetCommitValue>) => ({
  offset,
  leaderEpoch,
  metadata,
  commitTimestamp,
  expireTimestamp,
})

function decodeValue<F extends Fields>(schema: Schema<F>, value: Buffer): DataOf<Schema<F>> {
  const reader = new ByteReader(value)
  return schema.codec(reader.int16()).read(reader) as DataOf<Schema<F>>
}

/** Bytes of one's own: what came in a frame must not keep the whole frame alive, nor a shared slab. */
export function ownBytes(bytes: Uint8Array): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.length)
  own.set(bytes)
  return own
}
