import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createServer as createTlsServer, type TlsOptions as ServerTlsOptions } from 'node:tls'
import { encryptKey, freePort, type ScriptedBroker, startScriptedBroker, startTestBroker, TestAuthority } from '@tidelog/testkit'
import { Admin } from '../admin/admin.ts'
import type { AdminOptions } from '../admin/admin-options.ts'
import { Consumer } from '../consumer/consumer.ts'
import { type ClientError, DisconnectedError, TlsError } from '../errors.ts'
import { fromProperties } from '../from-properties.ts'
import { Producer } from '../producer/producer.ts'
import { string } from '../serde/serde.ts'

const authority = new TestAuthority()
const broker = authority.issue()
const client = authority.issue({ commonName: 'client', hosts: [] })

const tlsBroker = (t: TestContext, tls: ServerTlsOptions): Promise<ScriptedBroker> =>
  startScriptedBroker(t, { answer: () => 'ordinary', tls })

async function topicsOf(t: TestContext, options: AdminOptions, timeoutMs = 10_000): Promise<readonly string[]> {
  const admin = new Admin({ retryBackoffMs: 5, reconnectBackoffMs: 5, ...options })
  t.after(() => admin.close())
  return (await admin.listTopics({ timeoutMs })).map(({ name }) => name)
}

async function failureOf(t: TestContext, options: AdminOptions, timeoutMs?: number): Promise<ClientError> {
  return topicsOf(t, options, timeoutMs).then(
    () => assert.fail('the call succeeded'),
    (error) => error,
  )
}

async function directory(t: TestContext, files: Readonly<Record<string, string | Buffer>>): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'tidelog-tls-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text)
  return dir
}

test('TLS and mTLS work by the options of node:tls, by inline PEM, by PEM files and by encrypted keys', async (t) => {
  const { bootstrapServers, port } = await tlsBroker(t, { ...broker, ca: authority.cert, requestCert: true, rejectUnauthorized: true })
  const dir = await directory(t, {
    'ca.pem': authority.cert,
    'client.pem': client.key + client.cert,
    'locked.pem': encryptKey(client, 'key-secret') + client.cert,
  })
  const files = { 'bootstrap.servers': bootstrapServers, 'security.protocol': 'SSL', 'ssl.truststore.location': join(dir, 'ca.pem') }
  const ways: Readonly<Record<string, AdminOptions>> = {
    options: { bootstrapServers, tls: { ca: authority.cert, ...client } },
    'an address': { bootstrapServers: `127.0.0.1:${port}`, tls: { ca: authority.cert, ...client } },
    inline: {
      bootstrapServers,
      securityProtocol: 'SSL',
      sslTruststoreCertificates: authority.cert,
      sslKeystoreCertificateChain: client.cert,
      sslKeystoreKey: client.key,
      sslEnabledProtocols: ['TLSv1.3'],
    },
    files: fromProperties({
      ...files,
      'ssl.truststore.type': 'PEM',
      'ssl.keystore.type': 'PEM',
      'ssl.keystore.location': join(dir, 'client.pem'),
    }),
    encrypted: fromProperties({
      ...files,
      'ssl.keystore.location': join(dir, 'locked.pem'),
      'ssl.key.password': 'key-secret',
      'ssl.enabled.protocols': 'TLSv1.2',
      'ssl.cipher.suites': 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
    }),
  }
  for (const [way, options] of Object.entries(ways)) assert.deepEqual(await topicsOf(t, options), ['a'], way)
})

