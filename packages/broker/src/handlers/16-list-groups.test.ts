import assert from 'node:assert/strict'
import test from 'node:test'
import { commitRequest, GroupHarness } from '../coordinators/group-harness.test.ts'
import { listGroups } from './16-list-groups.ts'

test('groups are listed by state and type, whatever the case, and only those that the caller may know of', async () => {
  const harness = await GroupHarness.start()
  for (const groupId of ['a', 'b']) await harness.groups.commitOffsets({ ...commitRequest, groupId }, { apiVersion: 8 })
  const list = async (statesFilter: string[], typesFilter: string[]) =>
    (await harness.call(listGroups, 5, { statesFilter, typesFilter })).groups.map(({ groupId }) => groupId)
  assert.deepEqual(await list([], []), ['a', 'b'])
  assert.deepEqual(await list([' EMPTY '], ['Classic']), ['a', 'b'])
  assert.deepEqual(await list(['Stable'], []), [])
  assert.deepEqual(await list([], ['nonsense']), [])
  harness.denied.add('Describe Cluster kafka-cluster')
  harness.denied.add('Describe Group a')
  assert.deepEqual(await list([], []), ['b'])
})
