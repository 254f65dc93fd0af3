import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '@tidelog/core'
import { fromProperties } from '../config/from-properties.ts'
import { roundRobinPartitioner, StickyPartitions } from './partitioner.ts'

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
