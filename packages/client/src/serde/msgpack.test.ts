import assert from 'node:assert/strict'
import { test } from 'node:test'
import { msgpack } from './msgpack.ts'
import { isKnownSynchronous } from './serde.ts'

const context = { topic: 't', isKey: false }

test('values become MessagePack and come back', () => {
  const serde = msgpack<{ id: number; tags: string[]; blob: Uint8Array }>()
  const value = { id: 5, tags: ['a'], blob: Uint8Array.of(1, 2) }
  const bytes = serde.serialize(value, context) as Uint8Array
  assert.deepEqual([...bytes.subarray(0, 5)], [0x83, 0xa2, 0x69, 0x64, 5])
  const read = serde.deserialize(Buffer.from(bytes), context)
  assert.deepEqual({ ...read, blob: Uint8Array.from((read as typeof value).blob) }, value)
  assert.ok(isKnownSynchronous(serde.deserialize))
  const exact = msgpack<bigint>({ useBigInt64: true })
  assert.equal(exact.deserialize(Buffer.from(exact.serialize(2n ** 60n, context) as Uint8Array), context), 2n ** 60n)
})

test('bytes that are cut short, and counts that the bytes cannot hold, are errors at once', () => {
  const serde = msgpack()
  for (const bytes of [
    [],
    [0x92, 1],
    [0xdd, 0xff, 0xff, 0xff, 0xff],
    [0xdf, 0xff, 0xff, 0xff, 0xff, 1],
    [0xc6, 0xff, 0xff, 0xff, 0xff],
    [0xc1],
  ]) {
    assert.throws(() => serde.deserialize(Buffer.from(bytes), context), String(bytes))
  }
})
