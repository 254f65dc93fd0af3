import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CreateTopics, ElectLeaders, errorTable } from '@tidelog/protocol'
import { startBrokerForTest } from '@tidelog/testkit'

const code = (name: keyof typeof errorTable) => errorTable[name].code

test('leaders that need no election are named when they are asked for, and left out when all are', async (t) => {
  const { call } = await startBrokerForTest(t)
  await call(CreateTopics, 7, { topics: [{ name: 'orders', numPartitions: 2, replicationFactor: 1, assignments: [], configs: [] }] })
  const topicPartitions = [
    { topic: 'orders', partitions: [0, 9] },
    { topic: 'none', partitions: [0] },
  ]
  for (let version = 0; version <= 2; version++) {
    const { errorCode, replicaElectionResults } = await call(ElectLeaders, version, { electionType: 0, topicPartitions })
    assert.equal(errorCode, 0)
    assert.deepEqual(replicaElectionResults, [
      {
        topic: 'orders',
        partitionResult: [
          { partitionId: 0, errorCode: code('ELECTION_NOT_NEEDED'), errorMessage: 'Leader election not needed for topic partition.' },
          { partitionId: 9, errorCode: code('UNKNOWN_TOPIC_OR_PARTITION'), errorMessage: 'No such partition as orders-9' },
        ],
      },
      {
        topic: 'none',
        partitionResult: [{ partitionId: 0, errorCode: code('UNKNOWN_TOPIC_OR_PARTITION'), errorMessage: 'No such topic as none' }],
      },
    ])
  }
  const all = await call(ElectLeaders, 2, { electionType: 1, topicPartitions: null })
  assert.deepEqual(all.replicaElectionResults, [{ topic: 'orders', partitionResult: [] }])
})

test('an unknown kind of election is refused', async (t) => {
  const { call } = await startBrokerForTest(t)
  const { errorCode, replicaElectionResults } = await call(ElectLeaders, 2, {
    electionType: 5,
    topicPartitions: [{ topic: 'orders', partitions: [0] }],
  })
  assert.equal(errorCode, code('INVALID_REQUEST'))
  assert.deepEqual(replicaElectionResults[0]?.partitionResult, [
    { partitionId: 0, errorCode: code('INVALID_REQUEST'), errorMessage: 'Unknown election type 5' },
  ])
})
