import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Produce } from '@tidelog/protocol'
import { logConfig } from '@tidelog/storage'
import { alterConfig, batchOf, connectTo, createTopic, startTestBroker, temporaryDirectory } from '@tidelog/testkit'
import { type BrokerConfigName, brokerConfig } from './config/broker-config.ts'

type Connection = Awaited<ReturnType<typeof connectTo>>

/**
 * Who reads a configuration that may change while the broker runs. Every one of them reads it when it is needed, from the live configuration.
 * topics: each topic without a value of its own; its logs take it over at once. sockets: listeners are opened and closed.
 */
type Reader =
  | 'topics'
  | 'connections'
  | 'cleaner'
  | 'moves'
  | 'producers'
  | 'closing'
  | 'directories'
  | 'sockets'
  | 'groups'
  | 'transactions'

/** Every such configuration that has an effect here, with a value that differs from its default. */
const dynamic: Partial<Record<BrokerConfigName, readonly [Reader, string]>> = {
  'compression.gzip.level': ['topics', '9'],
  'compression.lz4.level': ['topics', '17'],
  'compression.type': ['topics', 'gzip'],
  'compression.zstd.level': ['topics', '1'],
  'log.cleaner.delete.retention.ms': ['topics', '1000'],
  'log.cleaner.max.compaction.lag.ms': ['topics', '1000'],
  'log.cleaner.min.cleanable.ratio': ['topics', '0.25'],
  'log.cleaner.min.compaction.lag.ms': ['topics', '10'],
  'log.cleanup.policy': ['topics', 'compact,delete'],
  'log.flush.interval.messages': ['topics', '10'],
  'log.flush.interval.ms': ['topics', '1000'],
  'log.index.interval.bytes': ['topics', '1000'],
  'log.index.size.max.bytes': ['topics', '100000'],
  'log.message.timestamp.after.max.ms': ['topics', '1000'],
  'log.message.timestamp.before.max.ms': ['topics', '1000'],
  'log.message.timestamp.type': ['topics', 'LogAppendTime'],
  'log.retention.bytes': ['topics', '1000000'],
  'log.retention.ms': ['topics', '1000000'],
  'log.roll.jitter.ms': ['topics', '10'],
  'log.roll.ms': ['topics', '100000'],
  'log.segment.bytes': ['topics', '2000000'],
  'log.segment.delete.delay.ms': ['topics', '10'],
  'message.max.bytes': ['topics', '2000000'],
  'min.insync.replicas': ['topics', '2'],
  'unclean.leader.election.enable': ['topics', 'true'],
  'max.connection.creation.rate': ['connections', '1000'],
  'max.connections': ['connections', '1000'],
  'max.connections.per.ip': ['connections', '1000'],
  'max.connections.per.ip.overrides': ['connections', '127.0.0.1:1000'],
  'log.cleaner.backoff.ms': ['cleaner', '1000'],
  'log.cleaner.dedupe.buffer.size': ['cleaner', '10000000'],
  'log.cleaner.io.buffer.load.factor': ['cleaner', '0.5'],
  'log.cleaner.io.buffer.size': ['cleaner', '100000'],
  'log.cleaner.io.max.bytes.per.second': ['cleaner', '1000000'],
  'log.cleaner.threads': ['cleaner', '2'],
  'replica.alter.log.dirs.io.max.bytes.per.second': ['moves', '1000'],
  'producer.id.expiration.ms': ['producers', '1000'],
  'num.recovery.threads.per.data.dir': ['closing', '3'],
  'group.consumer.assignment.interval.ms': ['groups', '2000'],
  'transaction.partition.verification.enable': ['transactions', 'false'],
  'cordoned.log.dirs': ['directories', '*'],
  // A listener's protocol is known before it, and for as long as it is there.
  'listener.security.protocol.map': ['sockets', 'PLAINTEXT:PLAINTEXT,MORE:PLAINTEXT'],
  listeners: ['sockets', 'PLAINTEXT://127.0.0.1:0,MORE://127.0.0.1:0'],
}

const alter = async (connection: Connection, broker: string, name: string, value: string | null): Promise<number> =>
  (await alterConfig(connection, { broker }, name, value)).errorCode

async function produce(connection: Connection, topic: string, bytes: number): Promise<number> {
  const topicData = [{ name: topic, partitionData: [{ index: 0, records: batchOf([{ value: 'x'.repeat(bytes) }]) }] }]
  const { responses } = await connection.send(Produce, 9, { transactionalId: null, acks: -1, timeoutMs: 5000, topicData })
  return responses[0]!.partitionResponses[0]!.errorCode
}

