import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { crc32 } from 'node:zlib'
import type { FramedConnection } from '@tidelog/net'
import { buildBatch, Fetch, Produce, type RequestInput } from '@tidelog/protocol'
import { batchOf, connectTo, createTopic, recordsIn, startTestBroker } from '@tidelog/testkit'

type TopicData = RequestInput<typeof Produce>['topicData']

async function broker(t: TestContext) {
  const running = await startTestBroker()
  t.after(() => running.close())
  return connectTo(t, running)
}

const produce = (connection: FramedConnection, version: number, topicData: TopicData, acks = -1) =>
  connection.send(Produce, version, { transactionalId: null, acks, timeoutMs: 2000, topicData })

async function valuesIn(connection: FramedConnection, topic: string, partition = 0) {
  const { responses } = await connection.send(Fetch, 11, {
    replicaId: -1,
    maxWaitMs: 0,
    minBytes: 0,
    topics: [{ topic, partitions: [{ partition, fetchOffset: 0, partitionMaxBytes: 2 ** 20 }] }],
    forgottenTopicsData: [],
  })
  return recordsIn(responses[0]!.partitions[0]!.records).map(({ value }) => value)
}

/** One message of format v0 with a null key: offset, size, CRC-32 of the rest, magic, attributes, key, value. */
function oldMessage(value: string): Buffer {
  const text = Buffer.from(value)
  const message = Buffer.alloc(26 + text.length)
  message.writeInt32BE(14 + text.length, 8)
  message.writeInt32BE(-1, 18)
  message.writeInt32BE(text.length, 22)
  text.copy(message, 26)
  message.writeUInt32BE(crc32(message.subarray(16)), 12)
  return message
}

test('each partition is answered on its own: an error in one leaves its neighbours alone', async (t) => {
  const connection = await broker(t)
  await createTopic(connection, 'a', { partitions: 2 })
  const { responses } = await produce(connection, 9, [
    {
      name: 'a',
      partitionData: [
        { index: 0, records: batchOf([{ value: 'zero' }]) },
        { index: 7, records: batchOf() },
        { index: 1, records: batchOf([{}, {}]) },
      ],
    },
    { name: 'missing', partitionData: [{ index: 0, records: batchOf() }] },
  ])
  assert.deepEqual(
    responses.map(({ name, partitionResponses }) => [
      name,
      partitionResponses.map(({ index, errorCode, baseOffset }) => [index, errorCode, baseOffset]),
    ]),
    [
      [
        'a',
        [
          [0, 0, 0],
          [7, 3, -1],
          [1, 0, 0],
        ],
      ],
      ['missing', [[0, 3, -1]]],
    ],
  )
  assert.deepEqual(await valuesIn(connection, 'a'), ['zero'])
})

test('every version appends, message sets of versions 0 to 2 as a batch; version 13 names topics by id', async (t) => {
  const connection = await broker(t)
  const topicId = await createTopic(connection, 'all')
  const old = oldMessage('old')
  for (let version = 0; version <= 13; version++) {
    const records = version < 3 ? old : batchOf([{ value: `v${version}` }])
    const { responses } = await produce(connection, version, [
      version >= 13 ? { topicId, partitionData: [{ index: 0, records }] } : { name: 'all', partitionData: [{ index: 0, records }] },
    ])
    const row = responses[0]!.partitionResponses[0]!
    assert.deepEqual([row.errorCode, row.baseOffset], [0, version], `version ${version}: ${row.errorMessage}`)
  }
  assert.deepEqual(await valuesIn(connection, 'all'), ['old', 'old', 'old', ...Array.from({ length: 11 }, (_, index) => `v${index + 3}`)])
  const unknown = await produce(connection, 13, [{ topicId: 'BAAAAAAAAAAAAAAAAAAAAA', partitionData: [{ index: 0, records: batchOf() }] }])
  assert.equal(unknown.responses[0]!.partitionResponses[0]!.errorCode, 100)
})

test('with acks=0 there is no answer, and requests behind it see what it appended', async (t) => {
  const connection = await broker(t)
  await createTopic(connection, 'zero')
  for (let index = 0; index < 20; index++) {
    await connection.sendNoResponse(Produce, 9, {
      transactionalId: null,
      acks: 0,
      timeoutMs: 1000,
      topicData: [{ name: 'zero', partitionData: [{ index: 0, records: batchOf([{ value: `${index}` }]) }] }],
    })
  }
  assert.deepEqual(
    await valuesIn(connection, 'zero'),
    Array.from({ length: 20 }, (_, index) => `${index}`),
  )
})

