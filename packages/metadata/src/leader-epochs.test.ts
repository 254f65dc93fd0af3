import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom, silentLogger } from '@tidelog/core'
import { openTestStore } from '@tidelog/testkit'
import type { FoundPartition } from './adopted-topics.ts'
import { adoptLogDirs } from './adoption.ts'
import { openCluster } from './cluster.ts'
import { raiseLeaderEpochs } from './leader-epochs.ts'
import { decodePartitionState, partitionStatePath } from './znodes.ts'

const topicId = 'IQPsQipHTsKy71ijwH7wGA'
const folder = (partition: number, lastLeaderEpoch: number, overrides: Partial<FoundPartition> = {}): FoundPartition => ({
  topic: 'orders',
  partition,
  topicId,
  lastLeaderEpoch,
  ...overrides,
})

test("a partition's epoch becomes the log's where that is later, and only where the folder is the topic's", async (t) => {
  const store = (await openTestStore(t)).connect()
  const random = seededRandom(1)
  const found = [0, 1, 2, 3].map((partition) => folder(partition, 5))
  const internalTopic = () => ({ partitions: 1, configs: new Map() })
  const adopt = () =>
    adoptLogDirs(store, { brokerId: 1, found, kraft: undefined, highestProducerId: -1, internalTopic, random, logger: silentLogger })
  await openCluster(store, { random, adopt: async () => void (await adopt()) })
  const later = [
    folder(0, 9),
    folder(1, 4),
    folder(2, 9, { topicId: '_____w__TUyAAAAAAAAAAA' }),
    folder(3, -1),
    folder(0, 9, { topic: 'stray' }),
  ]
  await raiseLeaderEpochs(store, later, silentLogger)
  const epochs = [0, 1, 2, 3].map(async (index) => {
    const { data } = await store.get(partitionStatePath('orders', index))
    return decodePartitionState('orders', index, data)
  })
  assert.deepEqual(
    (await Promise.all(epochs)).map(({ leaderEpoch, leader, isr }) => [leaderEpoch, leader, isr]),
    [9, 5, 5, 5].map((epoch) => [epoch, 1, [1]]),
  )
})
