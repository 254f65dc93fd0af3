import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { ApiVersions, OffsetCommit, OffsetFetch } from '@tidelog/protocol'
import { type ProxiedClients, quickGroups, readValues, startProxied, until } from '@tidelog/testkit'
import type { TopicPartition } from '../topic-partition.ts'

const a: TopicPartition = { topic: 'a', partition: 0 }
const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i))
/** A topic that is deleted stays away until the test makes it anew. */
const config = { ...quickGroups, 'auto.create.topics.enable': 'false' }
const setUp = (t: TestContext): Promise<ProxiedClients> => startProxied(t, { topics: { a: 1 }, config })
const committedOffset = async ({ admin }: ProxiedClients) =>
  (await admin.listConsumerGroupOffsets(new Map([['g', undefined]]))).get('g')?.get(a)?.offset

for (const groupProtocol of ['classic', 'consumer'] as const) {
  test(`offsets are committed and asked for by the ids of their topics (${groupProtocol})`, async (t) => {
    const clients = await setUp(t)
    const { send, consumer: make, proxy, admin } = clients
    await send('a', 0, ...numbers(4))
    const consumer = make({ groupId: 'g', groupProtocol, enableAutoCommit: false, maxPollRecords: 2 })
    consumer.subscribe(['a'])
    await readValues(consumer, 2)
    await consumer.commit()
    await consumer.close()
    const { topicId } = (await admin.describeTopics(['a'])).get('a')!
    const { version, request } = proxy.requests(OffsetCommit).at(-1)!
    assert.deepEqual([version, request.topics[0]!.topicId, request.topics[0]!.name], [10, topicId, ''])
    assert.equal(await committedOffset(clients), 2)
    const other = make({ groupId: 'g', groupProtocol, enableAutoCommit: false })
    other.subscribe(['a'])
    assert.deepEqual(await readValues(other, 2), ['2', '3'])
    assert.deepEqual(
      proxy.requests(OffsetFetch).map(({ version, request }) => [version, request.groups[0]!.topics![0]!.topicId]),
      [
        [10, topicId],
        [10, topicId],
      ],
    )
  })
}

test('what was read of a topic that has been deleted is not committed to the one that has its name now', async (t) => {
  const clients = await setUp(t)
  const { send, consumer: make, admin, proxy } = clients
  await send('a', 0, ...numbers(3))
  const consumer = make({ groupId: 'g', enableAutoCommit: false })
  consumer.assign([a])
  await readValues(consumer, 3)
  consumer.pause([a])
  const before = (await admin.describeTopics(['a'])).get('a')!.topicId
  await admin.deleteTopics(['a'])
  await admin.createTopics([{ topic: 'a', numPartitions: 1 }])
  const { topicId } = (await admin.describeTopics(['a'])).get('a')!
  assert.notEqual(topicId, before)
  await assert.rejects(consumer.commit(), { code: 'UNKNOWN_TOPIC_ID' })
  assert.equal(await committedOffset(clients), undefined)
  await send('a', 0, 'new')
  consumer.resume([a])
  assert.deepEqual(await readValues(consumer, 1), ['new'])
  await consumer.commit()
  assert.equal(await committedOffset(clients), 1)
  assert.equal(proxy.requests(OffsetCommit).at(-1)!.request.topics[0]!.topicId, topicId)
})

test('a coordinator that has yet to hear of a new topic is asked again', async (t) => {
  const clients = await setUp(t)
  const { send, consumer: make, proxy } = clients
  await send('a', 0, 'v')
  const consumer = make({ groupId: 'g', enableAutoCommit: false })
  consumer.assign([a])
  await readValues(consumer, 1)
  let refusals = 1
  proxy.onAnswer(OffsetCommit, (answer) =>
    refusals-- > 0
      ? { ...answer, topics: answer.topics.map((topic) => ({ ...topic, partitions: [{ partitionIndex: 0, errorCode: 100 }] })) }
      : undefined,
  )
  await consumer.commit()
  assert.equal(refusals, -1)
})

test('topics go by name where an id is not known, or the broker takes none', async (t) => {
  const clients = await setUp(t)
  const { send, consumer: make, admin, proxy } = clients
  await admin.createTopics([{ topic: 'elsewhere', numPartitions: 1 }])
  await send('a', 0, 'v')
  const consumer = make({ groupId: 'g', enableAutoCommit: false })
  consumer.assign([a])
  await readValues(consumer, 1)
  await consumer.commit([{ topic: 'elsewhere', partition: 0, offset: 0 }])
  await consumer.committed([{ topic: 'elsewhere', partition: 0 }])
  const versions = () => [proxy.requests(OffsetCommit).at(-1)!.version, proxy.requests(OffsetFetch).at(-1)!.version]
  assert.deepEqual(versions(), [9, 9])
  await consumer.close()
  const old = [OffsetCommit.key, OffsetFetch.key]
  proxy.onAnswer(ApiVersions, (answer) => ({
    ...answer,
    apiKeys: answer.apiKeys.map((row) => (old.includes(row.apiKey) ? { ...row, maxVersion: 8 } : row)),
  }))
  const older = make({ groupId: 'g', enableAutoCommit: false })
  older.assign([a])
  await readValues(older, 1)
  await older.commit()
  assert.deepEqual(versions(), [8, 8])
  await until(async () => (await committedOffset(clients)) === 1)
})
