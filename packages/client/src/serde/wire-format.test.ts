import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SerializationError } from '../errors.ts'
import {
  guidOf,
  messageIndexBytes,
  readMessageIndexes,
  readWriterSchema,
  schemaGuidBytes,
  schemaIdBytes,
  writerSchemaEnd,
} from './wire-format.ts'

const GUID = 'ffeeddcc-bbaa-4988-8776-00000000000a'
const none = new Uint8Array(0)

test("a schema's id follows a zero byte, big-endian; its GUID a one", () => {
  const byId = schemaIdBytes(0x01020304, none)
  assert.deepEqual([...byId], [0, 1, 2, 3, 4])
  const byGuid = schemaGuidBytes(GUID.toUpperCase(), none)
  assert.deepEqual([...byGuid], [1, 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x49, 0x88, 0x87, 0x76, 0, 0, 0, 0, 0, 10])
  assert.equal(readWriterSchema(byId), 0x01020304)
  const read = readWriterSchema(Buffer.concat([byGuid, byId]))
  assert.ok(typeof read === 'string')
  assert.equal(guidOf(read), GUID)
  assert.deepEqual([writerSchemaEnd(byId), writerSchemaEnd(byGuid)], [5, 17])
  assert.deepEqual([...schemaIdBytes(1, Buffer.of(2, 2))], [0, 0, 0, 0, 1, 2, 2])
  for (const guid of ['', `${GUID}0`, GUID.replaceAll('-', '')]) assert.throws(() => schemaGuidBytes(guid, none), SerializationError)
})

test('bytes without an id or a GUID are an error', () => {
  for (const bytes of [[], [0, 0, 0, 1], [1, 0, 0, 0, 1], [1, ...Array(15).fill(0)], [2, ...Array(20).fill(0)], [0x7b, 0x7d, 0, 0, 0]]) {
    assert.throws(() => readWriterSchema(Buffer.from(bytes)), SerializationError)
    assert.throws(() => writerSchemaEnd(Buffer.from(bytes)), SerializationError)
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
