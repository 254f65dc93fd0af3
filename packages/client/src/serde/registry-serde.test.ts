import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answerWith, startTestRegistry } from '@tidelog/testkit'
import { InvalidOptionError, SerializationError } from '../errors.ts'
import { SchemaRegistry } from '../registry/schema-registry.ts'
import { avro } from './avro.ts'
import type { HeaderInput } from './serde.ts'

const schema = 'string' as const
const value = { topic: 'a', isKey: false }
/** `hi`, as Avro has it. */
const body = Buffer.of(4, 0x68, 0x69)
const bytesOf = (guid: string) => Buffer.concat([Buffer.of(1), Buffer.from(guid.replaceAll('-', ''), 'hex')])
const headerOf = (bytes: Buffer | null, key = '__value_schema_id') => ({ key, value: bytes })

test("a schema's GUID goes into a header when that is asked for, beside headers of others, and the bytes stay bare", async (t) => {
  const { url, requests } = await startTestRegistry(t)
  using registry = new SchemaRegistry({ url })
  const serde = avro<string>({ registry, schema, schemaIdSerializer: 'header' })
  const { guid } = await registry.registerWithResponse('a-value', { schemaType: 'AVRO', schema, references: [] })
  const other = headerOf(null, 'other')
  const headers: HeaderInput[] = [other]
  assert.deepEqual(await serde.serialize('hi', { ...value, headers }), body)
  assert.deepEqual(headers, [other, headerOf(bytesOf(guid!))])
  const keyHeaders: HeaderInput[] = []
  assert.deepEqual(await serde.serialize('hi', { topic: 'a', isKey: true, headers: keyHeaders }), body)
  assert.deepEqual(keyHeaders, [headerOf(bytesOf(guid!), '__key_schema_id')])
  // From then on it asks nobody.
  requests.length = 0
  assert.deepEqual(serde.serialize('hi', { ...value, headers: [] }), body)
  assert.throws(() => serde.serialize('hi', value), /no headers/)
  assert.deepEqual(requests, [])
})

test('a header that a record brings along from elsewhere does not outlive its schema', async (t) => {
  const { url } = await startTestRegistry(t)
  using registry = new SchemaRegistry({ url })
  for (const schemaIdSerializer of ['prefix', 'header'] as const) {
    const headers: HeaderInput[] = [headerOf(Buffer.of(9)), headerOf(null, 'other'), headerOf(null)]
    await avro<string>({ registry, schema, schemaIdSerializer }).serialize('hi', { ...value, headers })
    assert.deepEqual(
      headers.map(({ key, value }) => [key, value?.length]),
      [['other', undefined], ...(schemaIdSerializer === 'prefix' ? [] : [['__value_schema_id', 17]])],
    )
  }
})

test('a reader goes by the last header that names a schema, else by the prefix; either may have an id or a GUID', async (t) => {
  const { url, requests } = await startTestRegistry(t)
  using registry = new SchemaRegistry({ url })
  const { id, guid } = await registry.registerWithResponse('a-value', { schemaType: 'AVRO', schema, references: [] })
  const byId = Buffer.of(0, 0, 0, 0, id)
  const byGuid = bytesOf(guid!)
  const unknown = bytesOf('00000000-0000-4000-8000-000000000000')
  requests.length = 0
  const reader = avro<string>({ registry })
  const framed = Buffer.concat([byId, body])
  const other = headerOf(unknown, '__key_schema_id')
  assert.equal(await reader.deserialize(body, { ...value, headers: [headerOf(unknown), other, headerOf(byGuid)] }), 'hi')
  assert.equal(await reader.deserialize(framed, { ...value, headers: [other] }), 'hi')
  assert.deepEqual(requests, [`GET /schemas/guids/${guid}`, `GET /schemas/ids/${id}`])
  assert.equal(reader.deserialize(body, { ...value, headers: [headerOf(byId)] }), 'hi')
  assert.equal(reader.deserialize(Buffer.concat([byGuid, body]), value), 'hi')
  assert.equal(reader.deserialize(framed, { ...value, headers: [headerOf(unknown), headerOf(null)] }), 'hi')
  assert.equal(requests.length, 2)
})

test('a header of an unknown kind, one that is cut short, and a GUID that the registry does not have are typed errors', async (t) => {
  const { url } = await startTestRegistry(t)
  using registry = new SchemaRegistry({ url })
  const reader = avro<string>({ registry })
  for (const header of [Buffer.of(), Buffer.of(0, 0, 0, 1), Buffer.of(2, ...Array(16).fill(0)), Buffer.of(1, ...Array(15).fill(0))]) {
    assert.throws(() => reader.deserialize(body, { ...value, headers: [headerOf(header)] }), SerializationError)
  }
  const unknown = headerOf(bytesOf('00000000-0000-4000-8000-000000000000'))
  await assert.rejects(async () => reader.deserialize(body, { ...value, headers: [unknown] }), {
    code: 'SCHEMA_REGISTRY',
    errorCode: 40403,
  })
})

test('a registry without GUIDs, or with such as are none, cannot name schemas in headers', async (t) => {
  const { url, faults } = await startTestRegistry(t)
  using registry = new SchemaRegistry({ url })
  const serde = avro<string>({ registry, schema, schemaIdSerializer: 'header' })
  for (const answer of [{ id: 1 }, { id: 1, guid: 'none' }]) {
    faults.push((_, response) => answerWith(response, 200, answer))
    await assert.rejects(
      async () => serde.serialize('hi', { topic: `a-${JSON.stringify(answer)}`, isKey: false, headers: [] }),
      SerializationError,
    )
  }
  assert.throws(() => avro({ registry, schema, schemaIdSerializer: 'suffix' as never }), InvalidOptionError)
  assert.throws(() => avro({ schema, schemaIdSerializer: 'header' }), /needs a registry/)
})
