import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ByteWriter } from '@tidelog/core'
import { groupMetadataKey, groupMetadataValue, offsetCommitKey, offsetCommitValue } from '@tidelog/protocol'
import { groupMetadataFormatter, offsetsFormatter } from './group-record-formatters.ts'
import type { PrintableRecord } from './printable-record.ts'

function versioned(version: number, write: (writer: ByteWriter) => void): Buffer {
  const writer = new ByteWriter()
  writer.int16(version)
  write(writer)
  return writer.toBuffer()
}

const record = (key: Buffer | null, value: Buffer | null): PrintableRecord => ({
  topic: '__consumer_offsets',
  partition: 0,
  offset: 0,
  timestamp: 0,
  timestampType: 'CreateTime',
  key,
  value,
  headers: [],
})
const offsetKey = versioned(1, (writer) => offsetCommitKey.codec(1).write(writer, { group: 'g1', topic: 'cons', partition: 0 }))
const groupKey = versioned(2, (writer) => groupMetadataKey.codec(2).write(writer, { group: 'g1' }))

// The texts are those of Apache Kafka 4.3's formatters.

test('a committed offset shows the fields of its version', () => {
  const value = (version: number) =>
    versioned(version, (writer) =>
      offsetCommitValue
        .codec(version)
        .write(writer, { offset: 3, leaderEpoch: -1, metadata: '', commitTimestamp: 1795258281104, topicId: 'uo3pLCakRAu8RRdCubOTzA' }),
    )
  assert.equal(
    offsetsFormatter(record(offsetKey, value(4))).toString(),
    '{"key":{"type":1,"data":{"group":"g1","topic":"cons","partition":0}},"value":{"version":4,"data":{"offset":3,"leaderEpoch":-1,"metadata":"","commitTimestamp":1795258281104,"topicId":"uo3pLCakRAu8RRdCubOTzA"}}}',
  )
  assert.match(
    offsetsFormatter(record(offsetKey, value(0))).toString(),
    /"data":\{"offset":3,"metadata":"","commitTimestamp":1795258281104\}\}\}$/,
  )
})

test('a group shows its members, their bytes as base64', () => {
  const member = {
    memberId: 'm',
    groupInstanceId: null,
    clientId: 'c',
    clientHost: '/127.0.0.1',
    rebalanceTimeout: 1,
    sessionTimeout: 2,
    subscription: Buffer.from([0, 3]),
    assignment: Buffer.alloc(0),
  }
  const value = versioned(3, (writer) =>
    groupMetadataValue.codec(3).write(writer, {
      protocolType: 'consumer',
      generation: 1,
      protocol: 'range',
      leader: 'm',
      currentStateTimestamp: 5,
      members: [member],
    }),
  )
  assert.equal(
    groupMetadataFormatter(record(groupKey, value)).toString(),
    '{"key":{"type":2,"data":{"group":"g1"}},"value":{"version":3,"data":{"protocolType":"consumer","generation":1,"protocol":"range","leader":"m","currentStateTimestamp":5,"members":[{"memberId":"m","groupInstanceId":null,"clientId":"c","clientHost":"/127.0.0.1","rebalanceTimeout":1,"sessionTimeout":2,"subscription":"AAM=","assignment":""}]}}}',
  )
})

test('tombstones have a null value, records of another type and without a key print nothing', () => {
  assert.equal(
    offsetsFormatter(record(offsetKey, null)).toString(),
    '{"key":{"type":1,"data":{"group":"g1","topic":"cons","partition":0}},"value":null}',
  )
  assert.equal(offsetsFormatter(record(groupKey, null)).toString(), '')
  assert.equal(groupMetadataFormatter(record(offsetKey, null)).toString(), '')
  assert.equal(groupMetadataFormatter(record(null, null)).toString(), '')
})
