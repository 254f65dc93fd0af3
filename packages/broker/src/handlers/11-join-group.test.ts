import assert from 'node:assert/strict'
import test from 'node:test'
import { errorTable } from '@tidelog/protocol'
import { GroupHarness, joinRequest, turn } from '../coordinators/group-harness.test.ts'
import { joinGroup } from './11-join-group.ts'

const code = (name: keyof typeof errorTable) => errorTable[name].code

test('the answer waits for the end of the join phase', async () => {
  const harness = await GroupHarness.start()
  const first = await harness.call(joinGroup, 9, joinRequest)
  assert.equal(first.errorCode, code('MEMBER_ID_REQUIRED'))
  let joined = false
  const joining = harness.call(joinGroup, 9, { ...joinRequest, memberId: first.memberId }).then((response) => {
    joined = true
    return response
  })
  await turn()
  assert.equal(joined, false)
  harness.clock.advance(0)
  const { errorCode, leader, memberId, protocolName } = await joining
  assert.deepEqual([errorCode, leader, memberId, protocolName], [0, memberId, first.memberId, 'range'])
  const [member] = harness.groups.describeGroup('g', { apiVersion: 5 }).members
  assert.deepEqual([member?.clientId, member?.clientHost], ['client', '/127.0.0.1'])
})

test('an answer without a protocol has an empty one for clients that know no null', async () => {
  const harness = await GroupHarness.start()
  for (const [version, protocolName] of [
    [6, ''],
    [7, null],
  ] as const) {
    const refused = await harness.call(joinGroup, version, { ...joinRequest, groupId: '' })
    assert.deepEqual([refused.errorCode, refused.protocolName], [code('INVALID_GROUP_ID'), protocolName])
  }
  harness.groups.resigned(0)
  for (const [version, protocolName] of [
    [6, ''],
    [7, null],
  ] as const) {
    const refused = await harness.call(joinGroup, version, { ...joinRequest, memberId: 'x' })
    assert.deepEqual([refused.errorCode, refused.protocolName, refused.memberId], [code('NOT_COORDINATOR'), protocolName, 'x'])
  }
})
