import assert from 'node:assert/strict'
import { createConnection } from 'node:net'
import { type TestContext, test } from 'node:test'
import { silentLogger, systemClock, systemRandom } from '@tidelog/core'
import type { Resolver } from '@tidelog/net'
import { ApiVersions, Metadata } from '@tidelog/protocol'
import { freePort, type ScriptedBroker, startScriptedBroker, until } from '@tidelog/testkit'
import { type AdminConfigOptions, adminConfig } from '../config/admin-config.ts'
import { BrokerError, TimeoutError, UnresolvedHostError } from '../errors.ts'
import type { ConnectionOptions } from '../security/security.ts'
import { Cluster } from './cluster.ts'
import { MetadataCache } from './metadata-cache.ts'

const known: Readonly<Record<string, readonly string[]>> = {
  localhost: ['127.0.0.1'],
  // Nobody listens at the first.
  'two.example': ['127.0.0.2', '127.0.0.1'],
}

class FakeResolver implements Resolver {
  readonly asked: string[] = []
  code = 'ENOTFOUND'

  async addressesOf(host: string): Promise<readonly string[]> {
    this.asked.push(host)
    const addresses = known[host]
    if (addresses === undefined) throw Object.assign(new Error(`getaddrinfo ${this.code} ${host}`), { code: this.code })
    return addresses
  }

  async canonicalNameOf(address: string): Promise<string> {
    if (address === '127.0.0.2') throw new Error('it has no name')
    return 'localhost'
  }
}

function clusterOf(
  t: TestContext,
  options: AdminConfigOptions,
  { resolver = new FakeResolver(), connection = {} }: { resolver?: Resolver; connection?: ConnectionOptions } = {},
): Cluster {
  const config = adminConfig.resolve({ retryBackoffMs: 5, reconnectBackoffMs: 5, reconnectBackoffMaxMs: 20, ...options })
  const environment = { clock: systemClock, random: systemRandom, logger: silentLogger }
  const cluster = new Cluster({ client: 'test', config, ...environment, connection, resolver, allowAutoTopicCreation: false })
  t.after(() => cluster.close())
  return cluster
}

const ordinary = (t: TestContext): Promise<ScriptedBroker> => startScriptedBroker(t, { answer: () => 'ordinary' })

test('C6: bootstrap servers whose names have no address are an UnresolvedHostError at once', async (t) => {
  const cluster = clusterOf(t, { bootstrapServers: 'nowhere.example:9092,neither.example:9092' })
  const error = await cluster.refresh().catch((reason) => reason)
  assert.ok(error instanceof UnresolvedHostError && !error.retriable, String(error))
  assert.match(error.message, /nowhere\.example:9092.*neither\.example:9092|neither\.example:9092.*nowhere\.example:9092/)
})

test('C6: a name server that does not answer is asked again until the call has run out of time', async (t) => {
  const resolver = new FakeResolver()
  resolver.code = 'EAI_AGAIN'
  const cluster = clusterOf(t, { bootstrapServers: 'nowhere.example:9092' }, { resolver })
  const error = await cluster.topic('a', { deadline: cluster.deadline(200) }).catch((reason) => reason)
  assert.ok(error instanceof TimeoutError)
  assert.match(error.message, /EAI_AGAIN/)
  assert.ok(resolver.asked.length >= 2)
})

test('C6: one bootstrap server that lives is enough, whatever is wrong with the others', async (t) => {
  const { port } = await ordinary(t)
  const cluster = clusterOf(t, {
    bootstrapServers: `nowhere.example:1,localhost:${await freePort()},localhost:${port},localhost:${await freePort()}`,
  })
  await cluster.refresh()
  assert.equal(cluster.metadata.clusterId, 'scripted')
})

test('C6: a bootstrap server that neither takes nor refuses a connection does not keep the others waiting', async (t) => {
  const { port } = await ordinary(t)
  const never = new Promise<never>(() => {})
  const socketFactory = ({ host }: { host: string }) => (host === 'off.example' ? never : createConnection({ host, port }))
  for (let round = 0; round < 3; round++) {
    const cluster = clusterOf(t, { bootstrapServers: `off.example:${port},localhost:${port}` }, { connection: { socketFactory } })
    await cluster.retry({ deadline: cluster.deadline(5000), what: 'metadata' }, () => cluster.refresh())
  }
})

