import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AddPartitionsToTxn } from '@tidelog/protocol'
import { createTopic, initProducer, startBrokerForTest, type TestProducer } from '@tidelog/testkit'
import { createTransactionTopic } from './transactions-harness.test.ts'

test('partitions are added all or none, as the producer that the coordinator knows', async (t) => {
  const { broker, call } = await startBrokerForTest(t)
  await createTransactionTopic(call)
  await createTopic({ send: call }, 'orders', { partitions: 2 })
  const producer = await initProducer(call, 'txn')
  const add = async (
    version: number,
    { transactionalId, producerId, producerEpoch }: TestProducer,
    partitions: number[],
    topic = 'orders',
  ) => {
    const { resultsByTopicV3AndBelow } = await call(AddPartitionsToTxn, version, {
      v3AndBelowTransactionalId: transactionalId,
      v3AndBelowProducerId: producerId,
      v3AndBelowProducerEpoch: producerEpoch,
      v3AndBelowTopics: [{ name: topic, partitions }],
    })
    return resultsByTopicV3AndBelow[0]!.resultsByPartition.map(({ partitionErrorCode }) => partitionErrorCode)
  }
  for (let version = 0; version <= 3; version++) assert.deepEqual(await add(version, producer, [0, 1]), [0, 0])
  assert.deepEqual(await add(3, producer, [0, 2]), [55, 3], 'one is not there, the other not attempted')
  assert.deepEqual(await add(3, producer, [0], 'missing'), [3])
  assert.deepEqual(await add(3, { ...producer, transactionalId: 'other' }, [0]), [49])
  assert.deepEqual(await add(3, { ...producer, producerId: producer.producerId + 1 }, [0]), [49])
  assert.deepEqual(await add(3, { ...producer, producerEpoch: 7 }, [0]), [90])
  assert.deepEqual(await add(1, { ...producer, producerEpoch: 7 }, [0]), [47])
  assert.deepEqual(await add(3, { ...producer, transactionalId: '' }, [0]), [42])
  assert.ok(broker)
})

test('partitions’ leaders ask for many transactions at once, and may only want to know', async (t) => {
  const { call } = await startBrokerForTest(t)
  await createTransactionTopic(call)
  await createTopic({ send: call }, 'orders', { partitions: 2 })
  const one = await initProducer(call, 'one')
  const two = await initProducer(call, 'two')
  const ask = async (transactions: (TestProducer & { verifyOnly: boolean; partitions: number[] })[]) => {
    const { errorCode, resultsByTransaction } = await call(AddPartitionsToTxn, 5, {
      transactions: transactions.map(({ partitions, ...rest }) => ({ ...rest, topics: [{ name: 'orders', partitions }] })),
    })
    assert.equal(errorCode, 0)
    return resultsByTransaction.map(({ topicResults }) =>
      topicResults[0]!.resultsByPartition.map(({ partitionErrorCode }) => partitionErrorCode),
    )
  }
  const results = await ask([
    { ...one, verifyOnly: false, partitions: [0] },
    { ...two, verifyOnly: true, partitions: [0, 1] },
    { ...two, producerEpoch: 9, verifyOnly: true, partitions: [0] },
  ])
  assert.deepEqual(results, [[0], [120, 120], [90]])
  assert.deepEqual(await ask([{ ...one, verifyOnly: true, partitions: [0, 1] }]), [[0, 120]])
})
