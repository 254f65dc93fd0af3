import assert from 'node:assert/strict'
import test from 'node:test'
import { ZERO_UUID } from '@tidelog/core'
import { errorTable, type OffsetCommitRequest } from '@tidelog/protocol'
import { commitRequest, GroupHarness, topicIds } from '../coordinators/group-harness.test.ts'
import { offsetCommit } from './08-offset-commit.ts'

const code = (name: keyof typeof errorTable) => errorTable[name].code
const partition = commitRequest.topics[0]!.partitions[0]!
const at = (...indexes: number[]) => indexes.map((partitionIndex) => ({ ...partition, partitionIndex }))

async function codesOf(harness: GroupHarness, apiVersion: number, request: Partial<OffsetCommitRequest>): Promise<number[][]> {
  const { topics } = await harness.call(offsetCommit, apiVersion, { ...commitRequest, ...request })
  return topics.map(({ partitions }) => partitions.map(({ errorCode }) => errorCode))
}

test('partitions that do not exist or may not be read have their own error, and their neighbours are committed', async () => {
  const harness = await GroupHarness.start()
  harness.denied.add('Read Topic payments')
  const topics = [
    { name: 'orders', topicId: ZERO_UUID, partitions: at(0, 7, 1) },
    { name: 'payments', topicId: ZERO_UUID, partitions: at(0) },
    { name: 'nowhere', topicId: ZERO_UUID, partitions: at(0) },
    { name: 'orders', topicId: ZERO_UUID, partitions: at(2) },
  ]
  assert.deepEqual(await codesOf(harness, 8, { topics }), [
    [0, code('UNKNOWN_TOPIC_OR_PARTITION'), 0],
    [code('TOPIC_AUTHORIZATION_FAILED')],
    [code('UNKNOWN_TOPIC_OR_PARTITION')],
    [0],
  ])
  const [orders] = await harness.groups.fetchOffsets({ groupId: 'g', topics: null, requireStable: false })
  assert.deepEqual(
    orders?.partitions.map(({ partitionIndex }) => partitionIndex),
    [0, 1, 2],
  )
})

test('from version 10 on topics are named by id', async () => {
  const harness = await GroupHarness.start()
  const topics = [
    { name: '', topicId: topicIds.orders, partitions: at(0) },
    { name: '', topicId: ZERO_UUID, partitions: at(0, 1) },
  ]
  assert.deepEqual(await codesOf(harness, 10, { topics }), [[0], [code('UNKNOWN_TOPIC_ID'), code('UNKNOWN_TOPIC_ID')]])
})

test('an error of the whole request stands beside every partition', async () => {
  const harness = await GroupHarness.start()
  const request = { generationIdOrMemberEpoch: 3, memberId: 'x' }
  assert.deepEqual(await codesOf(harness, 8, request), [[code('ILLEGAL_GENERATION')]])
  assert.deepEqual(await codesOf(harness, 9, request), [[code('GROUP_ID_NOT_FOUND')]])
  harness.denied.add('Read Group g')
  assert.deepEqual(await codesOf(harness, 9, {}), [[code('GROUP_AUTHORIZATION_FAILED')]])
  harness.denied.clear()
  harness.groups.resigned(0)
  assert.deepEqual(await codesOf(harness, 9, {}), [[code('NOT_COORDINATOR')]])
})

test('G6: a commit of nothing asks no coordinator', async () => {
  const harness = await GroupHarness.start()
  harness.groups.resigned(0)
  assert.deepEqual(await codesOf(harness, 9, { topics: [] }), [])
})
