import assert from 'node:assert/strict'
import test from 'node:test'
import { Admin, Producer, stringSerializers } from '@platformatic/kafka'
import kafkajs from 'kafkajs'
import { eventually, restartableBroker } from './in-process.ts'

const { Kafka, logLevel } = kafkajs

test('@platformatic/kafka: a committed transaction is read as a whole, an aborted one never', async (t) => {
  const broker = await restartableBroker(t)
  const base = { clientId: 'compat', bootstrapBrokers: [broker.bootstrap], retryDelay: 50, retries: 20 }
  const admin = new Admin(base)
  broker.beforeItGoes(() => admin.close())
  await admin.createTopics({ topics: ['paid'], partitions: 2, replicas: 1 })
  const producer = new Producer({ ...base, serializers: stringSerializers, transactionalId: 'cashier', idempotent: true })
  broker.beforeItGoes(() => producer.close())
  const messages = (name: string) => [0, 1, 2, 3].map((i) => ({ topic: 'paid', partition: i % 2, value: `${name}-${i}` }))
  for (const name of ['first', 'second']) {
    const aborted = await producer.beginTransaction()
    await aborted.send({ messages: messages(`${name}-aborted`) })
    await aborted.abort()
    const committed = await producer.beginTransaction()
    await committed.send({ messages: messages(`${name}-committed`) })
    await committed.commit()
  }
  // Its own consumer forgets all but the last of a producer's aborted transactions in an answer (1.35.0).
  const kafka = new Kafka({ brokers: [broker.bootstrap], logLevel: logLevel.NOTHING, retry: { initialRetryTime: 50 } })
  const consumer = kafka.consumer({ groupId: 'auditors', maxWaitTimeInMs: 200 })
  await consumer.connect()
  broker.beforeItGoes(() => consumer.disconnect())
  await consumer.subscribe({ topic: 'paid', fromBeginning: true })
  const seen: string[] = []
  await consumer.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
  await eventually('all committed records are read', () => seen.length >= 8)
  assert.deepEqual(
    seen.sort(),
    ['first', 'second'].flatMap((name) => messages(`${name}-committed`).map(({ value }) => value)),
  )
})
