import assert from 'node:assert/strict'
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { inspect } from 'node:util'
import { ApiVersions, InitProducerId, Metadata, SaslAuthenticate, SaslHandshake } from '@tidelog/protocol'
import { type ScriptedAnswer, type ScriptedBroker, type ScriptedCall, startScriptedBroker } from '@tidelog/testkit'
import { Admin } from '../../admin/admin.ts'
import { Consumer } from '../../consumer/consumer.ts'
import { AuthenticationError } from '../../errors.ts'
import { Producer } from '../../producer/producer.ts'
import type { SaslOptions } from '../security.ts'
import type { SaslMechanism } from './sasl-mechanism.ts'

type Hash = 'sha256' | 'sha512'

/** How a SCRAM server goes wrong; without any it is Kafka's. RFC 5802. */
interface ScramFaults {
  readonly iterations?: number
  readonly nonce?: (fromClient: string) => string
  readonly signature?: (right: Buffer) => Buffer
  readonly final?: string
  readonly first?: string
}

/** The server's side of one SCRAM login, by the book. */
function scramServer(hash: Hash, username: string, password: string, faults: ScramFaults = {}) {
  const hmac = (key: Buffer, text: string) => createHmac(hash, key).update(text).digest()
  let firstBare = ''
  let serverFirst = ''
  const salt = randomBytes(16)
  const iterations = faults.iterations ?? 4096
  return (message: string): { text?: string; isRefused?: boolean } => {
    if (serverFirst === '') {
      firstBare = message.replace(/^n,,/, '')
      const fields = new Map(firstBare.split(',').map((field) => [field.slice(0, 1), field.slice(2)] as const))
      const nonce = fields.get('r')!
      if (fields.get('n') !== username.replaceAll('=', '=3D').replaceAll(',', '=2C')) return { isRefused: true }
      serverFirst = faults.first ?? `r=${(faults.nonce ?? ((own) => `${own}server`))(nonce)},s=${salt.toString('base64')},i=${iterations}`
      return { text: serverFirst }
    }
    const salted = pbkdf2Sync(password, salt, iterations, hash === 'sha256' ? 32 : 64, hash)
    const proof = Buffer.from(/,p=(.*)$/.exec(message)![1]!, 'base64')
    const authMessage = `${firstBare},${serverFirst},${message.replace(/,p=.*$/, '')}`
    const storedKey = createHash(hash).update(hmac(salted, 'Client Key')).digest()
    const clientKey = Buffer.from(hmac(storedKey, authMessage).map((byte, index) => byte ^ proof[index]!))
    if (!createHash(hash).update(clientKey).digest().equals(storedKey)) return { isRefused: true }
    const signature = hmac(hmac(salted, 'Server Key'), authMessage)
    return { text: faults.final ?? `v=${(faults.signature ?? ((right) => right))(signature).toString('base64')}` }
  }
}

const granted = (text = '') => ({ errorCode: 0, errorMessage: null, authBytes: Buffer.from(text), sessionLifetimeMs: 0 })
const denied = { errorCode: 58, errorMessage: 'invalid credentials', authBytes: Buffer.alloc(0), sessionLifetimeMs: 0 }

/** A broker that lets in who passes `login`, and then is an ordinary one. */
function saslBroker(
  t: TestContext,
  mechanisms: readonly string[],
  login: () => (message: Buffer) => ScriptedAnswer,
): Promise<ScriptedBroker> {
  const logins = new Map<number, (message: Buffer) => ScriptedAnswer>()
  return startScriptedBroker(t, {
    answer: ({ api, request, connection }: ScriptedCall) => {
      if (api.key === SaslHandshake.key) {
        logins.set(connection, login())
        return { errorCode: mechanisms.includes(String(request.mechanism)) ? 0 : 33, mechanisms }
      }
      if (api.key === SaslAuthenticate.key) return logins.get(connection)!(request.authBytes as Buffer)
      return 'ordinary'
    },
  })
}

