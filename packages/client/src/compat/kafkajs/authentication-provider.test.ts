import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { SaslAuthenticate, SaslHandshake } from '@tidelog/protocol'
import { type ScriptedAnswer, startScriptedBroker } from '@tidelog/testkit'
import {
  type AuthenticationProviderArgs,
  Kafka,
  KafkaJSNonRetriableError,
  type KafkaJSProtocolError,
  KafkaJSSASLAuthenticationError,
  logLevel,
} from './index.ts'

const granted = { errorCode: 0, errorMessage: null, authBytes: Buffer.alloc(0), sessionLifetimeMs: 0 }
const hello = { request: { encode: () => Buffer.from('\0\0\0\x05hello') } }

/** A client with a provider of its own, at a broker that answers its messages with `answer`. */
async function setUp(
  t: TestContext,
  authenticate: (args: AuthenticationProviderArgs) => Promise<void>,
  answer: (message: string, connection: number) => ScriptedAnswer = () => granted,
) {
  const broker = await startScriptedBroker(t, {
    answer: ({ api, request, connection }) => {
      if (api.key === SaslHandshake.key) return { errorCode: 0, mechanisms: ['MINE'] }
      return api.key === SaslAuthenticate.key ? answer(String(request.authBytes), connection) : 'ordinary'
    },
  })
  const admin = new Kafka({
    brokers: [broker.bootstrapServers],
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 10, retries: 3 },
    sasl: { mechanism: 'mine', authenticationProvider: (args) => ({ authenticate: () => authenticate(args) }) },
  }).admin()
  t.after(() => admin.disconnect())
  return { admin, broker }
}

test('C2: a connection that is cut off amid the login of a provider is told to it, and made again whatever it makes of that', async (t) => {
  for (const made of [(error: Error) => error, () => new KafkaJSSASLAuthenticationError('mine failed')]) {
    const told: string[] = []
    const authenticate = async ({ saslAuthenticate }: AuthenticationProviderArgs) => {
      await saslAuthenticate(hello).catch((error) => {
        told.push(error.name)
        throw made(error)
      })
    }
    const { admin, broker } = await setUp(t, authenticate, (_, connection) => (connection === 0 ? 'close' : granted))
    await admin.connect()
    assert.deepEqual(told, ['KafkaJSConnectionError'])
    assert.equal(broker.connections(), 2)
  }
})

test('a provider that cannot log in now is asked again, and its own error is what is told in the end', async (t) => {
  let asked = 0
  const authenticate = async ({ saslAuthenticate }: AuthenticationProviderArgs) => {
    if (++asked < 3) throw new Error('the vault is sealed')
    await saslAuthenticate(hello)
  }
  const { admin } = await setUp(t, authenticate)
  await admin.connect()
  assert.equal(asked, 3)
  const sealed = await setUp(t, () => Promise.reject(new Error('the vault is sealed')))
  await assert.rejects(sealed.admin.connect(), /^Error: the vault is sealed$/)
})

test('C3: what the broker refuses is asked once, also when the provider does not mind', async (t) => {
  const denied = { ...granted, errorCode: 58, errorMessage: 'go away' }
  const carelessly = async ({ saslAuthenticate }: AuthenticationProviderArgs) => void (await saslAuthenticate(hello).catch(() => undefined))
  const careless = await setUp(t, carelessly, () => denied)
  await assert.rejects(careless.admin.connect(), { name: 'KafkaJSSASLAuthenticationError', message: /go away/ })
  assert.equal(careless.broker.connections(), 1)
  const errors: KafkaJSProtocolError[] = []
  const stubborn = async ({ saslAuthenticate }: AuthenticationProviderArgs) => {
    for (let attempt = 0; attempt < 3; attempt++) await saslAuthenticate(hello).catch((error) => errors.push(error))
    throw errors[0]
  }
  const { admin, broker } = await setUp(t, stubborn, () => denied)
  await assert.rejects(admin.connect(), { type: 'SASL_AUTHENTICATION_FAILED', code: 58 })
  assert.equal(errors.length, 3)
  assert.equal(broker.calls.filter((name) => name === 'SaslAuthenticate').length, 1)
})

test('messages of a provider that does not wait for answers go one after another', async (t) => {
  const heard: string[] = []
  const numbered = (digit: number) => ({
    request: { encode: () => Buffer.from(`\0\0\0\x01${digit}`) },
    response: { decode: (raw: Buffer) => raw, parse: String },
  })
  const answers: unknown[] = []
  const authenticate = async ({ saslAuthenticate }: AuthenticationProviderArgs) => {
    answers.push(...(await Promise.all([1, 2, 3].map((digit) => saslAuthenticate(numbered(digit))))))
  }
  const { admin } = await setUp(t, authenticate, (message) => {
    heard.push(message)
    return { ...granted, authBytes: Buffer.from(`to ${message}`) }
  })
  await admin.connect()
  assert.deepEqual(heard, ['1', '2', '3'])
  assert.deepEqual(
    answers,
    [1, 2, 3].map((digit) => `\0\0\0\x04to ${digit}`),
  )
})

test('bytes without their length are an error, and nothing is sent', async (t) => {
  for (const bytes of [Buffer.from('hello'), Buffer.alloc(3), Buffer.from('\0\0\0\x01hello'), 'hello' as never]) {
    const { admin, broker } = await setUp(t, async ({ saslAuthenticate }) => {
      await saslAuthenticate({ request: { encode: () => bytes } })
    })
    await assert.rejects(admin.connect(), (error) => error instanceof KafkaJSNonRetriableError && /encode/.test(error.message))
    assert.ok(!broker.calls.includes('SaslAuthenticate'))
  }
})

test('a provider that never comes to an end does not hold up disconnect(), and what it says behind the end is refused', async (t) => {
  let late: AuthenticationProviderArgs['saslAuthenticate'] | undefined
  let begin!: () => void
  const begun = new Promise<void>((resolve) => {
    begin = resolve
  })
  const { admin } = await setUp(t, async ({ saslAuthenticate }) => {
    late = saslAuthenticate
    begin()
    await new Promise(() => {})
  })
  const connecting = assert.rejects(admin.connect())
  await begun
  await admin.disconnect()
  await connecting
  await assert.rejects(late!(hello))
  const { admin: other } = await setUp(t, async ({ saslAuthenticate }) => {
    late = saslAuthenticate
  })
  await other.connect()
  await assert.rejects(late!(hello), /is over/)
})
