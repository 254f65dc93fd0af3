import assert from 'node:assert/strict'
import test from 'node:test'
import { errorTable } from '@tidelog/protocol'
import { GroupHarness, joinRequest } from '../coordinators/group-harness.test.ts'
import { leaveGroup } from './13-leave-group.ts'

const code = (name: keyof typeof errorTable) => errorTable[name].code
const caller = { apiVersion: 9, clientId: 'client', clientHost: '/127.0.0.1' }

test('before version 3 one member leaves, and its error is that of the reply', async () => {
  const harness = await GroupHarness.start()
  const { memberId } = await harness.groups.joinGroup(joinRequest, caller)
  const leave = () => harness.call(leaveGroup, 2, { groupId: 'g', memberId, members: [] })
  assert.equal((await leave()).errorCode, 0)
  assert.equal((await leave()).errorCode, code('UNKNOWN_MEMBER_ID'))
})

test('from version 3 on members leave together, each with its own error', async () => {
  const harness = await GroupHarness.start()
  const { memberId } = await harness.groups.joinGroup(joinRequest, caller)
  const members = [memberId, 'stranger'].map((each) => ({ memberId: each, groupInstanceId: null, reason: null }))
  const response = await harness.call(leaveGroup, 5, { groupId: 'g', memberId: '', members })
  assert.equal(response.errorCode, 0)
  assert.deepEqual(
    response.members?.map(({ errorCode }) => errorCode),
    [0, code('UNKNOWN_MEMBER_ID')],
  )
  harness.denied.add('Read Group g')
  assert.equal((await harness.call(leaveGroup, 5, { groupId: 'g', memberId: '', members })).errorCode, code('GROUP_AUTHORIZATION_FAILED'))
})