function scramBroker(t: TestContext, hash: Hash, username: string, password: string, faults?: ScramFaults): Promise<ScriptedBroker> {
  return saslBroker(t, ['SCRAM-SHA-256', 'SCRAM-SHA-512'], () => {
    const server = scramServer(hash, username, password, faults)
    return (message) => {
      const { text, isRefused } = server(message.toString())
      return isRefused === true ? denied : granted(text)
    }
  })
}

async function listTopics(
  t: TestContext,
  { bootstrapServers }: ScriptedBroker,
  sasl: SaslOptions | SaslMechanism,
): Promise<readonly string[]> {
  const admin = new Admin({ bootstrapServers, sasl, retryBackoffMs: 5, reconnectBackoffMs: 5 })
  t.after(() => admin.close())
  return (await admin.listTopics({ timeoutMs: 10_000 })).map(({ name }) => name)
}

async function refusalOf(t: TestContext, broker: ScriptedBroker, sasl: SaslOptions): Promise<AuthenticationError> {
  const error = await listTopics(t, broker, sasl).then(
    () => assert.fail('the login succeeded'),
    (reason) => reason,
  )
  assert.ok(error instanceof AuthenticationError, String(error))
  assert.equal(error.fatal, true)
  assert.equal(error.retriable, false)
  return error
}

for (const [mechanism, hash] of [
  ['SCRAM-SHA-256', 'sha256'],
  ['SCRAM-SHA-512', 'sha512'],
] as const) {
  test(`${mechanism} logs in, with names and passwords of any characters, the password as it is`, async (t) => {
    const username = 'a=b,c'
    const password = 'ﬁ­Å pass,word='
    const broker = await scramBroker(t, hash, username, password)
    assert.deepEqual(await listTopics(t, broker, { mechanism, username, password }), ['a'])
    assert.deepEqual(broker.calls.slice(0, 4), ['ApiVersions', 'SaslHandshake', 'SaslAuthenticate', 'SaslAuthenticate'])
  })
}

test('C3: a wrong password is one AuthenticationError, asked for once and not shown', async (t) => {
  const broker = await scramBroker(t, 'sha256', 'user', 'right')
  const error = await refusalOf(t, broker, { mechanism: 'SCRAM-SHA-256', username: 'user', password: 'wrong-secret' })
  assert.equal(error.code, 'SASL_AUTHENTICATION_FAILED')
  assert.match(error.message, /invalid credentials/)
  assert.doesNotMatch(`${error.message} ${error.stack}`, /wrong-secret/)
  assert.equal(broker.connections(), 1)
})

test('C3: while the broker does not let it in, a client answers calls by that, and neither asks again at each nor by itself', async (t) => {
  const broker = await scramBroker(t, 'sha256', 'user', 'right')
  const login = {
    bootstrapServers: broker.bootstrapServers,
    sasl: { mechanism: 'SCRAM-SHA-256', username: 'user', password: 'wrong' },
  } as const
  const producer = new Producer(login)
  const consumer = new Consumer({ ...login, groupId: 'g' })
  const admin = new Admin(login)
  t.after(() => Promise.all([producer.close({ timeoutMs: 100 }), consumer.close({ timeoutMs: 100 }), admin.close()]))
  consumer.subscribe('a')
  for (let call = 0; call < 5; call++) {
    await assert.rejects(producer.send({ topic: 'a', value: 'v' }), AuthenticationError)
    await assert.rejects(consumer.poll({ timeoutMs: 5000 }), AuthenticationError)
    await assert.rejects(admin.listTopics(), AuthenticationError)
  }
  assert.equal(broker.connections(), 3)
})

test('C3: a mechanism that the broker does not offer is an error that names those it does', async (t) => {
  const broker = await saslBroker(t, ['SCRAM-SHA-256'], () => () => denied)
  const error = await refusalOf(t, broker, { mechanism: 'PLAIN', username: 'u', password: 'p' })
  assert.equal(error.code, 'UNSUPPORTED_SASL_MECHANISM')
  assert.match(error.message, /does not offer PLAIN, but SCRAM-SHA-256/)
})

