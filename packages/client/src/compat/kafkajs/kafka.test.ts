import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Produce } from '@tidelog/protocol'
import { ApiProxy, startTestBroker } from '@tidelog/testkit'
import kafkajs, { CompressionTypes, ConfigResourceTypes, type Consumer, Kafka, KafkaJSNonRetriableError, logLevel } from './index.ts'

/** A broker and kafkajs on it; `using` says which clients go when the test ends. */
async function setUp(t: TestContext) {
  const broker = await startTestBroker()
  const clients: { disconnect(): Promise<void> }[] = []
  t.after(async () => {
    for (const client of clients.reverse()) await client.disconnect()
    await broker.close()
  })
  const kafka = new Kafka({ brokers: [broker.bootstrapServers], logLevel: logLevel.NOTHING, retry: { initialRetryTime: 20 } })
  const using = <C extends { disconnect(): Promise<void> }>(client: C): C => {
    clients.push(client)
    return client
  }
  return { kafka, using, broker }
}

const quick = { heartbeatInterval: 50, maxWaitTimeInMs: 100 }

/** Waits, for up to 10 s. */
async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const limit = AbortSignal.timeout(10_000)
  while (!(await holds())) {
    assert.ok(!limit.aborted, what)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** The values that a consumer gets, as `partition:value`. */
function collecting(consumer: Consumer): { readonly seen: string[]; run(): Promise<void> } {
  const seen: string[] = []
  return {
    seen,
    run: () => consumer.run({ eachMessage: async ({ partition, message }) => void seen.push(`${partition}:${String(message.value)}`) }),
  }
}

test('every codec is built in, the one that is registered is not needed', async (t) => {
  const { kafka, using } = await setUp(t)
  const producer = using(kafka.producer())
  await producer.connect()
  kafkajs.CompressionCodecs[CompressionTypes.Snappy] = () => assert.fail('nobody calls it')
  const codecs = Object.keys(CompressionTypes) as (keyof typeof CompressionTypes)[]
  for (const value of codecs) {
    const [sent] = await producer.send({ topic: 'packed', compression: CompressionTypes[value], messages: [{ value, partition: 0 }] })
    assert.equal(sent?.errorCode, 0)
  }
  const consumer = using(kafka.consumer({ ...quick, groupId: 'g' }))
  await consumer.connect()
  await consumer.subscribe({ topics: ['packed'], fromBeginning: true })
  const { seen, run } = collecting(consumer)
  await run()
  await until('all are read', () => seen.length === codecs.length)
  assert.deepEqual(
    seen,
    codecs.map((value) => `0:${value}`),
  )
  const codec = kafkajs.CompressionCodecs[CompressionTypes.ZSTD]()
  assert.equal(String(await codec.decompress(await codec.compress({ buffer: Buffer.from('text') }))), 'text')
})

test('a partition that does not exist is an error, where kafkajs loses the message', async (t) => {
  const { kafka, using } = await setUp(t)
  const producer = using(kafka.producer())
  await producer.connect()
  await assert.rejects(producer.send({ topic: 'a', messages: [{ value: 'x', partition: 99 }] }), KafkaJSNonRetriableError)
})

test('a timestamp or a header that is none is an error, and the message is not sent', async (t) => {
  const { kafka, using } = await setUp(t)
  const producer = using(kafka.producer())
  await producer.connect()
  const send = (message: object) => producer.send({ topic: 'a', messages: [{ value: 'x', partition: 0, ...message }] })
  for (const wrong of [{ timestamp: 'now' }, { timestamp: '1.5' }, { headers: { a: 5 } }, { headers: { a: ['b', {}] } }])
    await assert.rejects(send(wrong), KafkaJSNonRetriableError, JSON.stringify(wrong))
  const [sent] = await send({ timestamp: '1700000000000', headers: { a: ['b', Buffer.from('c')], d: 'e' } })
  assert.equal(sent?.baseOffset, '0')
})

test('requestTimeout holds for messages, too, whatever time the broker has for acks', async (t) => {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const proxy = await ApiProxy.start(t, broker)
  proxy.onRequest(Produce, () => 'drop')
  const kafka = new Kafka({ brokers: [proxy.bootstrapServers], logLevel: logLevel.NOTHING, requestTimeout: 200, retry: { retries: 0 } })
  const producer = kafka.producer()
  const timedOut: string[] = []
  producer.on(producer.events.REQUEST_TIMEOUT, ({ payload }) => timedOut.push(payload.apiName))
  await producer.connect()
  await assert.rejects(producer.send({ topic: 'a', messages: [{ value: 'x' }] }), { name: 'KafkaJSNumberOfRetriesExceeded' })
  await producer.disconnect()
  assert.deepEqual(timedOut, ['Produce'])
})

test('a handler that takes longer than the session keeps its membership, and its messages come once', async (t) => {
  const { kafka, using } = await setUp(t)
  const producer = using(kafka.producer())
  await producer.connect()
  await producer.send({ topic: 'slow', messages: ['1', '2'].map((value) => ({ value, partition: 0 })) })
  const consumer = using(kafka.consumer({ ...quick, groupId: 'slow', sessionTimeout: 6000 }))
  const joins: number[] = []
  consumer.on(consumer.events.GROUP_JOIN, () => joins.push(1))
  const heartbeats: number[] = []
  consumer.on(consumer.events.HEARTBEAT, () => heartbeats.push(1))
  await consumer.connect()
  await consumer.subscribe({ topic: 'slow', fromBeginning: true })
  const seen: string[] = []
  await consumer.run({
    async eachMessage({ message }) {
      const before = heartbeats.length
      seen.push(String(message.value))
      await until('heartbeats go on meanwhile', () => heartbeats.length > before + 2)
    },
  })
  await until('both are read', () => seen.length === 2)
  assert.deepEqual([seen, joins.length], [['1', '2'], 1])
})

test('topics of one consumer begin where each was said to; stop() and run() go on where it was', async (t) => {
  const { kafka, using } = await setUp(t)
  const admin = using(kafka.admin())
  await admin.createTopics({ topics: ['old', 'new'].map((topic) => ({ topic, numPartitions: 1 })) })
  const producer = using(kafka.producer())
  await producer.connect()
  const send = (topic: string, value: string) => producer.send({ topic, messages: [{ value, partition: 0 }] })
  for (const topic of ['old', 'new']) await send(topic, `${topic} before`)
  const consumer = using(kafka.consumer({ ...quick, groupId: 'both' }))
  await consumer.subscribe({ topics: ['old'], fromBeginning: true })
  await consumer.subscribe({ topics: [/^ne.$/] })
  const { seen, run } = collecting(consumer)
  await run()
  for (const topic of ['old', 'new']) await send(topic, `${topic} after`)
  await until('three are read', () => seen.length === 3)
  await consumer.stop()
  await send('old', 'old later')
  await run()
  await until('the fourth is read', () => seen.length === 4)
  assert.deepEqual(seen.sort(), ['0:new after', '0:old after', '0:old before', '0:old later'])
})

test('after a crash that may pass the consumer starts again by itself, from the message that failed', async (t) => {
  const { kafka, using } = await setUp(t)
  const producer = using(kafka.producer())
  await producer.connect()
  await producer.send({ topic: 'crashing', messages: ['1', '2', '3'].map((value) => ({ value, partition: 0 })) })
  const consumer = using(kafka.consumer({ ...quick, groupId: 'crashing', retry: { retries: 1, initialRetryTime: 20 } }))
  const crashes: { name: string; restart: boolean }[] = []
  consumer.on(consumer.events.CRASH, ({ payload: { error, restart } }) => crashes.push({ name: error.name, restart }))
  await consumer.connect()
  await consumer.subscribe({ topic: 'crashing', fromBeginning: true })
  const seen: string[] = []
  await consumer.run({
    async eachMessage({ message }) {
      seen.push(String(message.value))
      if (String(message.value) === '2' && seen.length < 5) throw new Error('not now')
    },
  })
  await until('all are read', () => seen.at(-1) === '3')
  assert.deepEqual(seen, ['1', '2', '2', '2', '2', '3'].slice(0, seen.length))
  assert.deepEqual(crashes[0], { name: 'KafkaJSNumberOfRetriesExceeded', restart: true })
})

test('a group is set and reset to real offsets, and offsets that are none resolve to the end', async (t) => {
  const { kafka, using } = await setUp(t)
  const admin = using(kafka.admin())
  await admin.createTopics({ topics: [{ topic: 'a', numPartitions: 2 }] })
  const producer = using(kafka.producer())
  await producer.connect()
  await producer.send({ topic: 'a', messages: Array.from({ length: 5 }, (_, i) => ({ value: `${i}`, partition: 0 })) })
  const offsets = async (resolveOffsets = false) =>
    (await admin.fetchOffsets({ groupId: 'g', topics: ['a'], resolveOffsets }))[0]?.partitions.map(({ offset }) => offset)
  await admin.setOffsets({ groupId: 'g', topic: 'a', partitions: [{ partition: 0, offset: '3' }] })
  assert.deepEqual(await offsets(), ['3', '-1'])
  assert.deepEqual(await offsets(true), ['3', '0'])
  assert.deepEqual(await offsets(), ['3', '0'])
  await admin.resetOffsets({ groupId: 'g', topic: 'a', earliest: true })
  assert.deepEqual(await offsets(), ['0', '0'])
  await admin.resetOffsets({ groupId: 'g', topic: 'a', earliest: false })
  assert.deepEqual(await offsets(), ['5', '0'])
})

test('clients need no connect(), and may connect again', async (t) => {
  const { kafka, using } = await setUp(t)
  const admin = using(kafka.admin())
  const { brokers } = await admin.describeCluster()
  assert.equal(brokers.length, 1)
  await admin.disconnect()
  await admin.connect()
  const resources = [{ type: ConfigResourceTypes.BROKER, name: String(brokers[0]!.nodeId), configNames: ['num.partitions'] }]
  const described = await admin.describeConfigs({ resources, includeSynonyms: true })
  assert.equal(described.resources[0]?.configEntries[0]?.configName, 'num.partitions')
})
