import assert from 'node:assert/strict'
import { test } from 'node:test'
import avsc from 'avsc'
import { SerializationError } from '../errors.ts'
import { avro } from './avro.ts'
import { boundsCheckOf } from './avro-bounds.ts'

const everything = avsc.Type.forSchema({
  type: 'record',
  name: 'Node',
  fields: [
    { name: 'numbers', type: { type: 'array', items: 'long' } },
    { name: 'texts', type: { type: 'map', values: ['null', 'string', 'bytes'] } },
    { name: 'next', type: ['null', 'Node'] },
    { name: 'fixed', type: { type: 'fixed', name: 'Fixed', size: 3 } },
    { name: 'color', type: { type: 'enum', name: 'Color', symbols: ['red', 'green'] } },
    {
      name: 'plain',
      type: {
        type: 'record',
        name: 'Plain',
        fields: ['boolean', 'int', 'float', 'double', 'null'].map((type) => ({ name: `a_${type}`, type })),
      },
    },
  ],
} as avsc.Schema)

test('the walk ends where the value ends, for values of every kind', () => {
  const check = boundsCheckOf(everything)!
  for (let round = 0; round < 200; round++) {
    const bytes = everything.toBuffer(everything.random())
    assert.equal(check(bytes, 0), bytes.length)
    const length = Math.floor((bytes.length * round) / 200)
    assert.throws(() => check(bytes.subarray(0, length), 0), SerializationError)
  }
})

test('types whose values are no longer than their bytes need no walk', () => {
  for (const schema of ['string', 'bytes', ['null', 'long']] as const)
    assert.equal(boundsCheckOf(avsc.Type.forSchema(schema as avsc.Schema)), undefined)
})

test('a count that the bytes cannot hold is an error at once', () => {
  const context = { topic: 't', isKey: false }
  const count = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f] // 2^52 − 1, about
  for (const items of ['null', 'long', 'string']) {
    for (const schema of [
      { type: 'array' as const, items },
      { type: 'map' as const, values: items },
    ]) {
      assert.throws(() => avro({ schema }).deserialize(Buffer.from([...count, 0, 0, 0]), context), SerializationError)
    }
  }
  const nulls = avro<null[]>({ schema: { type: 'array', items: 'null' } })
  const few = nulls.serialize([null, null], context) as Buffer
  assert.deepEqual(nulls.deserialize(few, context), [null, null])
})
