import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Consumer, Producer } from '@tidelog/client'
import { Fetch, FindCoordinator, Heartbeat, JoinGroup, OffsetCommit, OffsetFetch, SyncGroup } from '@tidelog/protocol'
import { connectTo, startTestBroker, until } from '@tidelog/testkit'

test('G1: a consumer that is killed in the middle of its records is followed from its last commit on, without a gap', async (t) => {
  const broker = await startTestBroker({
    config: { 'group.min.session.timeout.ms': '100', 'group.initial.rebalance.delay.ms': '0', 'offsets.topic.num.partitions': '1' },
  })
  t.after(() => broker.close())
  const { bootstrapServers } = broker
  const producer = new Producer({ bootstrapServers })
  t.after(() => producer.close())
  await producer.sendMany(Array.from({ length: 20 }, (_, i) => ({ topic: 'orders', partition: 0, value: Buffer.from(`v${i}`) })))

  // The one that will be killed: a connection that stops, with records fetched beyond what it has committed.
  const killed = await connectTo(t, broker)
  // Version 0 of the consumer's subscription and assignment: topic `orders`, then no user data, or its partition 0.
  const orders = '00000000000100066f7264657273'
  const protocols = [{ name: 'range', metadata: Buffer.from(`${orders}ffffffff`, 'hex') }]
  const group = { groupId: 'g', sessionTimeoutMs: 400, rebalanceTimeoutMs: 400, protocolType: 'consumer', protocols }
  await until(async () => (await killed.send(FindCoordinator, 2, { key: 'g', keyType: 0 })).errorCode === 0)
  const { memberId } = await killed.send(JoinGroup, 9, { ...group, memberId: '' })
  const { generationId } = await killed.send(JoinGroup, 9, { ...group, memberId })
  const assignment = Buffer.from(`${orders}0000000100000000ffffffff`, 'hex')
  const member = { groupId: 'g', generationId, memberId }
  const synced = await killed.send(SyncGroup, 5, {
    ...member,
    protocolType: 'consumer',
    protocolName: 'range',
    assignments: [{ memberId, assignment }],
  })
  assert.equal(synced.errorCode, 0)
  const fetched = await killed.send(Fetch, 11, {
    replicaId: -1,
    maxWaitMs: 0,
    minBytes: 1,
    maxBytes: 1 << 20,
    topics: [{ topic: 'orders', partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20 }] }],
  })
  assert.ok((fetched.responses[0]?.partitions[0]?.records?.length ?? 0) > 0)
  const committed = await killed.send(OffsetCommit, 9, {
    groupId: 'g',
    generationIdOrMemberEpoch: generationId,
    memberId,
    topics: [{ name: 'orders', partitions: [{ partitionIndex: 0, committedOffset: 7, committedMetadata: null }] }],
  })
  assert.equal(committed.topics[0]?.partitions[0]?.errorCode, 0)
  assert.equal((await killed.send(Heartbeat, 4, member)).errorCode, 0)
  killed.close()

  const consumer = new Consumer({
    bootstrapServers,
    groupId: 'g',
    autoOffsetReset: 'latest',
    sessionTimeoutMs: 1000,
    heartbeatIntervalMs: 100,
  })
  t.after(() => consumer.close())
  consumer.subscribe(['orders'])
  const offsets: number[] = []
  await until(async () => {
    for (const { offset } of await consumer.poll({ timeoutMs: 100 })) offsets.push(offset)
    return offsets.length >= 13
  })
  assert.deepEqual(
    offsets,
    Array.from({ length: 13 }, (_, i) => 7 + i),
  )
  const observer = await connectTo(t, broker)
  const { topics } = await observer.send(OffsetFetch, 7, {
    groupId: 'g',
    topics: [{ name: 'orders', partitionIndexes: [0] }],
    requireStable: false,
  })
  assert.ok((topics[0]?.partitions[0]?.committedOffset ?? -1) >= 7, 'it never went back')
})
