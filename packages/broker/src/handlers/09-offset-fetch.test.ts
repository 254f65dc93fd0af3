import assert from 'node:assert/strict'
import test from 'node:test'
import { ZERO_UUID } from '@tidelog/core'
import { errorTable, type OffsetFetchRequest } from '@tidelog/protocol'
import { commitRequest, GroupHarness, topicIds } from '../coordinators/group-harness.test.ts'
import { offsetFetch } from './09-offset-fetch.ts'

const code = (name: keyof typeof errorTable) => errorTable[name].code

async function withCommit(): Promise<GroupHarness> {
  const harness = await GroupHarness.start()
  await harness.groups.commitOffsets(commitRequest, { apiVersion: 8 })
  return harness
}

const none = { groupId: '', topics: null, groups: [], requireStable: false }
const oneGroup = (topics: OffsetFetchRequest['topics'], groupId = 'g'): OffsetFetchRequest => ({ ...none, groupId, topics })
const manyGroups = (...groups: { groupId: string; topics: OffsetFetchRequest['groups'][number]['topics'] }[]): OffsetFetchRequest => ({
  ...none,
  groups: groups.map((group) => ({ ...group, memberId: null, memberEpoch: -1 })),
})
const found = { partitionIndex: 0, committedOffset: 5, committedLeaderEpoch: -1, metadata: 'm', errorCode: 0 }
const missing = { partitionIndex: 9, committedOffset: -1, committedLeaderEpoch: -1, metadata: '', errorCode: 0 }

test('before version 8 one group is asked for; a partition without an offset has -1', async () => {
  const harness = await withCommit()
  for (const version of [0, 1, 5, 7]) {
    const { topics, errorCode } = await harness.call(offsetFetch, version, oneGroup([{ name: 'orders', partitionIndexes: [0, 9] }]))
    assert.equal(errorCode, 0)
    assert.deepEqual(topics, [{ name: 'orders', partitions: [found, missing] }])
  }
  assert.deepEqual((await harness.call(offsetFetch, 2, oneGroup(null))).topics, [{ name: 'orders', partitions: [found] }])
})

test('from version 8 on several groups are asked for, each with its own error', async () => {
  const harness = await withCommit()
  harness.denied.add('Describe Group secret')
  const { groups } = await harness.call(
    offsetFetch,
    8,
    manyGroups(
      { groupId: 'g', topics: [{ name: 'orders', topicId: ZERO_UUID, partitionIndexes: [0] }] },
      { groupId: 'secret', topics: null },
      { groupId: 'unknown', topics: null },
    ),
  )
  assert.deepEqual(groups, [
    { groupId: 'g', errorCode: 0, topics: [{ name: 'orders', topicId: ZERO_UUID, partitions: [found] }] },
    { groupId: 'secret', errorCode: code('GROUP_AUTHORIZATION_FAILED'), topics: [] },
    { groupId: 'unknown', errorCode: 0, topics: [] },
  ])
})

test('from version 10 on topics are named by id, and unknown ids have an error', async () => {
  const harness = await withCommit()
  const topics = [
    { name: '', topicId: ZERO_UUID, partitionIndexes: [0] },
    { name: '', topicId: topicIds.orders, partitionIndexes: [0] },
  ]
  const { groups } = await harness.call(offsetFetch, 10, manyGroups({ groupId: 'g', topics }, { groupId: 'g', topics: null }))
  const unknown = { ...missing, partitionIndex: 0, errorCode: code('UNKNOWN_TOPIC_ID') }
  assert.deepEqual(groups?.[0]?.topics, [
    { name: '', topicId: ZERO_UUID, partitions: [unknown] },
    { name: '', topicId: topicIds.orders, partitions: [found] },
  ])
  assert.deepEqual(groups?.[1]?.topics, [{ name: 'orders', topicId: topicIds.orders, partitions: [found] }])
})

test('topics that may not be described are refused by name and left out of all', async () => {
  const harness = await withCommit()
  harness.denied.add('Describe Topic orders')
  const named = await harness.call(offsetFetch, 7, oneGroup([{ name: 'orders', partitionIndexes: [0] }]))
  assert.equal(named.topics?.[0]?.partitions?.[0]?.errorCode, code('TOPIC_AUTHORIZATION_FAILED'))
  assert.deepEqual((await harness.call(offsetFetch, 7, oneGroup(null))).topics, [])
})

test('an error of the group stands where the version has a place for it', async () => {
  const harness = await withCommit()
  harness.groups.resigned(0)
  const request = oneGroup([{ name: 'orders', partitionIndexes: [0] }])
  const oldest = await harness.call(offsetFetch, 1, request)
  assert.equal(oldest.topics?.[0]?.partitions?.[0]?.errorCode, code('NOT_COORDINATOR'))
  const old = await harness.call(offsetFetch, 2, request)
  assert.deepEqual([old.errorCode, old.topics], [code('NOT_COORDINATOR'), []])
  const { groups } = await harness.call(offsetFetch, 8, manyGroups({ groupId: 'g', topics: null }))
  assert.equal(groups?.[0]?.errorCode, code('NOT_COORDINATOR'))
})
