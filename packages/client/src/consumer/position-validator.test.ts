import assert from 'node:assert/strict'
import { readFile, rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Fetch, iterateBatches, Metadata, OffsetForLeaderEpoch } from '@tidelog/protocol'
import { FakeLeadership, freePort, pollUntil, readValues, startProxied, startTestBroker, temporaryDirectory } from '@tidelog/testkit'
import { LogTruncationError } from '../errors.ts'
import { Producer } from '../producer/producer.ts'
import { string } from '../serde/serde.ts'
import { Consumer } from './consumer.ts'
import type { ConsumerOptions } from './consumer-options.ts'

const a = { topic: 'a', partition: 0 }
const numbers = (count: number, from = 0): string[] => Array.from({ length: count }, (_, i) => String(from + i))

/** A broker that can be made to forget the end of its log, as a leader does that was not in sync when it was elected. */
async function forgetfulBroker(t: TestContext) {
  const dir = await temporaryDirectory(t)
  const config = { 'log.dirs': dir, listeners: `PLAINTEXT://127.0.0.1:${await freePort()}` }
  let broker = await startTestBroker({ config })
  const { bootstrapServers } = broker
  const quick = { bootstrapServers, retryBackoffMs: 5, reconnectBackoffMs: 5, reconnectBackoffMaxMs: 50, metadataMaxAgeMs: 50 }
  const producer = new Producer({ ...quick, valueSerializer: string })
  const consumers: Consumer<string, string>[] = []
  t.after(async () => {
    await Promise.all([producer, ...consumers].map((client) => client.close({ timeoutMs: 1000 })))
    await broker.close()
  })
  return {
    /** Each record is a batch of its own. */
    async send(...values: readonly string[]) {
      for (const value of values) await producer.send({ ...a, value })
    },
    consumer(options: ConsumerOptions<string, string>) {
      const consumer = new Consumer({ ...quick, valueDeserializer: string, autoOffsetReset: 'earliest', fetchMaxWaitMs: 50, ...options })
      consumers.push(consumer)
      return consumer
    },
    /** Everything from `offset` on is gone. */
    async loseFrom(offset: number) {
      await broker.close()
      const segment = join(dir, 'a-0', '00000000000000000000.log')
      let bytes = 0
      for (const batch of iterateBatches(await readFile(segment))) if (batch.lastOffset < offset) bytes += batch.sizeBytes
      await truncate(segment, bytes)
      await rm(join(dir, '.kafka_cleanshutdown'), { force: true })
      broker = await startTestBroker({ config })
    },
  }
}

test('a log that lost what was read: reading goes on at the end of the common part, and nothing behind it is left out', async (t) => {
  const { send, consumer: make, loseFrom } = await forgetfulBroker(t)
  await send(...numbers(10))
  const consumer = make({})
  consumer.assign([a])
  assert.deepEqual(await readValues(consumer, 10), numbers(10))
  await loseFrom(6)
  await send(...numbers(8, 100))
  assert.deepEqual(await readValues(consumer, 8), numbers(8, 100))
  assert.equal(await consumer.position(a), 14)
})

test('without a reset policy truncation is an error that names both places, until somebody seeks', async (t) => {
  const { send, consumer: make, loseFrom } = await forgetfulBroker(t)
  await send(...numbers(10))
  const consumer = make({ autoOffsetReset: 'none' })
  consumer.assign([a])
  consumer.seek(a, 0)
  assert.deepEqual(await readValues(consumer, 10), numbers(10))
  await loseFrom(4)
  await send(...numbers(3, 100))
  for (let times = 0; times < 2; times++) {
    const isTruncation = (error: unknown) => {
      assert.ok(error instanceof LogTruncationError)
      assert.deepEqual([error.topic, error.partition, error.position.offset, error.code], ['a', 0, 10, 'LOG_TRUNCATION'])
      assert.deepEqual(error.divergent, { offset: 4, leaderEpoch: error.position.leaderEpoch })
      return true
    }
    await assert.rejects(consumer.poll(), isTruncation)
  }
  consumer.seek(a, 5)
  assert.deepEqual(await readValues(consumer, 2), ['101', '102'])
})

