import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { FramedConnection } from '@tidelog/net'
import { DeleteTopics, Fetch, iterateBatches, Produce, prepareCodec, type RequestInput } from '@tidelog/protocol'
import { batchOf, connectTo, createTopic, recordsIn, startTestBroker, temporaryDirectory } from '@tidelog/testkit'

async function start(t: TestContext, config: Record<string, string> = {}) {
  const broker = await startTestBroker({ config })
  t.after(() => broker.close())
  return { broker, connection: await connectTo(t, broker) }
}

type FetchInput = RequestInput<typeof Fetch>
const ask = (
  topic: string,
  fetchOffset: number,
  rest: { partition?: number; partitionMaxBytes?: number; currentLeaderEpoch?: number } = {},
) => ({
  topic,
  partitions: [{ partition: 0, partitionMaxBytes: 2 ** 20, fetchOffset, ...rest }],
})
const fetch = (connection: FramedConnection, topics: FetchInput['topics'], rest: Partial<FetchInput> = {}, version = 12) =>
  connection.send(Fetch, version, { replicaId: -1, maxWaitMs: 0, minBytes: 1, topics, forgottenTopicsData: [], ...rest })

async function produce(connection: FramedConnection, topic: string, records: Buffer, index = 0): Promise<void> {
  const { responses } = await connection.send(Produce, 9, {
    transactionalId: null,
    acks: -1,
    timeoutMs: 1000,
    topicData: [{ name: topic, partitionData: [{ index, records }] }],
  })
  assert.equal(responses[0]!.partitionResponses[0]!.errorCode, 0)
}

const row = async (answer: ReturnType<typeof fetch>, topic = 0) => (await answer).responses[topic]!.partitions[0]!

test('whole batches are read, with the watermarks; before the start and behind the end is error 1', async (t) => {
  const { connection } = await start(t)
  await createTopic(connection, 'f')
  await produce(connection, 'f', batchOf([{ value: 'a' }, { value: 'b' }]))
  await produce(connection, 'f', batchOf([{ value: 'c' }]))
  const middle = await row(fetch(connection, [ask('f', 1)]))
  assert.deepEqual([middle.errorCode, middle.highWatermark, middle.lastStableOffset, middle.logStartOffset], [0, 3, 3, 0])
  assert.deepEqual(
    recordsIn(middle.records).map(({ value }) => value),
    ['a', 'b', 'c'],
  )
  const end = await row(fetch(connection, [ask('f', 3)]))
  assert.deepEqual([end.errorCode, end.records?.length], [0, 0])
  for (const offset of [4, -1, 2 ** 53]) {
    const outside = await row(fetch(connection, [ask('f', offset === 2 ** 53 ? Number.MAX_SAFE_INTEGER : offset)]))
    assert.deepEqual([outside.errorCode, outside.highWatermark], [1, -1])
  }
  assert.equal((await row(fetch(connection, [ask('missing', 0)]))).errorCode, 3)
  assert.equal((await row(fetch(connection, [ask('f', 0, { partition: 9 })]))).errorCode, 3)
})

test('a fetch waits for min bytes and is woken by the append, or answered empty after max wait', async (t) => {
  const { broker, connection } = await start(t)
  const producer = await connectTo(t, broker)
  await createTopic(connection, 'wait')
  const waiting = row(fetch(connection, [ask('wait', 0)], { maxWaitMs: 10_000 }))
  await produce(producer, 'wait', batchOf([{ value: 'now' }]))
  assert.deepEqual(
    recordsIn((await waiting).records).map(({ value }) => value),
    ['now'],
  )
  const larger = row(fetch(connection, [ask('wait', 1)], { maxWaitMs: 10_000, minBytes: 150 }))
  for (let count = 0; count < 3; count++) await produce(producer, 'wait', batchOf())
  assert.ok((await larger).records!.length >= 150)
  const began = Date.now()
  const empty = await row(fetch(connection, [ask('wait', 4)], { maxWaitMs: 60 }))
  assert.equal(empty.records?.length, 0)
  assert.ok(Date.now() - began >= 55)
})

