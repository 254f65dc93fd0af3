import assert from 'node:assert/strict'
import { test } from 'node:test'
import { murmur2, partitionForKey } from './murmur2.ts'

test('murmur2 gives what Java gives', () => {
  // Vectors of Apache Kafka's own UtilsTest.
  const vectors: readonly (readonly [string, number])[] = [
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ]
  for (const [text, hash] of vectors) assert.equal(murmur2(Buffer.from(text)), hash, text)
})

test('a negative hash gives a partition all the same', () => {
  for (let i = 0; i < 1000; i++) {
    const partition = partitionForKey(Buffer.from(`key-${i}`), 7)
    assert.ok(partition >= 0 && partition < 7)
  }
  assert.equal(partitionForKey(Buffer.from('foobar'), 10), (-790332482 & 0x7fffffff) % 10)
})
