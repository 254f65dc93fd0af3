/** How our consumer fetches from each broker: sessions, epochs, truncated logs, broken connections; and that Java goes on where it stopped. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Admin, Consumer, type ConsumerOptions, LogTruncationError, Producer, string } from '@tidelog/client'
import { Fetch, type FetchRequest, iterateBatches, OffsetForLeaderEpoch } from '@tidelog/protocol'
import { ApiProxy } from '@tidelog/testkit'
import { type BrokerKind, type BrokerProcess, startBrokerProcess } from './harness.ts'

const kinds: readonly BrokerKind[] = ['kafka-4.3', 'kafka-3.9', 'tidelog']
const settings = { 'auto.create.topics.enable': 'false', 'offsets.topic.num.partitions': '1' }
const quick = { retryBackoffMs: 10, reconnectBackoffMs: 10, reconnectBackoffMaxMs: 100 }
const a = { topic: 'a', partition: 0 }
const numbers = (count: number, from = 0): string[] => Array.from({ length: count }, (_, i) => String(from + i))

interface Ground {
  readonly broker: BrokerProcess
  readonly proxy: ApiProxy
  readonly admin: Admin
  readonly producer: Producer<string, string>
  consumer(options?: ConsumerOptions<string, string>): Consumer<string, string>
}

async function groundOf(t: TestContext, kind: BrokerKind): Promise<Ground> {
  const broker = await startBrokerProcess(t, settings, kind)
  const proxy = await ApiProxy.start(t, { host: '127.0.0.1', port: broker.port, nodeId: 1 })
  const admin = new Admin({ ...quick, bootstrapServers: broker.bootstrap })
  const producer = new Producer<string, string>({
    ...quick,
    bootstrapServers: broker.bootstrap,
    valueSerializer: string,
    metadataMaxAgeMs: 500,
  })
  const consumers: Consumer<string, string>[] = []
  t.after(() => Promise.all([admin, producer, ...consumers].map((client) => client.close({ timeoutMs: 1000 }))))
  return {
    broker,
    proxy,
    admin,
    producer,
    consumer(options = {}) {
      const consumer = new Consumer<string, string>({
        ...quick,
        bootstrapServers: proxy.bootstrapServers,
        valueDeserializer: string,
        autoOffsetReset: 'earliest',
        fetchMaxWaitMs: 50,
        metadataMaxAgeMs: 300,
        ...options,
      })
      consumers.push(consumer)
      return consumer
    },
  }
}

/** Topics turn up a little after they were made. */
async function createTopic({ admin, producer }: Ground, topic: string, numPartitions: number): Promise<void> {
  await admin.createTopics([{ topic, numPartitions }])
  while ((await admin.describeTopics([topic]).catch(() => new Map())).get(topic)?.partitions.length !== numPartitions) {}
  while ((await producer.partitionsFor(topic)).length !== numPartitions) {}
}

async function read(consumer: Consumer<string, string>, count: number): Promise<(string | null)[]> {
  const values: (string | null)[] = []
  while (values.length < count) for (const { value } of await consumer.poll()) values.push(value)
  return values
}

async function pollUntil(consumer: Consumer<string, string>, condition: () => boolean): Promise<void> {
  while (!condition()) await consumer.poll({ timeoutMs: 20 })
}

const fetches = ({ proxy }: Ground): FetchRequest[] => proxy.requests(Fetch).map(({ request }) => request)
const forgotten = (request: FetchRequest): number[] => request.forgottenTopicsData.flatMap(({ partitions }) => partitions)
const named = (request: FetchRequest): number[] => request.topics.flatMap(({ partitions }) => partitions.map(({ partition }) => partition))

