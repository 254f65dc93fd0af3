import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import { eventually, restartableBroker } from './in-process.ts'
import { type Library, libraries } from './kafkajs-libraries.ts'

/** A broker that can be restarted, and a client whose admin is connected to it. */
async function start(t: TestContext, { Kafka, logLevel }: Library) {
  const broker = await restartableBroker(t)
  const kafka = new Kafka({ clientId: 'compat', brokers: [broker.bootstrap], logLevel: logLevel.NOTHING, retry: { initialRetryTime: 50 } })
  const admin = kafka.admin()
  await admin.connect()
  broker.beforeItGoes(() => admin.disconnect())
  return { broker, kafka, admin }
}

for (const { name, library } of libraries) {
  test(`${name}: a committed transaction is read as a whole, an aborted one never, across a restart of the broker`, async (t) => {
    const { broker, kafka, admin } = await start(t, library)
    await admin.createTopics({ topics: [{ topic: 'paid', numPartitions: 3 }] })
    const producer = kafka.producer({
      transactionalId: 'cashier',
      maxInFlightRequests: 1,
      idempotent: true,
      retry: { initialRetryTime: 50 },
    })
    await producer.connect()
    broker.beforeItGoes(() => producer.disconnect())
    const values = (name: string) => [0, 1, 2, 3, 4, 5].map((i) => ({ partition: i % 3, value: `${name}-${i}` }))

    for (const round of ['first', 'second']) {
      const aborted = await producer.transaction()
      await aborted.send({ topic: 'paid', messages: values(`${round}-aborted`) })
      await aborted.abort()
      const committed = await producer.transaction()
      await committed.send({ topic: 'paid', messages: values(`${round}-committed`) })
      await committed.commit()
      if (round === 'first') await broker.restart()
    }

    const seen: string[] = []
    const consumer = kafka.consumer({ groupId: 'auditors', readUncommitted: false, maxWaitTimeInMs: 200 })
    await consumer.connect()
    broker.beforeItGoes(() => consumer.disconnect())
    await consumer.subscribe({ topic: 'paid', fromBeginning: true })
    await consumer.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await eventually('all committed records are read', () => seen.length >= 12)
    assert.deepEqual(
      seen.sort(),
      ['first', 'second'].flatMap((round) => values(`${round}-committed`).map(({ value }) => value)),
    )
  })

  test(`${name}: offsets sent with a transaction count when it is committed, and not when it is aborted`, async (t) => {
    const { broker, kafka, admin } = await start(t, library)
    await admin.createTopics({ topics: [{ topic: 'raw' }, { topic: 'cooked' }] })
    const producer = kafka.producer({ transactionalId: 'cook', maxInFlightRequests: 1, idempotent: true, retry: { initialRetryTime: 50 } })
    await producer.connect()
    broker.beforeItGoes(() => producer.disconnect())
    const copy = async (offset: string, end: 'commit' | 'abort') => {
      const transaction = await producer.transaction()
      await transaction.send({ topic: 'cooked', messages: [{ value: `${end} ${offset}` }] })
      await transaction.sendOffsets({ consumerGroupId: 'cooks', topics: [{ topic: 'raw', partitions: [{ partition: 0, offset }] }] })
      await transaction[end]()
    }
    const committed = async () => (await admin.fetchOffsets({ groupId: 'cooks', topics: ['raw'] }))[0]!.partitions[0]!.offset
    await copy('3', 'commit')
    await eventually('the offset is committed', async () => (await committed()) === '3')
    await copy('9', 'abort')
    await broker.restart()
    // Right behind a restart the group may still be loading.
    await eventually('the offset is still the one', async () => (await committed().catch(() => undefined)) === '3')
    await copy('12', 'commit')
    await eventually('the offset is committed', async () => (await committed()) === '12')
  })
}
