import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { BrokerOptions } from '@tidelog/broker'
import { startTestBroker } from '@tidelog/testkit'
import { Consumer } from '../consumer/consumer.ts'
import { Producer } from '../producer/producer.ts'
import { Admin } from './admin.ts'

async function setUp(t: TestContext, options: BrokerOptions = {}): Promise<{ admin: Admin; bootstrapServers: string }> {
  const broker = await startTestBroker(options)
  const admin = new Admin({ bootstrapServers: broker.bootstrapServers })
  t.after(async () => {
    await admin.close()
    await broker.close()
  })
  return { admin, bootstrapServers: broker.bootstrapServers }
}

test('topics: created with partitions and configurations, listed, described, grown and deleted', async (t) => {
  const { admin } = await setUp(t)
  const [created] = await admin.createTopics([{ topic: 'constructor', numPartitions: 2, configs: { 'retention.ms': '1234' } }])
  assert.equal(created!.numPartitions, 2)
  assert.equal(created!.configs.get('retention.ms'), '1234')
  await admin.createTopics([{ topic: 'checked' }], { validateOnly: true })
  assert.deepEqual(
    (await admin.listTopics()).map(({ name }) => name),
    ['constructor'],
  )
  await admin.createPartitions([{ topic: 'constructor', totalCount: 3 }])
  const description = (await admin.describeTopics(['constructor'])).get('constructor')!
  assert.equal(description.topicId, created!.topicId)
  assert.deepEqual(
    description.partitions.map(({ partition, leaderId, isr }) => [partition, leaderId, isr]),
    [0, 1, 2].map((i) => [i, 1, [1]]),
  )
  await admin.deleteTopics(['constructor'])
  assert.deepEqual(await admin.listTopics(), [])
  await assert.rejects(admin.describeTopics(['constructor']), { code: 'UNKNOWN_TOPIC_OR_PARTITION', errorCode: 3 })
})

test('a call about one thing throws its error, a call about several tells which failed', async (t) => {
  const { admin } = await setUp(t)
  await admin.createTopics([{ topic: 'a' }])
  await assert.rejects(admin.createTopics([{ topic: 'a' }]), { name: 'BrokerError', code: 'TOPIC_ALREADY_EXISTS', retriable: false })
  await assert.rejects(
    admin.createTopics([{ topic: 'a' }, { topic: 'b' }, { topic: 'bad/name' }]),
    (error: { failures: Map<string, { code: string }>; succeeded: string[] }) => {
      assert.deepEqual(
        [...error.failures].map(([name, { code }]) => [name, code]),
        [
          ['a', 'TOPIC_ALREADY_EXISTS'],
          ['bad/name', 'INVALID_TOPIC_EXCEPTION'],
        ],
      )
      assert.deepEqual(error.succeeded, ['b'])
      return true
    },
  )
  await assert.rejects(admin.deleteTopics(['nope']), { code: 'UNKNOWN_TOPIC_OR_PARTITION' })
})

test('configurations: described with source and synonyms, altered one by one', async (t) => {
  const { admin } = await setUp(t)
  await admin.createTopics([{ topic: 'a' }])
  const resource = { type: 'topic', name: 'a' } as const
  await admin.incrementalAlterConfigs([
    {
      resource,
      ops: [
        { name: 'retention.ms', op: 'set', value: '99' },
        { name: 'cleanup.policy', op: 'append', value: 'compact' },
      ],
    },
  ])
  const describe = async () => {
    const [{ configs } = { configs: [] }] = await admin.describeConfigs([resource], {
      names: ['cleanup.policy', 'retention.ms'],
      includeSynonyms: true,
    })
    return new Map(configs.map((entry) => [entry.name, entry]))
  }
  const before = await describe()
  assert.equal(before.get('cleanup.policy')!.value, 'delete,compact')
  assert.equal(before.get('retention.ms')!.source, 'dynamic-topic-config')
  assert.equal(before.get('retention.ms')!.synonyms[0]!.value, '99')
  await admin.incrementalAlterConfigs([{ resource, ops: [{ name: 'retention.ms', op: 'delete' }] }])
  assert.equal((await describe()).get('retention.ms')!.source, 'default-config')
  await assert.rejects(admin.incrementalAlterConfigs([{ resource, ops: [{ name: 'retention.ms', op: 'set', value: 'x' }] }]), {
    code: 'INVALID_CONFIG',
  })
  const [broker] = await admin.describeConfigs([{ type: 'broker', name: '1' }], { names: ['node.id'] })
  assert.equal(broker!.configs[0]!.value, '1')
})

