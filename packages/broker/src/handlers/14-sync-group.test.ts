import assert from 'node:assert/strict'
import test from 'node:test'
import { errorTable } from '@tidelog/protocol'
import { GroupHarness } from '../coordinators/group-harness.test.ts'
import { syncGroup } from './14-sync-group.ts'

const request = {
  groupId: 'g',
  generationId: 1,
  memberId: 'x',
  groupInstanceId: null,
  protocolType: null,
  protocolName: null,
  assignments: [],
}

test('from version 5 on a member must name the protocol it believes in', async () => {
  const harness = await GroupHarness.start()
  const errorCode = async (version: number, names = {}) => (await harness.call(syncGroup, version, { ...request, ...names })).errorCode
  assert.equal(await errorCode(4), errorTable.UNKNOWN_MEMBER_ID.code)
  assert.equal(await errorCode(5), errorTable.INCONSISTENT_GROUP_PROTOCOL.code)
  assert.equal(await errorCode(5, { protocolType: 'consumer' }), errorTable.INCONSISTENT_GROUP_PROTOCOL.code)
  assert.equal(await errorCode(5, { protocolType: 'consumer', protocolName: 'range' }), errorTable.UNKNOWN_MEMBER_ID.code)
})
