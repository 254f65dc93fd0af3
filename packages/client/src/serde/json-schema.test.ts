import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startTestRegistry } from '@tidelog/testkit'
import { Ajv } from 'ajv'
import { recordNameStrategy, SchemaRegistry } from '../registry/schema-registry.ts'
import { jsonSchema } from './json-schema.ts'

interface Order {
  id: string
}
const schema = { title: 'Order', type: 'object', properties: { id: { type: 'string' } }, required: ['id'] }
const value = { topic: 'orders', isKey: false }

test('values are checked on both ways', () => {
  const serde = jsonSchema<Order>({ schema })
  const bytes = serde.serialize({ id: 'é' }, value) as Buffer
  assert.equal(bytes.toString(), '{"id":"é"}')
  assert.deepEqual(serde.deserialize(bytes, value), { id: 'é' })
  assert.throws(() => serde.serialize({} as never, value), /does not fit its schema: value must have required property 'id'/)
  assert.throws(() => serde.deserialize(Buffer.from('{"id":1}'), value), /value\/id must be string/)
  assert.throws(() => serde.deserialize(Buffer.from('{'), value))
  const unchecked = jsonSchema({ schema, validate: false })
  assert.deepEqual(unchecked.deserialize(Buffer.from('{"id":1}'), value), { id: 1 })
  assert.throws(() => unchecked.serialize(undefined, value), /JSON has no text/)
})

test('every dialect is read by its own rules; one that is not known is an error', () => {
  const tuple = { prefixItems: [{ type: 'string' }], items: false }
  const by2020 = jsonSchema({ schema: { $schema: 'https://json-schema.org/draft/2020-12/schema', ...tuple } })
  assert.throws(() => by2020.serialize(['a', 'b'], value), /must NOT have more than 1 items/)
  const by2019 = jsonSchema({
    schema: { $schema: 'https://json-schema.org/draft/2019-09/schema', dependentRequired: { a: ['b'] } },
  })
  assert.throws(() => by2019.serialize({ a: 1 }, value), /must have property b when property a is present/)
  assert.throws(() => jsonSchema({ schema: { $schema: 'http://json-schema.org/draft-04/schema#' } }), /no JSON Schema that can be used/)
  assert.throws(() => jsonSchema({ schema: '{' }), /is JSON/)
  assert.throws(() => jsonSchema({ schema: 'false' }).serialize(1, value))
})

test("over a registry a reader without a schema goes by the writer's, with those that it refers to", async (t) => {
  const { url } = await startTestRegistry(t)
  using registry = new SchemaRegistry({ url })
  await registry.register('id', { schemaType: 'JSON', schema: '{"type":"string","minLength":2}', references: [] })
  const writer = jsonSchema<Order>({
    registry,
    schema: { ...schema, properties: { id: { $ref: 'id.json' } } },
    references: [{ name: 'id.json', subject: 'id', version: 1 }],
    subjectNameStrategy: recordNameStrategy,
  })
  const bytes = Buffer.from((await writer.serialize({ id: 'ab' }, value))!)
  assert.deepEqual([...bytes.subarray(0, 6)], [0, 0, 0, 0, 2, 0x7b])
  const reader = jsonSchema<Order>({ registry })
  assert.deepEqual(await reader.deserialize(bytes, value), { id: 'ab' })
  bytes.write('"a" ', bytes.indexOf('"ab"'))
  assert.throws(() => reader.deserialize(bytes, value), /must NOT have fewer than 2 characters/)
  assert.ok((await registry.subjects()).includes('Order'))
})

test('an Ajv of its own may know more', () => {
  const serde = jsonSchema({
    schema: { type: 'string', format: 'even' },
    ajv: (options) => new Ajv({ ...options, formats: { even: (text: string) => text.length % 2 === 0 } }),
  })
  assert.throws(() => serde.serialize('abc', value), /must match format "even"/)
})
