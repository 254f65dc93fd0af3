import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answerWith, startTestRegistry } from '@tidelog/testkit'
import { ClosedError, SerializationError } from '../errors.ts'
import { recordNameStrategy, SchemaRegistry, topicRecordNameStrategy } from '../registry/schema-registry.ts'
import { avro } from './avro.ts'

interface Order {
  id: string
  total: number
}
const schema = {
  type: 'record' as const,
  name: 'Order',
  namespace: 'shop',
  fields: [
    { name: 'id', type: 'string' },
    { name: 'total', type: 'double' },
  ],
}
const value = { topic: 'orders', isKey: false }
const order: Order = { id: 'a', total: 1.5 }
const bufferOf = (bytes: Uint8Array | null | Promise<unknown>) => {
  assert.ok(bytes instanceof Uint8Array)
  return Buffer.from(bytes)
}

test('without a registry a record is its bare bytes, at once', () => {
  const serde = avro<Order>({ schema })
  const bytes = bufferOf(serde.serialize(order, value))
  assert.deepEqual([...bytes], [2, 0x61, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f])
  assert.deepEqual({ ...(serde.deserialize(bytes, value) as Order) }, order)
  const large = { id: 'x'.repeat(10_000), total: 1 }
  assert.deepEqual({ ...(serde.deserialize(bufferOf(serde.serialize(large, value)), value) as Order) }, large)
  assert.throws(() => serde.serialize({ id: 1 } as never, value), /invalid/)
  assert.throws(() => serde.deserialize(Buffer.concat([bytes, bytes]), value), /follow the value/)
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => serde.deserialize(bytes.subarray(0, length), value), /cut short/)
  }
})

test('the registry is asked once a topic and once a schema; from then on there are no promises', async (t) => {
  const { url, requests } = await startTestRegistry(t)
  using registry = new SchemaRegistry({ url })
  const writer = avro<Order>({ registry, schema })
  const [first, second] = await Promise.all([writer.serialize(order, value), writer.serialize(order, value)])
  assert.deepEqual(first, second)
  assert.deepEqual([...bufferOf(first!).subarray(0, 7)], [0, 0, 0, 0, 1, 2, 0x61])
  const reader = avro<Order>({ registry })
  assert.ok(reader.deserialize(bufferOf(first!), value) instanceof Promise)
  assert.deepEqual({ ...(await reader.deserialize(bufferOf(first!), value)) }, order)
  assert.ok(!(reader.deserialize(bufferOf(first!), value) instanceof Promise))
  assert.ok(!(writer.serialize(order, value) instanceof Promise))
  assert.deepEqual(requests, ['POST /subjects/orders-value/versions', 'GET /schemas/ids/1'])
})

test('what was written by an older schema is resolved to the own one', async (t) => {
  const { url } = await startTestRegistry(t)
  using registry = new SchemaRegistry({ url })
  const newer = { ...schema, fields: [...schema.fields, { name: 'note', type: 'string', default: 'none' }] }
  const bytes = bufferOf(await avro<Order>({ registry, schema }).serialize(order, value))
  assert.deepEqual({ ...((await avro<Order>({ registry, schema: newer }).deserialize(bytes, value)) as Order) }, { ...order, note: 'none' })
  const other = { ...schema, fields: [{ name: 'missing', type: 'int' }] }
  await assert.rejects(async () => avro({ registry, schema: other }).deserialize(bytes, value), /missing/)
})