test('a connection that nobody uses for connections.max.idle.ms is closed, and made again when it is needed', async (t) => {
  const broker = await ordinary(t)
  const cluster = clusterOf(t, { bootstrapServers: broker.bootstrapServers, connectionsMaxIdleMs: 40 })
  await cluster.refresh()
  assert.equal(cluster.connectionMetrics.connectionCount, 1)
  await until(() => cluster.connectionMetrics.connectionCount === 0)
  await cluster.refresh()
  assert.equal(broker.connections(), 2)
})

test('C6: all addresses of a name are tried', async (t) => {
  const { port } = await ordinary(t)
  const cluster = clusterOf(t, { bootstrapServers: `two.example:${port}` })
  await cluster.refresh()
  assert.equal(cluster.metadata.clusterId, 'scripted')
})

test('with resolve_canonical_bootstrap_servers_only bootstrap servers are called by the names of their addresses', async (t) => {
  const { port } = await ordinary(t)
  const resolver = new FakeResolver()
  const clientDnsLookup = 'resolve_canonical_bootstrap_servers_only'
  const cluster = clusterOf(t, { bootstrapServers: `two.example:${port}`, clientDnsLookup }, { resolver })
  await cluster.refresh()
  // The address without a name is used as it is, and the other by its name.
  assert.deepEqual([...new Set(resolver.asked)], ['two.example', 'localhost'])
})

test('C6: a broker that comes back elsewhere is found through the bootstrap servers, unless metadata.recovery.strategy is none', async (t) => {
  for (const strategy of ['rebootstrap', 'none'] as const) {
    const first = await ordinary(t)
    const port = await freePort()
    const bootstrapServers = `${first.bootstrapServers},localhost:${port}`
    const cluster = clusterOf(t, { bootstrapServers, metadataRecoveryStrategy: strategy })
    await cluster.refresh()
    await first.close()
    await startScriptedBroker(t, { answer: () => 'ordinary', port })
    const found = cluster.retry({ deadline: cluster.deadline(strategy === 'none' ? 300 : 10_000), what: 'metadata' }, () =>
      cluster.refresh(),
    )
    if (strategy === 'none') await assert.rejects(found, TimeoutError)
    else await found
    assert.equal(cluster.metadata.brokers.get(1)?.port, strategy === 'none' ? first.port : port)
  }
})

test('brokers that give no metadata for metadata.recovery.rebootstrap.trigger.ms are forgotten, though they can be reached (KIP-1102)', async (t) => {
  let isSilent = false
  const old = await startScriptedBroker(t, { answer: ({ api }) => (api === Metadata && isSilent ? 'silence' : 'ordinary') })
  let namesOld = true
  const bootstrap = await startScriptedBroker(t, {
    answer: ({ api, version, request }) => {
      if (api !== Metadata || !namesOld) return 'ordinary'
      assert.ok(version >= 0 && request !== undefined)
      const brokers = [{ nodeId: 1, host: 'localhost', port: old.port, rack: null }]
      return { errorCode: 0, brokers, clusterId: 'scripted', controllerId: 1, topics: [] }
    },
  })
  const timing = { requestTimeoutMs: 40, metadataRecoveryRebootstrapTriggerMs: 100 }
  const cluster = clusterOf(t, { bootstrapServers: bootstrap.bootstrapServers, ...timing })
  const refresh = () => cluster.retry({ deadline: cluster.deadline(10_000), what: 'metadata' }, () => cluster.refresh())
  await refresh()
  await refresh()
  assert.equal(cluster.metadata.brokers.get(1)?.port, old.port)
  namesOld = false
  isSilent = true
  await refresh()
  assert.equal(cluster.metadata.brokers.get(1)?.port, bootstrap.port)
})

