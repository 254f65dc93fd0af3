import assert from 'node:assert/strict'
import test from 'node:test'
import { ByteWriter } from '@tidelog/core'
import { type KafkaRecord, shareUpdateKey, shareUpdateValue, streamsGroupMetadataKey, streamsGroupMetadataValue } from '@tidelog/protocol'
import { decodeClusterMetadataRecord, decodeOffsetsRecord, decodeShareStateRecord, decodeTransactionRecord } from './record-decoders.ts'

const record = (key: Buffer | null, value: Buffer | null): KafkaRecord => ({ offset: 7, timestamp: 0, key, value, headers: [] })

function bytesOf(type: number, write: (writer: ByteWriter) => void): Buffer {
  const writer = new ByteWriter()
  writer.int16(type)
  write(writer)
  return writer.toBuffer()
}

test('records of share groups and of Streams groups are told by the type that their key begins with', () => {
  const topicId = 'IWDGM3MXGj4XlcG1EmWZ4w'
  const key = bytesOf(1, (writer) => shareUpdateKey.codec(1).write(writer, { groupId: 'g', topicId, partition: 2 }))
  const value = bytesOf(0, (writer) => {
    const stateBatches = [{ firstOffset: 0, lastOffset: 5, deliveryState: 2, deliveryCount: 1 }]
    shareUpdateValue.codec(0).write(writer, { snapshotEpoch: 1, leaderEpoch: 3, startOffset: 4, stateBatches })
  })
  assert.deepEqual(decodeShareStateRecord(record(key, value)), {
    key: `{"type":"1","data":{"groupId":"g","topicId":"${topicId}","partition":2}}`,
    payload:
      '{"version":"0","data":{"snapshotEpoch":1,"leaderEpoch":3,"startOffset":4,"stateBatches":[{"firstOffset":0,"lastOffset":5,"deliveryState":2,"deliveryCount":1}]}}',
  })
  const group = bytesOf(17, (writer) => streamsGroupMetadataKey.codec(17).write(writer, { groupId: 's' }))
  const state = bytesOf(0, (writer) =>
    streamsGroupMetadataValue.codec(0).write(writer, { epoch: 2, metadataHash: 9, validatedTopologyEpoch: 1 }),
  )
  assert.deepEqual(decodeOffsetsRecord(record(group, state)), {
    key: '{"type":"17","data":{"groupId":"s"}}',
    payload: '{"version":"0","data":{"epoch":2,"metadataHash":9,"validatedTopologyEpoch":1}}',
  })
  assert.equal(decodeOffsetsRecord(record(group, null)).payload, '<DELETE>')
})

test('what a decoder does not know, or cannot read, is said in the place of the key, and the next record follows', () => {
  const unknown = bytesOf(99, () => {})
  assert.deepEqual(decodeTransactionRecord(record(unknown, null)), {
    key: 'Unknown record type 99 at offset 7, skipping.',
    payload: undefined,
  })
  const torn = decodeOffsetsRecord(record(Buffer.from([0, 1, 0, 9]), null))
  assert.match(torn.key!, /^Error at offset 7, skipping\. /)
  assert.match(decodeClusterMetadataRecord(record(null, Buffer.from([9]))).payload!, /^Error at 7, skipping\. /)
  assert.throws(() => decodeOffsetsRecord(record(null, null)), /message had a missing key/)
})
