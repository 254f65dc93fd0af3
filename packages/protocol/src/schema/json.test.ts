import assert from 'node:assert/strict'
import test from 'node:test'
import { ByteReader, ByteWriter } from '@tidelog/core'
import { defineData, type Schema } from './define.ts'
import { kafkaJson } from './json.ts'
import { array, bool, bytes, float64, int64, nullable, since, string, tagged, until, uuid } from './types.ts'

const schema = defineData({
  versions: [0, 2],
  flexibleFrom: 1,
  fields: {
    name: string,
    old: until(0, bool),
    fresh: since(2, nullable(string), null),
    blob: bytes,
    ids: array({ id: int64, ratio: float64 }),
    topicId: tagged(0, 1, uuid),
    limits: tagged(1, 1, nullable(array(int64)), []),
    epoch: tagged(2, 1, int64, -1),
  },
})

function jsonOf(version: number, value: Parameters<ReturnType<typeof schema.codec>['write']>[1]): string {
  const writer = new ByteWriter()
  schema.codec(version).write(writer, value)
  return kafkaJson(schema as Schema, version, schema.exactCodec(version).read(new ByteReader(writer.toBuffer())))
}

test('a structure is printed as Kafka does: the fields of its version in their order, tagged ones only where they are not their default', () => {
  const value = {
    name: 'a"\u001b\\u00e9é',
    old: true,
    fresh: null,
    blob: Buffer.from([0, 255]),
    ids: [
      { id: 7, ratio: 1 },
      { id: -1, ratio: 0.25 },
    ],
  }
  const name = '"name":"a\\"\\u001B\\\\u00e9é"'
  const rest = '"blob":"AP8=","ids":[{"id":7,"ratio":1.0},{"id":-1,"ratio":0.25}]'
  assert.equal(jsonOf(0, value), `{${name},"old":true,${rest}}`)
  assert.equal(jsonOf(1, value), `{${name},${rest}}`)
  assert.equal(jsonOf(2, value), `{${name},"fresh":null,${rest}}`)
  const tags = { topicId: 'IWDGM3MXGj4XlcG1EmWZ4w', limits: null, epoch: Number.MAX_SAFE_INTEGER }
  assert.equal(
    jsonOf(2, { ...value, ...tags }),
    `{${name},"fresh":null,${rest},"topicId":"IWDGM3MXGj4XlcG1EmWZ4w","limits":null,"epoch":9007199254740991}`,
  )
  assert.equal(jsonOf(2, { ...value, topicId: 'AAAAAAAAAAAAAAAAAAAAAA', limits: [], epoch: -1 }), `{${name},"fresh":null,${rest}}`)
})

test('int64 is printed to its last digit', () => {
  assert.equal(
    kafkaJson(schema as Schema, 1, {
      name: '',
      blob: Buffer.alloc(0),
      ids: [{ id: -(2n ** 63n), ratio: 0 }],
      topicId: 'AAAAAAAAAAAAAAAAAAAAAA',
      limits: [],
      epoch: -1n,
    }),
    '{"name":"","blob":"","ids":[{"id":-9223372036854775808,"ratio":0.0}]}',
  )
})
