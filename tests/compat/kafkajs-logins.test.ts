/** Logins of one's own, written for kafkajs, with kafkajs and with ours at a broker that takes them. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { SaslAuthenticate, SaslHandshake } from '@tidelog/protocol'
import { startScriptedBroker } from '@tidelog/testkit'
import type { AuthenticationProviderArgs, KafkaConfig, LogEntry } from 'kafkajs'
import { type Library, libraries } from './kafkajs-libraries.ts'
import { errorOf, kafkaOf } from './kafkajs-programs/program.ts'

type Sasl = NonNullable<KafkaConfig['sasl']>

/** Asks twice: `hello`, `who?`, the name, and lets in who is `me`; with AWS it wants the one message of that. */
async function startSaslBroker(t: TestContext) {
  const heard: string[] = []
  const broker = await startScriptedBroker(t, {
    answer: ({ api, request }) => {
      if (api.key === SaslHandshake.key) {
        const mechanisms = ['MINE', 'AWS']
        heard.push(`mechanism ${request.mechanism}`)
        return { errorCode: mechanisms.includes(String(request.mechanism)) ? 0 : 33, mechanisms }
      }
      if (api.key !== SaslAuthenticate.key) return 'ordinary'
      const message = String(request.authBytes)
      heard.push(message)
      const isIn = ['hello', 'me', 'identity\0key\0secret\0', 'identity\0key\0secret\0session'].includes(message)
      return {
        errorCode: isIn ? 0 : 58,
        errorMessage: isIn ? null : 'go away',
        authBytes: Buffer.from(message === 'hello' ? 'who?' : ''),
        sessionLifetimeMs: 0,
      }
    },
  })
  return { heard, broker }
}

/** As requests of kafkajs have bytes. */
function encoded(text: string): Buffer {
  const bytes = Buffer.alloc(4 + Buffer.byteLength(text))
  bytes.writeInt32BE(bytes.length - 4)
  bytes.write(text, 4)
  return bytes
}

const request = (text: string) => ({ encode: async () => encoded(text) })
const response = { decode: (raw: Buffer) => raw.subarray(4), parse: (data: Buffer) => `parsed ${data}` }

type Login = (args: AuthenticationProviderArgs, told: unknown[], library: Library) => Promise<void>

const as =
  (name: string): Login =>
  async ({ saslAuthenticate }, told) => {
    told.push(await saslAuthenticate({ request: request('hello'), response }))
    told.push(await saslAuthenticate({ request: request(name), response }))
  }

const logins: Readonly<Record<string, Login>> = {
  'two messages': as('me'),
  'a refusal, passed on': as('nobody'),
  'a refusal, in words of its own': async (args, told, library) => {
    const { KafkaJSSASLAuthenticationError } = library as unknown as { KafkaJSSASLAuthenticationError: new (why: string) => Error }
    await as('nobody')(args, told, library).catch((error) => {
      told.push(errorOf(error))
      throw new KafkaJSSASLAuthenticationError('mine failed')
    })
  },
  'a refusal, as an error of no library': (args, told, library) =>
    as('nobody')(args, told, library).catch(() => {
      throw new Error('mine failed')
    }),
  'no answer wanted': async ({ saslAuthenticate }, told) => {
    told.push((await saslAuthenticate({ request: { encode: () => encoded('me') } })) === undefined)
  },
  'where it is, and logs': async ({ host, port, logger, saslAuthenticate, ...rest }, told) => {
    told.push(host, typeof port, Object.keys(rest))
    logger.warn('from the login', { host })
    await saslAuthenticate({ request: request('me'), response })
  },
  'no word at all': async (_, told) => void told.push('asked'),
  'an answer that it does not like': async ({ saslAuthenticate }, _, library) => {
    const { KafkaJSNonRetriableError } = library as unknown as { KafkaJSNonRetriableError: new (why: string) => Error }
    const parse = () => {
      throw new KafkaJSNonRetriableError('an imposter')
    }
    await saslAuthenticate({ request: request('hello'), response: { ...response, parse } })
  },
  'a failure before it begins': async (_args, _told, library) => {
    const { KafkaJSSASLAuthenticationError } = library as unknown as { KafkaJSSASLAuthenticationError: new (why: string) => Error }
    throw new KafkaJSSASLAuthenticationError('no ticket')
  },
  'a defect': async () => {
    throw new TypeError('undefined is not a function')
  },
}

/** What comes of connecting and of a call; what the provider and the broker have heard. */
async function outcomeOf(t: TestContext, library: Library, saslOf: (told: unknown[]) => Sasl) {
  const { heard, broker } = await startSaslBroker(t)
  const told: unknown[] = []
  const logged: unknown[] = []
  const logCreator = () => (entry: LogEntry) => {
    if (entry.log.message === 'from the login') logged.push([entry.namespace, entry.label, entry.log.host])
  }
  const config = { sasl: saslOf(told), retry: { retries: 0 }, logLevel: library.logLevel.WARN, logCreator }
  const admin = kafkaOf(library, broker.bootstrapServers, config).admin()
  const outcome = await admin.connect().then(() => admin.listTopics(), errorOf)
  await admin.disconnect()
  return { outcome, told, heard, logged }
}

const entering: ReadonlySet<string> = new Set([
  'two messages',
  'no answer wanted',
  'where it is, and logs',
  'no word at all',
  'aws',
  'aws for a session',
])

async function assertSameOutcome(t: TestContext, what: string, saslOf: (told: unknown[], library: Library) => Sasl): Promise<void> {
  const [theirs, ours] = await Promise.all(libraries.map(({ library }) => outcomeOf(t, library, (told) => saslOf(told, library))))
  assert.deepEqual(ours, theirs)
  assert.equal(Array.isArray(ours?.outcome), entering.has(what))
}

for (const [what, login] of Object.entries(logins)) {
  test(`an authenticationProvider written for kafkajs fares the same with tidelog/kafkajs: ${what}`, async (t) => {
    await assertSameOutcome(t, what, (told, library) => ({
      mechanism: 'mine',
      authenticationProvider: (args) => ({ authenticate: () => login(args, told, library) }),
    }))
  })
}

const identity = { mechanism: 'aws', authorizationIdentity: 'identity', accessKeyId: 'key', secretAccessKey: 'secret' } as const
const others: Readonly<Record<string, Sasl>> = {
  aws: identity,
  'aws for a session': { ...identity, sessionToken: 'session' },
  'aws with a wrong key': { ...identity, secretAccessKey: 'wrong' },
  'a mechanism that the broker has not': { mechanism: 'other', authenticationProvider: () => assert.fail('nobody asks it') },
}

for (const [what, sasl] of Object.entries(others)) {
  test(`a login of kafkajs fares the same with tidelog/kafkajs: ${what}`, async (t) => {
    // kafkajs writes into what it is given.
    await assertSameOutcome(t, what, () => ({ ...sasl }))
  })
}
