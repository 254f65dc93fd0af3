import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CreateTopics, DescribeTopicPartitions, errorTable, type RequestInput } from '@tidelog/protocol'
import { type Call, startBrokerForTest } from '@tidelog/testkit'

const code = (name: keyof typeof errorTable) => errorTable[name].code
const named = (...names: string[]) => names.map((name) => ({ name }))

/** Topics a, b and c of 1, 2 and 3 partitions. */
async function create(call: Call): Promise<void> {
  const topics = ['a', 'b', 'c'].map((name, index) => ({
    name,
    numPartitions: index + 1,
    replicationFactor: 1,
    assignments: [],
    configs: [],
  }))
  await call(CreateTopics, 7, { topics })
}

/** `[topic, partitions…]` by topic, and where to go on. */
async function describe(call: Call, request: Partial<RequestInput<typeof DescribeTopicPartitions>>) {
  const { topics, nextCursor } = await call(DescribeTopicPartitions, 0, {
    topics: [],
    responsePartitionLimit: 2000,
    cursor: null,
    ...request,
  })
  const rows = topics.map(({ name, errorCode, partitions }) =>
    errorCode === 0 ? [name, ...partitions.map(({ partitionIndex }) => partitionIndex)] : [name, { errorCode }],
  )
  return { rows, next: nextCursor === null ? null : [nextCursor.topicName, nextCursor.partitionIndex] }
}

test('topics come in alphabetical order, those that are not there with their error', async (t) => {
  const { call } = await startBrokerForTest(t)
  await create(call)
  assert.deepEqual(await describe(call, { topics: named('c', 'a', 'bb', 'a/b', 'c') }), {
    rows: [
      ['a', 0],
      ['a/b', { errorCode: code('INVALID_TOPIC_EXCEPTION') }],
      ['bb', { errorCode: code('UNKNOWN_TOPIC_OR_PARTITION') }],
      ['c', 0, 1, 2],
    ],
    next: null,
  })
  const { topics } = await call(DescribeTopicPartitions, 0, { topics: named('a'), responsePartitionLimit: 1, cursor: null })
  assert.equal(topics[0]?.topicAuthorizedOperations, 3576)
  assert.deepEqual(topics[0].partitions, [
    {
      errorCode: 0,
      partitionIndex: 0,
      leaderId: 1,
      leaderEpoch: 0,
      replicaNodes: [1],
      isrNodes: [1],
      eligibleLeaderReplicas: [],
      lastKnownElr: [],
      offlineReplicas: [],
    },
  ])
})

test('following the cursor gives every partition once, whatever the limit', async (t) => {
  const { call } = await startBrokerForTest(t)
  await create(call)
  for (const responsePartitionLimit of [1, 2, 3, 5, 6, 100]) {
    const seen: unknown[] = []
    let cursor: { topicName: string; partitionIndex: number } | null = null
    do {
      const { rows, next } = await describe(call, { responsePartitionLimit, cursor })
      for (const [name, ...partitions] of rows) for (const partition of partitions) seen.push([name, partition])
      cursor = next === null ? null : { topicName: String(next[0]), partitionIndex: Number(next[1]) }
    } while (cursor !== null)
    assert.deepEqual(
      seen,
      [
        ['a', 0],
        ['b', 0],
        ['b', 1],
        ['c', 0],
        ['c', 1],
        ['c', 2],
      ],
      `limit ${responsePartitionLimit}`,
    )
  }
})

test('limits and cursors at their edges are answered as Kafka does', async (t) => {
  const { call } = await startBrokerForTest(t, { config: { 'max.request.partition.size.limit': '4' } })
  await create(call)
  const at = (topicName: string, partitionIndex: number) => ({ cursor: { topicName, partitionIndex } })
  assert.deepEqual(await describe(call, { responsePartitionLimit: 0 }), { rows: [['a', 0]], next: ['b', 0] })
  assert.deepEqual((await describe(call, {})).next, ['c', 1], "the broker's own limit")
  assert.deepEqual(await describe(call, { topics: named('a', 'ax', 'b'), responsePartitionLimit: 1 }), {
    rows: [['a', 0]],
    next: ['ax', 0],
  })
  assert.deepEqual(await describe(call, { topics: named('a', 'b'), ...at('b', 9) }), { rows: [['b']], next: null })
  assert.deepEqual(await describe(call, at('bb', 5)), { rows: [['c', 0, 1, 2]], next: null })
  const invalid = { rows: [['a', { errorCode: code('INVALID_REQUEST') }]], next: null }
  assert.deepEqual(await describe(call, { topics: named('a'), ...at('b', 0) }), invalid)
  assert.deepEqual(await describe(call, { topics: named('a'), ...at('a', -1) }), invalid)
})
