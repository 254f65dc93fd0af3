import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { AddPartitionsToTxn, DeleteTopics, EndTxn, InitProducerId } from '@tidelog/protocol'
import {
  addPartition,
  type Call,
  committedValues,
  createTopic,
  endOffsets,
  endTransaction,
  initProducer,
  produceInTransaction,
  startBrokerForTest,
  type TestProducer,
  until,
  untilOver,
} from '@tidelog/testkit'
import { createTransactionTopic } from './handlers/transactions-harness.test.ts'

async function ready(t: TestContext, config: Record<string, string> = {}, topicConfigs: Record<string, string> = {}): Promise<Call> {
  const { call } = await startBrokerForTest(t, { config })
  await createTransactionTopic(call)
  await createTopic({ send: call }, 'orders', { partitions: 2, configs: topicConfigs })
  return call
}

async function deleteTopic(call: Call, name: string): Promise<void> {
  const { responses } = await call(DeleteTopics, 5, { topicNames: [name], timeoutMs: 5000 })
  assert.equal(responses[0]!.errorCode, 0)
}

const isStable = async (call: Call, partition = 0) => {
  const [lastStable, highWatermark] = await endOffsets(call, 'orders', partition)
  return lastStable === highWatermark
}

/** A transaction of version 2 with one record; gives the producer with its next epoch. */
async function transact(
  call: Call,
  producer: TestProducer,
  { value, committed }: { value: string; committed: boolean },
): Promise<TestProducer> {
  assert.equal(await produceInTransaction(call, producer, { topic: 'orders', value, version: 12 }), 0)
  const { errorCode, producerId, producerEpoch } = await endTransaction(call, producer, { committed, version: 5 })
  assert.equal(errorCode, 0)
  return { ...producer, producerId, producerEpoch }
}

test('transactions of version 2 follow each other without a pause, each with the next epoch', async (t) => {
  const call = await ready(t, { 'add.partitions.to.txn.retry.backoff.max.ms': '10000' })
  let producer = await initProducer(call, 'txn')
  for (let i = 0; i < 20; i++) producer = await transact(call, producer, { value: `${i}`, committed: i % 2 === 0 })
  assert.equal(producer.producerEpoch, 20)
  await until(() => isStable(call))
  assert.deepEqual(
    await committedValues(call, 'orders'),
    Array.from({ length: 10 }, (_, i) => `${2 * i}`),
  )
})

test('T2: a producer that is gone holds readers up until its timeout, and no longer', async (t) => {
  const call = await ready(t, { 'transaction.abort.timed.out.transaction.cleanup.interval.ms': '10' })
  const producer = await initProducer(call, 'txn', { transactionTimeoutMs: 50 })
  assert.equal(await produceInTransaction(call, producer, { topic: 'orders', value: 'lost', version: 12 }), 0)
  await untilOver(call, 'txn')
  assert.deepEqual([await committedValues(call, 'orders'), await endOffsets(call, 'orders')], [[], [2, 2]])
  assert.equal(await produceInTransaction(call, producer, { topic: 'orders', baseSequence: 1, version: 12 }), 47)
  assert.equal((await endTransaction(call, producer, { committed: true, version: 5 })).errorCode, 48, 'it has been aborted')
})

test('T4: an EndTxn that was held up and arrives in the next transaction does not touch it (version 2)', async (t) => {
  const call = await ready(t)
  const first = await initProducer(call, 'txn')
  const second = await transact(call, first, { value: 'first', committed: true })
  await untilOver(call, 'txn')
  assert.equal(await produceInTransaction(call, second, { topic: 'orders', value: 'second', version: 12 }), 0)
  for (const committed of [true, false]) {
    assert.equal((await endTransaction(call, first, { committed, version: 5 })).errorCode, 90)
  }
  assert.deepEqual(await committedValues(call, 'orders'), ['first'])
  assert.equal((await endTransaction(call, second, { committed: true, version: 5 })).errorCode, 0)
  await until(() => isStable(call))
  assert.deepEqual(await committedValues(call, 'orders'), ['first', 'second'])
})

test('T6: a batch behind the abort is refused in the words of its version, and nothing hangs; unchecked, it would', async (t) => {
  const call = await ready(t)
  const producer = await initProducer(call, 'txn')
  assert.equal(await addPartition(call, producer, 'orders'), 0)
  assert.equal(await produceInTransaction(call, producer, { topic: 'orders' }), 0)
  assert.equal((await endTransaction(call, producer, { committed: false })).errorCode, 0)
  await untilOver(call, 'txn')
  const late = (version: 10 | 11) => produceInTransaction(call, producer, { topic: 'orders', baseSequence: 1, version })
  assert.deepEqual([await late(10), await late(11)], [48, 120])
  assert.deepEqual(await endOffsets(call, 'orders'), [2, 2])

  const trusting = await ready(t, { 'transaction.partition.verification.enable': 'false' })
  const trusted = await initProducer(trusting, 'txn')
  assert.equal(await produceInTransaction(trusting, trusted, { topic: 'orders' }), 0)
  assert.deepEqual(await endOffsets(trusting, 'orders'), [0, 1])
})

test('T7: aborted records are not read across rolled segments, and a reader gets to the end', async (t) => {
  const call = await ready(t, {}, { 'segment.bytes': '1048576', 'segment.ms': '1' })
  let producer = await initProducer(call, 'txn')
  for (let i = 0; i < 6; i++) {
    producer = await transact(call, producer, { value: `${i}`, committed: i % 3 === 0 })
    await untilOver(call, 'txn')
  }
  assert.deepEqual(await committedValues(call, 'orders'), ['0', '3'])
  assert.deepEqual(await endOffsets(call, 'orders'), [12, 12])
})

test('a topic that is deleted amid a transaction does not hold up its end', async (t) => {
  const call = await ready(t)
  await createTopic({ send: call }, 'gone')
  const producer = await initProducer(call, 'txn')
  for (const topic of ['orders', 'gone']) assert.equal(await produceInTransaction(call, producer, { topic, version: 12 }), 0)
  await deleteTopic(call, 'gone')
  const { producerEpoch } = await endTransaction(call, producer, { committed: true, version: 5 })
  const next = await initProducer(call, 'txn')
  assert.deepEqual([producerEpoch, next.producerEpoch], [1, 2])
  assert.deepEqual(await committedValues(call, 'orders'), ['v'])
})

test('T8: without the topic there is no coordinator, and nobody is known to a new one', async (t) => {
  const { call } = await startBrokerForTest(t)
  const nobody = { transactionalId: 'txn', producerId: 1, producerEpoch: 0 }
  const init = async (transactionalId: string) => (await call(InitProducerId, 5, { transactionalId, transactionTimeoutMs: 1000 })).errorCode
  assert.equal(await init('txn'), 16)
  assert.equal((await call(EndTxn, 4, { ...nobody, committed: true })).errorCode, 16)
  await createTransactionTopic(call)
  await createTopic({ send: call }, 'orders')
  const { resultsByTransaction } = await call(AddPartitionsToTxn, 5, {
    transactions: [{ ...nobody, verifyOnly: true, topics: [{ name: 'orders', partitions: [0] }] }],
  })
  assert.equal(resultsByTransaction[0]!.topicResults[0]!.resultsByPartition[0]!.partitionErrorCode, 49)
})