test('a committed offset carries its epoch, and is checked before the first record is fetched', async (t) => {
  const { send, consumer: make, loseFrom } = await forgetfulBroker(t)
  await send(...numbers(10))
  const first = make({ groupId: 'g' })
  first.assign([a])
  await readValues(first, 10)
  await first.commit()
  const { leaderEpoch } = (await first.committed([a])).get(a)!
  assert.ok(leaderEpoch !== undefined && leaderEpoch >= 0)
  await first.close()
  await loseFrom(7)
  await send(...numbers(6, 100))
  const second = make({ groupId: 'g' })
  second.assign([a])
  assert.deepEqual(await readValues(second, 6), numbers(6, 100))
})

const noSessions = { 'max.incremental.fetch.session.cache.slots': '0' }

test('a leader that moves is asked about the position once, and then fetched from', async (t) => {
  const { proxy, send, consumer: make } = await startProxied(t, { nodes: [1, 2], config: noSessions })
  const leader = new FakeLeadership(proxy).of(0)
  const consumer = make()
  consumer.assign([a])
  await send('a', 0, ...numbers(5))
  assert.deepEqual(await readValues(consumer, 5), numbers(5))
  assert.deepEqual(proxy.requests(OffsetForLeaderEpoch), [])
  Object.assign(leader, { leaderId: 2, leaderEpoch: 3 })
  await send('a', 0, ...numbers(5, 5))
  assert.deepEqual(await readValues(consumer, 5), numbers(5, 5))
  const [check, ...others] = proxy.requests(OffsetForLeaderEpoch)
  assert.deepEqual(others, [])
  assert.equal(check!.nodeId, 2)
  const asked = check!.request.topics[0]!.partitions[0]!
  assert.deepEqual([asked.currentLeaderEpoch, asked.leaderEpoch], [3, 0])
  assert.equal(proxy.requests(Fetch).at(-1)!.nodeId, 2)
})

test('a refusal that names the new leader is followed without asking for metadata', async (t) => {
  const { proxy, send, consumer: make } = await startProxied(t, { nodes: [1, 2], config: noSessions })
  const leadership = new FakeLeadership(proxy)
  leadership.hints = true
  const consumer = make({ metadataMaxAgeMs: 300_000 })
  consumer.assign([a])
  await send('a', 0, ...numbers(5))
  assert.deepEqual(await readValues(consumer, 5), numbers(5))
  const before = proxy.requests(Metadata).length
  Object.assign(leadership.of(0), { leaderId: 2, leaderEpoch: 1 })
  await send('a', 0, ...numbers(5, 5))
  assert.deepEqual(await readValues(consumer, 5), numbers(5, 5))
  assert.equal(proxy.requests(Fetch).at(-1)!.nodeId, 2)
  assert.equal(proxy.requests(Metadata).length, before)
})

test('a stale epoch is fenced and learns the new one; an epoch that the broker does not know yet waits for it', async (t) => {
  const { proxy, send, consumer: make } = await startProxied(t, { config: noSessions })
  const leadership = new FakeLeadership(proxy)
  const leader = leadership.of(0)
  const consumer = make()
  consumer.assign([a])
  await send('a', 0, ...numbers(5))
  assert.deepEqual(await readValues(consumer, 5), numbers(5))
  leader.leaderEpoch = 5
  await send('a', 0, ...numbers(5, 5))
  assert.deepEqual(await readValues(consumer, 5), numbers(5, 5))
  // The controller has told the client and not the broker.
  leadership.stale = { leaderId: 1, leaderEpoch: 7 }
  await pollUntil(consumer, () => proxy.requests(OffsetForLeaderEpoch).filter(epochIs(7)).length >= 3)
  await send('a', 0, ...numbers(5, 10))
  leader.leaderEpoch = 7
  assert.deepEqual(await readValues(consumer, 5), numbers(5, 10))
})

