import assert from 'node:assert/strict'
import test from 'node:test'
import { errorTable } from '@tidelog/protocol'
import { commitRequest, GroupHarness } from '../coordinators/group-harness.test.ts'
import { offsetDelete } from './47-offset-delete.ts'

const code = (name: keyof typeof errorTable) => errorTable[name].code
const at = (...indexes: number[]) => indexes.map((partitionIndex) => ({ partitionIndex }))

test('offsets are deleted; partitions that do not exist or may not be read have their own error', async () => {
  const harness = await GroupHarness.start()
  await harness.groups.commitOffsets(commitRequest, { apiVersion: 8 })
  harness.denied.add('Read Topic payments')
  const topics = [
    { name: 'orders', partitions: at(0, 9) },
    { name: 'payments', partitions: at(0) },
    { name: 'nowhere', partitions: at(0) },
  ]
  const { errorCode, topics: rows } = await harness.call(offsetDelete, 0, { groupId: 'g', topics })
  assert.equal(errorCode, 0)
  assert.deepEqual(rows, [
    {
      name: 'orders',
      partitions: [
        { partitionIndex: 9, errorCode: code('UNKNOWN_TOPIC_OR_PARTITION') },
        { partitionIndex: 0, errorCode: 0 },
      ],
    },
    { name: 'payments', partitions: [{ partitionIndex: 0, errorCode: code('TOPIC_AUTHORIZATION_FAILED') }] },
    { name: 'nowhere', partitions: [{ partitionIndex: 0, errorCode: code('UNKNOWN_TOPIC_OR_PARTITION') }] },
  ])
  assert.deepEqual(await harness.groups.fetchOffsets({ groupId: 'g', topics: null, requireStable: false }), [])
})

test('G7: an error of the group is the only answer, and an empty list deletes nothing', async () => {
  const harness = await GroupHarness.start()
  const topics = [{ name: 'nowhere', partitions: at(0) }]
  assert.deepEqual(await harness.call(offsetDelete, 0, { groupId: 'g', topics }), { errorCode: code('GROUP_ID_NOT_FOUND'), topics: [] })
  await harness.groups.commitOffsets(commitRequest, { apiVersion: 8 })
  assert.deepEqual(await harness.call(offsetDelete, 0, { groupId: 'g', topics: [] }), { errorCode: 0, topics: [] })
  assert.equal((await harness.groups.fetchOffsets({ groupId: 'g', topics: null, requireStable: false })).length, 1)
})
