import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ZERO_UUID } from '@tidelog/core'
import { CreateTopics, errorTable, Metadata, type MetadataResponse } from '@tidelog/protocol'
import { type Call, startBrokerForTest } from '@tidelog/testkit'

const code = (name: keyof typeof errorTable) => errorTable[name].code
const named = (...names: string[]) => names.map((name) => ({ name }))
const notCreating = { allowAutoTopicCreation: false }
const create = (call: Call, name: string, numPartitions = 1) =>
  call(CreateTopics, 7, { topics: [{ name, numPartitions, replicationFactor: 1, assignments: [], configs: [] }] })
const errors = ({ topics }: MetadataResponse) => topics.map(({ name, errorCode }) => [name, errorCode])

test('every version describes a topic, its leader and the brokers on the listener that was asked', async (t) => {
  const { broker, call } = await startBrokerForTest(t)
  const [created] = (await create(call, 'orders', 2)).topics
  for (let version = 0; version <= 13; version++) {
    const response = await call(Metadata, version, { topics: named('orders'), ...notCreating })
    assert.deepEqual(response.brokers, [{ nodeId: 1, host: '127.0.0.1', port: broker.port, rack: null }], `version ${version}`)
    assert.equal(response.clusterId, version >= 2 ? broker.clusterId : null)
    assert.equal(response.controllerId, version >= 1 ? 1 : -1)
    const [topic] = response.topics
    assert.equal(topic?.name, 'orders')
    assert.equal(topic.topicId, version >= 10 ? created!.topicId : ZERO_UUID)
    const leaderEpoch = version >= 7 ? 0 : -1
    const partition = { errorCode: 0, leaderId: 1, leaderEpoch, replicaNodes: [1], isrNodes: [1], offlineReplicas: [] }
    assert.deepEqual(topic.partitions, [
      { ...partition, partitionIndex: 0 },
      { ...partition, partitionIndex: 1 },
    ])
  }
})

test('all topics are an empty list in version 0 and null later, where an empty list is none', async (t) => {
  const { call } = await startBrokerForTest(t)
  await create(call, 'a')
  await create(call, 'b')
  const names = async (version: number, topics: [] | null) =>
    (await call(Metadata, version, { topics })).topics.map(({ name }) => name).sort()
  assert.deepEqual(await names(0, []), ['a', 'b'])
  assert.deepEqual(await names(1, []), [])
  assert.deepEqual(await names(13, []), [])
  assert.deepEqual(await names(1, null), ['a', 'b'])
  assert.deepEqual(await names(13, null), ['a', 'b'])
})

test('what is not there is unknown, what cannot be is invalid, and a name is answered once', async (t) => {
  const { call } = await startBrokerForTest(t)
  const response = await call(Metadata, 13, { topics: named('none', '', '.', 'a/b', '\u0000', 'x'.repeat(250), 'none'), ...notCreating })
  assert.deepEqual(errors(response), [
    ['none', code('UNKNOWN_TOPIC_OR_PARTITION')],
    ...['', '.', 'a/b', '\u0000', 'x'.repeat(250)].map((name) => [name, code('INVALID_TOPIC_EXCEPTION')]),
  ])
})

test('topics are found by id from version 12 on', async (t) => {
  const { call } = await startBrokerForTest(t)
  const topicId = (await create(call, 'orders')).topics[0]!.topicId
  const unknown = 'IQPsQipHTsKy71ijwH7wGA'
  const { topics } = await call(Metadata, 12, { topics: [{ name: null, topicId }, { name: null, topicId: unknown }, { name: 'ignored' }] })
  assert.deepEqual(
    topics.map((topic) => [topic.name, topic.topicId, topic.errorCode]),
    [
      ['orders', topicId, 0],
      [null, unknown, code('UNKNOWN_TOPIC_ID')],
    ],
  )
  for (const topic of [{ name: null }, { name: 'orders', topicId }]) {
    assert.deepEqual(
      (await call(Metadata, 11, { topics: [topic] })).topics.map(({ errorCode }) => errorCode),
      [code('INVALID_REQUEST')],
    )
  }
})

test('a missing topic is created when the client and the broker allow it, and is there when asked again', async (t) => {
  const { call } = await startBrokerForTest(t, { config: { 'num.partitions': '3' } })
  assert.deepEqual(errors(await call(Metadata, 13, { topics: named('refused'), ...notCreating })), [
    ['refused', code('UNKNOWN_TOPIC_OR_PARTITION')],
  ])
  const wanted = { topics: named('auto', '.'), allowAutoTopicCreation: true }
  assert.deepEqual(errors(await call(Metadata, 13, wanted)), [
    ['auto', code('UNKNOWN_TOPIC_OR_PARTITION')],
    ['.', code('INVALID_TOPIC_EXCEPTION')],
  ])
  let auto: MetadataResponse['topics'][number] | undefined
  do auto = (await call(Metadata, 13, wanted)).topics[0]
  while (auto?.errorCode !== 0)
  assert.equal(auto.partitions.length, 3)
  const all = await call(Metadata, 13, { topics: null })
  assert.deepEqual(
    all.topics.map(({ name }) => name),
    ['auto'],
  )
})

test('nothing is created when auto.create.topics.enable is off', async (t) => {
  const { call } = await startBrokerForTest(t, { config: { 'auto.create.topics.enable': 'false' } })
  await call(Metadata, 13, { topics: named('auto'), allowAutoTopicCreation: true })
  await create(call, 'later')
  assert.deepEqual(
    (await call(Metadata, 13, { topics: null })).topics.map(({ name }) => name),
    ['later'],
  )
})

test('an internal topic is created as its configuration says, and marked', async (t) => {
  const { call } = await startBrokerForTest(t, { config: { 'offsets.topic.num.partitions': '2' } })
  const wanted = { topics: named('__consumer_offsets'), allowAutoTopicCreation: true }
  let topic: MetadataResponse['topics'][number] | undefined
  do topic = (await call(Metadata, 13, wanted)).topics[0]
  while (topic?.errorCode !== 0)
  assert.deepEqual([topic.isInternal, topic.partitions.length, topic.partitions[0]?.replicaNodes], [true, 2, [1]])
})

test('authorized operations are told when asked for', async (t) => {
  const { call } = await startBrokerForTest(t)
  await create(call, 'orders')
  const unasked = await call(Metadata, 8, { topics: named('orders') })
  assert.deepEqual([unasked.clusterAuthorizedOperations, unasked.topics[0]?.topicAuthorizedOperations], [-2147483648, -2147483648])
  const asked = { includeClusterAuthorizedOperations: true, includeTopicAuthorizedOperations: true }
  const response = await call(Metadata, 8, { topics: named('orders', 'none'), ...notCreating, ...asked })
  assert.equal(response.clusterAuthorizedOperations, 8096)
  assert.deepEqual(
    response.topics.map(({ topicAuthorizedOperations }) => topicAuthorizedOperations),
    [3576, 3576],
  )
})
