/** Every phase of a client's life, with the broker or the connection to it going wrong in it. Kills of a process: tests/faults/client.fault.ts. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Broker } from '@tidelog/broker'
import {
  type Api,
  ApiVersions,
  EndTxn,
  Fetch,
  FindCoordinator,
  Heartbeat,
  InitProducerId,
  JoinGroup,
  LeaveGroup,
  ListOffsets,
  Metadata,
  OffsetCommit,
  OffsetFetch,
  Produce,
  SyncGroup,
} from '@tidelog/protocol'
import { ApiProxy, type Fate, freePort, startTestBroker, temporaryDirectory } from '@tidelog/testkit'
import { Admin } from './admin/admin.ts'
import { Consumer } from './consumer/consumer.ts'
import { Producer } from './producer/producer.ts'
import { string } from './serde/serde.ts'

const RECORDS = 10
const values = Array.from({ length: RECORDS }, (_, i) => String(i))

interface Ground {
  readonly proxy: ApiProxy
  readonly admin: Admin
  /** Every connection breaks, and the broker is away for as long as it takes to start again on its directory. */
  restart(): Promise<void>
  /** A new topic with ten records, or without. */
  topic(options: { isFilled: boolean }): Promise<string>
}

/** A broker that can be restarted, behind a proxy that tears connections. */
async function groundOf(t: TestContext): Promise<Ground> {
  const dir = await temporaryDirectory(t)
  const config = { 'log.dirs': dir, listeners: `PLAINTEXT://127.0.0.1:${await freePort()}`, 'group.min.session.timeout.ms': '100' }
  let broker: Broker = await startTestBroker({ config })
  const direct = { bootstrapServers: broker.bootstrapServers, retryBackoffMs: 5, reconnectBackoffMs: 5, reconnectBackoffMaxMs: 20 }
  const admin = new Admin(direct)
  const filler = new Producer({ ...direct, valueSerializer: string })
  const proxy = await ApiProxy.start(t, broker)
  t.after(async () => {
    await Promise.all([admin.close(), filler.close()])
    await broker.close()
  })
  let topics = 0
  return {
    proxy,
    admin,
    async restart() {
      proxy.down.add(1)
      proxy.breakAll()
      await broker.close()
      broker = await startTestBroker({ config })
      proxy.down.delete(1)
    },
    async topic({ isFilled }) {
      const topic = `topic-${topics++}`
      await admin.createTopics([{ topic, numPartitions: 1 }])
      if (isFilled) await filler.sendMany(values.map((value) => ({ topic, partition: 0, value })))
      return topic
    },
  }
}

const quick = { retryBackoffMs: 2, reconnectBackoffMs: 2, reconnectBackoffMaxMs: 20, requestTimeoutMs: 200 }

/** Joins, reads ten records, commits and leaves. @returns what it saw */
async function consume({ proxy }: Ground, topic: string, isFaultOver: () => boolean): Promise<(string | null)[]> {
  const consumer = new Consumer({
    ...quick,
    bootstrapServers: proxy.bootstrapServers,
    groupId: topic,
    valueDeserializer: string,
    autoOffsetReset: 'earliest',
    enableAutoCommit: false,
    heartbeatIntervalMs: 10,
    fetchMaxWaitMs: 10,
  })
  const seen: (string | null)[] = []
  try {
    consumer.subscribe([topic])
    while (seen.length < RECORDS) for (const { value } of await consumer.poll()) seen.push(value)
    await consumer.commit()
    // Heartbeats come in the background; and nothing must come twice meanwhile.
    do for (const { value } of await consumer.poll({ timeoutMs: 10 })) seen.push(value)
    while (!isFaultOver())
    await consumer.commit()
  } finally {
    const startedMs = performance.now()
    await consumer.close({ timeoutMs: 500 })
    assert.ok(performance.now() - startedMs < 5000, 'close() is bounded')
  }
  return seen
}

const consumerPhases: readonly (readonly [string, Api])[] = [
  ['bootstrap', ApiVersions],
  ['metadata', Metadata],
  ['finding the coordinator', FindCoordinator],
  ['join', JoinGroup],
  ['sync', SyncGroup],
  ['committed offsets', OffsetFetch],
  ['position lookup', ListOffsets],
  ['fetch', Fetch],
  ['heartbeat', Heartbeat],
  ['commit', OffsetCommit],
  ['leave and close', LeaveGroup],
]

/** On the way there, and on the way back, when the request has taken effect; or nobody answers. */
const fates: readonly (readonly ['request' | 'answer', Fate])[] = [
  ['request', 'cut-midway'],
  ['answer', 'cut-midway'],
  ['request', 'drop'],
]

