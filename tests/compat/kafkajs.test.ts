import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import type { Consumer, EachMessagePayload, Kafka as KafkaClient } from 'kafkajs'
import { eventually, keyAndValue, type RestartableBroker, restartableBroker } from './in-process.ts'
import { type Library, libraries } from './kafkajs-libraries.ts'

async function client(t: TestContext, library: Library): Promise<Client> {
  const { Kafka, logLevel } = library
  const broker = await restartableBroker(t)
  const kafka = new Kafka({ clientId: 'compat', brokers: [broker.bootstrap], logLevel: logLevel.NOTHING, retry: { initialRetryTime: 50 } })
  return { broker, kafka, library }
}

interface Client {
  broker: RestartableBroker
  kafka: KafkaClient
  library: Library
}

/** Runs a consumer that hands every message to `each`; it is stopped with the test at the latest. */
async function consume(
  { broker, kafka }: Pick<Client, 'broker' | 'kafka'>,
  groupId: string,
  topics: (string | RegExp)[],
  each: (payload: EachMessagePayload) => void,
): Promise<Consumer> {
  const consumer = kafka.consumer({
    groupId,
    heartbeatInterval: 200,
    maxWaitTimeInMs: 200,
    metadataMaxAge: 500,
    retry: { initialRetryTime: 50, retries: 20 },
  })
  await consumer.connect()
  broker.beforeItGoes(() => consumer.disconnect())
  for (const topic of topics) await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({ eachMessage: async (payload) => each(payload) })
  return consumer
}

async function send(
  kafka: KafkaClient,
  topic: string,
  messages: { key?: string | null; value: string | null; partition?: number; timestamp?: string }[],
) {
  const producer = kafka.producer()
  await producer.connect()
  const acks = await producer.send({ topic, messages })
  await producer.disconnect()
  return acks
}