test('the first batch is given though it is larger than the limits; the others must fit', async (t) => {
  const { connection } = await start(t)
  await createTopic(connection, 'big', { partitions: 2 })
  await produce(connection, 'big', batchOf([{ value: 'x'.repeat(5000) }]))
  await produce(connection, 'big', batchOf([{ value: 'y'.repeat(5000) }]))
  await produce(connection, 'big', batchOf([{ value: 'z'.repeat(5000) }]), 1)
  const both = [{ topic: 'big', partitions: [0, 1].map((partition) => ({ partition, fetchOffset: 0, partitionMaxBytes: 100 })) }]
  const { responses } = await fetch(connection, both)
  const counts = responses[0]!.partitions.map(({ records }) => [...iterateBatches(records!)].length)
  assert.deepEqual(counts, [1, 0])
  const limited = await fetch(
    connection,
    [{ topic: 'big', partitions: [0, 1].map((partition) => ({ partition, fetchOffset: 0, partitionMaxBytes: 2 ** 20 })) }],
    { maxBytes: 8000 },
  )
  assert.deepEqual(
    limited.responses[0]!.partitions.map(({ records }) => [...iterateBatches(records!)].length),
    [1, 0],
  )
})

test('a session sends only what is new, and its errors say what is wrong with it', async (t) => {
  const { connection } = await start(t, { 'max.incremental.fetch.session.cache.slots': '2' })
  await createTopic(connection, 's', { partitions: 2 })
  const both = [{ topic: 's', partitions: [0, 1].map((partition) => ({ partition, fetchOffset: 0, partitionMaxBytes: 1000 })) }]
  const full = await fetch(connection, both, { sessionId: 0, sessionEpoch: 0 })
  assert.ok(full.sessionId > 0)
  const none = await fetch(connection, [], { sessionId: full.sessionId, sessionEpoch: 1 })
  assert.deepEqual([none.errorCode, none.sessionId, none.responses], [0, full.sessionId, []])
  await produce(connection, 's', batchOf(), 1)
  const some = await fetch(connection, [], { sessionId: full.sessionId, sessionEpoch: 2 })
  assert.deepEqual(
    some.responses[0]!.partitions.map(({ partitionIndex }) => partitionIndex),
    [1],
  )
  assert.equal((await fetch(connection, [], { sessionId: full.sessionId, sessionEpoch: 9 })).errorCode, 71)
  assert.equal((await fetch(connection, [], { sessionId: 12345, sessionEpoch: 1 })).errorCode, 70)
  assert.equal((await fetch(connection, [], { sessionId: full.sessionId, sessionEpoch: 3 }, 13)).errorCode, 106)
  assert.ok((await fetch(connection, both, { sessionEpoch: 0 })).sessionId > 0)
  const beyond = await fetch(connection, both, { sessionEpoch: 0 })
  assert.deepEqual([beyond.errorCode, beyond.sessionId], [0, 0], 'the cache is full: the fetch is served without a session')
})

test('topics are named by id from version 13 on; an unknown id is error 100', async (t) => {
  const { connection } = await start(t)
  const topicId = await createTopic(connection, 'id')
  await produce(connection, 'id', batchOf([{ value: 'by id' }]))
  const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }]
  for (const version of [13, 16, 18]) {
    const found = (await fetch(connection, [{ topicId, partitions }], {}, version)).responses[0]!
    assert.equal(found.topicId, topicId)
    assert.equal(recordsIn(found.partitions[0]!.records)[0]?.value, 'by id')
  }
  assert.equal((await row(fetch(connection, [{ topicId: 'BAAAAAAAAAAAAAAAAAAAAA', partitions }], {}, 13))).errorCode, 100)
})

