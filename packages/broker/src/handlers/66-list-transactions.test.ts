import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ListTransactions, type RequestInput } from '@tidelog/protocol'
import { addPartition, createTopic, initProducer, startBrokerForTest } from '@tidelog/testkit'
import { createTransactionTopic } from './transactions-harness.test.ts'

test('transactional ids are listed by state, producer id, age and pattern; states that there are not are named', async (t) => {
  const { call } = await startBrokerForTest(t)
  await createTransactionTopic(call)
  await createTopic({ send: call }, 'orders')
  const idle = await initProducer(call, 'idle')
  const busy = await initProducer(call, 'busy')
  await addPartition(call, busy, 'orders')
  const list = async (version: number, request: Partial<RequestInput<typeof ListTransactions>> = {}) => {
    const answer = await call(ListTransactions, version, { stateFilters: [], producerIdFilters: [], ...request })
    return [answer.transactionStates.map(({ transactionalId }) => transactionalId).sort(), answer.unknownStateFilters]
  }
  assert.deepEqual(await list(0), [['busy', 'idle'], []])
  assert.deepEqual(await list(0, { stateFilters: ['Ongoing', 'Nonsense'] }), [['busy'], ['Nonsense']])
  assert.deepEqual(await list(0, { stateFilters: ['Nonsense'] }), [[], ['Nonsense']])
  assert.deepEqual(await list(1, { producerIdFilters: [idle.producerId] }), [['idle'], []])
  assert.deepEqual(await list(1, { stateFilters: ['Ongoing'], durationFilter: -1 }), [['busy'], []])
  assert.deepEqual(await list(2, { transactionalIdPattern: '[a-c].*' }), [['busy'], []])
  assert.deepEqual(await list(2, { transactionalIdPattern: 'bus' }), [[], []], 'from end to end')
  assert.equal((await call(ListTransactions, 2, { stateFilters: [], producerIdFilters: [], transactionalIdPattern: '(' })).errorCode, 128)
  assert.deepEqual(await list(1, { stateFilters: ['Ongoing'], durationFilter: 3_600_000 }), [[], []])
})
