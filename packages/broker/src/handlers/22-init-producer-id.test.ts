import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InitProducerId, type RequestInput } from '@tidelog/protocol'
import { startBrokerForTest } from '@tidelog/testkit'
import { createTransactionTopic } from './transactions-harness.test.ts'

test('idempotent producers get ids of their own; halves and empty ids are refused', async (t) => {
  const { call } = await startBrokerForTest(t)
  const ids = new Set<number>()
  for (let version = 0; version <= 5; version++) {
    const { errorCode, producerId, producerEpoch } = await call(InitProducerId, version, {
      transactionalId: null,
      transactionTimeoutMs: 1000,
    })
    assert.deepEqual([errorCode, producerEpoch], [0, 0])
    ids.add(producerId)
  }
  assert.equal(ids.size, 6)
  const codeOf = async (request: Partial<RequestInput<typeof InitProducerId>>) =>
    (await call(InitProducerId, 4, { transactionalId: null, transactionTimeoutMs: 1000, ...request })).errorCode
  assert.equal(await codeOf({ transactionalId: 'txn' }), 16, 'there is no transaction topic yet')
  assert.equal(await codeOf({ transactionalId: '' }), 42)
  await createTransactionTopic(call)
  assert.equal(await codeOf({ transactionalId: '' }), 42)
  assert.equal(await codeOf({ producerId: 4 }), 42)
  assert.equal(await codeOf({ producerEpoch: 4 }), 42)
})

test('T3, T6: a transactional id keeps its producer id and gets the next epoch; older ones are fenced, timeouts beyond the limit refused', async (t) => {
  const { call } = await startBrokerForTest(t, { config: { 'transaction.max.timeout.ms': '5000' } })
  await createTransactionTopic(call)
  const init = async (version: number, request: Partial<RequestInput<typeof InitProducerId>> = {}) => {
    const answer = await call(InitProducerId, version, { transactionalId: 'txn', transactionTimeoutMs: 5000, ...request })
    return [answer.errorCode, answer.producerId, answer.producerEpoch]
  }
  const [, producerId] = await init(0)
  assert.deepEqual(await init(5), [0, producerId, 1])
  assert.deepEqual(await init(4, { producerId: producerId!, producerEpoch: 1 }), [0, producerId, 2], 'goes on')
  assert.deepEqual(await init(4, { producerId: producerId!, producerEpoch: 1 }), [0, producerId, 2], 'the answer was lost')
  assert.deepEqual(await init(4, { producerId: producerId!, producerEpoch: 0 }), [90, -1, -1])
  assert.deepEqual(await init(3, { producerId: producerId!, producerEpoch: 0 }), [47, -1, -1])
  assert.deepEqual(await init(4, { producerId: producerId! + 1, producerEpoch: 2 }), [90, -1, -1])
  for (const transactionTimeoutMs of [5001, 0, -1]) assert.deepEqual(await init(5, { transactionTimeoutMs }), [50, -1, -1])
})
