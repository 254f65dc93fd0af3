import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Kafka, KafkaJSNonRetriableError, KafkaJSNotImplemented } from './index.ts'
import { securityOptions } from './security-options.ts'

const brokers = ['localhost:1']

test("kafkajs's logins are ours: plain, scram, oauthbearer, with and without TLS", async () => {
  const me = { username: 'me', password: 'secret' }
  assert.deepEqual(securityOptions({ brokers }), {})
  assert.deepEqual(securityOptions({ brokers, ssl: false }), {})
  assert.deepEqual(securityOptions({ brokers, ssl: { ca: 'pem' }, sasl: { mechanism: 'plain', ...me } }), {
    tls: { ca: 'pem' },
    sasl: { mechanism: 'PLAIN', ...me },
  })
  assert.deepEqual(securityOptions({ brokers, ssl: true, sasl: { mechanism: 'SCRAM-SHA-512' as 'scram-sha-512', ...me } }), {
    tls: true,
    sasl: { mechanism: 'SCRAM-SHA-512', ...me },
  })
  const { sasl } = securityOptions({ brokers, sasl: { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value: 'token' }) } })
  assert.ok(sasl?.mechanism === 'OAUTHBEARER' && typeof sasl.token === 'function')
  assert.equal(await sasl.token(new AbortController().signal), 'token')
})

test('what cannot be had is said by new Kafka(): aws, an authenticationProvider, half a login, no such mechanism', () => {
  const aws = { mechanism: 'aws', authorizationIdentity: 'a', accessKeyId: 'b', secretAccessKey: 'c' } as const
  assert.throws(() => new Kafka({ brokers, sasl: aws }), KafkaJSNotImplemented)
  const authenticationProvider = () => ({ authenticate: async () => {} })
  assert.throws(() => new Kafka({ brokers, sasl: { mechanism: 'mine', authenticationProvider } }), KafkaJSNotImplemented)
  assert.throws(() => new Kafka({ brokers, sasl: { mechanism: 'plain', username: 'me', password: '' } }), KafkaJSNonRetriableError)
  assert.throws(() => new Kafka({ brokers, sasl: { mechanism: 'mumble' } as never }), /mumble/)
})

test("a socketFactory makes the sockets, with kafkajs's arguments, and TLS is its own business", () => {
  const asked: unknown[] = []
  const factory = (args: object) => {
    asked.push(Object.keys(args).sort())
    throw new Error('no socket')
  }
  const options = securityOptions({ brokers, ssl: true, socketFactory: factory })
  assert.equal(options.tls, undefined)
  assert.throws(() => options.socketFactory!({ host: 'h', port: 1 }, new AbortController().signal), /no socket/)
  assert.deepEqual(asked, [['host', 'onConnect', 'port', 'ssl']])
})
