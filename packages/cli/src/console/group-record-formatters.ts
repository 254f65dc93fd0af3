import { ByteReader, ZERO_UUID } from '@tidelog/core'
import { groupMetadataKey, groupMetadataValue, offsetCommitKey, offsetCommitValue } from '@tidelog/protocol'
import type { RecordFormatter } from './printable-record.ts'

/** The records of __consumer_offsets as JSON, as Kafka's OffsetsMessageFormatter and GroupMetadataMessageFormatter print them: without a line break. */

const nothing = Buffer.alloc(0)

/** Committed offsets; records of other types print nothing. */
export const offsetsFormatter = jsonFormatter({
  types: [0, 1],
  key: (type, reader) => offsetCommitKey.codec(type).read(reader),
  newestValue: 4,
  value: (version, reader) => {
    const { offset, leaderEpoch, metadata, commitTimestamp, expireTimestamp, topicId } = offsetCommitValue.codec(version).read(reader)
    return {
      offset,
      ...(version >= 3 ? { leaderEpoch } : {}),
      metadata,
      commitTimestamp,
      ...(version === 1 ? { expireTimestamp } : {}),
      ...(topicId === ZERO_UUID ? {} : { topicId }),
    }
  },
})

/** States of classic groups; records of other types print nothing. */
export const groupMetadataFormatter = jsonFormatter({
  types: [2],
  key: (type, reader) => groupMetadataKey.codec(type).read(reader),
  newestValue: 4,
  value: (version, reader) => {
    const { protocolType, generation, protocol, leader, currentStateTimestamp, members } = groupMetadataValue.codec(version).read(reader)
    return {
      protocolType,
      generation,
      protocol,
      leader,
      ...(version >= 2 ? { currentStateTimestamp } : {}),
      members: members.map(
        ({ memberId, groupInstanceId, clientId, clientHost, rebalanceTimeout, sessionTimeout, subscription, assignment }) => ({
          memberId,
          ...(version >= 3 ? { groupInstanceId } : {}),
          clientId,
          clientHost,
          ...(version >= 1 ? { rebalanceTimeout } : {}),
          sessionTimeout,
          subscription: subscription.toString('base64'),
          assignment: assignment.toString('base64'),
        }),
      ),
    }
  },
})

interface RecordSchema {
  /** The versions of the key that mean these records. */
  readonly types: readonly number[]
  key(type: number, reader: ByteReader): unknown
  readonly newestValue: number
  value(version: number, reader: ByteReader): unknown
}

function jsonFormatter(schema: RecordSchema): RecordFormatter {
  return ({ key, value }) => {
    if (key === null) return nothing
    const keyReader = readerOf(key)
    const type = keyReader.int16()
    if (!schema.types.includes(type)) return nothing
    const shownKey = { type, data: schema.key(type, keyReader) }
    return Buffer.from(JSON.stringify({ key: shownKey, value: value === null ? null : shownValue(readerOf(value), schema) }))
  }
}

function shownValue(reader: ByteReader, schema: RecordSchema): unknown {
  const version = reader.int16()
  const isKnown = version >= 0 && version <= schema.newestValue
  return { version, data: isKnown ? schema.value(version, reader) : 'unknown' }
}

function readerOf(bytes: Uint8Array): ByteReader {
  return new ByteReader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
}