test('pipelined requests are appended in order of arrival', async (t) => {
  const connection = await broker(t)
  await createTopic(connection, 'order')
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, index) =>
      produce(connection, 9, [{ name: 'order', partitionData: [{ index: 0, records: batchOf([{ value: `${index}` }]) }] }], 1),
    ),
  )
  assert.deepEqual(
    answers.map(({ responses }) => responses[0]!.partitionResponses[0]!.baseOffset),
    Array.from({ length: 100 }, (_, index) => index),
  )
  assert.deepEqual(
    await valuesIn(connection, 'order'),
    Array.from({ length: 100 }, (_, index) => `${index}`),
  )
})

test('LogAppendTime is answered and stamped, CreateTime is -1; timestamps out of bounds are refused by record', async (t) => {
  const connection = await broker(t)
  await createTopic(connection, 'append-time', { configs: { 'message.timestamp.type': 'LogAppendTime' } })
  await createTopic(connection, 'create-time', { configs: { 'message.timestamp.after.max.ms': '1000' } })
  const appendTime = await produce(connection, 9, [{ name: 'append-time', partitionData: [{ index: 0, records: batchOf() }] }])
  const stamped = appendTime.responses[0]!.partitionResponses[0]!
  assert.ok(Math.abs(stamped.logAppendTimeMs - Date.now()) < 10_000)
  const late = batchOf([{ timestamp: Date.now() }, { timestamp: Date.now() + 3_600_000 }])
  const refused = (await produce(connection, 9, [{ name: 'create-time', partitionData: [{ index: 0, records: late }] }])).responses[0]!
    .partitionResponses[0]!
  assert.equal(refused.errorCode, 32)
  assert.deepEqual(
    refused.recordErrors.map(({ batchIndex }) => batchIndex),
    [1],
  )
  const taken = (await produce(connection, 9, [{ name: 'create-time', partitionData: [{ index: 0, records: batchOf() }] }])).responses[0]!
    .partitionResponses[0]!
  assert.deepEqual([taken.errorCode, taken.logAppendTimeMs], [0, -1])
})

test('versions 0 to 2 take nothing for an answer, and batches as they are, as long as no transaction hides in them', async (t) => {
  const connection = await broker(t)
  await createTopic(connection, 'old')
  const send = async (records: Buffer) => {
    const { responses } = await produce(connection, 2, [{ name: 'old', partitionData: [{ index: 0, records }] }])
    const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!
    return [errorCode, baseOffset]
  }
  assert.deepEqual(await send(Buffer.alloc(0)), [0, -1])
  assert.deepEqual(await send(Buffer.from('cut')), [0, -1])
  assert.deepEqual(await send(Buffer.concat([batchOf(), batchOf([{ value: 'second' }])])), [0, 0])
  const options = { producerId: 5, producerEpoch: 0, baseSequence: 0, isTransactional: true }
  assert.deepEqual(await send(Buffer.concat([batchOf(), buildBatch([{ value: Buffer.from('t') }], options)])), [53, -1])
  assert.deepEqual(await valuesIn(connection, 'old'), ['v', 'second'])
})

test('a refusal by the log says where it starts and which records are to blame, the first reason of each', async (t) => {
  const connection = await broker(t)
  await createTopic(connection, 'keys', { configs: { 'cleanup.policy': 'compact', 'message.timestamp.before.max.ms': '3600000' } })
  const now = Date.now()
  const records = batchOf([{ timestamp: now }, { timestamp: 5, key: null }, { timestamp: 7, key: Buffer.from('k') }])
  const { responses } = await produce(connection, 9, [{ name: 'keys', partitionData: [{ index: 0, records }] }])
  const row = responses[0]!.partitionResponses[0]!
  assert.deepEqual([row.errorCode, row.logStartOffset], [32, 0])
  const [keyless, late] = row.recordErrors
  assert.deepEqual(keyless, {
    batchIndex: 1,
    batchIndexErrorMessage: 'Compacted topic cannot accept message without key in topic partition keys-0',
  })
  assert.match(late!.batchIndexErrorMessage!, /^Timestamp 7 of message with offset 2 is out of range/)
})