test('subjects follow their strategy, and schemas are registered, looked up or taken as the newest', async (t) => {
  const { url, requests } = await startTestRegistry(t)
  using registry = new SchemaRegistry({ url })
  const strict = avro<Order>({ registry, schema, autoRegisterSchemas: false })
  await assert.rejects(async () => strict.serialize(order, value), { code: 'SCHEMA_REGISTRY', errorCode: 40401 })
  await avro({ registry, schema, subjectNameStrategy: recordNameStrategy, normalizeSchemas: true }).serialize(order, value)
  await avro({ registry, schema, subjectNameStrategy: topicRecordNameStrategy }).serialize(order, value)
  await avro({ registry, schema: 'string' }).serialize('k', { topic: 'orders', isKey: true })
  assert.deepEqual(await registry.subjects(), ['shop.Order', 'orders-shop.Order', 'orders-key'])
  assert.ok(requests.includes('POST /subjects/shop.Order/versions?normalize=true'))
  const latest = avro<Order>({ registry, useLatestVersion: true, subjectNameStrategy: () => 'shop.Order' })
  assert.deepEqual([...bufferOf(await latest.serialize(order, value)).subarray(0, 5)], [0, 0, 0, 0, 1])
  await assert.rejects(async () => avro({ registry }).serialize(order, value), /needs a schema/)
})

test('a schema may use others that the registry has', async (t) => {
  const { url } = await startTestRegistry(t)
  using registry = new SchemaRegistry({ url })
  await registry.register('shop.Order', { schemaType: 'AVRO', schema: JSON.stringify(schema), references: [] })
  const cart = {
    type: 'record' as const,
    name: 'Cart',
    fields: [{ name: 'orders', type: { type: 'array' as const, items: 'shop.Order' } }],
  }
  const serde = avro<{ orders: Order[] }>({
    registry,
    schema: cart,
    references: [{ name: 'shop.Order', subject: 'shop.Order', version: 1 }],
  })
  const bytes = bufferOf(await serde.serialize({ orders: [order, order] }, value))
  for (const reader of [serde, avro<{ orders: Order[] }>({ registry })]) {
    const read = await reader.deserialize(bytes, value)
    assert.deepEqual(
      read.orders.map((each) => ({ ...each })),
      [order, order],
    )
  }
})

test('a failure of the registry is not remembered', async (t) => {
  const { url, faults } = await startTestRegistry(t)
  using registry = new SchemaRegistry({ url, retries: 0 })
  const serde = avro<Order>({ registry, schema })
  faults.push((_, response) => answerWith(response, 500, {}))
  await assert.rejects(async () => serde.serialize(order, value), { retriable: true })
  assert.ok(await serde.serialize(order, value))
  registry.close()
  await assert.rejects(async () => serde.deserialize(Buffer.from([0, 0, 0, 0, 9]), value), ClosedError)
})

test('bytes without an id, of an unknown id, of no Avro schema are typed errors', async (t) => {
  const { url } = await startTestRegistry(t)
  using registry = new SchemaRegistry({ url })
  const serde = avro({ registry })
  assert.throws(() => serde.deserialize(Buffer.from('{}'), value), SerializationError)
  await assert.rejects(async () => serde.deserialize(Buffer.from([0, 0, 0, 0, 9]), value), { errorCode: 40403 })
  const id = await registry.register('a', { schemaType: 'JSON', schema: '{}', references: [] })
  await assert.rejects(async () => serde.deserialize(Buffer.from([0, 0, 0, 0, id]), value), /not Avro's but JSON/)
  assert.throws(() => avro({ schema: '{"type":' }), /is JSON/)
  assert.throws(() => avro({ schema: { type: 'record' } as never }), SerializationError)
})

test('longs are exact as bigint, and as numbers refused where they would be rounded', () => {
  const exact = avro<bigint>({ schema: 'long', longs: 'bigint' })
  const bytes = bufferOf(exact.serialize(2n ** 63n - 1n, value))
  assert.equal(exact.deserialize(bytes, value), 2n ** 63n - 1n)
  assert.throws(() => avro({ schema: 'long' }).deserialize(bytes, value))
  assert.throws(() => exact.serialize(2n ** 63n, value))
})

test('options that do not go together are refused', () => {
  assert.throws(() => avro({}), /schema is missing/)
  assert.throws(() => avro({ schema, useLatestVersion: true }), /useLatestVersion needs a registry/)
  assert.throws(() => avro({ schema, shema: 1 } as never), /unknown option shema/)
  using registry = new SchemaRegistry({ url: 'http://127.0.0.1:1' })
  assert.throws(() => avro({ registry, schema, useLatestVersion: true, autoRegisterSchemas: true }), /do not go together/)
})