test('it is known of every configuration that may change at run time who takes the change over', () => {
  const rows = [...brokerConfig.rows].filter(([, { update, unused }]) => update !== 'read-only' && unused === undefined)
  assert.deepEqual(rows.map(([name]) => name).sort(), Object.keys(dynamic).sort())
  const ofTopics = new Set([...logConfig.rows.values()].flatMap(({ brokerNames }) => brokerNames))
  for (const [name, [reader]] of Object.entries(dynamic)) assert.equal(reader === 'topics', ofTopics.has(name), name)
})

test('a change of any of them is in the live configuration when it is answered, outlives a restart, and ends when it is taken back', async (t) => {
  const dir = await temporaryDirectory(t)
  const options = { config: { 'log.dirs': dir, 'node.id': '1' } }
  let broker = await startTestBroker(options)
  t.after(() => broker.close())
  let connection = await connectTo(t, broker)
  const live = (name: string): unknown => (broker.config as Record<string, unknown>)[name]
  const table = Object.entries(dynamic).map(([name, [, text]]) => ({ name: name as BrokerConfigName, text, before: live(name) }))
  for (const { name, text, before } of table) {
    const scope = brokerConfig.row(name)!.update === 'cluster-wide' ? '' : '1'
    const wanted = brokerConfig.parse(name, text)
    assert.notDeepEqual(before, wanted, name)
    assert.equal(await alter(connection, scope, name, text), 0, name)
    assert.deepEqual(live(name), wanted, name)
  }
  await broker.close()
  broker = await startTestBroker(options)
  connection = await connectTo(t, broker)
  for (const { name, text, before } of table.reverse()) {
    assert.deepEqual(live(name), brokerConfig.parse(name, text), `${name} after a restart`)
    assert.equal(await alter(connection, brokerConfig.row(name)!.update === 'cluster-wide' ? '' : '1', name, null), 0, name)
    assert.deepEqual(live(name), before, `${name} taken back`)
  }
})

test('a changed default holds at once for a topic that is there, in both directions; its own value wins', async (t) => {
  const broker = await startTestBroker({ config: { 'node.id': '1' } })
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  await createTopic(connection, 'default')
  await createTopic(connection, 'own', { configs: { 'max.message.bytes': '5000' } })
  assert.equal(await alter(connection, '', 'message.max.bytes', '1000'), 0)
  assert.deepEqual([await produce(connection, 'default', 2000), await produce(connection, 'own', 2000)], [10, 0])
  assert.equal(await alter(connection, '1', 'message.max.bytes', '3000'), 0, "a broker's own value goes before that of all")
  assert.deepEqual([await produce(connection, 'default', 2000), await produce(connection, 'default', 4000)], [0, 10])
  assert.equal(await alter(connection, '1', 'message.max.bytes', null), 0)
  assert.equal(await alter(connection, '', 'message.max.bytes', null), 0)
  assert.equal(await produce(connection, 'default', 4000), 0)
})

test('a lower limit of connections refuses the next one, a higher one takes it', async (t) => {
  const broker = await startTestBroker({ config: { 'node.id': '1' } })
  t.after(() => broker.close())
  const first = await connectTo(t, broker)
  for (const name of ['max.connections', 'max.connections.per.ip']) {
    assert.equal(await alter(first, '', name, '1'), 0)
    await assert.rejects(async () => createTopic(await connectTo(t, broker), 'refused'), name)
    assert.equal(await alter(first, '', name, null), 0)
  }
  await createTopic(await connectTo(t, broker), 'taken')
})

test("a listener's own limit of connections goes before that of the broker, and other listeners are not counted to it", async (t) => {
  const map = 'PLAINTEXT:PLAINTEXT,MORE:PLAINTEXT'
  const listeners = 'PLAINTEXT://127.0.0.1:0,MORE://127.0.0.1:0'
  const broker = await startTestBroker({ config: { 'node.id': '1', listeners, 'listener.security.protocol.map': map } })
  t.after(() => broker.close())
  const first = await connectTo(t, broker)
  const name = 'listener.name.plaintext.max.connections'
  assert.equal(await alter(first, '1', 'listener.name.more.max.connections', '1'), 0)
  await createTopic(await connectTo(t, broker), 'of-another-listener')
  for (const scope of ['', '1']) {
    assert.equal(await alter(first, scope, name, '2'), 0)
    await assert.rejects(async () => createTopic(await connectTo(t, broker), 'refused'), scope)
    assert.equal(await alter(first, scope, name, null), 0)
  }
  assert.equal(await alter(first, '', name, '2'), 0)
  assert.equal(await alter(first, '1', name, '100'), 0, "this broker's own value wins")
  await createTopic(await connectTo(t, broker), 'taken')
})
