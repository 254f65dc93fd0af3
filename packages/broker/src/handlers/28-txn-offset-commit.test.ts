import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { FindCoordinator, OffsetCommit, OffsetFetch, TxnOffsetCommit } from '@tidelog/protocol'
import { type Call, createTopic, endTransaction, initProducer, startBrokerForTest, type TestProducer } from '@tidelog/testkit'
import { addOffsets, createTransactionTopic } from './transactions-harness.test.ts'

const unstable = 88

async function readyBroker(t: TestContext): Promise<Call> {
  const { call } = await startBrokerForTest(t)
  await createTransactionTopic(call)
  await call(FindCoordinator, 4, { keyType: 0, coordinatorKeys: ['g'] })
  await createTopic({ send: call }, 'orders')
  return call
}

async function commit(
  call: Call,
  { transactionalId, producerId, producerEpoch }: TestProducer,
  committedOffset: number,
  request: { version?: number; generationId?: number; memberId?: string; topic?: string } = {},
): Promise<number> {
  const { version = 3, generationId = -1, memberId = '', topic = 'orders' } = request
  const { topics } = await call(TxnOffsetCommit, version, {
    transactionalId,
    groupId: 'g',
    producerId,
    producerEpoch,
    generationId,
    memberId,
    topics: [{ name: topic, partitions: [{ partitionIndex: 0, committedOffset, committedMetadata: 'm' }] }],
  })
  return topics[0]!.partitions[0]!.errorCode
}

async function fetched(call: Call, requireStable: boolean): Promise<[offset: number, error: number]> {
  const { groups } = await call(OffsetFetch, 8, {
    groups: [{ groupId: 'g', topics: [{ name: 'orders', partitionIndexes: [0] }] }],
    requireStable,
  })
  const { committedOffset, errorCode } = groups[0]!.topics[0]!.partitions[0]!
  return [committedOffset, errorCode]
}

async function ended(call: Call, requireStable = true): Promise<[offset: number, error: number]> {
  for (;;) {
    const found = await fetched(call, requireStable)
    if (found[1] !== unstable) return found
  }
}

test('T9: offsets of a transaction count when it is committed; until it is decided, who asks for stable ones has to come again', async (t) => {
  const call = await readyBroker(t)
  const producer = await initProducer(call, 'txn')
  await addOffsets(call, producer, 'g')
  assert.equal(await commit(call, producer, 5), 0)
  assert.deepEqual(await fetched(call, false), [-1, 0])
  assert.deepEqual(await fetched(call, true), [-1, unstable])
  await endTransaction(call, producer, { committed: true })
  assert.deepEqual(await ended(call), [5, 0])
  await addOffsets(call, producer, 'g')
  assert.equal(await commit(call, producer, 9), 0)
  assert.deepEqual(
    [await fetched(call, false), await fetched(call, true)],
    [
      [5, 0],
      [-1, unstable],
    ],
  )
  await endTransaction(call, producer, { committed: false })
  assert.deepEqual(await ended(call), [5, 0])
})

test('an ordinary commit that comes behind one in a transaction stays, and a deleted offset does not come back', async (t) => {
  const call = await readyBroker(t)
  const producer = await initProducer(call, 'txn')
  await addOffsets(call, producer, 'g')
  assert.equal(await commit(call, producer, 5), 0)
  const { topics } = await call(OffsetCommit, 7, {
    groupId: 'g',
    generationIdOrMemberEpoch: -1,
    memberId: '',
    topics: [{ name: 'orders', partitions: [{ partitionIndex: 0, committedOffset: 7, committedMetadata: null }] }],
  })
  assert.equal(topics[0]!.partitions[0]!.errorCode, 0)
  await endTransaction(call, producer, { committed: true })
  assert.deepEqual(await ended(call), [7, 0])
})

test('T9: members of another generation, unknown ones, and partitions that are not there are refused; without a transaction nothing is stored', async (t) => {
  const call = await readyBroker(t)
  const producer = await initProducer(call, 'txn')
  assert.equal(await commit(call, producer, 5), 48, 'the partition was not added')
  assert.equal(await commit(call, producer, 5, { version: 4 }), 120)
  await addOffsets(call, producer, 'g')
  assert.equal(await commit(call, producer, 5, { topic: 'missing' }), 3)
  assert.equal(await commit(call, producer, 5, { generationId: 3 }), 22)
  assert.equal(await commit(call, producer, 5), 0)
  assert.equal(await commit(call, producer, 5, { generationId: 3, memberId: 'm' }), 25)
  assert.equal(await commit(call, { ...producer, producerEpoch: producer.producerEpoch + 1 }, 5), 47)
  assert.equal(await commit(call, { ...producer, transactionalId: 'other' }, 5), 0, 'its transaction is open there already')
})
