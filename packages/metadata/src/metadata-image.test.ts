import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { seededRandom, silentLogger } from '@tidelog/core'
import type { UpdateMetadataRequest } from '@tidelog/protocol'
import { ManualClock, openTestStore } from '@tidelog/testkit'
import { openCluster } from './cluster.ts'
import { type ImageChange, MetadataImage } from './metadata-image.ts'

type TopicState = UpdateMetadataRequest['topicStates'][number]

const [firstId, secondId] = ['IQPsQipHTsKy71ijwH7wGA', '_____w__TUyAAAAAAAAAAA']

async function imageOf(t: TestContext): Promise<MetadataImage> {
  const store = (await openTestStore(t)).connect()
  const clusterId = await openCluster(store, { random: seededRandom(1) })
  return MetadataImage.open({ clusterId, store, clock: new ManualClock(), logger: silentLogger })
}

const partition = (partitionIndex: number, leader: number): TopicState['partitionStates'][number] => ({
  topicName: '',
  partitionIndex,
  controllerEpoch: 1,
  leader,
  leaderEpoch: 0,
  isr: [1],
  zkVersion: 0,
  replicas: [1],
  offlineReplicas: [],
})

const topic = (topicName: string, topicId: string, ...leaders: number[]): TopicState => ({
  topicName,
  topicId,
  partitionStates: leaders.map((leader, index) => partition(index, leader)),
})

const update = (topicStates: TopicState[], overrides: Partial<UpdateMetadataRequest> = {}): UpdateMetadataRequest => ({
  controllerId: 1,
  isKRaftController: false,
  type: 1,
  controllerEpoch: 1,
  brokerEpoch: 1,
  ungroupedPartitionStates: [],
  topicStates,
  liveBrokers: [{ id: 1, v0Host: '', v0Port: 0, endpoints: [{ port: 9092, host: 'h', listener: 'IN', securityProtocol: 1 }], rack: 'r' }],
  ...overrides,
})

test('topics are found by name and id, brokers by listener', async (t) => {
  const image = await imageOf(t)
  assert.equal(image.controllerId, undefined)
  image.applyUpdateMetadata(update([topic('orders', firstId, 1, -1)]))
  assert.equal(image.controllerId, 1)
  assert.equal(image.topicById(firstId), image.topic('orders'))
  assert.equal(image.topicName(firstId), 'orders')
  assert.equal(image.partition('orders', 1)?.leaderId, -1)
  assert.equal(image.hasPartition('orders', 2), false)
  assert.deepEqual(image.brokers.get(1)?.endpoints.get('IN'), { listener: 'IN', host: 'h', port: 9092, securityProtocol: 'SSL' })
})

test('a deleted topic goes, and another one under its name takes nothing over', async (t) => {
  const image = await imageOf(t)
  image.applyUpdateMetadata(update([topic('orders', firstId, 1, 1), topic('other', secondId, 1)]))
  image.applyUpdateMetadata(update([topic('other', secondId, -2)]))
  assert.equal(image.topic('other'), undefined)
  assert.equal(image.topicById(secondId), undefined)
  image.applyUpdateMetadata(update([topic('orders', secondId, 1)]))
  assert.equal(image.topic('orders')?.partitions.size, 1)
  assert.equal(image.topicById(firstId), undefined)
})

test('an older controller is not listened to', async (t) => {
  const image = await imageOf(t)
  assert.equal(image.applyUpdateMetadata(update([], { controllerEpoch: 5 })).errorCode, 0)
  assert.equal(image.applyUpdateMetadata(update([topic('orders', firstId, 1)], { controllerEpoch: 4 })).errorCode, 11)
  assert.equal(image.topics.size, 0)
})

test('listeners hear of what has changed, and of nothing else', async (t) => {
  const image = await imageOf(t)
  const heard: ImageChange[] = []
  image.onChange((change) => heard.push(change))
  const orders = image.until(() => image.topic('orders') !== undefined)
  image.applyUpdateMetadata(update([]))
  image.applyUpdateMetadata(update([]))
  image.applyUpdateMetadata(update([topic('orders', firstId, 1)]))
  image.applyUpdateMetadata(update([topic('orders', firstId, -2)]))
  await orders
  assert.deepEqual(
    heard.map(({ changedTopics, deletedTopics, brokersChanged }) => [[...changedTopics], [...deletedTopics], brokersChanged]),
    [
      [[], [], true],
      [['orders'], [], false],
      [[], ['orders'], false],
    ],
  )
})
