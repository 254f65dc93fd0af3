import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '@tidelog/core'
import { Metadata } from '@tidelog/protocol'
import { ApiProxy, startTestBroker } from '@tidelog/testkit'
import { Admin } from '../admin/admin.ts'
import { fromProperties } from '../from-properties.ts'
import { roundRobinPartitioner, StickyPartitions } from './partitioner.ts'
import { Producer } from './producer.ts'

const partitionsLedBy = (...leaders: readonly number[]) =>
  leaders.map((leaderId, partition) => ({
    topic: 'a',
    partition,
    leaderId,
    leaderEpoch: 0,
    replicas: [],
    isr: [],
    offlineReplicas: [],
  }))

/** How often each of the partitions is chosen for the next batch. */
function chosen(
  leaders: readonly number[],
  options: { isAdaptive?: boolean; unavailable?: readonly number[]; lengths?: readonly number[] } = {},
): number[] {
  const { isAdaptive = true, unavailable = [], lengths = [] } = options
  const sticky = new StickyPartitions(seededRandom(1), {
    batchSizeBytes: 1,
    isAdaptive,
    queueLength: (partition) => lengths[partition] ?? 0,
    isAvailable: (leaderId) => !unavailable.includes(leaderId),
    closeIfFull: () => false,
  })
  const counts = leaders.map(() => 0)
  for (let i = 0; i < 1000; i++) {
    counts[sticky.next(partitionsLedBy(...leaders), 1)]!++
    sticky.appended(1)
  }
  return counts
}

test('records without key go rather to short queues, to none without a leader, and to none whose broker takes nothing', () => {
  const [long, short] = chosen([1, 2], { lengths: [9, 0] })
  assert.ok(short! > 5 * long!, `${short} and ${long}`)
  assert.equal(chosen([1, -1, 2])[1], 0)
  const [first, second, third] = chosen([1, 2, 1], { unavailable: [2] })
  assert.equal(second, 0)
  assert.ok(first! > 300 && third! > 300)
})

test('when no broker takes anything all partitions are as good, and so they are without adaptive partitioning', () => {
  for (const counts of [chosen([1, 2], { unavailable: [1, 2] }), chosen([1, 2], { unavailable: [2], isAdaptive: false })]) {
    assert.ok(
      counts.every((count) => count > 300),
      counts.join(),
    )
  }
})

test('with partitionerAvailabilityTimeoutMs records without key avoid a broker that has taken nothing for so long, and those before them wait for it', async (t) => {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const admin = new Admin({ bootstrapServers: broker.bootstrapServers })
  await admin.createTopics([{ topic: 'a', numPartitions: 4 }])
  await admin.close()
  const other = broker.nodeId + 1
  const proxy = await ApiProxy.start(t, broker, { nodes: [broker.nodeId, other] })
  proxy.onAnswer(Metadata, (answer) => ({
    ...answer,
    topics: answer.topics.map((topic) => ({
      ...topic,
      partitions: topic.partitions.map((one) => ({ ...one, leaderId: one.partitionIndex % 2 === 0 ? broker.nodeId : other })),
    })),
  }))
  proxy.down.add(other)
  const { bootstrapServers } = proxy
  const producer = new Producer({ bootstrapServers, batchSize: 1, partitionerAvailabilityTimeoutMs: 20, reconnectBackoffMs: 5 })
  t.after(() => producer.close())
  await producer.send({ topic: 'a', partition: 0, value: 'first' })
  const early = Array.from({ length: 10 }, () => producer.send({ topic: 'a', partition: 1, value: 'early' }))
  await new Promise((resolve) => setTimeout(resolve, 100))
  for (let i = 0; i < 20; i++) assert.equal((await producer.send({ topic: 'a', value: 'late' })).partition % 2, 0)
  proxy.down.delete(other)
  for (const { offset } of await Promise.all(early)) assert.ok(offset >= 0)
})

test('round-robin goes by topic, with or without a key, and by its name in properties', () => {
  for (const partitioner of [
    roundRobinPartitioner(),
    fromProperties({ 'partitioner.class': 'org.apache.kafka.clients.producer.RoundRobinPartitioner' }).partitioner!,
  ]) {
    const to = (topic: string) => partitioner({ topic }, Buffer.from('k'), 3)
    assert.deepEqual([to('a'), to('a'), to('b'), to('a'), to('a'), to('b')], [0, 1, 0, 2, 0, 1])
  }
  assert.throws(() => fromProperties({ 'partitioner.class': 'com.example.Mine' }), /com\.example\.Mine/)
})
