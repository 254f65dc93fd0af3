import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SerializationError } from '../errors.ts'
import { messageIndexBytes, readMessageIndexes, readSchemaId, writeHeader } from './wire-format.ts'

test("a schema's id follows a zero byte, big-endian", () => {
  const header = Buffer.alloc(5, 0xff)
  writeHeader(header, 0x01020304)
  assert.deepEqual([...header], [0, 1, 2, 3, 4])
  assert.equal(readSchemaId(header), 0x01020304)
})

test('bytes without an id are an error', () => {
  for (const bytes of [[], [0, 0, 0, 1], [1, 0, 0, 0, 1], [0x7b, 0x7d, 0, 0, 0]]) {
    assert.throws(() => readSchemaId(Buffer.from(bytes)), SerializationError)
  }
})

test("Protobuf's message indexes are zigzag varints, and the first message of a file one zero", () => {
  const cases: [indexes: number[], bytes: number[]][] = [
    [[0], [0]],
    [[1], [2, 2]],
    [
      [0, 0],
      [4, 0, 0],
    ],
    [
      [1, 0, 200],
      [6, 2, 0, 0x90, 0x03],
    ],
  ]
  for (const [indexes, bytes] of cases) {
    assert.deepEqual([...messageIndexBytes(indexes)], bytes)
    assert.deepEqual(readMessageIndexes(Buffer.from([9, ...bytes, 9]), 1), { indexes, end: 1 + bytes.length })
  }
  // A reader also takes the long form of [0].
  assert.deepEqual(readMessageIndexes(Buffer.from([2, 0]), 0), { indexes: [0], end: 2 })
})

test('message indexes that are cut short, over-long, negative or too many are errors', () => {
  for (const bytes of [[], [2], [1, 0], [0x80, 0x80, 0x80, 0x80, 0x80, 0x01], [0xff, 0xff, 0xff, 0xff, 0x0f], [0x82, 0x01, 0]]) {
    assert.throws(() => readMessageIndexes(Buffer.from(bytes), 0), SerializationError, String(bytes))
  }
})
