/** Programs written for kafkajs, with kafkajs and with ours, against Apache Kafka 4.3: in the clear, and where it wants TLS and logins. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Admin, Producer } from '@tidelog/client'
import { TestAuthority } from '@tidelog/testkit'
import type { KafkaConfig } from 'kafkajs'
import { freePort, startBrokerProcess } from './harness.ts'
import { libraries } from './kafkajs-libraries.ts'
import { administering, authorizing } from './kafkajs-programs/administering.ts'
import { brokering } from './kafkajs-programs/brokering.ts'
import { connecting } from './kafkajs-programs/connecting.ts'
import { batches, failing, moving, watching } from './kafkajs-programs/consuming.ts'
import { grouping, overlapping } from './kafkajs-programs/grouping.ts'
import { producing, transacting } from './kafkajs-programs/producing.ts'
import { comparable, errorOf, kafkaOf } from './kafkajs-programs/program.ts'

/** Makes the coordinators' topics: kafkajs gives up where a coordinator is not there yet. */
async function warmUp(bootstrapServers: string): Promise<void> {
  const admin = new Admin({ bootstrapServers })
  await admin.createTopics([{ topic: 'warm' }])
  await admin.close()
  const producer = new Producer({ bootstrapServers, transactionalId: 'warm' })
  await producer.transaction((transaction) => transaction.sendOffsets([{ topic: 'warm', partition: 0, offset: 1 }], { groupId: 'warm' }))
  await producer.close()
}

const programs = {
  producing,
  transacting,
  batches,
  failing,
  moving,
  watching,
  administering,
  authorizing,
  connecting,
  grouping,
  overlapping,
  brokering,
}

test('programs written for kafkajs give the same with tidelog/kafkajs at Apache Kafka 4.3', { timeout: 170_000 }, async (t) => {
  const settings = {
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'super.users': 'User:ANONYMOUS',
  }
  const results = await Promise.all(
    libraries.map(async ({ library }) => {
      const broker = await startBrokerProcess(t, settings, 'kafka-4.3')
      await warmUp(broker.bootstrap)
      const given: Record<string, unknown> = {}
      for (const [name, program] of Object.entries(programs)) {
        given[name] = comparable(await program(library, broker.bootstrap))
      }
      return given
    }),
  )
  for (const name of Object.keys(programs)) assert.deepEqual(results[1]![name], results[0]![name], name)
})

test('logins of kafkajs at Apache Kafka 4.3: every mechanism, TLS, and what is wrong', { timeout: 170_000 }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tidelog-kafkajs-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const authority = new TestAuthority()
  const { key, cert } = authority.issue()
  const keyStore = join(dir, 'broker.pem')
  writeFileSync(keyStore, key + cert)
  const ports = { SASL: await freePort(), BOTH: await freePort() }
  const module = (name: string, options: string) => `org.apache.kafka.common.security.${name} required ${options};`
  const settings: Record<string, string> = {
    'listener.name.both.ssl.keystore.type': 'PEM',
    'listener.name.both.ssl.keystore.location': keyStore,
  }
  const mechanisms = {
    PLAIN: module('plain.PlainLoginModule', 'user_alice="secret"'),
    'SCRAM-SHA-256': module('scram.ScramLoginModule', ''),
    'SCRAM-SHA-512': module('scram.ScramLoginModule', ''),
    OAUTHBEARER: module('oauthbearer.OAuthBearerLoginModule', 'unsecuredLoginStringClaim_sub="broker"'),
  }
  for (const listener of ['sasl', 'both']) {
    settings[`listener.name.${listener}.sasl.enabled.mechanisms`] = Object.keys(mechanisms).join(',')
    for (const [name, config] of Object.entries(mechanisms))
      settings[`listener.name.${listener}.${name.toLowerCase()}.sasl.jaas.config`] = config
  }
  await startBrokerProcess(t, settings, 'kafka-4.3', {
    listeners: { SASL: { protocol: 'SASL_PLAINTEXT', port: ports.SASL }, BOTH: { protocol: 'SASL_SSL', port: ports.BOTH } },
    scramUsers: ['SCRAM-SHA-256', 'SCRAM-SHA-512'].map((mechanism) => `${mechanism}=[name=alice,password=secret]`),
  })
  const encoded = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
  const nowS = Math.floor(Date.now() / 1000)
  const token = `${encoded({ alg: 'none' })}.${encoded({ sub: 'alice', iat: nowS, exp: nowS + 60 })}.`
  const alice = { username: 'alice', password: 'secret' }
  const logins: readonly NonNullable<KafkaConfig['sasl']>[] = [
    { mechanism: 'plain', ...alice },
    { mechanism: 'scram-sha-256', ...alice },
    { mechanism: 'scram-sha-512', ...alice },
    { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value: token }) },
    { mechanism: 'plain', ...alice, password: 'wrong' },
    { mechanism: 'scram-sha-512', ...alice, password: 'wrong' },
  ]
  const outcomes = await Promise.all(
    libraries.map(async ({ library }) => {
      const told: unknown[] = []
      for (const sasl of logins) {
        for (const [port, ssl] of [
          [ports.SASL, false],
          [ports.BOTH, { ca: authority.cert }],
        ] as const) {
          // kafkajs writes into what it is given.
          const admin = kafkaOf(library, `localhost:${port}`, { sasl: { ...sasl }, ssl, retry: { retries: 0 } }).admin()
          told.push([sasl.mechanism, port, await admin.connect().then(() => 'in', errorOf)])
          await admin.disconnect()
        }
      }
      return told
    }),
  )
  assert.deepEqual(outcomes[1], outcomes[0])
  assert.equal(outcomes[1]!.filter((outcome) => (outcome as unknown[])[2] === 'in').length, 8)
})
