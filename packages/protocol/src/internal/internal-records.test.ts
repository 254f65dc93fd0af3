import assert from 'node:assert/strict'
import test from 'node:test'
import { ByteReader, ByteWriter } from '@tidelog/core'
import { consumerProtocolSubscription } from './consumer-protocol.ts'
import { groupMetadataKey, groupMetadataValue } from './group-metadata-record.ts'
import { offsetCommitKey, offsetCommitValue } from './offset-commit-record.ts'

/** Bytes of storage/fixtures/golden: __consumer_offsets-49, as Kafka 4.3 wrote them; the version is cut off. */
const groupKey = Buffer.from('001c6b62656e63682d636c31373935323435313034343537313338393732', 'hex')
const emptyGroup = Buffer.from('000000000000ffffffff000001a1fcf25d5400000000', 'hex')
const offsetKey = Buffer.from('001c6b62656e63682d636c313739353234353130343435373133383937320002636c00000000', 'hex')

test("a group's key and the value of an empty group read as Kafka wrote them, and write the same bytes", () => {
  const key = groupMetadataKey.codec(2).read(new ByteReader(groupKey))
  assert.deepEqual(key, { group: 'kbench-cl1795245104457138972' })
  const value = groupMetadataValue.codec(3).read(new ByteReader(emptyGroup))
  assert.deepEqual(value, {
    protocolType: '',
    generation: 0,
    protocol: null,
    leader: null,
    currentStateTimestamp: 0x1a1fcf25d54,
    members: [],
  })
  const writer = new ByteWriter()
  groupMetadataValue.codec(3).write(writer, value)
  assert.deepEqual(writer.toBuffer(), emptyGroup)
})

test("a committed offset's key reads as Kafka wrote it", () => {
  assert.deepEqual(offsetCommitKey.codec(1).read(new ByteReader(offsetKey)), {
    group: 'kbench-cl1795245104457138972',
    topic: 'cl',
    partition: 0,
  })
})

for (const version of [0, 1, 2, 3, 4]) {
  test(`a committed offset of version ${version} keeps the fields that the version has`, () => {
    const writer = new ByteWriter()
    const value = { offset: 7, leaderEpoch: 3, metadata: 'm', commitTimestamp: 100, expireTimestamp: 200 }
    offsetCommitValue.codec(version).write(writer, value)
    const read = offsetCommitValue.codec(version).read(new ByteReader(writer.toBuffer()))
    assert.equal(read.offset, 7)
    assert.equal(read.leaderEpoch, version >= 3 ? 3 : -1)
    assert.equal(read.expireTimestamp, version === 1 ? 200 : -1)
  })
}

test('a subscription of any version can be read as version 0', () => {
  for (const version of [0, 1, 2, 3]) {
    const writer = new ByteWriter()
    consumerProtocolSubscription.codec(version).write(writer, { topics: ['a', 'b'], userData: null })
    assert.deepEqual(consumerProtocolSubscription.codec(0).read(new ByteReader(writer.toBuffer())).topics, ['a', 'b'])
  }
})
