/** Offsets by topic id (version 10 of OffsetCommit and OffsetFetch) at Apache Kafka 4.3 and at ours: topics are deleted and made anew while a member commits. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { Admin, Consumer, type ConsumerOptions, Producer, string } from '@tidelog/client'
import { eventually } from './eventually.ts'
import { type BrokerKind, startBrokerProcess } from './harness.ts'

const a = { topic: 'a', partition: 0 }

for (const kind of ['kafka-4.3', 'tidelog'] satisfies BrokerKind[]) {
  for (const groupProtocol of ['classic', 'consumer'] as const) {
    test(`what was read of a deleted topic is not committed to the one that has its name now, which begins anew (${groupProtocol}, ${kind})`, async (t) => {
      const { bootstrap: bootstrapServers } = await startBrokerProcess(t, { 'auto.create.topics.enable': 'false' }, kind)
      const admin = new Admin({ bootstrapServers })
      const producer = new Producer({ bootstrapServers, valueSerializer: string })
      const options = { bootstrapServers, groupId: 'g', groupProtocol, autoOffsetReset: 'earliest', enableAutoCommit: false } as const
      const make = (more: ConsumerOptions<Buffer, string> = {}) => {
        const consumer = new Consumer<Buffer, string>({ ...options, valueDeserializer: string, ...more })
        t.after(() => consumer.close())
        return consumer
      }
      t.after(async () => {
        await producer.close()
        await admin.close()
      })
      const listed = async () => (await admin.listTopics()).find(({ name }) => name === 'a')
      const committed = async () => (await admin.listConsumerGroupOffsets(new Map([['g', undefined]]))).get('g')?.get(a)?.offset
      await admin.createTopics([{ topic: 'a', numPartitions: 1 }])
      await producer.sendMany(['0', '1', '2'].map((value) => ({ topic: 'a', value })))
      const consumer = make()
      consumer.subscribe('a')
      let seen = 0
      while (seen < 3) seen += (await consumer.poll()).count
      await consumer.commit([{ ...a, offset: 2 }])
      assert.equal(await committed(), 2)
      consumer.pause([a])
      const before = (await listed())!.topicId
      await admin.deleteTopics(['a'])
      await eventually('it is gone', async () => (await listed()) === undefined)
      await admin.createTopics([{ topic: 'a', numPartitions: 1 }])
      await eventually('it is another', async () => ![undefined, before].includes((await listed())?.topicId))
      await assert.rejects(consumer.commit([{ ...a, offset: 3 }]), { code: 'UNKNOWN_TOPIC_ID' })
      assert.equal(await committed(), undefined, 'the offsets have gone with the topic')
      await consumer.close()
      await producer.send({ topic: 'a', value: 'new' })
      const again = make()
      again.subscribe('a')
      assert.deepEqual(
        [...(await again.poll())].map(({ value }) => value),
        ['new'],
      )
      await again.commit()
      assert.equal(await committed(), 1)
    })
  }
}
