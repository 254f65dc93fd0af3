import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CreatePartitions, CreateTopics, errorTable, Metadata } from '@tidelog/protocol'
import { startBrokerForTest } from '@tidelog/testkit'

const code = (name: keyof typeof errorTable) => errorTable[name].code
const timeoutMs = 10_000

test('every version adds partitions that can be used when the answer is there', async (t) => {
  const { call } = await startBrokerForTest(t)
  await call(CreateTopics, 7, { topics: [{ name: 'orders', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }] })
  for (let version = 0; version <= 3; version++) {
    const count = version + 2
    const topics = [{ name: 'orders', count, assignments: version % 2 === 0 ? null : [{ brokerIds: [1] }] }]
    const { results } = await call(CreatePartitions, version, { topics, timeoutMs, validateOnly: false })
    assert.deepEqual(results, [{ name: 'orders', errorCode: 0, errorMessage: null }])
    const [topic] = (await call(Metadata, 13, { topics: [{ name: 'orders' }] })).topics
    assert.equal(topic?.partitions.filter(({ leaderId }) => leaderId === 1).length, count)
  }
})

test('each topic is refused for its own reason', async (t) => {
  const { call } = await startBrokerForTest(t)
  const create = (name: string) => ({ name, numPartitions: 2, replicationFactor: 1, assignments: [], configs: [] })
  await call(CreateTopics, 7, { topics: ['same', 'fewer', 'elsewhere', 'short', 'twice', 'judged'].map(create) })
  const row = (name: string, count: number, assignments: { brokerIds: number[] }[] | null = null) => ({ name, count, assignments })
  const { results } = await call(CreatePartitions, 3, {
    topics: [
      row('same', 2),
      row('fewer', 1),
      row('none', 3),
      row('elsewhere', 3, [{ brokerIds: [5] }]),
      row('short', 4, [{ brokerIds: [1] }]),
      row('twice', 3),
      row('twice', 3),
    ],
    timeoutMs,
    validateOnly: false,
  })
  assert.deepEqual(
    results.map(({ name, errorCode, errorMessage }) => [name, errorCode, errorMessage]),
    [
      ['same', code('INVALID_PARTITIONS'), 'Topic already has 2 partition(s).'],
      ['fewer', code('INVALID_PARTITIONS'), 'The topic fewer currently has 2 partition(s); 1 would not be an increase.'],
      ['none', code('UNKNOWN_TOPIC_OR_PARTITION'), null],
      [
        'elsewhere',
        code('INVALID_REPLICA_ASSIGNMENT'),
        'The manual partition assignment includes broker 5, but no such broker is registered.',
      ],
      ['short', code('INVALID_REPLICA_ASSIGNMENT'), 'Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.'],
      ['twice', code('INVALID_REQUEST'), 'Duplicate topic name.'],
    ],
  )
  const judged = await call(CreatePartitions, 3, { topics: [row('judged', 3)], timeoutMs, validateOnly: true })
  assert.equal(judged.results[0]?.errorCode, 0)
  const big = await call(CreatePartitions, 3, { topics: [row('judged', 2_000_000)], timeoutMs, validateOnly: false })
  assert.equal(big.results[0]?.errorCode, code('POLICY_VIOLATION'))
  const { topics } = await call(Metadata, 13, { topics: null })
  assert.ok(topics.every(({ partitions }) => partitions.length === 2))
})
