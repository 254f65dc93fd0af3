import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ListOffsets, Produce } from '@tidelog/protocol'
import { batchOf, connectTo, createTopic, startTestBroker } from '@tidelog/testkit'

test('offsets by special timestamps, by time, and of version 0, as Kafka 4.3 and 3.9 answer', async (t) => {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  await createTopic(connection, 'o')
  const time = 1_700_000_000_000
  for (const times of [[0, 5, 2], [1]]) {
    const records = batchOf(times.map((after) => ({ timestamp: time + after })))
    await connection.send(Produce, 9, {
      transactionalId: null,
      acks: 1,
      timeoutMs: 1000,
      topicData: [{ name: 'o', partitionData: [{ index: 0, records }] }],
    })
  }
  const list = async (
    version: number,
    timestamp: number,
    rest: { currentLeaderEpoch?: number; maxNumOffsets?: number } = {},
    topic = 'o',
    replicaId = -1,
  ) => {
    const { topics } = await connection.send(ListOffsets, version, {
      replicaId,
      isolationLevel: 0,
      timeoutMs: 1000,
      topics: [{ name: topic, partitions: [{ partitionIndex: 0, timestamp, ...rest }] }],
    })
    return topics[0]!.partitions[0]!
  }
  const expected: [timestamp: number, errorCode: number, offset: number, found: number, leaderEpoch: number][] = [
    [-1, 0, 4, -1, 0],
    [-2, 0, 0, -1, 0],
    [-3, 0, 1, time + 5, 0],
    [-4, 0, 0, -1, 0],
    [-5, 0, -1, -1, -1],
    [-6, 0, -1, -1, -1],
    [-7, 35, -1, -1, -1],
    [time, 0, 0, time, 0],
    [time + 1, 0, 1, time + 5, 0],
    [time + 6, 0, -1, -1, -1],
    [0, 0, 0, time, 0],
  ]
  for (const [timestamp, ...rest] of expected) {
    const { errorCode, offset, timestamp: found, leaderEpoch } = await list(11, timestamp)
    assert.deepEqual([errorCode, offset, found, leaderEpoch], rest, `timestamp ${timestamp}`)
  }
  for (const [version, timestamp, code] of [
    [6, -3, 35],
    [7, -3, 0],
    [7, -4, 35],
    [8, -4, 0],
    [8, -5, 35],
    [9, -5, 0],
    [10, -6, 35],
  ] as const) {
    assert.equal((await list(version, timestamp)).errorCode, code, `version ${version}, timestamp ${timestamp}`)
  }
  for (let version = 1; version <= 11; version++) assert.equal((await list(version, -1)).offset, 4)
  assert.deepEqual((await list(0, -1, { maxNumOffsets: 2 })).oldStyleOffsets, [4, 0])
  assert.deepEqual((await list(0, -1, { maxNumOffsets: 1 })).oldStyleOffsets, [4])
  assert.deepEqual((await list(0, -2, { maxNumOffsets: 10 })).oldStyleOffsets, [0])
  assert.deepEqual((await list(0, 1, { maxNumOffsets: 10 })).oldStyleOffsets, [])
  assert.equal((await list(11, -1, {}, 'missing')).errorCode, 3)
  assert.equal((await list(11, -1, { currentLeaderEpoch: 9 })).errorCode, 75)
})

test('a partition that is asked for twice is refused, once', async (t) => {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  await createTopic(connection, 'twice')
  const partition = { partitionIndex: 0, timestamp: -1 }
  const { topics } = await connection.send(ListOffsets, 7, {
    replicaId: -1,
    isolationLevel: 0,
    topics: [{ name: 'twice', partitions: [partition, partition] }],
  })
  assert.deepEqual(
    topics[0]!.partitions.map(({ errorCode }) => errorCode),
    [42],
  )
})
