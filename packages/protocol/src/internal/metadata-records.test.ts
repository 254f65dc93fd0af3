import assert from 'node:assert/strict'
import test from 'node:test'
import { decodeMetadataRecord } from './metadata-records.ts'

/** Frame 1, type 2, version 0; compact string, id, no tagged fields. */
const topicRecord = Buffer.concat([Buffer.from([1, 2, 0, 7]), Buffer.from('orders'), Buffer.alloc(17)])

test('a metadata record reads as its frame, name and fields', () => {
  assert.deepEqual(decodeMetadataRecord(topicRecord), {
    name: 'Topic',
    version: 0,
    fields: { name: 'orders', topicId: 'AAAAAAAAAAAAAAAAAAAAAA' },
  })
})

test('frames, types and versions that Kafka 4.3 does not know are refused by name, and so are bytes too many or too few', () => {
  const changed = (at: number, value: number) => {
    const bytes = Buffer.from(topicRecord)
    bytes[at] = value
    return bytes
  }
  assert.throws(() => decodeMetadataRecord(changed(0, 2)), /frame of version 2/)
  assert.throws(() => decodeMetadataRecord(changed(1, 99)), /unknown type 99/)
  assert.throws(() => decodeMetadataRecord(changed(2, 1)), /TopicRecord of unknown version 1/)
  assert.throws(() => decodeMetadataRecord(Buffer.concat([topicRecord, Buffer.alloc(3)])), /TopicRecord with 3 bytes too many/)
  for (let length = 0; length < topicRecord.length; length++)
    assert.throws(() => decodeMetadataRecord(topicRecord.subarray(0, length)), { name: 'MalformedError' }, `${length} bytes`)
})
