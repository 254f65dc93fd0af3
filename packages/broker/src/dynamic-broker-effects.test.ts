import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from '@tidelog/net'
import { ApiVersions, DescribeProducers } from '@tidelog/protocol'
import { logConfig } from '@tidelog/storage'
import { connectTo, until } from '@tidelog/testkit'
import { type BrokerConfigName, brokerConfig } from './config/broker-config.ts'
import { Bench, CLEANER_BACKOFF_MS } from './dynamic-effects-harness.test.ts'

/** How often a broker looks for producers that have gone. */
const PRODUCER_CHECK_MS = 600_000
const compacted = { 'cleanup.policy': 'compact', 'segment.ms': '10', 'min.cleanable.dirty.ratio': '0' }

/** Records of a compacted topic, each in a segment that the next one ends; the last stays in the active one. */
async function dirty(bench: Bench, topic: string, count = 4): Promise<void> {
  for (let index = 0; index < count; index++) {
    await bench.append(topic, { key: Buffer.from('k') })
    bench.clock.advance(20)
  }
}

const isClean = async (bench: Bench, topic: string): Promise<boolean> =>
  (await bench.cleanedUpTo(topic)) === (await bench.offset(topic, -1)) - 1

/** Lets compaction come to its end. */
const clean = (bench: Bench, topic: string): Promise<void> => bench.passUntil(CLEANER_BACKOFF_MS, () => isClean(bench, topic))

/** Bytes of the largest read of a topic's log while it was compacted. */
async function largestRead(bench: Bench, topic: string): Promise<number> {
  for (let count = 0; count < 40; count++) await bench.append(topic, { value: 'x'.repeat(500) })
  bench.clock.advance(20)
  await dirty(bench, topic)
  const from = bench.reads.length
  await clean(bench, topic)
  const ofLog = bench.reads.slice(from).filter(({ path }) => path.includes(`/${topic}-0/`) && path.endsWith('.log'))
  return Math.max(...ofLog.map(({ bytes }) => bytes))
}

/** How many compactions it takes until 600 keys are clean. */
async function rounds(bench: Bench, topic: string): Promise<number> {
  await bench.pass(CLEANER_BACKOFF_MS) // the next pause is longer than what follows
  for (let index = 0; index < 30; index++) {
    const keys = Array.from({ length: 20 }, (_, key) => ({ key: Buffer.from(`${index} ${key}`) }))
    await bench.append(topic, ...keys)
    bench.clock.advance(11)
  }
  await bench.append(topic, { key: Buffer.from('last') })
  await clean(bench, topic)
  const endOffset = await bench.cleanedUpTo(topic)
  const ofTopic = () => bench.compactions.filter(({ partition }) => partition === `${topic}-0`)
  await until(() => ofTopic().at(-1)?.endOffset === endOffset) // it is told a moment later
  return ofTopic().length
}

type Set = (value: string) => Promise<void>

/** What a client, or the disk, sees of a broker's configuration before it is set and after. */
const effects: Partial<Record<BrokerConfigName, (bench: Bench, topic: string, set: Set) => Promise<void>>> = {
  async 'log.cleaner.backoff.ms'(bench, topic, set) {
    await bench.createTopic(topic, compacted)
    await set(String(100 * CLEANER_BACKOFF_MS))
    await bench.pass(2 * CLEANER_BACKOFF_MS) // the pause that had begun
    await dirty(bench, topic)
    await bench.pass(50 * CLEANER_BACKOFF_MS)
    assert.equal(await bench.cleanedUpTo(topic), 0)
    await bench.passUntil(50 * CLEANER_BACKOFF_MS, () => isClean(bench, topic))
  },
  async 'log.cleaner.io.buffer.size'(bench, topic, set) {
    await bench.createTopic(topic, compacted)
    assert.ok((await largestRead(bench, topic)) > 10_000)
    await set('500')
    assert.ok((await largestRead(bench, topic)) <= 4096)
  },
  async 'log.cleaner.io.max.bytes.per.second'(bench, topic, set) {
    await bench.createTopic(topic, compacted)
    await dirty(bench, topic)
    await set('1')
    await bench.pass(2 * CLEANER_BACKOFF_MS)
    assert.equal(await bench.cleanedUpTo(topic), 0)
    await set('1000000')
    await bench.passUntil(600_000, () => isClean(bench, topic))
  },
  async 'producer.id.expiration.ms'(bench, topic, set) {
    await bench.createTopic(topic)
    const producers = async (): Promise<number> => {
      const { topics } = await bench.connection.send(DescribeProducers, 0, { topics: [{ name: topic, partitionIndexes: [0] }] })
      return topics[0]!.partitions[0]!.activeProducers.length
    }
    await bench.appendAsProducer(topic, 4_000)
    await bench.pass(PRODUCER_CHECK_MS)
    assert.equal(await producers(), 1)
    await set('1000')
    await bench.passUntil(PRODUCER_CHECK_MS, async () => (await producers()) === 0)
  },
  async 'max.connection.creation.rate'(bench, _topic, set) {
    await set('1')
    const { host, port } = bench.broker
    const connections = await Promise.all(
      Array.from({ length: 3 }, () => connect({ host, port, clientId: null, requestTimeoutMs: 60_000 })),
    )
    let answered = 0
    const answers = connections.map((one) => one.send(ApiVersions, 0, {}).then(() => answered++))
    await bench.settle()
    assert.ok(answered < 3, `${answered} of 3`)
    await bench.passUntil(1000, async () => answered === 3)
    await Promise.all(answers)
    for (const one of connections) one.close()
  },
  async 'max.connections.per.ip.overrides'(bench, _topic, set) {
    await set(`${bench.broker.host}:1`)
    const another = await connect({ host: bench.broker.host, port: bench.broker.port, clientId: null, requestTimeoutMs: 60_000 })
    await assert.rejects(another.send(ApiVersions, 0, {}))
  },
}