test('producer and consumer work over TLS as without', async (t) => {
  const port = await freePort()
  const innerPort = await freePort()
  const listeners = { listeners: `PLAINTEXT://127.0.0.1:${innerPort}`, 'advertised.listeners': `PLAINTEXT://localhost:${port}` }
  const behind = await startTestBroker({ config: listeners })
  t.after(() => behind.close())
  const sockets = new Set<Socket>()
  const front = createTlsServer(broker, (socket) => {
    const inner = connect({ host: '127.0.0.1', port: innerPort })
    for (const one of [socket, inner]) {
      sockets.add(one)
      one.on('error', () => {}).on('close', () => [socket, inner].map((other) => other.destroy()))
    }
    socket.pipe(inner).pipe(socket)
  })
  front.listen(port, '127.0.0.1')
  await once(front, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    front.close()
  })
  const options = { bootstrapServers: `localhost:${port}`, tls: { ca: authority.cert } }
  const producer = new Producer({ ...options, valueSerializer: string })
  const consumer = new Consumer({ ...options, valueDeserializer: string })
  t.after(() => Promise.all([producer.close({ timeoutMs: 1000 }), consumer.close({ timeoutMs: 1000 })]))
  const large = 'x'.repeat(300_000)
  await producer.sendMany(['one', large, 'three'].map((value) => ({ topic: 'a', value })))
  consumer.assign([{ topic: 'a', partition: 0 }])
  consumer.seekToBeginning([{ topic: 'a', partition: 0 }])
  const seen: (string | null)[] = []
  for await (const { value } of consumer.records()) if (seen.push(value) === 3) break
  assert.deepEqual(seen.sort(), ['one', 'three', large].sort())
})

const untrusted = {
  'a certificate that has expired': { ...authority.issue({ validFromDays: -20, validDays: 10 }) },
  'a certificate that is not valid yet': { ...authority.issue({ validFromDays: 10 }) },
  'a certificate of a foreign authority': { ...new TestAuthority('foreign').issue() },
  'a certificate for another host': { ...authority.issue({ hosts: ['elsewhere.example'] }) },
}

for (const [what, identity] of Object.entries(untrusted)) {
  test(`C1: ${what} is a TlsError at once, of producer, consumer and admin alike`, async (t) => {
    const { bootstrapServers, connections } = await tlsBroker(t, identity)
    const options = { bootstrapServers, tls: { ca: authority.cert } }
    const error = await failureOf(t, options)
    assert.ok(error instanceof TlsError && error.fatal && !error.retriable, String(error))
    assert.ok((error.cause as Error).cause instanceof Error)
    const producer = new Producer(options)
    const consumer = new Consumer({ ...options, groupId: 'g' })
    t.after(() => Promise.all([producer.close({ timeoutMs: 100 }), consumer.close({ timeoutMs: 100 })]))
    await assert.rejects(producer.send({ topic: 'a', value: 'v' }), TlsError)
    consumer.subscribe('a')
    await assert.rejects(consumer.poll({ timeoutMs: 5000 }), TlsError)
    assert.equal(connections(), 0)
  })
}

test('C1: with an empty ssl.endpoint.identification.algorithm another host name does, and nothing else that is wrong', async (t) => {
  const elsewhere = await tlsBroker(t, untrusted['a certificate for another host'])
  const lax = { tls: { ca: authority.cert }, sslEndpointIdentificationAlgorithm: '' }
  assert.deepEqual(await topicsOf(t, { bootstrapServers: elsewhere.bootstrapServers, ...lax }), ['a'])
  const expired = await tlsBroker(t, untrusted['a certificate that has expired'])
  assert.ok((await failureOf(t, { bootstrapServers: expired.bootstrapServers, ...lax })) instanceof TlsError)
})

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`C1: a broker that wants a certificate of the client and gets none is a TlsError (${maxVersion})`, async (t) => {
    const tls = { ...broker, ca: authority.cert, requestCert: true, rejectUnauthorized: true, maxVersion }
    const { bootstrapServers } = await tlsBroker(t, tls)
    assert.ok((await failureOf(t, { bootstrapServers, tls: { ca: authority.cert } })) instanceof TlsError)
  })
}

test('C1: no version of TLS in common is a TlsError', async (t) => {
  const { bootstrapServers } = await tlsBroker(t, { ...broker, maxVersion: 'TLSv1.2' })
  const options = { bootstrapServers, tls: { ca: authority.cert }, sslEnabledProtocols: ['TLSv1.3'] }
  assert.ok((await failureOf(t, options)) instanceof TlsError)
})

