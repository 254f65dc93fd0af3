import assert from 'node:assert/strict'
import test from 'node:test'
import { keyPartition } from './key-partition.ts'

test('groups live in the partition that Java finds for them', () => {
  // Utils.abs(groupId.hashCode()) % 50, as Kafka 4.3 computes it; golden-group lies in __consumer_offsets-49.
  assert.equal(keyPartition('golden-group', 50), 49)
  assert.equal(keyPartition('', 50), 0)
  assert.equal(keyPartition('a', 50), 97 % 50)
  assert.equal(keyPartition('你好', 50), (0x4f60 * 31 + 0x597d) % 50)
  assert.equal(keyPartition('polygenelubricants', 50), 0, 'its hash is the smallest int')
})