test('a broker that answers REBOOTSTRAP_REQUIRED sends the client back to the bootstrap servers (KIP-1102)', async (t) => {
  let refusals = 1
  const broker = await startScriptedBroker(t, {
    answer: ({ api }) =>
      api === Metadata && refusals-- > 0 ? { errorCode: 129, brokers: [], clusterId: null, controllerId: -1, topics: [] } : 'ordinary',
  })
  const cluster = clusterOf(t, { bootstrapServers: broker.bootstrapServers })
  await cluster.refresh()
  assert.equal(cluster.metadata.clusterId, 'scripted')
  assert.equal(broker.connections(), 2)
  refusals = 1
  const stays = clusterOf(t, { bootstrapServers: broker.bootstrapServers, metadataRecoveryStrategy: 'none' })
  await assert.rejects(stays.refresh(), (error) => error instanceof BrokerError && error.code === 'REBOOTSTRAP_REQUIRED')
})

test('leader epochs of another cluster do not stand in the way of those of this one', () => {
  const cache = new MetadataCache()
  const answer = (clusterId: string, leaderEpoch: number, leaderId: number) => {
    const partition = { errorCode: 0, partitionIndex: 0, leaderId, leaderEpoch, replicaNodes: [], isrNodes: [], offlineReplicas: [] }
    const base = { isInternal: false, topicAuthorizedOperations: 0, topicId: 'AAAAAAAAAAAAAAAAAAAAAA' }
    const topics = [{ ...base, errorCode: 0, name: 'a', partitions: [partition] }]
    return { throttleTimeMs: 0, errorCode: 0, brokers: [], clusterId, controllerId: 1, topics, clusterAuthorizedOperations: 0 }
  }
  cache.update(answer('one', 7, 1), ['a'])
  cache.update(answer('one', 6, 2), ['a'])
  assert.equal(cache.partition('a', 0)?.leaderId, 1)
  cache.update(answer('two', 0, 3), ['a'])
  assert.equal(cache.partition('a', 0)?.leaderId, 3)
})

test('connecting has socket.connection.setup.timeout.ms, and more with each failure, up to the maximum', async (t) => {
  const connection = { socketFactory: () => new Promise<never>(() => {}) }
  const timing = { socketConnectionSetupTimeoutMs: 10, socketConnectionSetupTimeoutMaxMs: 40 }
  const cluster = clusterOf(t, { bootstrapServers: 'localhost:9092', ...timing }, { connection })
  const limits: number[] = []
  for (let attempt = 0; attempt < 4; attempt++) {
    const error: Error = await cluster.refresh().catch((reason) => reason)
    limits.push(Number(/within ([\d.]+) ms/.exec(error.message)?.[1]))
  }
  for (const [index, expected] of [10, 20, 40, 40].entries()) {
    assert.ok(Math.abs(limits[index]! - expected) <= expected * 0.21, `${limits}`)
  }
})

test('a call that has only waited for its turn to connect says why connecting failed before', async (t) => {
  const cluster = clusterOf(t, { bootstrapServers: `localhost:${await freePort()}`, reconnectBackoffMs: 5000, reconnectBackoffMaxMs: 5000 })
  await assert.rejects(cluster.refresh(), { code: 'DISCONNECTED' })
  const waiting = cluster.retry({ deadline: cluster.deadline(50), what: 'metadata' }, () => cluster.refresh())
  await assert.rejects(waiting, { code: 'TIMEOUT', message: /ECONNREFUSED/ })
})

test('a broker that speaks only older versions of ApiVersions is understood (KIP-511)', async (t) => {
  const broker = await startScriptedBroker(t, {
    answer: ({ api, version }) => {
      if (api !== ApiVersions || version <= 2) return 'ordinary'
      // Version 0, whatever was asked in: 35, one API, key 18, versions 0 to 2.
      return Buffer.from([0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 2])
    },
  })
  const cluster = clusterOf(t, { bootstrapServers: broker.bootstrapServers })
  await cluster.refresh()
  assert.deepEqual(broker.calls, ['ApiVersions', 'ApiVersions', 'Metadata'])
})