/** Has the next two requests of an API go wrong, or one, where that takes a timeout. @returns how many have */
function spoil(proxy: ApiProxy, api: Api, [side, fate]: (typeof fates)[number]): () => number {
  const wanted = fate === 'drop' ? 1 : 2
  let faults = 0
  const next = () => {
    if (faults === wanted) return undefined
    faults++
    return fate
  }
  proxy.onRequest(api, side === 'request' ? (next as () => 'cut' | undefined) : undefined)
  proxy.onAnswer(api, side === 'answer' ? next : undefined)
  return () => faults
}

for (const [phase, api] of consumerPhases) {
  test(`a consumer's connection that is cut, or stalls, during ${phase}: nothing is lost, nothing comes twice`, async (t) => {
    const ground = await groundOf(t)
    const { proxy, admin } = ground
    for (const fate of fates) {
      // A join may take as long as maxPollIntervalMs and more: that nobody answers is not known sooner.
      if (fate[1] === 'drop' && (api.key === JoinGroup.key || api.key === SyncGroup.key)) continue
      const topic = await ground.topic({ isFilled: true })
      const faults = spoil(proxy, api, fate)
      const seen = await consume(ground, topic, () => faults() > 0 || api.key !== Heartbeat.key)
      assert.deepEqual(seen, values, fate.join(' '))
      assert.ok(faults() > 0, `${fate.join(' ')} has happened`)
      assert.equal((await admin.listConsumerGroupOffsets(topic)).get({ topic, partition: 0 })?.offset, RECORDS, fate.join(' '))
      proxy.onRequest(api, undefined)
      proxy.onAnswer(api, undefined)
    }
  })
}

test('a broker that goes away and comes back in any phase of a consumer: nothing is lost, nothing comes twice', async (t) => {
  const ground = await groundOf(t)
  const { proxy, admin, restart } = ground
  for (const [phase, api] of consumerPhases) {
    const topic = await ground.topic({ isFilled: true })
    let restarting: Promise<void> | undefined
    proxy.onRequest(api, () => {
      if (restarting !== undefined) return undefined
      restarting = restart()
      return 'cut'
    })
    const seen = await consume(ground, topic, () => restarting !== undefined || api.key !== Heartbeat.key)
    assert.deepEqual(seen, values, phase)
    assert.ok(restarting !== undefined, phase)
    await restarting
    proxy.onRequest(api, undefined)
    assert.equal((await admin.listConsumerGroupOffsets(topic)).get({ topic, partition: 0 })?.offset, RECORDS, phase)
  }
})

// --- the producer ------------------------------------------------------------------------------------------------------------------

/** What is in the topic, in order. */
async function contentOf({ proxy, admin }: Ground, topic: string): Promise<(string | null)[]> {
  const consumer = new Consumer({
    ...quick,
    bootstrapServers: proxy.bootstrapServers,
    valueDeserializer: string,
    isolationLevel: 'read_committed',
    fetchMaxWaitMs: 10,
  })
  try {
    const place = { topic, partition: 0 }
    consumer.assign([place])
    consumer.seekToBeginning()
    // Of the log, which may have transactions whose markers are still to come.
    const [found] = await admin.listOffsets([{ ...place, spec: 'latest' }])
    const content: (string | null)[] = []
    while ((await consumer.position(place)) < found!.offset)
      for (const { value } of await consumer.poll({ timeoutMs: 20 })) content.push(value)
    return content
  } finally {
    await consumer.close()
  }
}

type Deliver = (producer: Producer<Buffer, string>, topic: string) => Promise<unknown>

const producerPhases: readonly { phase: string; api: Api; deliver: Deliver; isTransactional?: boolean }[] = [
  { phase: 'bootstrap', api: ApiVersions, deliver: sendAll },
  { phase: 'metadata', api: Metadata, deliver: sendAll },
  { phase: 'getting a producer id', api: InitProducerId, deliver: sendAll },
  { phase: 'produce', api: Produce, deliver: sendAll },
  {
    phase: 'flush',
    api: Produce,
    deliver(producer, topic) {
      for (const value of values) producer.enqueue({ topic, partition: 0, value })
      return producer.flush()
    },
  },
  {
    phase: 'close',
    api: Produce,
    async deliver(producer, topic) {
      for (const value of values) producer.enqueue({ topic, partition: 0, value })
      await producer.close({ timeoutMs: 5000 })
    },
  },
  { phase: 'finding the coordinator of transactions', api: FindCoordinator, deliver: inTransaction, isTransactional: true },
  { phase: 'commit', api: EndTxn, deliver: inTransaction, isTransactional: true },
]

