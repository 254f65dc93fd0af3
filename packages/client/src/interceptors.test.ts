import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startTestBroker } from '@tidelog/testkit'
import { Admin } from './admin/admin.ts'
import { Consumer } from './consumer/consumer.ts'
import { Producer } from './producer/producer.ts'
import type { ProducerInterceptor } from './producer/producer-interceptor.ts'
import { string } from './serde/serde.ts'

test('producer interceptors change records in their order and hear what became of each; one that fails changes nothing', async (t) => {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const { bootstrapServers } = broker
  const admin = new Admin({ bootstrapServers })
  await admin.createTopics([{ topic: 'a', numPartitions: 1, configs: { 'max.message.bytes': '500' } }])
  await admin.close()
  const heard: string[] = []
  const marking = (mark: string): ProducerInterceptor<string, string> => ({
    onSend: (record) => ({ ...record, value: `${record.value}${mark}` }),
    onAcknowledgement: (error, metadata, { value }) =>
      void heard.push(`${mark} ${value!.slice(0, 20)} ${error === undefined ? metadata!.offset : error.code}`),
  })
  const failing: ProducerInterceptor<string, string> = {
    onSend: () => {
      throw new Error('no')
    },
    onAcknowledgement: () => {
      throw new Error('no')
    },
  }
  const producer = new Producer({ bootstrapServers, valueSerializer: string, interceptors: [marking('1'), failing, marking('2')] })
  t.after(() => producer.close())
  await producer.send({ topic: 'a', value: 'sent' })
  await producer.sendMany([{ topic: 'a', value: 'many' }])
  producer.enqueue({ topic: 'a', value: 'queued' })
  await producer.flush()
  await assert.rejects(producer.send({ topic: 'a', value: 'x'.repeat(1000) }), { code: 'MESSAGE_TOO_LARGE' })
  assert.deepEqual(heard, [
    '1 sent12 0',
    '2 sent12 0',
    '1 many12 1',
    '2 many12 1',
    '1 queued12 2',
    '2 queued12 2',
    `1 ${'x'.repeat(20)} MESSAGE_TOO_LARGE`,
    `2 ${'x'.repeat(20)} MESSAGE_TOO_LARGE`,
  ])
})

test('consumer interceptors see every record that is handed out, whichever way it is read, and the offsets that are committed', async (t) => {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const { bootstrapServers } = broker
  const producer = new Producer({ bootstrapServers, valueSerializer: string })
  t.after(() => producer.close())
  await producer.sendMany(Array.from({ length: 6 }, (_, i) => ({ topic: 'a', value: String(i) })))
  const seen: string[] = []
  const committed: number[] = []
  const consumer = new Consumer({
    bootstrapServers,
    groupId: 'g',
    valueDeserializer: string,
    enableAutoCommit: false,
    interceptors: [
      {
        onConsume: (records) => {
          for (const { value } of records) seen.push(value!)
        },
        onCommit: (offsets) => void committed.push(...offsets.map(({ offset }) => offset)),
      },
      {
        onConsume: () => {
          throw new Error('no')
        },
      },
    ],
  })
  t.after(() => consumer.close())
  consumer.assign([{ topic: 'a', partition: 0 }])
  consumer.seekToBeginning()
  while (seen.length < 2) await consumer.poll({ maxRecords: 2 })
  let read = 0
  for await (const _ of consumer.records()) if (++read === 2) break
  assert.deepEqual(seen, ['0', '1', '2', '3'])
  consumer.seek({ topic: 'a', partition: 0 }, 4)
  for await (const batch of consumer.batches()) {
    await batch.commit()
    break
  }
  assert.deepEqual(seen, ['0', '1', '2', '3', '4', '5'])
  assert.deepEqual(committed, [6])
})
