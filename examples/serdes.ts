import assert from 'node:assert/strict'
import { create, createFileRegistry, type DescMessage } from '@bufbuild/protobuf'
import { FieldDescriptorProto_Type, FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import { Consumer, Producer, type Serde, string, synchronous } from 'tidelog'
import { SchemaRegistry, topicRecordNameStrategy } from 'tidelog/schema-registry'
import { avro } from 'tidelog/serdes/avro'
import { jsonSchema } from 'tidelog/serdes/json-schema'
import { msgpack } from 'tidelog/serdes/msgpack'
import { protobuf } from 'tidelog/serdes/protobuf'

interface Order {
  readonly id: string
  readonly total: number
}
const order: Order = { id: 'a-1', total: 12.5 }

/** What becomes of a value that goes through a topic. */
async function roundTrip<T>(bootstrapServers: string, topic: string, serde: Serde<T>, value: T): Promise<T | null> {
  await using producer = new Producer({ bootstrapServers, valueSerializer: serde })
  await producer.send({ topic, value })
  await using consumer = new Consumer({ bootstrapServers, valueDeserializer: serde, autoOffsetReset: 'earliest' })
  consumer.assign([{ topic, partition: 0 }])
  for (const record of await consumer.poll()) return record.value
  return null
}

export async function writeOnesOwn(bootstrapServers: string): Promise<void> {
  // #region own
  const date: Serde<Date> = synchronous({
    serialize: (value) => Buffer.from(value.toISOString(), 'utf8'),
    deserialize: (bytes) => new Date(bytes.toString('utf8')),
  })
  const producer = new Producer({ bootstrapServers, keySerializer: string, valueSerializer: date })
  // #endregion
  await producer.close()
  const value = new Date(0)
  assert.deepEqual(await roundTrip(bootstrapServers, 'dates', date, value), value)
}

export async function packMessages(bootstrapServers: string): Promise<void> {
  // #region msgpack
  const orders = msgpack<Order>()
  const producer = new Producer({ bootstrapServers, valueSerializer: orders })
  const consumer = new Consumer({ bootstrapServers, valueDeserializer: orders })
  // #endregion
  await Promise.all([producer.close(), consumer.close()])
  assert.deepEqual(await roundTrip(bootstrapServers, 'packed', orders, order), order)
}

export async function useAvroOverARegistry(bootstrapServers: string, registryUrl: string): Promise<void> {
  // #region avro
  const registry = new SchemaRegistry({ url: registryUrl })
  const orders = avro<Order>({
    registry,
    schema: {
      type: 'record',
      name: 'Order',
      namespace: 'shop',
      fields: [
        { name: 'id', type: 'string' },
        { name: 'total', type: 'double' },
      ],
    },
  })
  const producer = new Producer({ bootstrapServers, keySerializer: string, valueSerializer: orders })
  await producer.send({ topic: 'avro-orders', key: 'alice', value: { id: 'a-1', total: 12.5 } })

  // A reader may leave the schema out, and sees records as they were written.
  const consumer = new Consumer({ bootstrapServers, valueDeserializer: avro<Order>({ registry }), autoOffsetReset: 'earliest' })
  // #endregion
  consumer.assign([{ topic: 'avro-orders', partition: 0 }])
  for (const { value } of await consumer.poll()) assert.deepEqual({ ...value }, order)
  await Promise.all([producer.close(), consumer.close()])
  registry.close()
}

export async function registerSchemasByHand(_bootstrapServers: string, registryUrl: string): Promise<void> {
  // #region registry
  const registry = new SchemaRegistry({
    url: [registryUrl, 'http://registry-2:8081'],
    auth: { username: 'shop', password: 'secret' },
  })
  const schema = {
    schemaType: 'AVRO',
    schema: '{"type":"record","name":"Point","fields":[{"name":"x","type":"int"}]}',
    references: [],
  } as const
  const id = await registry.register('points-value', schema)
  const { version } = await registry.lookup('points-value', schema)
  await registry.setCompatibility('FULL', 'points-value')

  // Writes by what has been registered, and registers nothing itself.
  const points = avro<{ x: number }>({ registry, useLatestVersion: true })
  // #endregion
  assert.deepEqual([id, version], [1, 1])
  assert.ok(await points.serialize({ x: 1 }, { topic: 'points', isKey: false }))
  registry.close()
}

export async function checkJson(bootstrapServers: string, registryUrl: string): Promise<void> {
  const registry = new SchemaRegistry({ url: registryUrl })
  // #region json-schema
  const orders = jsonSchema<Order>({
    registry,
    schema: {
      title: 'Order',
      type: 'object',
      properties: { id: { type: 'string' }, total: { type: 'number', minimum: 0 } },
      required: ['id', 'total'],
    },
    // Several kinds of records in one topic: their schemas stand under TOPIC-TITLE.
    subjectNameStrategy: topicRecordNameStrategy,
  })
  // #endregion
  assert.deepEqual(await roundTrip(bootstrapServers, 'json-orders', orders, order), order)
  assert.deepEqual(await registry.subjects(), ['json-orders-Order'])
  registry.close()
}

/** What protoc-gen-es makes of a .proto file. */
const OrderSchema: DescMessage = createFileRegistry(
  create(FileDescriptorProtoSchema, {
    name: 'order.proto',
    package: 'shop',
    syntax: 'proto3',
    messageType: [{ name: 'Order', field: [{ name: 'id', number: 1, type: FieldDescriptorProto_Type.STRING, label: 1 }] }],
  }),
  () => undefined,
).getMessage('shop.Order')!

export async function useProtobuf(bootstrapServers: string, registryUrl: string): Promise<void> {
  const registry = new SchemaRegistry({ url: registryUrl })
  // #region protobuf
  // import { OrderSchema } from './gen/order_pb.js', made by protoc-gen-es
  const orders = protobuf({ registry, message: OrderSchema })
  const producer = new Producer({ bootstrapServers, valueSerializer: orders })
  await producer.send({ topic: 'proto-orders', value: create(OrderSchema, { id: 'a-1' }) })
  // #endregion
  await producer.close()
  const value = create(OrderSchema, { id: 'a-2' })
  assert.equal((await roundTrip(bootstrapServers, 'proto-orders-2', orders, value))?.$typeName, 'shop.Order')
  registry.close()
}
