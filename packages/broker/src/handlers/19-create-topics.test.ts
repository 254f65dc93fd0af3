import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ZERO_UUID } from '@tidelog/core'
import { CreateTopics, errorTable, Metadata, type RequestInput } from '@tidelog/protocol'
import { startBrokerForTest } from '@tidelog/testkit'

type NewTopic = RequestInput<typeof CreateTopics>['topics'][number]

const code = (name: keyof typeof errorTable) => errorTable[name].code
const topic = (name: string, overrides: Partial<NewTopic> = {}): NewTopic => ({
  name,
  numPartitions: 1,
  replicationFactor: 1,
  assignments: [],
  configs: [],
  ...overrides,
})

test('every version creates a topic that can be used when the answer is there', async (t) => {
  const { call } = await startBrokerForTest(t)
  for (let version = 0; version <= 7; version++) {
    const name = `topic-${version}`
    const [created] = (await call(CreateTopics, version, { topics: [topic(name, { numPartitions: 2 })] })).topics
    assert.deepEqual([created?.errorCode, created?.errorMessage], [0, version >= 1 ? null : ''], name)
    assert.equal(created?.numPartitions, version >= 5 ? 2 : -1)
    assert.equal(created.replicationFactor, version >= 5 ? 1 : -1)
    assert.equal(created.topicId !== ZERO_UUID, version >= 7)
    const { topics } = await call(Metadata, 12, { topics: [{ name }], allowAutoTopicCreation: false })
    assert.deepEqual(
      topics[0]?.partitions.map(({ leaderId }) => leaderId),
      [1, 1],
    )
  }
})

test('the answer holds the configurations of the topic', async (t) => {
  const { call } = await startBrokerForTest(t)
  const configs = [{ name: 'retention.ms', value: '1000' }]
  const [created] = (await call(CreateTopics, 7, { topics: [topic('orders', { configs })] })).topics
  const retention = created?.configs?.find(({ name }) => name === 'retention.ms')
  assert.deepEqual(retention, { name: 'retention.ms', value: '1000', readOnly: false, configSource: 1, isSensitive: false })
  const names = created?.configs?.map(({ name }) => name)
  assert.deepEqual(names, [...names!].sort())
})

test('defaults are the configured ones', async (t) => {
  const { call } = await startBrokerForTest(t, { config: { 'num.partitions': '4' } })
  const [created] = (await call(CreateTopics, 7, { topics: [topic('orders', { numPartitions: -1, replicationFactor: -1 })] })).topics
  assert.deepEqual([created?.numPartitions, created?.replicationFactor], [4, 1])
})

test('each topic is refused for its own reason, and its neighbours are created', async (t) => {
  const { call } = await startBrokerForTest(t)
  const { topics } = await call(CreateTopics, 7, {
    topics: [
      topic('fine'),
      topic('a/b'),
      topic('three', { replicationFactor: 3 }),
      topic('zero', { numPartitions: 0 }),
      topic('unset', { configs: [{ name: 'nosuch', value: '1' }] }),
      topic('broken', { configs: [{ name: 'retention.ms', value: 'x' }] }),
      topic('elsewhere', { numPartitions: -1, replicationFactor: -1, assignments: [{ partitionIndex: 0, brokerIds: [9] }] }),
      topic('twice'),
      topic('twice'),
    ],
  })
  assert.deepEqual(
    topics.map(({ name, errorCode, errorMessage }) => [name, errorCode, errorMessage]),
    [
      ['fine', 0, null],
      [
        'a/b',
        code('INVALID_TOPIC_EXCEPTION'),
        "Topic name is invalid: 'a/b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
      ],
      [
        'three',
        code('INVALID_REPLICATION_FACTOR'),
        'Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 1 broker(s) are registered or some brokers have all their log directories cordoned.',
      ],
      ['zero', code('INVALID_PARTITIONS'), 'Number of partitions was set to an invalid non-positive value.'],
      ['unset', code('INVALID_CONFIG'), 'Unknown topic config name: nosuch'],
      ['broken', code('INVALID_CONFIG'), 'Invalid value x for configuration retention.ms: Not a number of type LONG'],
      [
        'elsewhere',
        code('INVALID_REPLICA_ASSIGNMENT'),
        'The manual partition assignment includes broker 9, but no such broker is registered.',
      ],
      ['twice', code('INVALID_REQUEST'), 'Duplicate topic name.'],
    ],
  )
})

test('a topic that is there is not created again, also by two requests at once', async (t) => {
  const { call } = await startBrokerForTest(t)
  const answers = await Promise.all([1, 2].map(() => call(CreateTopics, 7, { topics: [topic('orders')] })))
  assert.deepEqual(
    answers.map(({ topics: [only] }) => [only?.errorCode, only?.errorMessage]),
    [
      [0, null],
      [code('TOPIC_ALREADY_EXISTS'), "Topic 'orders' already exists."],
    ],
  )
})

test('a million partitions are refused as a whole, quickly', async (t) => {
  const { call } = await startBrokerForTest(t)
  const { topics } = await call(CreateTopics, 7, { topics: [topic('big', { numPartitions: 1_000_000 }), topic('fine')] })
  assert.deepEqual(
    topics.map(({ errorCode, errorMessage }) => [errorCode, errorMessage]),
    [1, 2].map(() => [code('POLICY_VIOLATION'), 'Excessively large number of partitions per request.']),
  )
})

test('validateOnly creates nothing, and without time nothing is begun', async (t) => {
  const { call } = await startBrokerForTest(t)
  const [judged] = (await call(CreateTopics, 7, { topics: [topic('orders', { numPartitions: 3 })], validateOnly: true })).topics
  assert.deepEqual([judged?.errorCode, judged?.numPartitions], [0, 3])
  const [late] = (await call(CreateTopics, 7, { topics: [topic('orders')], timeoutMs: 0 })).topics
  assert.deepEqual([late?.errorCode, late?.errorMessage], [code('REQUEST_TIMED_OUT'), null])
  assert.deepEqual((await call(Metadata, 13, { topics: null })).topics, [])
})
