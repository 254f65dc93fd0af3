import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EndTxn } from '@tidelog/protocol'
import {
  addPartition,
  committedValues,
  createTopic,
  endOffsets,
  endTransaction,
  initProducer,
  produceInTransaction,
  startBrokerForTest,
} from '@tidelog/testkit'
import { createTransactionTopic } from './transactions-harness.test.ts'

test('T5: records of a transaction are read once it is committed, never when it is aborted; the end may be told twice, not otherwise', async (t) => {
  const { call } = await startBrokerForTest(t)
  await createTransactionTopic(call)
  await createTopic({ send: call }, 'orders')
  const producer = await initProducer(call, 'txn')
  const end = async (committed: boolean) => (await endTransaction(call, producer, { committed })).errorCode
  /** Until the markers of the transaction before are there. */
  const begin = async () => {
    let code = 51
    while (code === 51) code = await addPartition(call, producer, 'orders')
    assert.equal(code, 0)
  }
  assert.deepEqual([await end(true), await end(false)], [48, 48], 'nothing has begun')
  await begin()
  assert.equal(await produceInTransaction(call, producer, { topic: 'orders', value: 'aborted' }), 0)
  assert.deepEqual(await endOffsets(call, 'orders'), [0, 1])
  assert.deepEqual([await end(false)], [0])
  await begin()
  assert.deepEqual(await endOffsets(call, 'orders'), [2, 2])
  assert.equal(await produceInTransaction(call, producer, { topic: 'orders', value: 'committed', baseSequence: 1 }), 0)
  assert.equal(await end(true), 0)
  let again = 51
  while (again === 51) again = await end(true)
  assert.deepEqual([again, await end(false)], [0, 48])
  assert.deepEqual(await committedValues(call, 'orders'), ['committed'])
})

test('only the producer that the coordinator knows may end a transaction', async (t) => {
  const { call } = await startBrokerForTest(t)
  await createTransactionTopic(call)
  const { producerId, producerEpoch } = await initProducer(call, 'txn')
  const end = async (version: number, request: { transactionalId?: string; producerId?: number; producerEpoch?: number }) =>
    (await call(EndTxn, version, { transactionalId: 'txn', producerId, producerEpoch, committed: true, ...request })).errorCode
  assert.equal(await end(4, { transactionalId: 'other' }), 49)
  assert.equal(await end(4, { transactionalId: '' }), 42)
  assert.equal(await end(4, { producerId: producerId + 1 }), 49)
  assert.equal(await end(4, { producerEpoch: 5 }), 90)
  assert.equal(await end(1, { producerEpoch: 5 }), 47)
})
