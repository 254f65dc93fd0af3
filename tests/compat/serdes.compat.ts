import assert from 'node:assert/strict'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { create, createFileRegistry, type DescMessage } from '@bufbuild/protobuf'
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import { protobufFiles, startTestRegistry } from '@tidelog/testkit'
import { Consumer, Producer, type Serde } from 'tidelog'
import { recordNameStrategy, SchemaRegistry } from 'tidelog/schema-registry'
import { avro } from 'tidelog/serdes/avro'
import { jsonSchema } from 'tidelog/serdes/json-schema'
import { protobuf } from 'tidelog/serdes/protobuf'
import { compatDir, pythonWith, startBrokerProcess, succeed } from './harness.ts'
import { startSchemaRegistry } from './schema-registry-process.ts'

/** Of each topic; the script's COUNT. */
const COUNT = 20

const indexes = Array.from({ length: COUNT }, (_, index) => index)

const orderSchema = {
  type: 'record' as const,
  name: 'Order',
  namespace: 'shop',
  fields: [
    { name: 'id', type: 'string' },
    { name: 'total', type: 'shop.Money' },
    { name: 'tags', type: { type: 'array' as const, items: 'string' } },
    { name: 'note', type: ['null', 'string'], default: null },
  ],
}
const orderOf = (index: number) => ({
  id: `order ${index}`,
  total: { amount: 2 ** 40 + index, currency: 'EUR' },
  tags: ['a', 'ü'],
  note: index % 2 === 0 ? 'odd' : null,
})
const productSchema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Product',
  type: 'object',
  properties: { name: { type: 'string' }, price: { $ref: 'price.json' } },
  required: ['name', 'price'],
}
const productOf = (index: number) => ({ name: `product ${index}`, price: index / 4 })

const files = createFileRegistry(create(FileDescriptorProtoSchema, protobufFiles.order), () =>
  create(FileDescriptorProtoSchema, protobufFiles.address),
)
const messageOf = (name: string): DescMessage => files.getMessage(name)!

/** Values without the classes that decoders make them of. */
const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (name, part) => (name === '$typeName' || name === '$unknown' ? undefined : part)))

async function valuesOf<T>(bootstrapServers: string, topic: string, serde: Serde<T>): Promise<T[]> {
  await using consumer = new Consumer({ bootstrapServers, valueDeserializer: serde, autoOffsetReset: 'earliest' })
  consumer.assign([{ topic, partition: 0 }])
  const values: T[] = []
  for await (const record of consumer.records({ signal: AbortSignal.timeout(30_000) })) if (values.push(record.value!) === COUNT) break
  return values
}

/** Confluent's serializers and ours write, and read what the other has written. */
async function exchange(t: TestContext, registryUrl: Promise<string>, schemaIdSerializer: 'prefix' | 'header'): Promise<void> {
  const python = await pythonWith('confluent-kafka-serdes-2.16.0', ['confluent-kafka[avro,protobuf,json,schemaregistry]==2.16.0'])
  const [broker, url] = await Promise.all([startBrokerProcess(t), registryUrl])
  const { bootstrap: bootstrapServers } = broker
  const script = (mode: 'write' | 'read') =>
    succeed(python, [join(compatDir, 'python', 'serdes.py'), mode, schemaIdSerializer, bootstrapServers, url])
  await script('write')

  using registry = new SchemaRegistry({ url })
  const base = { registry, schemaIdSerializer }
  const shipmentOf = (index: number) => create(messageOf('shop.Order'), { id: `order ${index}`, to: { city: 'Rome' } } as never)
  const lineOf = (index: number) => create(messageOf('shop.Order.Line'), { count: index } as never)
  const orders = avro({ ...base, schema: orderSchema, references: [{ name: 'shop.Money', subject: 'shop.Money', version: 1 }] })
  const products = jsonSchema({ ...base, schema: productSchema, references: [{ name: 'price.json', subject: 'shop.Price', version: 1 }] })
  const shipments = protobuf({ ...base, message: messageOf('shop.Order') })
  const lines = protobuf({ ...base, message: messageOf('shop.Order.Line'), subjectNameStrategy: recordNameStrategy })

  const reads = async <T>(topic: string, serde: Serde<T>, makeValue: (index: number) => unknown) =>
    assert.deepEqual(plain(await valuesOf(bootstrapServers, topic, serde)), plain(indexes.map(makeValue)), topic)
  await reads('py-avro', orders, orderOf)
  await reads('py-json', products, productOf)
  await reads('py-protobuf', shipments, shipmentOf)
  await reads('py-lines', lines, lineOf)
  // By the writer's schema alone.
  await reads('py-avro', avro({ registry }), orderOf)
  await reads('py-json', jsonSchema({ registry }), productOf)

  const writes = async <T>(topic: string, serde: Serde<T>, makeValue: (index: number) => T) => {
    await using producer = new Producer({ bootstrapServers, valueSerializer: serde })
    await producer.sendMany(indexes.map((index) => ({ topic, value: makeValue(index) })))
  }
  await writes('ts-avro', orders, orderOf)
  await writes('ts-json', products, productOf)
  await writes('ts-protobuf', shipments, shipmentOf)
  await writes('ts-lines', lines, lineOf)
  await script('read')
}

test("Confluent's Avro, Protobuf and JSON Schema serializers read what ours wrote and the reverse, over a registry of their kind", (t) =>
  exchange(t, startSchemaRegistry(t), 'prefix'))

// Over a registry of ours: the one above gives schemas no GUID.
test('so they do when records name their schemas in headers', (t) =>
  exchange(
    t,
    startTestRegistry(t).then(({ url }) => url),
    'header',
  ))

test('a registry that others wrote: subjects, versions, compatibility, deletion', async (t) => {
  using registry = new SchemaRegistry({ url: await startSchemaRegistry(t) })
  const schemaOf = (...fields: object[]) => ({
    schemaType: 'AVRO' as const,
    schema: JSON.stringify({ type: 'record', name: 'Point', fields: [{ name: 'x', type: 'int' }, ...fields] }),
    references: [],
  })
  const first = schemaOf()
  const wider = schemaOf({ name: 'y', type: 'int', default: 0 })
  const broken = schemaOf({ name: 'y', type: 'int' })
  const id = await registry.register('points-value', first)
  assert.equal(await registry.register('points-value', first), id)
  await registry.setCompatibility('BACKWARD', 'points-value')
  assert.equal(await registry.compatibility('points-value'), 'BACKWARD')
  assert.equal((await registry.isCompatible('points-value', wider)).isCompatible, true)
  assert.equal((await registry.isCompatible('points-value', broken)).isCompatible, false)
  await assert.rejects(registry.register('points-value', broken), { code: 'SCHEMA_REGISTRY', status: 409 })
  await registry.register('points-value', wider)
  assert.deepEqual(await registry.versions('points-value'), [1, 2])
  const latest = await registry.version('points-value', 'latest')
  assert.deepEqual([latest.version, JSON.parse(latest.schema)], [2, JSON.parse(wider.schema)])
  assert.equal((await registry.lookup('points-value', first)).version, 1)
  assert.deepEqual(JSON.parse((await registry.schemaById(id)).schema), JSON.parse(first.schema))
  assert.deepEqual(await registry.subjects(), ['points-value'])
  await assert.rejects(registry.schemaById(999_999), { status: 404, errorCode: 40403 })
  assert.equal(await registry.deleteVersion('points-value', 1), 1)
  assert.deepEqual(await registry.deleteSubject('points-value'), [2])
  await assert.rejects(registry.version('points-value', 'latest'), { status: 404 })
})
