import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom, systemRandom } from './random.ts'
import { isUuid, randomUuid, ZERO_UUID } from './uuid.ts'

test('a seed gives the same sequence again, another seed another one', () => {
  const draw = (seed: number) => {
    const random = seededRandom(seed)
    return [...Array.from({ length: 20 }, () => random.int(1000)), ...random.bytes(20)]
  }
  assert.deepEqual(draw(42), draw(42))
  assert.notDeepEqual(draw(42), draw(43))
})

test('int stays within its bounds and reaches all of them', () => {
  for (const random of [seededRandom(1), systemRandom]) {
    const seen = new Set(Array.from({ length: 1000 }, () => random.int(7)))
    assert.deepEqual([...seen].sort(), [0, 1, 2, 3, 4, 5, 6])
    assert.equal(random.int(1), 0)
    assert.ok(random.int(2 ** 48) < 2 ** 48)
    for (const end of [0, -1, 1.5, 2 ** 48 + 1, Number.NaN]) assert.throws(() => random.int(end), RangeError)
  }
})

test('a random uuid is of version 4, does not begin with a dash, and reads as one', () => {
  const random = seededRandom(7)
  for (let round = 0; round < 500; round++) {
    const uuid = randomUuid(random)
    assert.ok(isUuid(uuid))
    assert.notEqual(uuid[0], '-')
    const bytes = Buffer.from(uuid, 'base64url')
    assert.equal(bytes[6]! >> 4, 4)
    assert.equal(bytes[8]! >> 6, 2)
  }
  assert.ok(isUuid(ZERO_UUID) && isUuid('AAAAAAAAAAAAAAAAAAAAAQ'))
  for (const text of ['', 'AAAA', 'AAAAAAAAAAAAAAAAAAAAAB', 'AAAAAAAAAAAAAAAAAAAAA=', `${ZERO_UUID}A`]) assert.ok(!isUuid(text), text)
})