const epochIs =
  (epoch: number) =>
  ({ request }: { request: { topics: readonly { partitions: readonly { currentLeaderEpoch: number }[] }[] } }): boolean =>
    request.topics[0]?.partitions[0]?.currentLeaderEpoch === epoch

test('metadata older than a committed epoch is not believed, until it stays that way', async (t) => {
  const { proxy, send, consumer: make } = await startProxied(t, { config: noSessions })
  const leader = new FakeLeadership(proxy).of(0)
  leader.leaderEpoch = 2
  await send('a', 0, ...numbers(5))
  const consumer = make({ groupId: 'g' })
  await consumer.commit([{ ...a, offset: 2, leaderEpoch: 4 }])
  consumer.assign([a])
  assert.equal(await consumer.position(a), 2)
  await consumer.poll({ timeoutMs: 1 })
  assert.equal(proxy.requests(Fetch).length, 0)
  leader.leaderEpoch = 4
  // The log knows of no epoch 4: by autoOffsetReset the beginning.
  assert.deepEqual(await readValues(consumer, 5), numbers(5))
})

for (const autoOffsetReset of ['earliest', 'none'] as const) {
  test(`a leader that knows nothing of the position's epoch: ${autoOffsetReset === 'none' ? 'an error' : 'the policy decides'}`, async (t) => {
    const { proxy, send, consumer: make } = await startProxied(t, { config: noSessions })
    const leader = new FakeLeadership(proxy).of(0)
    await send('a', 0, ...numbers(5))
    const consumer = make({ autoOffsetReset })
    consumer.assign([a])
    consumer.seek(a, { offset: 3, leaderEpoch: 0 })
    assert.deepEqual(await readValues(consumer, 2), ['3', '4'])
    proxy.onRequest(OffsetForLeaderEpoch, () => ({
      answer: { topics: [{ topic: 'a', partitions: [{ partition: 0, errorCode: 0, leaderEpoch: -1, endOffset: -1 }] }] },
    }))
    leader.leaderEpoch = 9
    if (autoOffsetReset === 'earliest') assert.deepEqual(await readValues(consumer, 5), numbers(5))
    else await assert.rejects(readValues(consumer, 1), { code: 'LOG_TRUNCATION', divergent: undefined })
  })
}

test('a leader that does not answer about positions holds up its own partitions only', async (t) => {
  const { proxy, send, consumer: make } = await startProxied(t, { topics: { a: 2 }, nodes: [1, 2], config: noSessions })
  const leadership = new FakeLeadership(proxy)
  leadership.of(1).leaderId = 2
  await send('a', 0, ...numbers(5))
  await send('a', 1, ...numbers(5, 5))
  const consumer = make()
  consumer.assign([a, { topic: 'a', partition: 1 }])
  await readValues(consumer, 10)
  proxy.down.add(2)
  proxy.breakAll()
  leadership.of(0).leaderEpoch = 1
  leadership.of(1).leaderEpoch = 1
  await send('a', 0, 'on')
  assert.deepEqual(await readValues(consumer, 1), ['on'])
  // The same for a lookup by seek.
  consumer.seekToBeginning()
  assert.deepEqual(await readValues(consumer, 6), [...numbers(5), 'on'])
  proxy.down.delete(2)
  assert.deepEqual(await readValues(consumer, 5), numbers(5, 5))
})

test('a seek to an offset with an epoch is checked, one without is not', async (t) => {
  const { proxy, send, consumer: make } = await startProxied(t)
  await send('a', 0, ...numbers(5))
  const consumer = make()
  consumer.assign([a])
  consumer.seek(a, 2)
  assert.deepEqual(await readValues(consumer, 3), ['2', '3', '4'])
  assert.equal(proxy.requests(OffsetForLeaderEpoch).length, 0)
  consumer.seek(a, { offset: 4, leaderEpoch: 0 })
  assert.deepEqual(await readValues(consumer, 1), ['4'])
  assert.equal(proxy.requests(OffsetForLeaderEpoch).length, 1)
})
