import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { errorTable, ListGroups, Metadata } from '@tidelog/protocol'
import { ApiProxy, startTestBroker } from '@tidelog/testkit'
import {
  type Broker,
  type Cluster,
  Kafka,
  KafkaJSBrokerNotFound,
  KafkaJSConnectionError,
  KafkaJSError,
  KafkaJSGroupCoordinatorNotFound,
  KafkaJSMetadataNotLoaded,
  KafkaJSProtocolError,
  KafkaJSTopicMetadataNotLoaded,
  logLevel,
  type PartitionAssigner,
  PartitionAssigners,
} from './index.ts'

/** A broker with a proxy before it, and the cluster that a consumer of topic `led` hands to its assigner. */
async function setUp(t: TestContext) {
  const broker = await startTestBroker()
  const later: (() => void | Promise<void>)[] = []
  const proxy = await ApiProxy.start({ after: (close) => void later.push(close) }, broker)
  const kafka = new Kafka({ brokers: [proxy.bootstrapServers], logLevel: logLevel.NOTHING, retry: { initialRetryTime: 20, retries: 2 } })
  let cluster!: Cluster
  const partitionAssigners: PartitionAssigner[] = [
    (config) => {
      cluster = config.cluster
      return PartitionAssigners.roundRobin(config)
    },
  ]
  const consumer = kafka.consumer({ groupId: 'g', partitionAssigners, heartbeatInterval: 50, maxWaitTimeInMs: 50 })
  t.after(async () => {
    await consumer.disconnect()
    for (const close of later) await close()
    await broker.close()
  })
  const admin = kafka.admin()
  await admin.createTopics({ topics: [{ topic: 'led', numPartitions: 2 }] })
  await admin.disconnect()
  return { consumer, cluster, proxy }
}

const produceTo = (broker: Broker, value: string) =>
  broker.produce({ topicData: [{ topic: 'led', partitions: [{ partition: 0, messages: [{ value }] }] }] })

async function valuesIn(broker: Broker): Promise<string[]> {
  const fetched = await broker.fetch({ topics: [{ topic: 'led', partitions: [{ partition: 0, fetchOffset: '0', maxBytes: 100_000 }] }] })
  return fetched.responses[0].partitions[0].messages.map(({ value }: { value: Buffer }) => value.toString())
}

test('the cluster of an assigner knows nothing before the consumer is connected, and says so as kafkajs does', async (t) => {
  const { cluster, consumer } = await setUp(t)
  assert.equal(cluster.isConnected(), false)
  assert.deepEqual(cluster.getNodeIds(), [])
  assert.throws(() => cluster.findTopicPartitionMetadata('led'), KafkaJSTopicMetadataNotLoaded)
  await assert.rejects(cluster.findControllerBroker(), KafkaJSMetadataNotLoaded)
  await assert.rejects(cluster.refreshMetadata(), KafkaJSError)
  await consumer.connect()
  await consumer.subscribe({ topic: 'led' })
  assert.equal(cluster.isConnected(), true)
  assert.equal(cluster.findTopicPartitionMetadata('led').length, 2)
})

