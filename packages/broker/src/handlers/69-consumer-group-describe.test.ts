import assert from 'node:assert/strict'
import test from 'node:test'
import { errorName } from '@tidelog/protocol'
import { GroupHarness, topicIds } from '../coordinators/group-harness.test.ts'
import { heartbeatRequest } from './68-consumer-group-heartbeat.test.ts'
import { consumerGroupHeartbeat } from './68-consumer-group-heartbeat.ts'
import { consumerGroupDescribe } from './69-consumer-group-describe.ts'

test('each group is described with its members and their assignments by name, or has an error of its own', async () => {
  const harness = await GroupHarness.start()
  await harness.call(consumerGroupHeartbeat, 1, heartbeatRequest)
  harness.denied.add('Describe Group secret')
  const request = { groupIds: ['g', 'secret', 'unknown'], includeAuthorizedOperations: false }
  const [group, secret, unknown] = (await harness.call(consumerGroupDescribe, 1, request)).groups
  assert.equal(group?.groupState, 'Stable')
  assert.equal(group?.assignorName, 'uniform')
  const assignment = { topicPartitions: [{ topicId: topicIds.orders, topicName: 'orders', partitions: [0, 1, 2] }] }
  const [member] = group!.members
  assert.deepEqual([member?.memberId, member?.memberType, member?.clientHost], ['a', 1, '/127.0.0.1'])
  assert.deepEqual([member?.assignment, member?.targetAssignment], [assignment, assignment])
  assert.equal(errorName(secret!.errorCode), 'GROUP_AUTHORIZATION_FAILED')
  assert.equal(errorName(unknown!.errorCode), 'GROUP_ID_NOT_FOUND')
  assert.equal(unknown!.errorMessage, 'Group unknown not found.')
})

test('a group that reads topics which the caller may not know of is not described', async () => {
  const harness = await GroupHarness.start()
  await harness.call(consumerGroupHeartbeat, 1, heartbeatRequest)
  harness.denied.add('Describe Topic orders')
  const request = { groupIds: ['g'], includeAuthorizedOperations: false }
  const [group] = (await harness.call(consumerGroupDescribe, 0, request)).groups
  assert.equal(errorName(group!.errorCode), 'TOPIC_AUTHORIZATION_FAILED')
  assert.deepEqual(group!.members, [])
})
