import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AddOffsetsToTxn, DescribeTransactions } from '@tidelog/protocol'
import { initProducer, startBrokerForTest } from '@tidelog/testkit'
import { createTransactionTopic } from './transactions-harness.test.ts'

test('the partition with a group’s offsets is added to the transaction of the producer that the coordinator knows', async (t) => {
  const { call } = await startBrokerForTest(t)
  await createTransactionTopic(call)
  const { producerId, producerEpoch } = await initProducer(call, 'txn')
  const add = async (version: number, request: { transactionalId?: string; producerId?: number; producerEpoch?: number } = {}) =>
    (await call(AddOffsetsToTxn, version, { transactionalId: 'txn', producerId, producerEpoch, groupId: 'g', ...request })).errorCode
  for (let version = 0; version <= 4; version++) assert.equal(await add(version), 0)
  assert.equal(await add(4, { transactionalId: '' }), 42)
  assert.equal(await add(4, { transactionalId: 'other' }), 49)
  assert.equal(await add(4, { producerEpoch: 3 }), 90)
  assert.equal(await add(1, { producerEpoch: 3 }), 47)
  const { transactionStates } = await call(DescribeTransactions, 0, { transactionalIds: ['txn'] })
  assert.deepEqual(transactionStates[0]!.topics, [{ topic: '__consumer_offsets', partitions: [0] }])
})