test('a broker that an assigner has disconnected comes back when it is asked, and the consumer goes on', async (t) => {
  const { cluster, consumer } = await setUp(t)
  await consumer.connect()
  await consumer.subscribe({ topic: 'led', fromBeginning: true })
  const seen: string[] = []
  await consumer.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
  const broker = await cluster.findBroker({ nodeId: '1' })
  assert.equal(broker.isConnected(), true)
  const underWay = produceTo(broker, 'a')
  await broker.disconnect()
  assert.equal(broker.isConnected(), false)
  assert.equal((await underWay).topics[0].partitions[0].baseOffset, '0', 'what is under way is waited for')
  await produceTo(broker, 'b')
  assert.equal(broker.isConnected(), true)
  assert.equal(await cluster.findBroker({ nodeId: '1' }), broker)
  await cluster.disconnect()
  assert.equal(cluster.isConnected(), false)
  await cluster.connect()
  assert.equal(cluster.isConnected(), true)
  await cluster.addMultipleTargetTopics(['led'])
  assert.deepEqual(await valuesIn(await cluster.findBroker({ nodeId: '1' })), ['a', 'b'])
  const limit = AbortSignal.timeout(10_000)
  while (seen.length < 2) {
    assert.ok(!limit.aborted)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  assert.deepEqual(seen, ['a', 'b'])
})

test('a broker that was removed is found again in fresh metadata', async (t) => {
  const { cluster, consumer } = await setUp(t)
  await consumer.connect()
  await consumer.subscribe({ topic: 'led' })
  const [node] = (await cluster.metadata()).brokers
  cluster.removeBroker(node!)
  assert.deepEqual(cluster.getNodeIds(), [])
  await cluster.refreshMetadataIfNecessary()
  assert.deepEqual(cluster.getNodeIds(), [1])
  cluster.removeBroker(node!)
  await assert.rejects(cluster.findBroker({ nodeId: '1' }), KafkaJSBrokerNotFound)
  assert.deepEqual(cluster.getNodeIds(), [1], 'who looks in vain for a broker has metadata fetched')
})

test('a topic that cannot be had is no target, and the others stay known', async (t) => {
  const { cluster, consumer } = await setUp(t)
  await consumer.connect()
  await consumer.subscribe({ topic: 'led' })
  await assert.rejects(cluster.addTargetTopic('bad name'), KafkaJSProtocolError)
  await cluster.refreshMetadata()
  await cluster.addTargetTopic('created')
  assert.deepEqual(
    ['led', 'created', 'bad name'].map((topic) => cluster.findTopicPartitionMetadata(topic).length),
    [2, 1, 0],
  )
})

test('without brokers there is no connection and no coordinator, and what is asked says so', async (t) => {
  const { cluster, consumer, proxy } = await setUp(t)
  await consumer.connect()
  await consumer.subscribe({ topic: 'led' })
  const broker = await cluster.findGroupCoordinator({ groupId: 'g' })
  proxy.down.add(1)
  proxy.breakAll()
  await assert.rejects(broker.metadata(['led']), KafkaJSConnectionError)
  await assert.rejects(broker.connect(), KafkaJSConnectionError)
  await assert.rejects(cluster.findGroupCoordinatorMetadata({ groupId: 'g' }), KafkaJSGroupCoordinatorNotFound)
})

test('numbers that are none, or too large to be kept, are refused before anything is sent', async (t) => {
  const { cluster, consumer } = await setUp(t)
  await consumer.connect()
  await consumer.subscribe({ topic: 'led' })
  const broker = await cluster.findBroker({ nodeId: '1' })
  for (const fetchOffset of ['x', '1.5', '9223372036854775807']) {
    const topics = [{ topic: 'led', partitions: [{ partition: 0, fetchOffset, maxBytes: 100 }] }]
    await assert.rejects(broker.fetch({ topics }), { name: 'KafkaJSNonRetriableError' })
  }
  await assert.rejects(
    broker.produce({ topicData: [{ topic: 'led', partitions: [{ partition: 0, messages: [] }] }], compression: 9 as never }),
    {
      name: 'KafkaJSNonRetriableError',
    },
  )
})

test('a partition without leader keeps nobody from the others', async (t) => {
  const { cluster, consumer, proxy } = await setUp(t)
  const { code } = errorTable.LEADER_NOT_AVAILABLE
  proxy.onAnswer(Metadata, (answer) => ({
    ...answer,
    topics: answer.topics.map((topic) => ({
      ...topic,
      partitions: topic.partitions.map((one) => (one.partitionIndex === 1 ? { ...one, errorCode: code, leaderId: -1 } : one)),
    })),
  }))
  await consumer.connect()
  await consumer.subscribe({ topic: 'led' })
  assert.deepEqual(
    cluster.findTopicPartitionMetadata('led').map(({ partitionErrorCode, leader }) => [partitionErrorCode, leader]),
    [
      [0, 1],
      [code, -1],
    ],
  )
  const broker = await cluster.findBroker({ nodeId: '1' })
  await assert.rejects(broker.metadata(['led']), { type: 'LEADER_NOT_AVAILABLE' }, 'a broker that is asked itself says so, as in kafkajs')
})

test('a broker that throttles is asked nothing for as long as it says', async (t) => {
  const { cluster, consumer, proxy } = await setUp(t)
  await consumer.connect()
  await consumer.subscribe({ topic: 'led' })
  const broker = (await cluster.findBroker({ nodeId: '1' })) as Broker & { listGroups(): Promise<{ clientSideThrottleTime: number }> }
  proxy.onAnswer(ListGroups, (answer) => ({ ...answer, throttleTimeMs: 300 }))
  assert.equal((await broker.listGroups()).clientSideThrottleTime, 300)
  const sinceMs = performance.now()
  await broker.metadata(['led'])
  assert.ok(performance.now() - sinceMs >= 290)
})
