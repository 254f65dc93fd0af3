import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OffsetForLeaderEpoch, Produce } from '@tidelog/protocol'
import { batchOf, connectTo, createTopic, startTestBroker } from '@tidelog/testkit'

test('the current epoch ends where the log does; an unknown one has no end; a stale or unknown leader epoch is refused', async (t) => {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  await createTopic(connection, 'e')
  await connection.send(Produce, 9, {
    transactionalId: null,
    acks: 1,
    timeoutMs: 1000,
    topicData: [{ name: 'e', partitionData: [{ index: 0, records: batchOf([{}, {}]) }] }],
  })
  const ask = async (version: number, leaderEpoch: number, currentLeaderEpoch = -1, partition = 0) => {
    const { topics } = await connection.send(OffsetForLeaderEpoch, version, {
      replicaId: -1,
      topics: [{ topic: 'e', partitions: [{ partition, currentLeaderEpoch, leaderEpoch }] }],
    })
    const { errorCode, leaderEpoch: epoch, endOffset } = topics[0]!.partitions[0]!
    return [errorCode, epoch, endOffset]
  }
  for (const version of [1, 2, 3, 4]) assert.deepEqual(await ask(version, 0), [0, 0, 2])
  assert.deepEqual(await ask(0, 0), [0, -1, 2], 'version 0 has no place for the epoch')
  assert.deepEqual(await ask(4, 5), [0, -1, -1])
  assert.deepEqual(await ask(4, 0, 0), [0, 0, 2])
  assert.deepEqual(await ask(4, 0, 3), [75, -1, -1])
  assert.deepEqual(await ask(4, 0, -1, 9), [3, -1, -1])
})
