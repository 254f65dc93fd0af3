import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startTestBroker } from '@tidelog/testkit'
import { Producer } from '../producer/producer.ts'
import { Consumer } from './consumer.ts'

test('with fetchMinBytes a broker keeps what is too little to itself until there is more', async (t) => {
  const broker = await startTestBroker()
  const { bootstrapServers } = broker
  const producer = new Producer({ bootstrapServers })
  // The topic is there before it is fetched from.
  await producer.send({ topic: 't', value: 'before' })
  const consumer = new Consumer({ bootstrapServers, autoOffsetReset: 'latest', fetchMinBytes: 1000, fetchMaxWaitMs: 60_000 })
  t.after(async () => {
    await Promise.all([producer.close(), consumer.close()])
    await broker.close()
  })
  const partition = { topic: 't', partition: 0 }
  consumer.assign([partition])
  assert.equal(await consumer.position(partition), 1)
  const polled = consumer.poll()
  await producer.send({ topic: 't', value: 'little' })
  await producer.send({ topic: 't', value: 'x'.repeat(1000) })
  assert.equal((await polled).count, 2)
})

test('a pattern matches internal topics only when excludeInternalTopics is false', async (t) => {
  const broker = await startTestBroker()
  const { bootstrapServers } = broker
  const producer = new Producer({ bootstrapServers })
  await producer.send({ topic: 'offsets', value: 'a' })
  await producer.close()
  const topicsOf = async (excludeInternalTopics: boolean, groupId: string) => {
    await using consumer = new Consumer({ bootstrapServers, groupId, excludeInternalTopics, autoOffsetReset: 'earliest' })
    consumer.subscribe(/offsets$/)
    while (consumer.assignment().length === 0) await consumer.poll({ timeoutMs: 100 })
    return new Set(consumer.assignment().map(({ topic }) => topic))
  }
  t.after(() => broker.close())
  // The first group's coordinator has made the internal topic.
  assert.deepEqual(await topicsOf(true, 'without'), new Set(['offsets']))
  assert.deepEqual(await topicsOf(false, 'with'), new Set(['offsets', '__consumer_offsets']))
})
