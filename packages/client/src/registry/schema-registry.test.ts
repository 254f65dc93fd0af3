import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answerWith, startTestRegistry, TestAuthority } from '@tidelog/testkit'
import { ClosedError, InvalidOptionError, TimeoutError } from '../errors.ts'
import { BoundedCache, BoundedMap } from './bounded-map.ts'
import { type RegistrySchema, SchemaRegistry, SchemaRegistryError } from './schema-registry.ts'

const text: RegistrySchema = { schemaType: 'AVRO', schema: '"string"', references: [] }

test('schemas are registered, found by id and version, compared and deleted', async (t) => {
  const { url, requests } = await startTestRegistry(t)
  using registry = new SchemaRegistry({ url: `${url}/` })
  const id = await registry.register('a/b-value', text)
  assert.equal(requests[0], 'POST /subjects/a%2Fb-value/versions')
  assert.deepEqual(await registry.schemaById(id), text)
  const { guid } = await registry.registerWithResponse('a/b-value', text)
  assert.deepEqual(await registry.schemaByGuid(guid!), text)
  await assert.rejects(registry.schemaByGuid('no/guid'), { status: 404, errorCode: 40403 })
  assert.deepEqual(await registry.version('a/b-value', 'latest'), { ...text, subject: 'a/b-value', version: 1, id, guid })
  assert.deepEqual(await registry.lookup('a/b-value', text), { ...text, subject: 'a/b-value', version: 1, id, guid })
  assert.deepEqual(await registry.subjects(), ['a/b-value'])
  assert.deepEqual(await registry.versions('a/b-value'), [1])
  assert.deepEqual(await registry.isCompatible('a/b-value', text), { isCompatible: true, messages: [] })
  await registry.setCompatibility('FULL', 'a/b-value')
  assert.equal(await registry.compatibility('a/b-value'), 'FULL')
  assert.equal(await registry.compatibility(), 'BACKWARD')
  assert.equal(await registry.deleteVersion('a/b-value', 1), 1)
  assert.deepEqual(await registry.deleteSubject('a/b-value', { permanent: true }), [1])
  await assert.rejects(registry.lookup('a/b-value', text), (error) => {
    assert.ok(error instanceof SchemaRegistryError)
    assert.deepEqual([error.code, error.status, error.errorCode, error.retriable], ['SCHEMA_REGISTRY', 404, 40401, false])
    return true
  })
})

test('what an id stands for is asked once, by any number of callers, and again after a failure', async (t) => {
  const { url, requests, faults } = await startTestRegistry(t)
  using registry = new SchemaRegistry({ url, retries: 0 })
  await registry.register('a', text)
  requests.length = 0
  faults.push((_, response) => answerWith(response, 500, {}))
  await assert.rejects(registry.schemaById(1), { retriable: true, status: 500 })
  const abort = new AbortController()
  const aborted = registry.schemaById(1, { signal: abort.signal })
  const others = [registry.schemaById(1), registry.schemaById(1)]
  abort.abort(new Error('enough'))
  await assert.rejects(aborted, /enough/)
  assert.deepEqual(await Promise.all(others), [text, text])
  assert.equal(requests.length, 2)
})

test('the next URL is tried when one cannot be reached, is overloaded or cuts its answer', async (t) => {
  const { url, faults, requests } = await startTestRegistry(t)
  using registry = new SchemaRegistry({ url: ['http://127.0.0.1:1', url], retryBackoffMs: 1 })
  faults.push((_, response) => answerWith(response, 429, { error_code: 429, message: 'slow down' }))
  faults.push((_, response) => {
    response.writeHead(200, { 'content-length': '100' })
    response.write('{"id"')
    response.destroy()
  })
  assert.equal(await registry.register('a', text), 1)
  assert.equal(requests.length, 3)
})

test('retries end, and a refusal is not tried again', async (t) => {
  const { url, faults, requests } = await startTestRegistry(t)
  using registry = new SchemaRegistry({ url, retries: 2, retryBackoffMs: 1 })
  for (let count = 0; count < 3; count++) faults.push((_, response) => answerWith(response, 503, {}))
  await assert.rejects(registry.register('a', text), { status: 503, retriable: true })
  assert.equal(requests.length, 3)
  faults.push((_, response) => answerWith(response, 409, { error_code: 409, message: 'Schema being registered is incompatible' }))
  await assert.rejects(registry.register('a', text), /409, Schema being registered is incompatible/)
  assert.equal(requests.length, 4)
})

