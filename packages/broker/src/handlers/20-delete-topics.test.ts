import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { test } from 'node:test'
import { ZERO_UUID } from '@tidelog/core'
import { CreateTopics, DeleteTopics, errorTable, Metadata } from '@tidelog/protocol'
import { type Call, startBrokerForTest, temporaryDirectory } from '@tidelog/testkit'

const code = (name: keyof typeof errorTable) => errorTable[name].code
const create = async (call: Call, ...names: string[]) => {
  const topics = names.map((name) => ({ name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }))
  const created = await call(CreateTopics, 7, { topics })
  return created.topics.map(({ topicId }) => topicId)
}
const timeoutMs = 10_000
const unknownId = 'IQPsQipHTsKy71ijwH7wGA'

test('every version deletes by name', async (t) => {
  const { call } = await startBrokerForTest(t)
  for (let version = 0; version <= 6; version++) {
    await create(call, 'orders')
    const names = ['orders', 'none']
    const request = version >= 6 ? { topics: names.map((name) => ({ name, topicId: ZERO_UUID })) } : { topicNames: names }
    const { responses } = await call(DeleteTopics, version, { ...request, timeoutMs })
    const codes = new Map(responses.map(({ name, errorCode }) => [name, errorCode]))
    assert.deepEqual([codes.get('orders'), codes.get('none')], [0, code('UNKNOWN_TOPIC_OR_PARTITION')], `version ${version}`)
  }
  assert.deepEqual((await call(Metadata, 13, { topics: null })).topics, [])
})

test('ids and names are told apart, and what is doubtful is refused', async (t) => {
  const { call } = await startBrokerForTest(t)
  const [first, second] = await create(call, 'first', 'second', 'third')
  const { responses } = await call(DeleteTopics, 6, {
    topics: [
      { name: null, topicId: first! },
      { name: null, topicId: unknownId },
      { name: null, topicId: ZERO_UUID },
      { name: 'third', topicId: unknownId },
      { name: null, topicId: second! },
      { name: 'second', topicId: ZERO_UUID },
      { name: 'twice', topicId: ZERO_UUID },
      { name: 'twice', topicId: ZERO_UUID },
    ],
    timeoutMs,
  })
  const rows = responses.map(({ name, topicId, errorCode, errorMessage }) => [name, topicId, errorCode, errorMessage])
  const invalid = code('INVALID_REQUEST')
  assert.deepEqual(
    new Set(rows.map((row) => JSON.stringify(row))),
    new Set(
      [
        ['first', first, 0, null],
        [null, unknownId, code('UNKNOWN_TOPIC_ID'), 'This server does not host this topic ID.'],
        [null, ZERO_UUID, invalid, 'Neither topic name nor id were specified.'],
        ['third', unknownId, invalid, 'You may not specify both topic name and topic id.'],
        ['second', second, invalid, 'The provided topic name maps to an ID that was already supplied.'],
        ['twice', ZERO_UUID, invalid, 'Duplicate topic name.'],
      ].map((row) => JSON.stringify(row)),
    ),
  )
  const left = (await call(Metadata, 13, { topics: null })).topics.map(({ name }) => name)
  assert.deepEqual(left.sort(), ['second', 'third'])
})

test('a topic of the same name begins anew, with another id', async (t) => {
  const { call } = await startBrokerForTest(t)
  const [before] = await create(call, 'orders')
  await call(DeleteTopics, 6, { topics: [{ name: 'orders', topicId: ZERO_UUID }], timeoutMs })
  const [after] = await create(call, 'orders')
  assert.ok(after !== ZERO_UUID && after !== before)
})

test('no folder of the topic is left under its name', async (t) => {
  const dir = await temporaryDirectory(t)
  const { call } = await startBrokerForTest(t, { config: { 'log.dirs': dir } })
  await create(call, 'orders')
  assert.ok((await readdir(dir)).includes('orders-0'))
  await call(DeleteTopics, 6, { topics: [{ name: 'orders', topicId: ZERO_UUID }], timeoutMs })
  assert.ok(!(await readdir(dir)).includes('orders-0'))
})

test('nothing is deleted when delete.topic.enable is off', async (t) => {
  const { call } = await startBrokerForTest(t, { config: { 'delete.topic.enable': 'false' } })
  await create(call, 'orders')
  const refusal = async (version: number) =>
    (await call(DeleteTopics, version, { topicNames: ['orders'], timeoutMs })).responses[0]?.errorCode
  assert.equal(await refusal(5), code('TOPIC_DELETION_DISABLED'))
  assert.equal(await refusal(2), code('INVALID_REQUEST'))
  assert.equal((await call(Metadata, 13, { topics: null })).topics.length, 1)
})
