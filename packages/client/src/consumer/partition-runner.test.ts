import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startTestBroker } from '@tidelog/testkit'
import { Admin } from '../admin/admin.ts'
import { Producer } from '../producer/producer.ts'
import { string } from '../serde/serde.ts'
import type { TopicPartition } from '../topic-partition.ts'
import { Consumer } from './consumer.ts'

const a = (partition: number): TopicPartition => ({ topic: 'a', partition })
const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i))

test('run() by batch: a batch is done as a whole, a seek in it counts, and progress holds off maxPollIntervalMs', async (t) => {
  const broker = await startTestBroker()
  const { bootstrapServers } = broker
  const admin = new Admin({ bootstrapServers })
  const producer = new Producer({ bootstrapServers })
  const options = { bootstrapServers, groupId: 'g', autoOffsetReset: 'earliest', heartbeatIntervalMs: 50, fetchMaxWaitMs: 100 } as const
  const consumer = new Consumer({ ...options, valueDeserializer: string, maxPollIntervalMs: 300 })
  t.after(async () => {
    for (const client of [consumer, producer, admin, broker]) await client.close()
  })
  await admin.createTopics([{ topic: 'a', numPartitions: 2 }])
  for (const partition of [0, 1]) await producer.sendMany(numbers(6).map((value) => ({ topic: 'a', partition, value })))
  consumer.subscribe(['a'])
  const seen: string[] = []
  let isSought = false
  const running = consumer.run({
    partitionConcurrency: 2,
    async eachBatch(batch, { progress, signal }) {
      assert.equal(batch.nextOffset, batch.records.at(-1)!.offset + 1)
      for (const { partition, value } of batch) seen.push(`${partition}:${value}`)
      if (batch.partition === 0 && !isSought) {
        isSought = true
        for (let turn = 0; turn < 12; turn++) {
          await new Promise((resolve) => setTimeout(resolve, 50))
          progress()
        }
        assert.equal(signal.aborted, false)
        consumer.seek(a(0), 4)
      } else if (batch.partition === 0) throw new Error('enough')
    },
  })
  await assert.rejects(running, /enough/)
  assert.deepEqual(
    seen.filter((value) => value.startsWith('0')),
    [...numbers(6), '4', '5'].map((value) => `0:${value}`),
  )
  await consumer.close()
  const committed = await admin.listConsumerGroupOffsets('g')
  assert.deepEqual([committed.get(a(0))?.offset, committed.get(a(1))?.offset], [4, 6])
  const other = new Consumer(options)
  await assert.rejects(other.run({}), /eachRecord or eachBatch/)
  await other.close()
})
