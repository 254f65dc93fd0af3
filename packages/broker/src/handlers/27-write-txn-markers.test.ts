import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WriteTxnMarkers } from '@tidelog/protocol'
import { addPartition, createTopic, endOffsets, initProducer, produceInTransaction, startBrokerForTest } from '@tidelog/testkit'
import { createTransactionTopic } from './transactions-harness.test.ts'

test('T8: an administrator ends a transaction that hangs: the last stable offset goes on, older coordinators are refused', async (t) => {
  const { call } = await startBrokerForTest(t)
  await createTransactionTopic(call)
  await createTopic({ send: call }, 'orders')
  await initProducer(call, 'txn')
  const producer = await initProducer(call, 'txn')
  await addPartition(call, producer, 'orders')
  await produceInTransaction(call, producer, { topic: 'orders' })
  const write = async (coordinatorEpoch: number, producerEpoch: number, names = ['orders']) => {
    const { markers } = await call(WriteTxnMarkers, 1, {
      markers: [
        {
          producerId: producer.producerId,
          producerEpoch,
          transactionResult: false,
          topics: names.map((name) => ({ name, partitionIndexes: [0] })),
          coordinatorEpoch,
        },
      ],
    })
    return markers[0]!.topics.map(({ partitions }) => partitions[0]!.errorCode)
  }
  assert.deepEqual(await write(3, producer.producerEpoch, ['orders', 'missing']), [0, 3])
  assert.deepEqual(await endOffsets(call, 'orders'), [2, 2])
  assert.deepEqual(await write(2, producer.producerEpoch), [52])
  assert.deepEqual(await write(3, producer.producerEpoch - 1), [47])
  assert.deepEqual(await write(3, -1), [42])
})