for (const kind of kinds) {
  test(`${kind}: one fetch session over pauses, a smaller assignment and a topic that is made anew`, async (t) => {
    const ground = await groundOf(t, kind)
    const { admin, producer } = ground
    await createTopic(ground, 'a', 20)
    await createTopic(ground, 'b', 1)
    const all = [...Array.from({ length: 20 }, (_, partition) => ({ topic: 'a', partition })), { topic: 'b', partition: 0 }]
    const consumer = ground.consumer()
    consumer.assign(all)
    await pollUntil(consumer, () => fetches(ground).length > 5)
    assert.equal(named(fetches(ground)[0]!).length, 21)
    assert.ok(
      fetches(ground)
        .slice(1)
        .every((request) => named(request).length === 0 && request.sessionId > 0),
    )
    consumer.pause([{ topic: 'a', partition: 3 }])
    await pollUntil(consumer, () => fetches(ground).some((request) => forgotten(request).includes(3)))
    await producer.sendMany(all.map(({ topic, partition }) => ({ topic, partition, value: `${topic}${partition}` })))
    await producer.sendMany(['again', 'and again'].map((value) => ({ topic: 'b', partition: 0, value })))
    const most = await read(consumer, 22)
    assert.ok(!most.includes('a3'))
    consumer.resume([{ topic: 'a', partition: 3 }])
    assert.deepEqual(await read(consumer, 1), ['a3'])
    consumer.assign(all.slice(0, 10))
    await pollUntil(consumer, () => fetches(ground).some((request) => forgotten(request).length > 10))
    consumer.assign(all)
    await producer.send({ topic: 'a', partition: 15, value: 'back' })
    assert.ok((await read(consumer, 1 + 13)).includes('back'), 'partitions that were given up begin anew')
    // The same name, another topic.
    await admin.deleteTopics(['b'])
    const isGone = async () => !(await admin.listTopics()).some((topic) => JSON.stringify(topic).includes('"b"'))
    while (!(await isGone())) await consumer.poll({ timeoutMs: 20 })
    await pollUntil(consumer, () => fetches(ground).some(({ forgottenTopicsData }) => forgottenTopicsData.length === 1))
    await admin.createTopics([{ topic: 'b', numPartitions: 1 }])
    // Its one record is before the old position, which is out of range here.
    await producer.send({ topic: 'b', partition: 0, value: 'new b' })
    assert.deepEqual(await read(consumer, 1), ['new b'])
    assert.equal(fetches(ground).filter(({ sessionEpoch }) => sessionEpoch === 0).length, 1, 'one session all the time')
    await consumer.close()
    assert.equal(fetches(ground).at(-1)!.sessionEpoch, -1)
  })

  test(`${kind}: sessions that a restarted broker does not know begin anew`, async (t) => {
    const ground = await groundOf(t, kind)
    const { broker, producer } = ground
    await createTopic(ground, 'a', 3)
    const consumer = ground.consumer()
    consumer.assign([0, 1, 2].map((partition) => ({ topic: 'a', partition })))
    const seen: (string | null)[] = []
    for (let round = 0; round < 3; round++) {
      await producer.sendMany(numbers(30, round * 30).map((value, i) => ({ topic: 'a', partition: i % 3, value })))
      seen.push(...(await read(consumer, 30)))
      if (round < 2) await broker.crash()
    }
    assert.deepEqual(
      seen.map(Number).sort((x, y) => x - y),
      numbers(90).map(Number),
    )
  })

  test(`${kind}: a log that lost its end is noticed by its epochs: on at the common end, or a LogTruncationError`, async (t) => {
    const ground = await groundOf(t, kind)
    const { broker, producer } = ground
    await createTopic(ground, 'a', 1)
    for (const value of numbers(10)) await producer.send({ ...a, value })
    const lenient = ground.consumer({ groupId: 'g', enableAutoCommit: false })
    const strict = ground.consumer({ autoOffsetReset: 'none' })
    lenient.assign([a])
    strict.assign([a])
    strict.seek(a, 0)
    assert.deepEqual(await read(lenient, 10), numbers(10))
    assert.deepEqual(await read(strict, 10), numbers(10))
    await lenient.commit()
    const before = (await lenient.committed([a])).get(a)!
    assert.ok(before.leaderEpoch !== undefined && before.leaderEpoch >= 0)
    await broker.stop()
    loseFrom(join(broker.dir, 'a-0'), 6)
    rmSync(join(broker.dir, '.kafka_cleanshutdown'), { force: true })
    await broker.restart()
    const sender = new Producer<string, string>({ ...quick, bootstrapServers: broker.bootstrap, valueSerializer: string })
    t.after(() => sender.close({ timeoutMs: 1000 }))
    for (const value of numbers(8, 100)) await sender.send({ ...a, value })
    assert.deepEqual(await read(lenient, 8), numbers(8, 100))
    await assert.rejects(read(strict, 1), (error: unknown) => {
      assert.ok(error instanceof LogTruncationError, String(error))
      assert.deepEqual([error.position.offset, error.divergent?.offset], [10, 6])
      return true
    })
    strict.seek(a, 12)
    assert.deepEqual(await read(strict, 2), ['106', '107'])
    // Who starts from the committed offset of the log that was.
    const late = ground.consumer({ groupId: 'g', enableAutoCommit: false })
    late.assign([a])
    assert.deepEqual(await read(late, 8), numbers(8, 100))
    assert.ok(ground.proxy.requests(OffsetForLeaderEpoch).length >= 3)
  })

  test(`${kind}: reset by duration, offsets by time and at the ends, lag`, async (t) => {
    const ground = await groundOf(t, kind)
    const { producer } = ground
    await createTopic(ground, 'a', 1)
    const hourMs = 3_600_000
    const now = Date.now()
    for (const [i, ageMs] of [3 * hourMs, 2 * hourMs, hourMs / 2, 0].entries()) {
      await producer.send({ ...a, value: String(i), timestamp: now - ageMs })
    }
    const starting = async (autoOffsetReset: string) => {
      const consumer = ground.consumer({ autoOffsetReset })
      consumer.assign([a])
      return consumer.position(a)
    }
    assert.deepEqual(
      [await starting('by_duration:PT150M'), await starting('by_duration:PT1H'), await starting('by_duration:P100000D')],
      [1, 2, 0],
    )
    assert.deepEqual([await starting('latest'), await starting('earliest')], [4, 0])
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.equal(await starting('by_duration:PT0.001S'), 4, 'no record is as young: the end')
    const consumer = ground.consumer()
    assert.deepEqual((await consumer.offsetsForTimes([{ ...a, timestamp: now - hourMs }])).get(a)?.offset, 2)
    assert.deepEqual([(await consumer.beginningOffsets([a])).get(a), (await consumer.endOffsets([a])).get(a)], [0, 4])
    for (const nowhere of [
      { topic: 'nowhere', partition: 0 },
      { topic: 'a', partition: 9 },
    ]) {
      for (const ask of [
        () => consumer.endOffsets([nowhere], { timeoutMs: 300 }),
        () => consumer.beginningOffsets([nowhere], { timeoutMs: 300 }),
        () => consumer.offsetsForTimes([{ ...nowhere, timestamp: 0 }], { timeoutMs: 300 }),
      ]) {
        await assert.rejects(ask, (error: { code: string }) => ['TIMEOUT', 'UNKNOWN_TOPIC_OR_PARTITION'].includes(error.code))
      }
    }
    consumer.assign([a])
    await read(consumer, 4)
    consumer.seek(a, 1)
    assert.equal(consumer.currentLag(a), 3)
    assert.equal(consumer.metrics().find(({ name }) => name === 'records-lag-max')?.value, 3)
  })
}

/** Cuts a partition's log before the batch that holds `offset`. */
function loseFrom(dir: string, offset: number): void {
  for (const name of readdirSync(dir).filter((file) => file.endsWith('.log'))) {
    const path = join(dir, name)
    let bytes = 0
    for (const batch of iterateBatches(readFileSync(path))) if (batch.lastOffset < offset) bytes += batch.sizeBytes
    truncateSync(path, bytes)
  }
}
