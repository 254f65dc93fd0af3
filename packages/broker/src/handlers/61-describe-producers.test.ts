import assert from 'node:assert/strict'
import { test } from 'node:test'
import { batchHeader, DescribeProducers, Produce } from '@tidelog/protocol'
import { batchOf, connectTo, createTopic, startTestBroker } from '@tidelog/testkit'

test('a partition names the producers it remembers, with their last sequence', async (t) => {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  await createTopic(connection, 'p')
  const records = batchOf([{}, {}])
  batchHeader.setProducerState(records, 0, { producerId: 4242, producerEpoch: 3, baseSequence: 0, isTransactional: false })
  await connection.send(Produce, 9, {
    transactionalId: null,
    acks: 1,
    timeoutMs: 1000,
    topicData: [{ name: 'p', partitionData: [{ index: 0, records }] }],
  })
  const { topics } = await connection.send(DescribeProducers, 0, {
    topics: [
      { name: 'p', partitionIndexes: [0, 9] },
      { name: 'missing', partitionIndexes: [0] },
    ],
  })
  const [known, unknown] = topics[0]!.partitions
  assert.deepEqual(
    known!.activeProducers.map(({ producerId, producerEpoch, lastSequence, currentTxnStartOffset }) => [
      producerId,
      producerEpoch,
      lastSequence,
      currentTxnStartOffset,
    ]),
    [[4242, 3, 1, -1]],
  )
  assert.deepEqual([known!.errorCode, unknown!.errorCode, topics[1]!.partitions[0]!.errorCode], [0, 3, 3])
})
