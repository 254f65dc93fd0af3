import assert from 'node:assert/strict'
import test from 'node:test'
import { errorName } from '@tidelog/protocol'
import { GroupHarness, topicIds } from '../coordinators/group-harness.test.ts'
import { consumerGroupHeartbeat } from './68-consumer-group-heartbeat.ts'

export const heartbeatRequest = {
  groupId: 'g',
  memberId: 'a',
  memberEpoch: 0,
  instanceId: null,
  rackId: null,
  rebalanceTimeoutMs: 60_000,
  subscribedTopicNames: ['orders'],
  subscribedTopicRegex: null,
  serverAssignor: null,
  topicPartitions: [],
}

test('a member joins, is told its partitions by topic id, and leaves', async () => {
  const harness = await GroupHarness.start()
  const joined = await harness.call(consumerGroupHeartbeat, 1, heartbeatRequest)
  assert.equal(joined.errorCode, 0)
  assert.deepEqual(joined.assignment, { topicPartitions: [{ topicId: topicIds.orders, partitions: [0, 1, 2] }] })
  const left = await harness.call(consumerGroupHeartbeat, 1, { ...heartbeatRequest, memberEpoch: -1 })
  assert.equal(left.memberEpoch, -1)
})

test('who may not read the group, or not know of a topic, is refused', async () => {
  const harness = await GroupHarness.start()
  harness.denied.add('Read Group secret')
  harness.denied.add('Describe Topic payments')
  const errorOf = async (change: Partial<typeof heartbeatRequest>) =>
    errorName((await harness.call(consumerGroupHeartbeat, 1, { ...heartbeatRequest, ...change })).errorCode)
  assert.equal(await errorOf({ groupId: 'secret' }), 'GROUP_AUTHORIZATION_FAILED')
  assert.equal(await errorOf({ subscribedTopicNames: ['orders', 'payments'] }), 'TOPIC_AUTHORIZATION_FAILED')
  assert.equal(await errorOf({}), 'NONE')
})

test('without the feature group.version there is no consumer protocol', async () => {
  const harness = await GroupHarness.start()
  harness.featureLevel = 0
  assert.equal(errorName((await harness.call(consumerGroupHeartbeat, 1, heartbeatRequest)).errorCode), 'UNSUPPORTED_VERSION')
})
