import assert from 'node:assert/strict'
import test from 'node:test'
import { errorTable } from '@tidelog/protocol'
import { commitRequest, GroupHarness } from '../coordinators/group-harness.test.ts'
import { deleteGroups } from './42-delete-groups.ts'

const code = (name: keyof typeof errorTable) => errorTable[name].code

test('G7: each group is deleted on its own, one named twice once', async () => {
  const harness = await GroupHarness.start()
  await harness.groups.commitOffsets(commitRequest, { apiVersion: 8 })
  harness.denied.add('Delete Group secret')
  const remove = () => harness.call(deleteGroups, 2, { groupsNames: ['g', 'secret', 'g', 'unknown'] })
  assert.deepEqual((await remove()).results, [
    { groupId: 'g', errorCode: 0 },
    { groupId: 'secret', errorCode: code('GROUP_AUTHORIZATION_FAILED') },
    { groupId: 'unknown', errorCode: code('GROUP_ID_NOT_FOUND') },
  ])
  const restarted = await harness.restarted()
  assert.equal(restarted.groups.describeGroup('g', { apiVersion: 5 }).groupState, 'Dead')
})