/** Where the effect of others is shown. */
const shownElsewhere: Partial<Record<BrokerConfigName, string>> = {
  'cordoned.log.dirs': 'cordoned-log-dirs.test.ts',
  'group.consumer.assignment.interval.ms': 'coordinator: consumer groups',
  'listener.security.protocol.map': 'dynamic-listeners.test.ts',
  listeners: 'dynamic-listeners.test.ts',
  'log.cleaner.dedupe.buffer.size': 'below',
  'log.cleaner.io.buffer.load.factor': 'below',
  'log.cleaner.threads': 'storage/compaction/log-cleaner.test.ts',
  'max.connections': 'dynamic-configs.test.ts',
  'max.connections.per.ip': 'dynamic-configs.test.ts',
  'num.recovery.threads.per.data.dir': 'it bounds how many logs are closed at a time, which nobody outside sees',
  'replica.alter.log.dirs.io.max.bytes.per.second': 'handlers/34-alter-replica-log-dirs.test.ts',
  'transaction.partition.verification.enable': 'coordinators: transactions',
}

test('it is known of every dynamic configuration of a broker that has an effect where it is shown', () => {
  const ofTopics = new Set([...logConfig.rows.values()].flatMap(({ brokerNames }) => brokerNames))
  const rows = [...brokerConfig.rows].filter(
    ([name, { update, unused }]) => update !== 'read-only' && unused === undefined && !ofTopics.has(name),
  )
  assert.deepEqual(rows.map(([name]) => name).sort(), [...Object.keys(effects), ...Object.keys(shownElsewhere)].sort())
})

test('dynamic configurations of a broker have their effect at once', async (t) => {
  const bench = await Bench.start(t)
  for (const [name, shows] of Object.entries(effects)) {
    await t.test(name, async () => {
      await shows(bench, `of-${name}`, (value) => bench.alter({ broker: '' }, name, value))
      await bench.alter({ broker: '' }, name, null)
    })
  }
  await connectTo(t, bench.broker)
})

test('the memory of the cleaner, and the share of it that is filled, say how much is compacted at a time', async (t) => {
  const bench = await Bench.start(t)
  const load = 'log.cleaner.io.buffer.load.factor'
  await bench.createTopic('first', compacted)
  assert.equal(await rounds(bench, 'first'), 1, 'all at once')
  await bench.alter({ broker: '' }, load, '0.0001') // 559 keys
  await bench.createTopic('second', compacted)
  assert.ok((await rounds(bench, 'second')) > 1)
  await bench.alter({ broker: '' }, load, '0.01') // 55,924 keys
  await bench.createTopic('third', compacted)
  assert.equal(await rounds(bench, 'third'), 1)
  await bench.alter({ broker: '' }, 'log.cleaner.dedupe.buffer.size', '1048577') // 436 keys
  await bench.createTopic('fourth', compacted)
  assert.ok((await rounds(bench, 'fourth')) > 1)
})
