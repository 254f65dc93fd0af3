import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '@tidelog/core'
import { hashKey } from './key-hash.ts'
import { OffsetMap } from './offset-map.ts'
import { groupSegments } from './segment-groups.ts'

const seed = [1, 2, 3, 4] as const

test('the map knows the last offset of every key, at any length and place, and of no other', () => {
  const random = seededRandom(3)
  const map = new OffsetMap(1000, seed)
  const last = new Map<string, number>()
  for (let offset = 0; offset < 5000; offset++) {
    const key = Buffer.from(String(random.int(900)).padStart(random.int(40), 'k'))
    if (!last.has(key.toString()) && map.size === 1000) continue
    last.set(key.toString(), offset)
    const place = random.int(30)
    const buffer = Buffer.concat([Buffer.alloc(place, random.int(256)), key, Buffer.from('rest')])
    map.put(buffer, place, key.length, offset)
  }
  assert.equal(map.size, last.size)
  assert.equal(map.size, 1000, 'full to the last slot')
  for (const [key, offset] of last) assert.equal(map.get(Buffer.from(key), 0, Buffer.byteLength(key)), offset)
  for (let other = 0; other < 1000; other++) assert.equal(map.get(Buffer.from(`other ${other}`), 0, `other ${other}`.length), -1)
  assert.throws(() => map.put(Buffer.from('one more'), 0, 8, 9000), /full/)
  assert.equal(OffsetMap.slotsIn(2400), 100)
})

test('the hash depends on every byte, on the length and on the seed; of a million keys no two share one', () => {
  const hash = new Int32Array(4)
  const textOf = (key: Buffer, from = seed as readonly [number, number, number, number]): string => {
    hashKey(key, 0, key.length, from, hash)
    return hash.join(' ')
  }
  const seen = new Set<string>()
  for (let length = 0; length < 40; length++) seen.add(textOf(Buffer.alloc(length)))
  for (let at = 0; at < 40; at++) {
    const key = Buffer.alloc(40)
    key[at] = 1
    seen.add(textOf(key))
  }
  seen.add(textOf(Buffer.alloc(40), [1, 2, 3, 5]))
  assert.equal(seen.size, 81)
  const map = new OffsetMap(1_200_000, seed)
  const key = Buffer.alloc(4)
  for (let number = 0; number < 1_000_000; number++) {
    key.writeUInt32BE(number)
    map.put(key, 0, 4, number)
  }
  assert.equal(map.size, 1_000_000)
})

test('neighbours are grouped as long as their sizes, indexes and offsets fit into one segment', () => {
  const of = (baseOffset: number, sizeBytes: number, offsetIndexBytes = 10, timeIndexBytes = 10) => ({
    baseOffset,
    sizeBytes,
    offsetIndexBytes,
    timeIndexBytes,
  })
  const basesOf = (segments: ReturnType<typeof of>[], endOffset = 1e12): number[][] =>
    groupSegments(segments, { maxBytes: 100, maxIndexBytes: 50, endOffset }).map((group) => group.map(({ baseOffset }) => baseOffset))
  assert.deepEqual(basesOf([of(0, 50), of(10, 50), of(20, 1)], 30), [[0, 10], [20]])
  assert.deepEqual(basesOf([of(0, 200), of(10, 1), of(20, 1)], 30), [[0], [10, 20]])
  assert.deepEqual(basesOf([of(0, 1, 30), of(10, 1, 30), of(20, 1, 10, 45)], 30), [[0], [10], [20]])
  assert.deepEqual(basesOf([of(0, 1), of(10, 1), of(2 ** 31 + 1, 1)], 2 ** 31 + 2), [[0], [10, 2 ** 31 + 1]])
  assert.deepEqual(basesOf([of(0, 1), of(2 ** 31 + 1, 0), of(2 ** 31 + 5, 1)], 2 ** 31 + 6), [[0, 2 ** 31 + 1], [2 ** 31 + 5]])
  assert.deepEqual(basesOf([]), [])
})
