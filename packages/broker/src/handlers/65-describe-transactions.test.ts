import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DescribeTransactions } from '@tidelog/protocol'
import { addPartition, createTopic, initProducer, startBrokerForTest } from '@tidelog/testkit'
import { createTransactionTopic } from './transactions-harness.test.ts'

test('a transaction is described with its state, timeout, producer and partitions; unknown ids say so', async (t) => {
  const { call } = await startBrokerForTest(t)
  const describe = (...transactionalIds: string[]) => call(DescribeTransactions, 0, { transactionalIds })
  assert.equal((await describe('txn')).transactionStates[0]!.errorCode, 16)
  await createTransactionTopic(call)
  await createTopic({ send: call }, 'orders', { partitions: 3 })
  const { producerId } = await initProducer(call, 'txn', { transactionTimeoutMs: 12_345 })
  const producer = await initProducer(call, 'txn', { transactionTimeoutMs: 12_345 })
  await addPartition(call, producer, 'orders', 2)
  const { transactionStates } = await describe('txn', 'other', '')
  const [known, ...others] = transactionStates
  assert.ok(known!.transactionStartTimeMs > 0)
  assert.deepEqual(
    { ...known, transactionStartTimeMs: 0 },
    {
      errorCode: 0,
      transactionalId: 'txn',
      transactionState: 'Ongoing',
      transactionTimeoutMs: 12_345,
      transactionStartTimeMs: 0,
      producerId,
      producerEpoch: 1,
      topics: [{ topic: 'orders', partitions: [2] }],
    },
  )
  assert.deepEqual(
    others.map(({ errorCode }) => errorCode),
    [105, 42],
  )
})