test('a registry that does not answer, answers nonsense or without end is a typed error within its time', async (t) => {
  const { url, faults } = await startTestRegistry(t)
  using hasty = new SchemaRegistry({ url, retries: 0, requestTimeoutMs: 50 })
  faults.push(() => {})
  await assert.rejects(hasty.subjects(), { code: 'SCHEMA_REGISTRY', retriable: true, message: /no answer within 50 ms/ })
  using registry = new SchemaRegistry({ url, retries: 0 })
  faults.push((_, response) => response.end('<html>'))
  await assert.rejects(registry.subjects(), { code: 'SCHEMA_REGISTRY', message: /not JSON/ })
  for (const nonsense of [[1], {}, null]) {
    faults.push((_, response) => answerWith(response, 200, nonsense))
    await assert.rejects(registry.subjects(), { code: 'SCHEMA_REGISTRY', message: /not what it should be/ })
  }
  for (const nonsense of [{ id: -1 }, { id: 2 ** 31 }, { id: '1' }]) {
    faults.push((_, response) => answerWith(response, 200, nonsense))
    await assert.rejects(registry.register('a', text), { code: 'SCHEMA_REGISTRY' })
  }
  faults.push((_, response) => {
    const more = () => {
      while (response.writable && response.write(Buffer.alloc(1 << 20, 0x20)));
    }
    response.on('drain', more).on('error', () => {})
    more()
  })
  await assert.rejects(registry.subjects(), /longer than/)
})

test('one call has a limit of time, and close() ends it', async (t) => {
  const { url, faults } = await startTestRegistry(t)
  using registry = new SchemaRegistry({ url, timeoutMs: 50 })
  faults.push(() => {})
  await assert.rejects(registry.subjects(), TimeoutError)
  faults.push(() => {})
  const patient = new SchemaRegistry({ url })
  const call = patient.subjects()
  patient.close()
  await assert.rejects(call, ClosedError)
  await assert.rejects(patient.subjects(), ClosedError)
})

test('basic and bearer authentication', async (t) => {
  const { url, headers } = await startTestRegistry(t)
  const basic = `Basic ${Buffer.from('user:p@ss').toString('base64')}`
  using inUrl = new SchemaRegistry({ url: url.replace('//', '//user:p%40ss@') })
  using asOption = new SchemaRegistry({ url, auth: { username: 'user', password: 'p@ss' } })
  let count = 0
  using bearer = new SchemaRegistry({ url, auth: { token: async () => `token ${++count}` }, headers: { 'x-tenant': 'one' } })
  for (const registry of [inUrl, asOption, bearer, bearer]) await registry.subjects()
  assert.deepEqual(
    headers.map(({ authorization }) => authorization),
    [basic, basic, 'Bearer token 1', 'Bearer token 2'],
  )
  assert.equal(headers[3]?.['x-tenant'], 'one')
})

test('https with an authority and a certificate of its own; a certificate that is not trusted, or misses, is refused at once', async (t) => {
  const authority = new TestAuthority()
  const { cert: ca } = authority
  const { url, requests } = await startTestRegistry(t, { ...authority.issue(), ca, requestCert: true, rejectUnauthorized: true })
  using trusting = new SchemaRegistry({ url, tls: { ca, ...authority.issue({ commonName: 'client' }) } })
  assert.deepEqual(await trusting.subjects(), [])
  using stranger = new SchemaRegistry({ url, tls: { ca: new TestAuthority('another').cert } })
  await assert.rejects(stranger.subjects(), { code: 'SCHEMA_REGISTRY', retriable: false })
  using unknown = new SchemaRegistry({ url, retries: 0, tls: { ca } })
  await assert.rejects(unknown.subjects(), { code: 'SCHEMA_REGISTRY' })
  assert.equal(requests.length, 1)
})

test('an option that does not exist or has a bad value is named', () => {
  assert.throws(() => new SchemaRegistry({ url: 'not a url' }), InvalidOptionError)
  assert.throws(() => new SchemaRegistry({ url: 'ftp://a' }), /neither http nor https/)
  assert.throws(() => new SchemaRegistry({ url: [] }), /url is missing/)
  assert.throws(() => new SchemaRegistry({ url: 'http://a', retries: -1 }), /retries/)
  assert.throws(() => new SchemaRegistry({ url: 'http://a', cacheCapacity: 0 }), /cacheCapacity/)
  assert.throws(() => new SchemaRegistry({ url: 'http://a', timeout: 1 } as never), /unknown option timeout/)
})

test('everything that a schema refers to comes once, each behind what it refers to', async (t) => {
  const { url } = await startTestRegistry(t)
  using registry = new SchemaRegistry({ url })
  const named = (schema: string, ...names: string[]): RegistrySchema => ({
    schemaType: 'JSON',
    schema,
    references: names.map((name) => ({ name, subject: name, version: 1 })),
  })
  for (const [subject, schema] of [
    ['c', named('{"title":"c"}')],
    ['b', named('{"title":"b"}', 'c')],
  ] as const)
    await registry.register(subject, schema)
  const found = await registry.referencesOf(named('{}', 'b', 'c'))
  assert.deepEqual(
    found.map(({ name }) => name),
    ['c', 'b'],
  )
})

test('what is remembered is bounded, and the oldest goes first', async () => {
  const map = new BoundedMap<number, string>(2)
  for (const key of [1, 2, 1, 3]) map.set(key, `${key}`)
  assert.deepEqual([map.size, map.get(1), map.get(2), map.get(3)], [2, undefined, '2', '3'])
  const cache = new BoundedCache<number>(1)
  let loads = 0
  for (const key of ['a', 'a', 'b', 'a']) await cache.get(key, async () => ++loads)
  assert.equal(loads, 3)
})