test('old versions get message sets, which cannot hold zstd; a topic of zstd is error 76 below version 10', async (t) => {
  const { connection } = await start(t)
  await createTopic(connection, 'old')
  await produce(connection, 'old', batchOf([{ value: 'a' }, { value: 'b', timestamp: 1234 }]))
  await produce(connection, 'old', batchOf([{ value: 'c' }, { value: 'd' }], 'gzip'))
  for (const [version, magic] of [
    [0, 0],
    [1, 0],
    [2, 1],
    [3, 1],
    [4, 2],
  ] as const) {
    const { records } = await row(fetch(connection, [ask('old', 1)], {}, version))
    assert.ok(
      [...iterateBatches(records!)].every((batch) => batch.magic === magic),
      `version ${version}`,
    )
    const read = recordsIn(records).filter(({ offset }) => offset >= 1)
    assert.deepEqual(
      read.map(({ offset, value }) => [offset, value]),
      [
        [1, 'b'],
        [2, 'c'],
        [3, 'd'],
      ],
    )
    if (magic === 1) assert.equal(read[0]!.timestamp, 1234)
  }
  await prepareCodec('zstd')
  await produce(connection, 'old', batchOf([{ value: 'e' }], 'zstd'))
  for (const version of [0, 3]) assert.equal((await row(fetch(connection, [ask('old', 4)], {}, version))).errorCode, 76)
  const before = await row(fetch(connection, [ask('old', 0)], {}, 3))
  assert.deepEqual([before.errorCode, recordsIn(before.records).length], [0, 4])
  for (const version of [4, 9, 10]) assert.equal((await row(fetch(connection, [ask('old', 4)], {}, version))).errorCode, 0)
  await createTopic(connection, 'zstd', { configs: { 'compression.type': 'zstd' } })
  await produce(connection, 'zstd', batchOf())
  for (const version of [4, 9]) assert.equal((await row(fetch(connection, [ask('zstd', 0)], {}, version))).errorCode, 76)
  assert.equal((await row(fetch(connection, [ask('zstd', 0)], {}, 10))).errorCode, 0)
})

test('memory of answers is used again only when they have left: many readers of cold segments each get what is theirs', async (t) => {
  const dir = await temporaryDirectory(t)
  const config = { 'log.dirs': dir }
  const first = await startTestBroker({ config })
  const writer = await connectTo(t, first)
  await createTopic(writer, 'cold')
  const batches = 60
  const value = (offset: number) => `${offset}:`.padEnd(40_000 + ((offset * 7919) % 60_000), String(offset % 10))
  for (let offset = 0; offset < batches; offset++) await produce(writer, 'cold', batchOf([{ value: value(offset) }]))
  writer.close()
  await first.close()
  const { broker } = await start(t, config) // what it knows of the log lies on disk only
  const readers = Array.from({ length: 8 }, async (_none, reader) => {
    const connection = await connectTo(t, broker)
    for (let offset = reader * 5; offset < batches; ) {
      const { records } = await row(fetch(connection, [ask('cold', offset, { partitionMaxBytes: 100_000 + reader * 70_000 })]))
      for (const batch of iterateBatches(records!)) assert.ok(batch.isCrcValid)
      for (const record of recordsIn(records)) {
        assert.equal(record.offset, offset)
        assert.equal(record.value, value(offset++))
      }
    }
  })
  await Promise.all(readers)
})

test("an epoch that is not the leader's, and a fetch of no replica, are refused", async (t) => {
  const { connection } = await start(t)
  await createTopic(connection, 'epoch')
  assert.equal((await row(fetch(connection, [ask('epoch', 0, { currentLeaderEpoch: 0 })]))).errorCode, 0)
  assert.equal((await row(fetch(connection, [ask('epoch', 0, { currentLeaderEpoch: 5 })]))).errorCode, 75)
  assert.equal((await row(fetch(connection, [ask('epoch', 0)], { replicaId: 7 }))).errorCode, 6)
})

test('an unknown topic does not end the wait for the others, but a topic that goes meanwhile does', async (t) => {
  const { broker, connection } = await start(t)
  const other = await connectTo(t, broker)
  for (const topic of ['there', 'going']) await createTopic(connection, topic)
  const waiting = fetch(connection, [ask('missing', 0), ask('there', 0)], { maxWaitMs: 10_000 })
  await produce(other, 'there', batchOf([{ value: 'now' }]))
  assert.equal((await row(waiting)).errorCode, 3)
  assert.equal(recordsIn((await row(waiting, 1)).records).length, 1)
  const bereft = fetch(connection, [ask('missing', 0), ask('there', 1), ask('going', 0)], { maxWaitMs: 60_000 })
  await other.send(DeleteTopics, 5, { topicNames: ['going'], timeoutMs: 5000 })
  assert.deepEqual([(await row(bereft, 1)).errorCode, (await row(bereft, 2)).errorCode], [0, 3])
  // With nothing else to wait for, the error comes at once.
  assert.equal((await row(fetch(connection, [ask('missing', 0)], { maxWaitMs: 60_000 }))).errorCode, 3)
})

test('an isolation level that means nothing is refused', async (t) => {
  const { connection } = await start(t)
  await createTopic(connection, 'f')
  const answer = await fetch(connection, [ask('f', 0)], { isolationLevel: 2 })
  assert.deepEqual([answer.errorCode, answer.responses], [42, []])
})