const hostileServers: Readonly<Record<string, { faults: ScramFaults; message: RegExp }>> = {
  'signs with another password': { faults: { signature: (right) => right.map((byte) => byte ^ 1) as Buffer }, message: /signature/ },
  'signs with nothing': { faults: { final: 'v=' }, message: /signature/ },
  'says that all is well': { faults: { final: '' }, message: /signature/ },
  'asks for a single iteration': { faults: { iterations: 1 }, message: /1 iterations/ },
  'asks for two thousand million iterations': { faults: { first: undefined, iterations: 2_000_000_000 }, message: /2000000000 iterations/ },
  'does not extend the nonce': { faults: { nonce: (own) => own }, message: /nonce/ },
  'answers with a nonce of its own': { faults: { nonce: () => 'mine' }, message: /nonce/ },
  'sends a first message that is none': { faults: { first: 'm=ext,r=1' }, message: /first message/ },
  'sends a megabyte': { faults: { first: 'x'.repeat(1 << 20) }, message: /1048576 bytes/ },
}

for (const [what, { faults, message }] of Object.entries(hostileServers)) {
  test(`C4: a SCRAM server that ${what} is refused`, async (t) => {
    const broker = await scramBroker(t, 'sha256', 'user', 'password', faults)
    const error = await refusalOf(t, broker, { mechanism: 'SCRAM-SHA-256', username: 'user', password: 'password' })
    assert.match(error.message, message)
  })
}

test('C4: a broker that never comes to an end of a login, or lets one in who has not heard its proof, is refused', async (t) => {
  const endless = await saslBroker(t, ['OAUTHBEARER'], () => () => granted('{}'))
  await refusalOf(t, endless, { mechanism: 'OAUTHBEARER', token: 'a.b.c' })
  const more = await saslBroker(t, ['PLAIN'], () => () => granted('more'))
  assert.equal((await refusalOf(t, more, { mechanism: 'PLAIN', username: 'u', password: 'p' })).code, 'ILLEGAL_SASL_STATE')
})

test('OAUTHBEARER shows a token with its extensions, asks for one at every login, and hears why one is refused', async (t) => {
  const messages: string[] = []
  const broker = await saslBroker(t, ['OAUTHBEARER'], () => (message) => {
    messages.push(message.toString())
    if (message.toString() === '\x01') return denied
    return message.includes('good') ? granted() : granted('{"status":"invalid_token"}')
  })
  let asked = 0
  const token = async () => ({ value: `good${++asked}`, extensions: { traceId: '7' } })
  assert.deepEqual(await listTopics(t, broker, { mechanism: 'OAUTHBEARER', token }), ['a'])
  assert.deepEqual(messages, ['n,,\x01auth=Bearer good1\x01traceId=7\x01\x01'])
  const error = await refusalOf(t, broker, { mechanism: 'OAUTHBEARER', token: 'bad' })
  assert.match(error.message, /refuses the OAUTHBEARER login/)
  assert.equal(messages.at(-1), '\x01')
})

test('a function that cannot give the login yet is asked again until the call has run out of time', async (t) => {
  const broker = await saslBroker(t, ['PLAIN'], () => (message) => (message.toString() === '\0u\0p' ? granted() : denied))
  let asked = 0
  const password = () => {
    if (++asked < 3) throw new Error('the vault is sealed')
    return 'p'
  }
  assert.deepEqual(await listTopics(t, broker, { mechanism: 'PLAIN', username: 'u', password }), ['a'])
  const sealed = () => Promise.reject(new Error('the vault is sealed'))
  const admin = new Admin({ bootstrapServers: broker.bootstrapServers, sasl: { mechanism: 'PLAIN', username: 'u', password: sealed } })
  t.after(() => admin.close())
  await assert.rejects(admin.listTopics({ timeoutMs: 300 }), { code: 'TIMEOUT', message: /the vault is sealed/ })
})

