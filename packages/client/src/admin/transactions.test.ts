import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AddPartitionsToTxn, FindCoordinator, InitProducerId, Produce } from '@tidelog/protocol'
import { batchOf, connectForTest, startTestBroker, until } from '@tidelog/testkit'
import { Admin } from './admin.ts'

test('transactions are listed and described, their producers fenced; a partition can be freed of one past its coordinator', async (t) => {
  const broker = await startTestBroker({ config: { 'transaction.state.log.num.partitions': '1' } })
  const admin = new Admin({ bootstrapServers: broker.bootstrapServers })
  t.after(async () => {
    await admin.close()
    await broker.close()
  })
  const call = await connectForTest(t, broker)
  await admin.createTopics([{ topic: 'a', numPartitions: 1 }])
  await until(
    async () => (await call(FindCoordinator, 4, { key: '', keyType: 1, coordinatorKeys: ['id'] })).coordinators[0]?.errorCode === 0,
  )
  const { producerId, producerEpoch } = await call(InitProducerId, 4, { transactionalId: 'id', transactionTimeoutMs: 60_000 })
  const partition = { topic: 'a', partition: 0 }
  const added = await call(AddPartitionsToTxn, 3, {
    v3AndBelowTransactionalId: 'id',
    v3AndBelowProducerId: producerId,
    v3AndBelowProducerEpoch: producerEpoch,
    v3AndBelowTopics: [{ name: 'a', partitions: [0] }],
  })
  assert.equal(added.resultsByTopicV3AndBelow[0]?.resultsByPartition[0]?.partitionErrorCode, 0)

  assert.deepEqual(await admin.listTransactions(), new Map([[1, [{ transactionalId: 'id', producerId, state: 'Ongoing' }]]]))
  assert.deepEqual((await admin.listTransactions({ producerIds: [producerId + 1] })).get(1), [])
  assert.deepEqual((await admin.listTransactions({ states: ['Empty'] })).get(1), [])
  const { transactionStartTimeMs, ...described } = (await admin.describeTransactions(['id'])).get('id')!
  assert.ok(transactionStartTimeMs !== undefined && transactionStartTimeMs <= Date.now())
  assert.deepEqual(described, {
    transactionalId: 'id',
    coordinatorId: 1,
    state: 'Ongoing',
    producerId,
    producerEpoch,
    transactionTimeoutMs: 60_000,
    partitions: [partition],
  })
  await assert.rejects(admin.describeTransactions(['none']), { code: 'TRANSACTIONAL_ID_NOT_FOUND' })

  const fenced = (await admin.fenceProducers(['id'])).get('id')!
  assert.equal(fenced.producerId, producerId)
  assert.ok(fenced.producerEpoch > producerEpoch)
  assert.equal((await admin.describeTransactions(['id'])).get('id')?.transactionStartTimeMs, undefined, 'nothing is open any more')
  await admin.forceTerminateTransaction('id')

  await assert.rejects(
    admin.abortTransaction({ topic: 'a', partition: 9, producerId, producerEpoch: 0, coordinatorEpoch: 0 }, { timeoutMs: 300 }),
  )
  await call(Produce, 9, {
    transactionalId: null,
    acks: 1,
    timeoutMs: 1000,
    topicData: [{ name: 'a', partitionData: [{ index: 0, records: batchOf([{ value: 'plain' }]) }] }],
  })
  await admin.abortTransaction({ ...partition, producerId, producerEpoch: fenced.producerEpoch, coordinatorEpoch: 0 })
})