test('offsets, records and producers of partitions, and the cluster they live in', async (t) => {
  const { admin, bootstrapServers } = await setUp(t)
  await admin.createTopics([{ topic: 'a', numPartitions: 2 }])
  const producer = new Producer({ bootstrapServers })
  const nowMs = Date.now()
  for (const timestamp of [nowMs, nowMs + 200, nowMs + 100]) await producer.send({ topic: 'a', partition: 1, value: 'v', timestamp })
  await producer.close()
  const offsets = await admin.listOffsets([
    { topic: 'a', partition: 1, spec: 'latest' },
    { topic: 'a', partition: 1, spec: 'max-timestamp' },
    { topic: 'a', partition: 1, spec: { timestamp: nowMs + 1 } },
    { topic: 'a', partition: 0, spec: 'earliest' },
  ])
  assert.deepEqual(
    offsets.map(({ offset }) => offset),
    [3, 1, 1, 0],
  )
  const present = { topic: 'a', partition: 1, spec: 'latest' } as const
  await assert.rejects(
    admin.listOffsets([{ ...present, topic: 'missing' }, present], { timeoutMs: 200 }),
    ({ failures, succeeded }: { failures: Map<string, { code: string }>; succeeded: string[] }) => {
      assert.deepEqual([failures.get('missing-1')?.code, succeeded], ['UNKNOWN_TOPIC_OR_PARTITION', ['a-1']])
      return true
    },
  )
  assert.deepEqual(await admin.deleteRecords([{ topic: 'a', partition: 1, beforeOffset: 2 }]), [
    { topic: 'a', partition: 1, lowWatermark: 2 },
  ])
  await assert.rejects(admin.deleteRecords([{ topic: 'a', partition: 1, beforeOffset: 9 }]), { code: 'OFFSET_OUT_OF_RANGE' })
  const [state] = await admin.describeProducers([{ topic: 'a', partition: 1 }])
  assert.deepEqual(
    state!.activeProducers.map(({ lastSequence }) => lastSequence),
    [2],
  )
  assert.deepEqual(await admin.describeProducers([{ topic: 'a', partition: 1 }], { brokerId: 1 }), [state])
  await assert.rejects(admin.describeProducers([{ topic: 'a', partition: 7 }], { brokerId: 1 }), { code: 'UNKNOWN_TOPIC_OR_PARTITION' })
  const { brokers, controllerId } = await admin.describeCluster()
  assert.deepEqual([brokers.map(({ nodeId }) => nodeId), controllerId], [[1], 1])
  const [dirs] = (await admin.describeLogDirs({ partitions: [{ topic: 'a', partition: 1 }] })).values()
  assert.ok(dirs![0]!.replicas[0]!.sizeBytes > 0)
})

test('groups: listed, described, their offsets changed, their members removed', async (t) => {
  const { admin, bootstrapServers } = await setUp(t)
  await admin.createTopics([{ topic: 'a', numPartitions: 1 }])
  const partition = { topic: 'a', partition: 0 }
  await admin.alterConsumerGroupOffsets('g', [{ ...partition, offset: 5, metadata: 'm' }])
  assert.deepEqual([...(await admin.listConsumerGroupOffsets('g'))], [[partition, { offset: 5, metadata: 'm' }]])
  const consumer = new Consumer({
    bootstrapServers,
    groupId: 'g',
    groupInstanceId: 'i',
    heartbeatIntervalMs: 50,
    autoOffsetReset: 'earliest',
  })
  t.after(() => consumer.close())
  consumer.subscribe(['a'])
  while (consumer.assignment().length === 0) await consumer.poll({ timeoutMs: 20 })
  const group = (await admin.describeClassicGroups(['g'])).get('g')!
  assert.equal(group.state, 'Stable')
  assert.equal(group.partitionAssignor, 'range')
  assert.deepEqual(group.members[0]!.assignment, [partition])
  assert.deepEqual(await admin.listGroups({ states: ['Stable'] }), [
    { groupId: 'g', protocolType: 'consumer', state: 'Stable', type: 'classic' },
  ])
  await assert.rejects(admin.deleteConsumerGroups(['g']), { code: 'NON_EMPTY_GROUP' })
  await assert.rejects(admin.deleteConsumerGroupOffsets('g', [partition]), { code: 'GROUP_SUBSCRIBED_TO_TOPIC' })
  await consumer.close()
  await admin.removeMembersFromConsumerGroup('g', [{ groupInstanceId: 'i' }])
  await admin.deleteConsumerGroupOffsets('g', [partition])
  await admin.deleteConsumerGroups(['g'])
  assert.deepEqual(await admin.listGroups(), [])
})

test('features: described with ranges, levels and epoch, changed together or not at all', async (t) => {
  const features = new Map([['group.version', { minVersion: 0, maxVersion: 1, defaultLevel: 1 }]])
  const { admin } = await setUp(t, { features })
  const before = await admin.describeFeatures()
  assert.deepEqual(before.supportedFeatures, new Map([['group.version', { minVersion: 0, maxVersion: 1 }]]))
  assert.deepEqual(before.finalizedFeatures, new Map([['group.version', { minVersionLevel: 1, maxVersionLevel: 1 }]]))
  assert.equal(before.finalizedFeaturesEpoch, 0)
  const downgrade = { feature: 'group.version', maxVersionLevel: 0, upgradeType: 'safe-downgrade' } as const
  await admin.updateFeatures([downgrade], { validateOnly: true })
  await assert.rejects(
    admin.updateFeatures([downgrade, { feature: 'other', maxVersionLevel: 1 }]),
    ({ failures }: { failures: Map<string, { code: string }> }) => {
      assert.deepEqual([...failures.keys()], ['group.version', 'other'])
      return failures.get('group.version')?.code === 'INVALID_UPDATE_VERSION'
    },
  )
  assert.equal((await admin.describeFeatures()).finalizedFeatures.size, 1)
  await admin.updateFeatures([downgrade])
  const after = await admin.describeFeatures()
  assert.deepEqual([after.finalizedFeatures.size, after.finalizedFeaturesEpoch], [0, 1])
})
