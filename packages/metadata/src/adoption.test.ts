import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { seededRandom, silentLogger } from '@tidelog/core'
import { openTestStore } from '@tidelog/testkit'
import { type AdoptionOptions, adoptLogDirs } from './adoption.ts'
import { folder, ordersId } from './adoption-harness.test.ts'
import { openCluster } from './cluster.ts'
import { ProducerIdAllocator } from './producer-id-allocator.ts'
import type { MetadataStore } from './store/metadata-store.ts'

async function adopt(t: TestContext, overrides: Partial<AdoptionOptions>) {
  const store = (await openTestStore(t)).connect()
  const random = seededRandom(1)
  const options: AdoptionOptions = {
    brokerId: 1,
    found: [],
    kraft: undefined,
    highestProducerId: -1,
    internalTopic: () => ({ partitions: 4, configs: new Map([['cleanup.policy', 'compact']]) }),
    random,
    logger: silentLogger,
    ...overrides,
  }
  let report: Awaited<ReturnType<typeof adoptLogDirs>> | undefined
  const open = () =>
    openCluster(store, {
      clusterId: 'abcdefghijklmnopqrstug',
      random,
      adopt: async () => {
        report = await adoptLogDirs(store, options)
      },
    })
  const clusterId = await open()
  return { store, clusterId, report: report!, open, options }
}

const read = async (store: MetadataStore, path: string) => JSON.parse((await store.get(path)).data.toString())

test('folders become topics with their ids and epochs, kept for ever; what is missing begins empty', async (t) => {
  const { store, clusterId, report } = await adopt(t, { found: [folder('orders', 2), folder('orders', 0, { lastLeaderEpoch: -1 })] })
  assert.equal(clusterId, 'abcdefghijklmnopqrstug')
  assert.deepEqual(report, { topics: 1, partitions: 3, missing: ['orders-1'], highestProducerId: -1 })
  const topic = await read(store, '/brokers/topics/orders')
  assert.deepEqual(topic.partitions, { 0: [1], 1: [1], 2: [1] })
  assert.equal(topic.topic_id, ordersId)
  assert.deepEqual(await read(store, '/config/topics/orders'), { version: 1, config: { 'retention.ms': '-1', 'retention.bytes': '-1' } })
  const epochs = await Promise.all([0, 1, 2].map((index) => read(store, `/brokers/topics/orders/partitions/${index}/state`)))
  assert.deepEqual(
    epochs.map(({ leader_epoch }) => leader_epoch),
    [-1, -1, 3],
  )
})

test('an internal topic gets its configured partitions and configs', async (t) => {
  const { store } = await adopt(t, { found: [folder('__consumer_offsets', 1)] })
  assert.equal(Object.keys((await read(store, '/brokers/topics/__consumer_offsets')).partitions).length, 4)
  assert.deepEqual((await read(store, '/config/topics/__consumer_offsets')).config, { 'cleanup.policy': 'compact' })
})

test('producer ids continue above every one seen, far enough for the other Kafka to go on with its own', async (t) => {
  const firstAbove = async (highestProducerId: number) =>
    new ProducerIdAllocator({ store: (await adopt(t, { highestProducerId })).store, brokerId: 1 }).allocate()
  assert.equal(await firstAbove(2270), 1_000_000_003_000)
  assert.equal(await firstAbove(-1), 1_000_000_000_000)
  const nearTheEnd = 2 ** 53 - 5000
  assert.equal(await firstAbove(nearTheEnd), Math.floor(nearTheEnd / 1000 + 1) * 1000, 'without room for a gap')
})

test('an adoption that a stop interrupted goes on where it was; a finished one is not repeated', async (t) => {
  const found = [folder('orders', 0)]
  const { store, open, options } = await adopt(t, { found })
  await store.delete('/cluster/id')
  await store.delete('/brokers/topics/orders/partitions/0/state')
  await adoptLogDirs(store, options)
  assert.equal((await read(store, '/brokers/topics/orders/partitions/0/state')).leader_epoch, 3)
  await open()
  found.push(folder('stray', 0))
  await open()
  assert.deepEqual(await store.children('/brokers/topics'), ['orders'])
})

test('folders that are no topics are left alone, and contradictions are refused in one line', async (t) => {
  const { report } = await adopt(t, { found: [folder('__cluster_metadata', 0), folder('ümlaut', 0), folder('..', 0)] })
  assert.equal(report.topics, 0)
  const two = [folder('orders', 0), folder('orders', 1, { topicId: '_____w__TUyAAAAAAAAAAA' })]
  await assert.rejects(adopt(t, { found: two }), /^Error: the folders of topic orders have different topic ids: [^\n]*$/)
  await assert.rejects(adopt(t, { found: [folder('orders', 2 ** 31 - 1)] }), /orders-2147483647 is not one of a topic's first/)
})

test('log dirs of another cluster than the store are refused in one line', async (t) => {
  const { store } = await adopt(t, {})
  const opening = openCluster(store, { clusterId: 'another-cluster-id-000', random: seededRandom(1) })
  await assert.rejects(opening, /^Error: the log dirs belong to cluster another-cluster-id-000 [^\n]*$/)
})
