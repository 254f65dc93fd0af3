import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Kafka, KafkaJSSASLAuthenticationError, logLevel } from './index.ts'
import { securityOptions } from './security-options.ts'

const brokers = ['localhost:1']
const logger = new Kafka({ brokers }).logger()

test("kafkajs's logins are ours: plain, scram, oauthbearer, with and without TLS", async () => {
  const me = { username: 'me', password: 'secret' }
  assert.deepEqual(securityOptions({ brokers }, logger), {})
  assert.deepEqual(securityOptions({ brokers, ssl: false }, logger), {})
  assert.deepEqual(securityOptions({ brokers, ssl: { ca: 'pem' }, sasl: { mechanism: 'plain', ...me } }, logger), {
    tls: { ca: 'pem' },
    sasl: { mechanism: 'PLAIN', ...me },
  })
  assert.deepEqual(securityOptions({ brokers, ssl: true, sasl: { mechanism: 'SCRAM-SHA-512' as 'scram-sha-512', ...me } }, logger), {
    tls: true,
    sasl: { mechanism: 'SCRAM-SHA-512', ...me },
  })
  const { sasl } = securityOptions(
    { brokers, sasl: { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value: 'token' }) } },
    logger,
  )
  assert.ok(sasl !== undefined && 'mechanism' in sasl && sasl.mechanism === 'OAUTHBEARER' && typeof sasl.token === 'function')
  assert.equal(await sasl.token(new AbortController().signal), 'token')
})

test('what cannot work is said by connect(), as in kafkajs: half a login, a provider that is no function, no such mechanism', async () => {
  const logins = [
    { mechanism: 'aws', authorizationIdentity: 'a', accessKeyId: 'b', secretAccessKey: '' },
    { mechanism: 'plain', username: 'me', password: '' },
    { mechanism: 'oauthbearer', oauthBearerProvider: 'token' },
    { mechanism: 'mumble' },
  ]
  for (const sasl of logins) {
    const kafka = new Kafka({ brokers, sasl: sasl as never, logLevel: logLevel.NOTHING })
    for (const client of [kafka.producer(), kafka.consumer({ groupId: 'g' }), kafka.admin()])
      await assert.rejects(client.connect(), KafkaJSSASLAuthenticationError, sasl.mechanism)
  }
  const sasl = { mechanism: 'mine', authenticationProvider: 'mine' } as never
  await assert.rejects(new Kafka({ brokers, sasl, logLevel: logLevel.NOTHING }).admin().connect(), /is a function/)
})

test("a socketFactory makes the sockets, with kafkajs's arguments, and TLS is its own business", () => {
  const asked: unknown[] = []
  const factory = (args: object) => {
    asked.push(Object.keys(args).sort())
    throw new Error('no socket')
  }
  const options = securityOptions({ brokers, ssl: true, socketFactory: factory }, logger)
  assert.equal(options.tls, undefined)
  assert.throws(() => options.socketFactory!({ host: 'h', port: 1 }, new AbortController().signal), /no socket/)
  assert.deepEqual(asked, [['host', 'onConnect', 'port', 'ssl']])
})
