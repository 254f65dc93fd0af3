import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, createFileRegistry, type DescMessage, type MessageShape } from '@bufbuild/protobuf'
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import { protobufFiles, startTestRegistry } from '@tidelog/testkit'
import { recordNameStrategy, SchemaRegistry } from '../registry/schema-registry.ts'
import { protobuf } from './protobuf.ts'
import type { HeaderInput } from './serde.ts'

const { address, order: orders } = protobufFiles
const files = createFileRegistry(create(FileDescriptorProtoSchema, orders), () => create(FileDescriptorProtoSchema, address))
const messageOf = (name: string): DescMessage => files.getMessage(name)!
const value = { topic: 'orders', isKey: false }
const order = create(messageOf('shop.Order'), { id: 'a', to: { city: 'Rome' } } as never)
const body = [0x0a, 1, 0x61, 0x12, 6, 0x0a, 4, 0x52, 0x6f, 0x6d, 0x65]

test('without a registry a record is its bare bytes, at once', () => {
  const serde = protobuf({ message: messageOf('shop.Order') })
  const bytes = serde.serialize(order, value) as Uint8Array
  assert.deepEqual([...bytes], body)
  assert.deepEqual(serde.deserialize(Buffer.from(bytes), value), order)
})

test('over a registry the index of the message follows the id, and imported files are registered first', async (t) => {
  const { url, requests, schemas } = await startTestRegistry(t)
  using registry = new SchemaRegistry({ url })
  const serde = protobuf({ message: messageOf('shop.Order'), registry })
  const bytes = Buffer.from((await serde.serialize(order, value))!)
  assert.deepEqual([...bytes], [0, 0, 0, 0, 2, 2, 2, ...body])
  assert.deepEqual(requests, [
    'POST /subjects/shop%2Faddress.proto/versions',
    'POST /subjects/shop%2Faddress.proto',
    'POST /subjects/orders-value/versions',
    'GET /subjects/shop%2Faddress.proto/versions/1',
  ])
  assert.deepEqual(schemas[1]?.references, [{ name: 'shop/address.proto', subject: 'shop/address.proto', version: 1 }])
  // A reader asks nothing.
  assert.deepEqual(serde.deserialize(bytes, value), order)
  assert.equal(requests.length, 4)
})

test('a nested message is named by the way to it, and by its full name for subjects', async (t) => {
  const { url } = await startTestRegistry(t)
  using registry = new SchemaRegistry({ url })
  const serde = protobuf({ message: messageOf('shop.Order.Line'), registry, subjectNameStrategy: recordNameStrategy })
  const line = create(messageOf('shop.Order.Line'), { count: 3 } as never) as MessageShape<DescMessage>
  assert.deepEqual([...(await serde.serialize(line, value))!], [0, 0, 0, 0, 2, 4, 2, 0, 8, 3])
  assert.ok((await registry.subjects()).includes('shop.Order.Line'))
})

test('a schema in a header takes the index of the message along, and leaves the bytes bare', async (t) => {
  const { url, requests } = await startTestRegistry(t)
  using registry = new SchemaRegistry({ url })
  const serde = protobuf({ message: messageOf('shop.Order'), registry, schemaIdSerializer: 'header' })
  const headers: HeaderInput[] = []
  const bytes = Buffer.from((await serde.serialize(order, { ...value, headers }))!)
  assert.deepEqual([...bytes], body)
  const { guid } = await registry.version('orders-value', 'latest')
  const header = Buffer.concat([Buffer.of(1), Buffer.from(guid!.replaceAll('-', ''), 'hex'), Buffer.of(2, 2)])
  assert.deepEqual(headers, [{ key: '__value_schema_id', value: header }])
  requests.length = 0
  const read = (last: Buffer) => serde.deserialize(bytes, { ...value, headers: [{ key: '__value_schema_id', value: last }] })
  assert.deepEqual(read(header), order)
  assert.deepEqual(requests, [])
  assert.throws(() => read(header.subarray(0, 17)), /message indexes are cut short/)
})

test('bytes that are no message are errors', () => {
  using registry = new SchemaRegistry({ url: 'http://127.0.0.1:1' })
  const serde = protobuf({ message: messageOf('shop.Order'), registry })
  for (const bytes of [[], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 0x80], [0, 0, 0, 0, 1, 0, 0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]]) {
    assert.throws(() => serde.deserialize(Buffer.from(bytes), value))
  }
  assert.throws(() => protobuf({} as never), /message is missing/)
})