test("a mechanism of one's own hears where it logs in, and answers what the broker asks", async (t) => {
  const said: string[] = []
  const broker = await saslBroker(t, ['MINE'], () => (message) => {
    said.push(message.toString())
    return said.length < 2 ? granted('who?') : granted()
  })
  const mine: SaslMechanism = {
    name: 'MINE',
    start: async ({ host, port }) => {
      let round = 0
      return {
        next: (challenge) => [Buffer.from('hello'), Buffer.from(`${challenge} me, at ${host}:${port}`)][round++],
        isComplete: true,
      }
    },
  }
  assert.deepEqual(await listTopics(t, broker, mine), ['a'])
  assert.deepEqual(said, ['hello', `who? me, at localhost:${broker.port}`])
  const failing: SaslMechanism = { name: 'MINE', start: () => Promise.reject(new Error('no ticket')) }
  const admin = new Admin({ bootstrapServers: broker.bootstrapServers, sasl: failing })
  t.after(() => admin.close())
  await assert.rejects(admin.listTopics({ timeoutMs: 300 }), { code: 'TIMEOUT', message: /no ticket/ })
})

test("a mechanism of one's own hears that its login has failed, and may say so in its own words", async (t) => {
  const broker = await saslBroker(t, ['MINE'], () => () => denied)
  const reasons: unknown[] = []
  const mechanism = (fail: (reason: unknown) => void): SaslMechanism => ({
    name: 'MINE',
    start: async () => ({ next: () => Buffer.from('hello'), isComplete: true, fail }),
  })
  const own = new AuthenticationError('SASL_AUTHENTICATION_FAILED', 'the card has expired')
  const speaking = mechanism((reason) => {
    reasons.push(reason)
    throw own
  })
  await assert.rejects(listTopics(t, broker, speaking), own)
  assert.match(String(reasons[0]), /refuses the MINE login: invalid credentials/)
  // What is no error of a client's is not what the login failed by.
  const stumbling = mechanism(() => {
    throw new Error('a defect')
  })
  await assert.rejects(listTopics(t, broker, stumbling), /invalid credentials/)
  const listening = mechanism(() => {})
  await assert.rejects(listTopics(t, broker, listening), /invalid credentials/)
})

test('a function that never gives the login holds up neither calls nor close()', async (t) => {
  const broker = await saslBroker(t, ['PLAIN'], () => () => granted())
  const password = () => new Promise<string>(() => {})
  const sasl = { mechanism: 'PLAIN', username: 'u', password } as const
  const quick = { requestTimeoutMs: 100, retryBackoffMs: 5, reconnectBackoffMs: 5, reconnectBackoffMaxMs: 5 }
  const admin = new Admin({ bootstrapServers: broker.bootstrapServers, sasl, ...quick })
  await assert.rejects(admin.listTopics({ timeoutMs: 500 }), { code: 'TIMEOUT', message: /what PLAIN needs/ })
  assert.ok(broker.connections() > 1)
  const waiting = assert.rejects(admin.listTopics(), { code: 'CLOSED' })
  await admin.close()
  await waiting
})

test('no client shows its secrets when it is printed', async (t) => {
  const secrets = { password: 'secret-1', key: 'secret-2', truststore: 'secret-3', proxy: 'secret-4' }
  const options = {
    bootstrapServers: 'localhost:1',
    sasl: { mechanism: 'PLAIN', username: 'u', password: secrets.password },
    proxy: `http://user:${secrets.proxy}@localhost:1`,
    saslOauthbearerClientCredentialsClientSecret: secrets.key,
    sslTruststorePassword: secrets.truststore,
  } as const
  const clients = [new Admin(options), new Producer(options), new Consumer(options)]
  t.after(() => Promise.all(clients.map((client) => client.close())))
  for (const client of clients) assert.doesNotMatch(inspect(client, { depth: 20, showHidden: true }), /secret/)
})

