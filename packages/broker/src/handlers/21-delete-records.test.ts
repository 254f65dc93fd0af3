import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DeleteRecords, ListOffsets, Produce } from '@tidelog/protocol'
import { batchOf, connectTo, createTopic, startTestBroker } from '@tidelog/testkit'

test('the log start offset moves up to the offset or the high watermark, and what cannot be is refused by partition', async (t) => {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  await createTopic(connection, 'd', { partitions: 2 })
  await createTopic(connection, 'compacted', { configs: { 'cleanup.policy': 'compact' } })
  for (const name of ['d', 'compacted']) {
    // Younger than retention.ms, which is applied too.
    const records = batchOf(Array.from({ length: 3 }, () => ({ timestamp: Date.now() })))
    await connection.send(Produce, 9, {
      transactionalId: null,
      acks: 1,
      timeoutMs: 1000,
      topicData: [{ name, partitionData: [{ index: 0, records }] }],
    })
  }
  const deleteBefore = async (name: string, offset: number, partitionIndex = 0, version = 2) => {
    const { topics } = await connection.send(DeleteRecords, version, {
      timeoutMs: 1000,
      topics: [{ name, partitions: [{ partitionIndex, offset }] }],
    })
    const { lowWatermark, errorCode } = topics[0]!.partitions[0]!
    return [lowWatermark, errorCode]
  }
  for (let version = 0; version <= 2; version++) assert.deepEqual(await deleteBefore('d', 1, 0, version), [1, 0])
  assert.deepEqual(await deleteBefore('d', 0), [1, 0], 'what is deleted stays deleted')
  assert.deepEqual(await deleteBefore('d', 4), [-1, 1])
  assert.deepEqual(await deleteBefore('d', -2), [-1, 1])
  assert.deepEqual(await deleteBefore('d', Number.MAX_SAFE_INTEGER), [-1, 1])
  assert.deepEqual(await deleteBefore('d', -1), [3, 0])
  assert.deepEqual(await deleteBefore('d', 0, 9), [-1, 3])
  assert.deepEqual(await deleteBefore('compacted', 1), [-1, 44])
  const { topics } = await connection.send(ListOffsets, 1, {
    replicaId: -1,
    topics: [{ name: 'd', partitions: [{ partitionIndex: 0, timestamp: -2 }] }],
  })
  assert.equal(topics[0]!.partitions[0]!.offset, 3)
})