test('C1: TLS to a port without and the reverse are retried, and end with an error that says what may be wrong', async (t) => {
  const plain = await startScriptedBroker(t, { answer: () => 'ordinary' })
  const toPlain = await failureOf(t, { bootstrapServers: plain.bootstrapServers, tls: { ca: authority.cert } }, 700)
  assert.equal(toPlain.code, 'TIMEOUT')
  assert.match(toPlain.message, /broke off the TLS handshake .*securityProtocol/)
  assert.ok(toPlain.cause instanceof DisconnectedError)
  const secure = await tlsBroker(t, broker)
  const toSecure = await failureOf(t, { bootstrapServers: secure.bootstrapServers }, 700)
  assert.equal(toSecure.code, 'TIMEOUT')
  assert.match(toSecure.message, /wants TLS.*securityProtocol/)
})

test('C2: a TLS handshake that is cut off, or never answered, is tried again', async (t) => {
  const { port } = await tlsBroker(t, broker)
  let connections = 0
  const held = new Set<Socket>()
  const unreliable = createServer((socket) => {
    held.add(socket)
    socket.on('error', () => {})
    connections++
    if (connections === 1) socket.once('data', () => socket.resetAndDestroy())
    else if (connections >= 3) {
      const inner = connect({ host: '127.0.0.1', port }).on('error', () => {})
      held.add(inner)
      socket.pipe(inner).pipe(socket)
    }
  })
  unreliable.listen(0, '127.0.0.1')
  await once(unreliable, 'listening')
  t.after(() => {
    for (const socket of held) socket.destroy()
    unreliable.close()
  })
  const bootstrapServers = `localhost:${(unreliable.address() as AddressInfo).port}`
  assert.deepEqual(await topicsOf(t, { bootstrapServers, tls: { ca: authority.cert }, socketConnectionSetupTimeoutMs: 100 }), ['a'])
  assert.ok(connections >= 3)
})

test('key stores that cannot be read, or do not fit, are errors that say what to do, when the client is made', async (t) => {
  const dir = await directory(t, {
    'store.jks': Buffer.from('feedfeed00000002', 'hex'),
    'trust.p12': Buffer.from('308201', 'hex'),
    'text.txt': 'hello',
    'ca.pem': authority.cert,
  })
  const file = (name: string) => join(dir, name)
  const base = { bootstrapServers: 'localhost:1', securityProtocol: 'SSL' } as const
  const cases: readonly [AdminOptions, RegExp][] = [
    [{ ...base, sslTruststoreLocation: file('none.pem') }, /sslTruststoreLocation: .*none\.pem cannot be read/],
    [{ ...base, sslTruststoreLocation: file('store.jks') }, /Java key store \(JKS\).*keytool/],
    [{ ...base, sslKeystoreLocation: file('store.jks') }, /Java key store \(JKS\).*keytool/],
    [{ ...base, sslTruststoreLocation: file('trust.p12') }, /PKCS12 file.*openssl/],
    [{ ...base, sslKeystoreLocation: file('trust.p12'), sslKeystorePassword: 'store-secret' }, /keys and certificates/],
    [{ ...base, sslTruststoreLocation: file('text.txt') }, /neither PEM nor PKCS12/],
    [{ ...base, sslTruststoreCertificates: 'nothing' }, /is no PEM/],
    [{ ...base, sslKeystoreKey: client.key }, /go together/],
    [{ ...base, sslKeystoreKey: broker.key, sslKeystoreCertificateChain: client.cert }, /do not fit together/],
    [
      { ...base, sslKeystoreKey: encryptKey(client, 'key-secret'), sslKeystoreCertificateChain: client.cert, sslKeyPassword: 'wrong' },
      /keys and/,
    ],
    [{ ...base, sslCipherSuites: 'TLS_NONE_WITH_NOTHING' }, /no cipher suite TLS_NONE_WITH_NOTHING/],
    [{ ...base, sslEngineFactoryClass: 'com.example.Engine' }, /Java class/],
    [{ bootstrapServers: 'localhost:1', securityProtocol: 'SASL_PLAINTEXT', tls: true }, /tls does not go together/],
  ]
  for (const [options, message] of cases) {
    assert.throws(
      () => new Admin(options),
      (error: ClientError) => error.code === 'INVALID_CONFIG' && message.test(error.message) && !/secret|wrong/.test(error.message),
      String(message),
    )
  }
})