for (const { name, library } of libraries) {
  test(`${name} creates, describes, alters and deletes a topic`, async (t) => {
    const { broker, kafka } = await client(t, library)
    const admin = kafka.admin()
    await admin.connect()
    broker.beforeItGoes(() => admin.disconnect())
    assert.equal(
      await admin.createTopics({
        topics: [{ topic: 'made', numPartitions: 3, configEntries: [{ name: 'retention.ms', value: '600000' }] }],
      }),
      true,
    )
    assert.equal(await admin.createTopics({ topics: [{ topic: 'made' }] }), false)
    const { ConfigResourceTypes } = library
    const resource = { type: ConfigResourceTypes.TOPIC, name: 'made' }
    const configOf = async (name: string) =>
      (await admin.describeConfigs({ includeSynonyms: true, resources: [resource] })).resources[0]?.configEntries.find(
        ({ configName }) => configName === name,
      )?.configValue
    assert.equal(await configOf('retention.ms'), '600000')
    await admin.alterConfigs({
      validateOnly: false,
      resources: [{ ...resource, configEntries: [{ name: 'max.message.bytes', value: '2000000' }] }],
    })
    await eventually('the change shows', async () => (await configOf('max.message.bytes')) === '2000000')
    await admin.createPartitions({ topicPartitions: [{ topic: 'made', count: 5 }] })
    await eventually(
      'five partitions',
      async () => (await admin.fetchTopicMetadata({ topics: ['made'] })).topics[0]?.partitions.length === 5,
    )
    assert.equal((await admin.describeCluster()).brokers.length, 1)
    await admin.deleteTopics({ topics: ['made'] })
    await eventually('it is gone', async () => !(await admin.listTopics()).includes('made'))
  })

  test(`${name} writes and reads keys, headers, null keys and tombstones, plain and gzip`, async (t) => {
    const { broker, kafka } = await client(t, library)
    const { CompressionTypes } = library
    for (const [topic, compression] of [
      ['plain', CompressionTypes.None],
      ['gzip', CompressionTypes.GZIP],
    ] as const) {
      const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
      await producer.connect()
      const messages = Array.from({ length: 200 }, (_, i) => ({ ...keyAndValue(i), partition: 0, headers: { h: ['1', '2'], empty: '' } }))
      await producer.send({ topic, acks: -1, compression, messages })
      await producer.disconnect()
      const got: EachMessagePayload[] = []
      await consume({ broker, kafka }, `readers-${topic}`, [topic], (payload) => got.push(payload))
      await eventually('all are read', () => got.length === 200)
      for (const [i, { message }] of got.entries()) {
        assert.equal(message.offset, String(i))
        assert.deepEqual({ key: message.key?.toString() ?? null, value: message.value?.toString() ?? null }, keyAndValue(i))
        assert.deepEqual([message.headers?.h?.toString(), message.headers?.empty?.toString()], ['1,2', ''])
      }
    }
  })

  test(`${name}: a group of three, one joining and one leaving mid-stream, reads every record`, async (t) => {
    const { broker, kafka } = await client(t, library)
    const admin = kafka.admin()
    await admin.connect()
    await admin.createTopics({ topics: [{ topic: 'grouped', numPartitions: 6 }] })
    await admin.disconnect()
    const seen = new Set<string>()
    const member = () => consume({ broker, kafka }, 'three', ['grouped'], ({ message }) => seen.add(message.value?.toString() ?? ''))
    const values = (prefix: string) => Array.from({ length: 300 }, (_, i) => ({ key: `${i}`, value: `${prefix}-${i}` }))
    const leaving = await member()
    await member()
    await send(kafka, 'grouped', values('a'))
    await member()
    await send(kafka, 'grouped', values('b'))
    await leaving.disconnect()
    await send(kafka, 'grouped', values('c'))
    await eventually('every record is seen', () => seen.size === 900)
  })

  test(`${name}: manual commits, seek, pause, resume, offsets by time, offsets of topics and groups`, async (t) => {
    const { broker, kafka } = await client(t, library)
    const start = Date.now() - 100_000
    await send(
      kafka,
      'seeks',
      Array.from({ length: 100 }, (_, i) => ({ value: `${i}`, partition: 0, timestamp: String(start + i * 10) })),
    )
    const admin = kafka.admin()
    await admin.connect()
    broker.beforeItGoes(() => admin.disconnect())
    assert.deepEqual(await admin.fetchTopicOffsets('seeks'), [{ partition: 0, offset: '100', high: '100', low: '0' }])
    assert.deepEqual(await admin.fetchTopicOffsetsByTimestamp('seeks', start + 505), [{ partition: 0, offset: '51' }])
    const seen: string[] = []
    const consumer = kafka.consumer({ groupId: 'manual', maxWaitTimeInMs: 200 })
    await consumer.connect()
    broker.beforeItGoes(() => consumer.disconnect())
    await consumer.subscribe({ topic: 'seeks', fromBeginning: true })
    await consumer.run({ autoCommit: false, eachMessage: async ({ message }) => void seen.push(message.offset) })
    await eventually('all are read', () => seen.length === 100)
    await consumer.commitOffsets([{ topic: 'seeks', partition: 0, offset: '20', metadata: 'note' }])
    assert.deepEqual(await admin.fetchOffsets({ groupId: 'manual', topics: ['seeks'] }), [
      { topic: 'seeks', partitions: [{ partition: 0, offset: '20', metadata: 'note' }] },
    ])
    consumer.pause([{ topic: 'seeks' }])
    await send(kafka, 'seeks', [{ value: 'later', partition: 0 }])
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.equal(seen.length, 100, 'nothing arrives while it is paused')
    consumer.resume([{ topic: 'seeks' }])
    await eventually('the later one arrives', () => seen.at(-1) === '100')
    consumer.seek({ topic: 'seeks', partition: 0, offset: '95' })
    await eventually('it reads again from 95', () => seen.slice(101).join() === '95,96,97,98,99,100')
    await consumer.disconnect()
    assert.equal((await admin.describeGroups(['manual'])).groups[0]?.state, 'Empty')
    await admin.deleteTopicRecords({ topic: 'seeks', partitions: [{ partition: 0, offset: '40' }] })
    assert.equal((await admin.fetchTopicOffsets('seeks'))[0]?.low, '40')
    await admin.deleteGroups(['manual'])
    assert.ok(!(await admin.listGroups()).groups.some(({ groupId }) => groupId === 'manual'))
  })

  test(`${name}: subscription by pattern, and a restart of the broker in between with nothing lost`, async (t) => {
    const { broker, kafka } = await client(t, library)
    for (const topic of ['logs-a', 'logs-b', 'other-c']) await send(kafka, topic, [{ value: topic }])
    const seen: string[] = []
    await consume({ broker, kafka }, 'pattern', [/^logs-.*/], ({ message }) => seen.push(message.value?.toString() ?? ''))
    await eventually('both are read', () => seen.length === 2)
    assert.deepEqual(seen.sort(), ['logs-a', 'logs-b'])
    await broker.restart()
    const [ack] = await send(kafka, 'logs-a', [{ value: 'after', partition: 0 }])
    assert.equal(ack?.baseOffset, '1')
    await eventually('the consumer goes on', () => seen.includes('after'))
  })
}