function sendAll(producer: Producer<Buffer, string>, topic: string) {
  return Promise.all(values.map((value) => producer.send({ topic, partition: 0, value })))
}

function inTransaction(producer: Producer<Buffer, string>, topic: string) {
  return producer.transaction((txn) => {
    for (const value of values) txn.send({ topic, partition: 0, value })
  })
}

function producerOf({ proxy }: Ground, topic: string, isTransactional: boolean): Producer<Buffer, string> {
  const options = isTransactional ? { transactionalId: topic } : {}
  return new Producer({ ...quick, ...options, bootstrapServers: proxy.bootstrapServers, valueSerializer: string, batchSize: 200 })
}

for (const { phase, api, deliver, isTransactional = false } of producerPhases) {
  test(`a producer's connection that is cut, or stalls, during ${phase}: every record is there once and in order`, async (t) => {
    const ground = await groundOf(t)
    const { proxy } = ground
    for (const fate of fates) {
      const topic = await ground.topic({ isFilled: false })
      const faults = spoil(proxy, api, fate)
      const producer = producerOf(ground, topic, isTransactional)
      await deliver(producer, topic)
      await producer.close({ timeoutMs: 500 })
      assert.ok(faults() > 0, `${fate.join(' ')} has happened`)
      proxy.onRequest(api, undefined)
      proxy.onAnswer(api, undefined)
      assert.deepEqual(await contentOf(ground, topic), values, fate.join(' '))
    }
  })
}

test('a broker that goes away and comes back in any phase of a producer: every record is there once and in order', async (t) => {
  const ground = await groundOf(t)
  const { proxy, restart } = ground
  for (const { phase, api, deliver, isTransactional = false } of producerPhases) {
    const topic = await ground.topic({ isFilled: false })
    let restarting: Promise<void> | undefined
    proxy.onRequest(api, () => {
      if (restarting !== undefined) return undefined
      restarting = restart()
      return 'cut'
    })
    const producer = producerOf(ground, topic, isTransactional)
    await deliver(producer, topic)
    await producer.close({ timeoutMs: 500 })
    assert.ok(restarting !== undefined, phase)
    await restarting
    proxy.onRequest(api, undefined)
    assert.deepEqual(await contentOf(ground, topic), values, phase)
  }
})

test('a broker whose answers trickle in holds nothing up', async (t) => {
  const ground = await groundOf(t)
  for (const [, api] of [...consumerPhases, ['', Produce], ['', InitProducerId]] as const) ground.proxy.onAnswer(api, () => 'trickle')
  const topic = await ground.topic({ isFilled: false })
  const producer = producerOf(ground, topic, false)
  await sendAll(producer, topic)
  await producer.close()
  assert.deepEqual(await consume(ground, topic, () => true), values)
})

// --- names -------------------------------------------------------------------------------------------------------------------------

test('a name that does not resolve is an error that says so, for every client, and close() ends', async () => {
  const bootstrapServers = 'no-such-host.invalid:9092'
  const message = /no-such-host\.invalid/
  const options = { ...quick, bootstrapServers }
  const admin = new Admin(options)
  await assert.rejects(admin.listTopics({ timeoutMs: 150 }), { code: 'UNRESOLVED_HOST', message })
  await admin.close()
  const producer = new Producer({ ...options, maxBlockMs: 150, valueSerializer: string })
  await assert.rejects(producer.send({ topic: 'a', value: 'v' }), { code: 'UNRESOLVED_HOST', message })
  await producer.close({ timeoutMs: 100 })
  const consumer = new Consumer(options)
  await assert.rejects(consumer.partitionsFor('a', { timeoutMs: 150 }), { code: 'UNRESOLVED_HOST', message })
  await consumer.close({ timeoutMs: 100 })
})

test('a name that does not resolve beside one that does costs nothing', async (t) => {
  const ground = await groundOf(t)
  const topic = await ground.topic({ isFilled: true })
  const bootstrapServers = `no-such-host.invalid:9092,${ground.proxy.bootstrapServers}`
  for (let round = 0; round < 5; round++) {
    const consumer = new Consumer({ ...quick, bootstrapServers, valueDeserializer: string })
    consumer.assign([{ topic, partition: 0 }])
    consumer.seekToBeginning()
    assert.equal((await consumer.poll()).count, RECORDS)
    await consumer.close()
  }
})