const stages: Readonly<Record<string, (call: ScriptedCall) => boolean>> = {
  'with the first request': ({ api }) => api.key === ApiVersions.key,
  'with the handshake': ({ api }) => api.key === SaslHandshake.key,
  'amid the login': ({ api }) => api.key === SaslAuthenticate.key,
  'with the request behind it': ({ api }) => api.key === Metadata.key,
}

for (const [when, isCut] of Object.entries(stages)) {
  test(`C2: a connection that is cut off ${when}, or amid the answer to it, is made again`, async (t) => {
    const server = () => scramServer('sha256', 'user', 'password')
    const logins = new Map<number, ReturnType<typeof server>>()
    const broker = await startScriptedBroker(t, {
      answer: (call) => {
        const { api, request, connection, socket } = call
        if (connection < 2 && isCut(call)) {
          // Half a frame: 100 bytes are announced, and two come.
          if (connection === 1) socket.write(Buffer.from([0, 0, 0, 100, 0, 0]), () => socket.destroy())
          return connection === 1 ? 'silence' : 'close'
        }
        if (api.key === SaslHandshake.key) {
          logins.set(connection, server())
          return { errorCode: 0, mechanisms: ['SCRAM-SHA-256'] }
        }
        if (api.key === SaslAuthenticate.key) return granted(logins.get(connection)!(String(request.authBytes)).text)
        return 'ordinary'
      },
    })
    assert.deepEqual(await listTopics(t, broker, { mechanism: 'SCRAM-SHA-256', username: 'user', password: 'password' }), ['a'])
    assert.equal(broker.connections(), 3)
  })
}

test('C3: a leader that does not let the client in fails its records and its reads at once, though other brokers do', async (t) => {
  const leader = await saslBroker(t, ['PLAIN'], () => () => denied)
  const others = await startScriptedBroker(t, {
    answer: ({ api }) => {
      if (api.key === SaslHandshake.key) return { errorCode: 0, mechanisms: ['PLAIN'] }
      if (api.key === SaslAuthenticate.key) return granted()
      if (api.key === InitProducerId.key)
        return { errorCode: 0, producerId: 1, producerEpoch: 0, ongoingTxnProducerId: -1, ongoingTxnProducerEpoch: -1 }
      if (api.key !== Metadata.key) return 'ordinary'
      const partition = {
        errorCode: 0,
        partitionIndex: 0,
        leaderId: 2,
        leaderEpoch: 0,
        replicaNodes: [2],
        isrNodes: [2],
        offlineReplicas: [],
      }
      const topics = [{ errorCode: 0, name: 'a', topicId: 'AAAAAAAAAAAAAAAAAAAAAg', isInternal: false, partitions: [partition] }]
      return {
        errorCode: 0,
        brokers: [{ nodeId: 2, host: 'localhost', port: leader.port, rack: null }],
        clusterId: 'c',
        controllerId: 2,
        topics,
      }
    },
  })
  const { bootstrapServers } = others
  const sasl = { mechanism: 'PLAIN', username: 'u', password: 'p' } as const
  const producer = new Producer({ bootstrapServers, sasl })
  const consumer = new Consumer({ bootstrapServers, sasl })
  t.after(() => Promise.all([producer.close({ timeoutMs: 100 }), consumer.close({ timeoutMs: 100 })]))
  const sends = [1, 2].map(() => producer.send({ topic: 'a', value: 'v' }))
  for (const send of sends) await assert.rejects(send, AuthenticationError)
  consumer.assign([{ topic: 'a', partition: 0 }])
  consumer.seek({ topic: 'a', partition: 0 }, 0)
  await assert.rejects(consumer.poll({ timeoutMs: 10_000 }), AuthenticationError)
})
