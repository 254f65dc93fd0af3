/**
 * Our client against a real Apache Kafka 4.3 that wants TLS and SASL: every way to log in, sessions that end, and what goes wrong. Ours serves
 * neither yet, so there is one broker here, with a listener for each case.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import {
  Admin,
  type AdminOptions,
  AuthenticationError,
  type ClientError,
  type ConnectionOptions,
  Consumer,
  fromProperties,
  Producer,
  string,
  TlsError,
} from '@tidelog/client'
import { freePort, type Identity, TestAuthority } from '@tidelog/testkit'
import { type BrokerProcess, debianCommand, type KafkaExtras, root, run, startBrokerProcess, succeed } from './harness.ts'

const password = 'open,sesame="x" ='
/** SASLprep would make other bytes of it; Kafka's tools do not. */
const unicodePassword = 'ﬁ­Å²'

const authority = new TestAuthority()
const foreignAuthority = new TestAuthority('foreign')
const client = authority.issue({ commonName: 'client', hosts: [] })

interface Kafka {
  readonly broker: BrokerProcess
  readonly dir: string
  /** host:port of a listener. */
  readonly at: (listener: string) => string
}

const jaas = (module: string, options: string) => `org.apache.kafka.common.security.${module} required ${options};`
const quoted = (text: string) => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`

async function startKafka(t: TestContext, kind: 'kafka-4.3' | 'kafka-3.9' = 'kafka-4.3'): Promise<Kafka> {
  const dir = mkdtempSync(join(tmpdir(), 'tidelog-security-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const file = (name: string, text: string): string => {
    writeFileSync(join(dir, name), text)
    return join(dir, name)
  }
  const identities: Readonly<Record<string, Identity>> = {
    TLS: authority.issue(),
    MTLS: authority.issue(),
    BOTH: authority.issue(),
    EXPIRED: authority.issue({ validFromDays: -20, validDays: 10 }),
    FOREIGN: foreignAuthority.issue(),
    MISNAMED: authority.issue({ hosts: ['elsewhere.example'] }),
  }
  const listeners: Record<string, KafkaExtras['listeners'][string]> = {
    SASL: { protocol: 'SASL_PLAINTEXT', port: await freePort() },
    SCRAMONLY: { protocol: 'SASL_PLAINTEXT', port: await freePort() },
    RENEWED: { protocol: 'SASL_PLAINTEXT', port: await freePort() },
  }
  for (const name of Object.keys(identities)) listeners[name] = { protocol: name === 'BOTH' ? 'SASL_SSL' : 'SSL', port: await freePort() }
  const settings: Record<string, string> = { 'ssl.truststore.type': 'PEM', 'ssl.truststore.location': file('ca.pem', authority.cert) }
  for (const [name, { cert, key }] of Object.entries(identities)) {
    settings[`listener.name.${name.toLowerCase()}.ssl.keystore.type`] = 'PEM'
    settings[`listener.name.${name.toLowerCase()}.ssl.keystore.location`] = file(`${name}.pem`, key + cert)
  }
  settings['listener.name.mtls.ssl.client.auth'] = 'required'
  const scram = jaas('scram.ScramLoginModule', '')
  const plain = jaas('plain.PlainLoginModule', `user_alice=${quoted(password)}`)
  const mechanisms: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    sasl: {
      PLAIN: plain,
      'SCRAM-SHA-256': scram,
      'SCRAM-SHA-512': scram,
      OAUTHBEARER: jaas('oauthbearer.OAuthBearerLoginModule', 'unsecuredLoginStringClaim_sub="broker"'),
    },
    scramonly: { 'SCRAM-SHA-256': scram },
    renewed: { 'SCRAM-SHA-512': scram, PLAIN: plain },
    both: { 'SCRAM-SHA-512': scram },
  }
  for (const [listener, configs] of Object.entries(mechanisms)) {
    settings[`listener.name.${listener}.sasl.enabled.mechanisms`] = Object.keys(configs).join(',')
    for (const [mechanism, config] of Object.entries(configs)) {
      // In a properties file a backslash is one of its own only when it is doubled.
      settings[`listener.name.${listener}.${mechanism.toLowerCase()}.sasl.jaas.config`] = config.replaceAll('\\', '\\\\')
      if (listener === 'renewed') settings[`listener.name.renewed.${mechanism.toLowerCase()}.connections.max.reauth.ms`] = '1500'
    }
  }
  const scramUsers = ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
    `${mechanism}=[name=alice,password=${password.replaceAll(',', '')}]`,
    `${mechanism}=[name=unicode,password=${unicodePassword}]`,
  ])
  const broker = await startBrokerProcess(t, { 'num.partitions': '3', ...settings }, kind, { listeners, scramUsers })
  return { broker, dir, at: (name) => `localhost:${listeners[name]!.port}` }
}

const scramPassword = password.replaceAll(',', '')
const scramLogin = { mechanism: 'SCRAM-SHA-512', username: 'alice', password: scramPassword } as const

async function clusterIdOf(options: AdminOptions): Promise<string | null> {
  const admin = new Admin(options)
  try {
    return (await admin.describeCluster({ timeoutMs: 20_000 })).clusterId
  } finally {
    await admin.close()
  }
}

/** What producer, consumer and admin say, each on its own, to connections that cannot be had. */
async function failuresOf(options: ConnectionOptions & { readonly bootstrapServers: string }, timeoutMs = 10_000): Promise<ClientError[]> {
  const producer = new Producer({ ...options, maxBlockMs: timeoutMs })
  const consumer = new Consumer({ ...options, groupId: 'g', defaultApiTimeoutMs: timeoutMs })
  const admin = new Admin({ ...options, defaultApiTimeoutMs: timeoutMs })
  const reasonOf = (call: Promise<unknown>) =>
    call.then(
      () => assert.fail('the call succeeded'),
      (reason) => reason as ClientError,
    )
  consumer.assign([{ topic: 'a', partition: 0 }])
  const failures = await Promise.all([
    reasonOf(producer.send({ topic: 'a', value: 'v' })),
    reasonOf(consumer.endOffsets([{ topic: 'a', partition: 0 }])),
    reasonOf(admin.describeCluster()),
  ])
  await Promise.all([producer.close({ timeoutMs: 1000 }), consumer.close({ timeoutMs: 1000 }), admin.close()])
  return failures
}

const refusedBy = async (options: ConnectionOptions & { readonly bootstrapServers: string }, code: string, message: RegExp) => {
  for (const error of await failuresOf(options)) {
    assert.ok(error instanceof AuthenticationError && error.fatal && !error.retriable, String(error))
    assert.equal(error.code, code)
    assert.match(error.message, message)
    assert.ok(!`${error.stack}`.includes('sesame'))
  }
}

const untrusted = async (options: ConnectionOptions & { readonly bootstrapServers: string }, message: RegExp) => {
  for (const error of await failuresOf(options)) {
    assert.ok(error instanceof TlsError && error.fatal && !error.retriable, String(error))
    assert.match(error.message, message)
  }
}

/** As Kafka's own unsecured login makes them: signed by nobody. */
function unsecuredToken(subject: string, lifetimeS: number): string {
  const encoded = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
  const nowS = Date.now() / 1000
  return `${encoded({ alg: 'none' })}.${encoded({ sub: subject, iat: nowS, exp: nowS + lifetimeS })}.`
}

interface Loaded {
  readonly sent: number
  readonly seen: readonly string[]
  /** Records that the partitions hold. */
  readonly stored: number
  /** What the clients had to warn of. */
  readonly warnings: readonly string[]
}

/** Sends and reads; once that goes well, `until` is called, and when it resolves it is enough. */
async function loadUntil(
  t: TestContext,
  options: ConnectionOptions & { readonly bootstrapServers: string },
  until: () => Promise<unknown>,
): Promise<Loaded> {
  const topic = `load-${Math.random().toString(36).slice(2)}`
  const admin = new Admin(options)
  await admin.createTopics([{ topic, numPartitions: 3 }])
  await admin.close()
  const warnings: string[] = []
  const warn = (line: string, fields?: Record<string, unknown>) => void warnings.push(`${line} ${JSON.stringify(fields)}`)
  const nothing = () => {}
  const logger = { debug: nothing, info: nothing, warn, error: warn, child: () => logger }
  const producer = new Producer({ ...options, logger, valueSerializer: string })
  const consumer = new Consumer({
    ...options,
    logger,
    valueDeserializer: string,
    groupId: topic,
    autoOffsetReset: 'earliest',
    autoCommitIntervalMs: 200,
  })
  t.after(() => Promise.all([producer.close({ timeoutMs: 1000 }), consumer.close({ timeoutMs: 1000 })]))
  consumer.subscribe(topic)
  const seen: string[] = []
  const different = new Set<string>()
  let sent = 0
  let isDone = false
  const reading = (async () => {
    for await (const { value } of consumer.records()) {
      seen.push(value!)
      if (different.add(value!).size >= sent && isDone) break
    }
  })()
  const sendSome = () => Promise.all(Array.from({ length: 50 }, () => producer.send({ topic, value: `${sent++}` })))
  while (seen.length < 1000) await sendSome()
  let isEnough = false
  const enough = until().finally(() => {
    isEnough = true
  })
  while (!isEnough) await sendSome()
  await enough
  isDone = true
  await producer.send({ topic, value: `${sent++}` })
  await reading
  const ends = await consumer.endOffsets([0, 1, 2].map((partition) => ({ topic, partition })))
  return { sent, seen, stored: [...ends.values()].reduce((sum, end) => sum + end, 0), warnings }
}

/** Every record is there once, is read once, and no connection has been lost. */
async function loadFor(t: TestContext, options: ConnectionOptions & { readonly bootstrapServers: string }, ms: number): Promise<void> {
  const { sent, seen, stored, warnings } = await loadUntil(t, options, () => new Promise((resolve) => setTimeout(resolve, ms)))
  assert.deepEqual([seen.length, new Set(seen).size, stored], [sent, sent, sent])
  assert.deepEqual(warnings, [])
}

test('the client logs in at Apache Kafka, over TLS and without, and says what is wrong when it cannot', { timeout: 170_000 }, async (t) => {
  const kafka = await startKafka(t)
  const { at, dir } = kafka
  const tls = { ca: authority.cert }

  await t.test('by PLAIN and SCRAM, with passwords of any characters as they are', async () => {
    const bootstrapServers = at('SASL')
    assert.ok(await clusterIdOf({ bootstrapServers, sasl: { mechanism: 'PLAIN', username: 'alice', password } }))
    for (const mechanism of ['SCRAM-SHA-256', 'SCRAM-SHA-512'] as const) {
      assert.ok(await clusterIdOf({ bootstrapServers, sasl: { mechanism, username: 'alice', password: scramPassword } }))
      assert.ok(await clusterIdOf({ bootstrapServers, sasl: { mechanism, username: 'unicode', password: unicodePassword } }))
    }
  })

  await t.test("by a Java client's properties, as the commands read them", async () => {
    const properties = {
      'bootstrap.servers': at('BOTH'),
      'security.protocol': 'SASL_SSL',
      'ssl.truststore.type': 'PEM',
      'ssl.truststore.location': join(dir, 'ca.pem'),
      'sasl.mechanism': 'SCRAM-SHA-512',
      'sasl.jaas.config': jaas('scram.ScramLoginModule', `username="alice" password=${quoted(scramPassword)}`),
    }
    assert.ok(await clusterIdOf(fromProperties(properties)))
    const text = Object.entries(properties).map(([name, value]) => `${name}=${value.replaceAll('\\', '\\\\')}\n`)
    writeFileSync(join(dir, 'client.properties'), text.join(''))
    const args = ['topics', '--bootstrap-server', at('BOTH'), '--command-config', join(dir, 'client.properties')]
    const created = await run(process.execPath, [join(root, 'bin', 'tidelog'), ...args, '--create', '--topic', 'by-command'])
    assert.equal(created.code, 0, created.stderr)
    assert.match((await run(process.execPath, [join(root, 'bin', 'tidelog'), ...args, '--list'])).stdout, /by-command/)
    writeFileSync(join(dir, 'client.properties'), text.join('').replace('sesame', 'wrong-word'))
    const refused = await run(process.execPath, [join(root, 'bin', 'tidelog'), ...args, '--list'])
    assert.equal(refused.code, 1)
    assert.match(refused.stdout + refused.stderr, /refuses the SCRAM-SHA-512 login/)
    assert.doesNotMatch(refused.stdout + refused.stderr, /wrong-word/)
  })

  await t.test('by OAUTHBEARER: a token, a function, extensions, the unsecured login', async () => {
    const bootstrapServers = at('SASL')
    assert.ok(await clusterIdOf({ bootstrapServers, sasl: { mechanism: 'OAUTHBEARER', token: unsecuredToken('alice', 60) } }))
    const token = async () => ({ value: unsecuredToken('alice', 60), extensions: {} })
    assert.ok(await clusterIdOf({ bootstrapServers, sasl: { mechanism: 'OAUTHBEARER', token } }))
    const properties = {
      'bootstrap.servers': bootstrapServers,
      'security.protocol': 'SASL_PLAINTEXT',
      'sasl.mechanism': 'OAUTHBEARER',
      'sasl.jaas.config': jaas('oauthbearer.OAuthBearerLoginModule', 'unsecuredLoginStringClaim_sub="alice"'),
    }
    assert.ok(await clusterIdOf(fromProperties(properties)))
    await refusedBy(
      { bootstrapServers, sasl: { mechanism: 'OAUTHBEARER', token: unsecuredToken('alice', -60) } },
      'SASL_AUTHENTICATION_FAILED',
      /OAUTHBEARER/,
    )
  })

  await t.test('C3: a wrong password is SASL_AUTHENTICATION_FAILED, of producer, consumer and admin alike', async () => {
    const wrong = 'not sesame'
    for (const mechanism of ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const) {
      const sasl = { mechanism, username: 'alice', password: wrong }
      await refusedBy({ bootstrapServers: at('SASL'), sasl }, 'SASL_AUTHENTICATION_FAILED', /invalid/i)
    }
  })

  await t.test('C3: a mechanism that is not offered, and SASL where there is none, are errors that say so', async () => {
    const sasl = { mechanism: 'PLAIN', username: 'alice', password } as const
    await refusedBy({ bootstrapServers: at('SCRAMONLY'), sasl }, 'UNSUPPORTED_SASL_MECHANISM', /SCRAM-SHA-256/)
    await refusedBy({ bootstrapServers: kafka.broker.bootstrap, sasl }, 'ILLEGAL_SASL_STATE', /without SASL/)
    for (const error of await failuresOf({ bootstrapServers: at('SASL') }, 1500)) {
      assert.ok(['TIMEOUT', 'DISCONNECTED'].includes(error.code), error.code)
      assert.match(error.message, /wants SASL/)
    }
  })

  await t.test('C1: expired, foreign and misnamed certificates are a TlsError', async () => {
    await untrusted({ bootstrapServers: at('EXPIRED'), tls }, /expired/)
    await untrusted({ bootstrapServers: at('FOREIGN'), tls }, /certificate/)
    await untrusted({ bootstrapServers: at('MISNAMED'), tls }, /localhost/)
    assert.ok(await clusterIdOf({ bootstrapServers: at('MISNAMED'), tls, sslEndpointIdentificationAlgorithm: '' }))
  })

  await t.test('C1: mTLS works with a certificate, and without, or with a foreign one, is a TlsError', async () => {
    assert.ok(await clusterIdOf({ bootstrapServers: at('TLS'), tls }))
    assert.ok(await clusterIdOf({ bootstrapServers: at('MTLS'), tls: { ...tls, ...client } }))
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      await untrusted({ bootstrapServers: at('MTLS'), tls: { ...tls, maxVersion } }, /certificate|alert/)
      await untrusted({ bootstrapServers: at('MTLS'), tls: { ...tls, maxVersion, ...foreignAuthority.issue() } }, /certificate|alert/)
    }
  })

  await t.test('mTLS works with a PKCS12 key store, and one of Java is an error that says what to do', async () => {
    const [pem, p12, jks] = ['client.pem', 'client.p12', 'client.jks'].map((name) => join(dir, name)) as [string, string, string]
    writeFileSync(pem, client.key + client.cert)
    const openssl = await debianCommand('openssl')
    await succeed(openssl, ['pkcs12', '-export', '-in', pem, '-out', p12, '-passout', 'pass:store-secret'])
    const options = { bootstrapServers: at('MTLS'), tls, sslKeystoreLocation: p12 }
    assert.ok(await clusterIdOf({ ...options, sslKeystorePassword: 'store-secret' }))
    assert.throws(() => new Admin({ ...options, sslKeystorePassword: 'wrong' }), /sslKeystorePassword does not open the file/)
    const generate = ['-genkeypair', '-alias', 'a', '-keyalg', 'EC', '-dname', 'CN=a', '-storetype', 'JKS', '-keystore', jks]
    await succeed('keytool', [...generate, '-storepass', 'store-secret', '-keypass', 'store-secret'])
    assert.throws(() => new Admin({ ...options, sslKeystoreLocation: jks, sslKeystorePassword: 'store-secret' }), /JKS.*keytool/)
  })

  await t.test('C1: TLS to a plain port and the reverse end in time with an error that says what may be wrong', async () => {
    for (const error of await failuresOf({ bootstrapServers: kafka.broker.bootstrap, tls }, 1500))
      assert.match(error.message, /securityProtocol/)
    for (const error of await failuresOf({ bootstrapServers: at('TLS') }, 1500)) assert.match(error.message, /securityProtocol/)
  })

  await t.test('C5: sessions of 1.5 s are renewed under load: nothing lost, nothing twice, no connection lost', async (t) => {
    await loadFor(t, { bootstrapServers: at('RENEWED'), sasl: scramLogin }, 5000)
    const token = () => unsecuredToken('alice', 2)
    await loadFor(t, { bootstrapServers: at('SASL'), sasl: { mechanism: 'OAUTHBEARER', token } }, 4000)
  })

  await t.test('C2: Kafka is killed and started again under load, over TLS and SASL: nothing lost, nothing stored twice', async (t) => {
    const load = loadUntil(t, { bootstrapServers: at('BOTH'), tls, sasl: scramLogin }, () => kafka.broker.crash())
    const { sent, seen, stored } = await load
    assert.deepEqual([new Set(seen).size, stored], [sent, sent])
  })

  await t.test('C5: a password that is changed meanwhile ends the client at the next session, and the new one goes on', async () => {
    const admin = new Admin({ bootstrapServers: kafka.broker.bootstrap })
    await admin.alterUserScramCredentials([{ user: 'bob', mechanism: 'SCRAM-SHA-512', password: 'first' }])
    let current = 'first'
    const sasl = { mechanism: 'SCRAM-SHA-512', username: 'bob', password: () => current } as const
    const bob = new Admin({ bootstrapServers: at('RENEWED'), sasl, reconnectBackoffMaxMs: 100 })
    await bob.describeCluster()
    await admin.alterUserScramCredentials([{ user: 'bob', mechanism: 'SCRAM-SHA-512', password: 'second' }])
    let error: unknown
    while (error === undefined) {
      error = await bob.describeCluster().then(
        () => undefined,
        (reason) => reason,
      )
    }
    assert.ok(error instanceof AuthenticationError, String(error))
    current = 'second'
    for (;;) {
      const isIn = await bob.describeCluster().then(
        () => true,
        () => false,
      )
      if (isIn) break
    }
    await Promise.all([bob.close(), admin.close()])
  })
})

test('C5: the same at Apache Kafka 3.9: every mechanism, TLS, sessions that are renewed under load', { timeout: 170_000 }, async (t) => {
  const { at } = await startKafka(t, 'kafka-3.9')
  const bootstrapServers = at('SASL')
  assert.ok(await clusterIdOf({ bootstrapServers, sasl: { mechanism: 'PLAIN', username: 'alice', password } }))
  assert.ok(await clusterIdOf({ bootstrapServers, sasl: { ...scramLogin, mechanism: 'SCRAM-SHA-256' } }))
  assert.ok(await clusterIdOf({ bootstrapServers, sasl: { mechanism: 'OAUTHBEARER', token: unsecuredToken('alice', 60) } }))
  assert.ok(await clusterIdOf({ bootstrapServers: at('BOTH'), tls: { ca: authority.cert }, sasl: scramLogin }))
  assert.ok(await clusterIdOf({ bootstrapServers: at('MTLS'), tls: { ca: authority.cert, ...client } }))
  await refusedBy({ bootstrapServers, sasl: { ...scramLogin, password: 'wrong' } }, 'SASL_AUTHENTICATION_FAILED', /invalid/i)
  await loadFor(t, { bootstrapServers: at('RENEWED'), sasl: scramLogin }, 4000)
})
