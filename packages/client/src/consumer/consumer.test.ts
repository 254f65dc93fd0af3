import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { startTestBroker } from '@tidelog/testkit'
import { Admin } from '../admin/admin.ts'
import { Producer } from '../producer/producer.ts'
import { bytes, int32, json, string } from '../serde/serde.ts'
import type { TopicPartition } from '../topic-partition.ts'
import { Consumer } from './consumer.ts'
import type { ConsumerOptions } from './consumer-options.ts'

interface Setup {
  readonly bootstrapServers: string
  readonly admin: Admin
  /** Sends values to a partition of topic `a`, one by one. */
  readonly send: (partition: number, ...values: readonly string[]) => Promise<void>
  readonly consumer: (options?: ConsumerOptions<string, string>) => Consumer<string, string>
}

/** A broker with topic `a`, and clients that go with the test. */
async function setUp(t: TestContext, { partitions = 1 }: { partitions?: number } = {}): Promise<Setup> {
  const broker = await startTestBroker()
  const { bootstrapServers } = broker
  const admin = new Admin({ bootstrapServers })
  const producer = new Producer({ bootstrapServers, valueSerializer: string })
  const consumers: Consumer<string, string>[] = []
  t.after(async () => {
    await Promise.all(consumers.map((consumer) => consumer.close({ timeoutMs: 2000 })))
    await producer.close()
    await admin.close()
    await broker.close()
  })
  await admin.createTopics([{ topic: 'a', numPartitions: partitions }])
  return {
    bootstrapServers,
    admin,
    send: async (partition, ...values) => void (await producer.sendMany(values.map((value) => ({ topic: 'a', partition, value })))),
    consumer(options = {}) {
      const consumer = new Consumer({
        bootstrapServers,
        keyDeserializer: string,
        valueDeserializer: string,
        autoOffsetReset: 'earliest',
        heartbeatIntervalMs: 50,
        metadataMaxAgeMs: 1000,
        fetchMaxWaitMs: 100,
        ...options,
      })
      consumers.push(consumer)
      return consumer
    },
  }
}

const a = (partition: number): TopicPartition => ({ topic: 'a', partition })
const numbers = (count: number, from = 0): string[] => Array.from({ length: count }, (_, i) => String(from + i))

/** Polls until `count` records have come. */
async function read(consumer: Consumer<string, string>, count: number): Promise<string[]> {
  const values: string[] = []
  while (values.length < count) for (const { value } of await consumer.poll()) values.push(value!)
  return values
}

/** Polls until the condition holds; what a poll brings is forgotten. */
async function pollUntil(consumer: Consumer<string, string>, condition: () => boolean): Promise<void> {
  while (!condition()) await consumer.poll({ timeoutMs: 20 })
}

test('an assigned consumer reads from where it is told: seek, beginning, end, pause and resume', async (t) => {
  const { send, consumer: make } = await setUp(t, { partitions: 2 })
  await send(0, ...numbers(10))
  await send(1, ...numbers(10, 100))
  const consumer = make()
  consumer.assign([a(0), a(1)])
  consumer.pause([a(1)])
  assert.deepEqual(consumer.paused(), [a(1)])
  assert.deepEqual(await read(consumer, 10), numbers(10))
  assert.equal(await consumer.position(a(0)), 10)
  assert.equal(consumer.highWatermark(a(0)), 10)
  consumer.seek(a(0), 7)
  assert.deepEqual(await read(consumer, 3), ['7', '8', '9'])
  consumer.resume([a(1)])
  consumer.seekToEnd([a(0)])
  assert.equal((await read(consumer, 10)).length, 10)
  assert.equal(await consumer.position(a(0)), 10)
  consumer.seekToBeginning([a(0)])
  const polled = await consumer.poll({ maxRecords: 4 })
  assert.equal(polled.count, 4)
  assert.deepEqual(polled.partitions(), [a(0)])
  assert.deepEqual(
    polled.of(a(0)).map(({ offset }) => offset),
    [0, 1, 2, 3],
  )
  assert.deepEqual(polled.offsets(), [{ topic: 'a', partition: 0, offset: 4, leaderEpoch: 0 }])
  assert.throws(() => consumer.seek(a(7), 0), { code: 'ILLEGAL_STATE' })
  assert.throws(() => consumer.subscribe(['a']), { code: 'ILLEGAL_STATE' })
})

test('poll() returns when its time is up, when its signal aborts, and when the consumer closes', async (t) => {
  const { consumer: make } = await setUp(t)
  const consumer = make()
  consumer.assign([a(0)])
  assert.equal((await consumer.poll({ timeoutMs: 10 })).count, 0)
  const reason = new Error('enough')
  await assert.rejects(consumer.poll({ signal: AbortSignal.abort(reason) }), reason)
  const abort = new AbortController()
  const waiting = consumer.poll({ signal: abort.signal })
  await assert.rejects(consumer.poll(), { code: 'ILLEGAL_STATE' })
  abort.abort(reason)
  await assert.rejects(waiting, reason)
  const last = consumer.poll()
  const closed = assert.rejects(last, { code: 'CLOSED' })
  assert.equal(consumer.close(), consumer.close())
  await closed
  await consumer.close()
})

test('offsets by time, at the ends, and committed ones', async (t) => {
  const { send, consumer: make, bootstrapServers } = await setUp(t)
  const producer = new Producer({ bootstrapServers, valueSerializer: string })
  for (const timestamp of [1000, 2000, 3000]) await producer.send({ topic: 'a', partition: 0, value: 'v', timestamp })
  await producer.close()
  const consumer = make({ groupId: 'g' })
  assert.deepEqual((await consumer.offsetsForTimes([{ ...a(0), timestamp: 1500 }])).get(a(0)), {
    offset: 1,
    timestamp: 2000,
    leaderEpoch: 0,
  })
  assert.equal((await consumer.offsetsForTimes([{ ...a(0), timestamp: 9000 }])).size, 0)
  assert.equal((await consumer.beginningOffsets([a(0)])).get(a(0)), 0)
  assert.equal((await consumer.endOffsets([a(0)])).get(a(0)), 3)
  assert.equal((await consumer.committed([a(0)])).size, 0)
  await consumer.commit([{ ...a(0), offset: 2, metadata: 'here' }])
  assert.deepEqual((await consumer.committed([a(0)])).get(a(0)), { offset: 2, metadata: 'here' })
  consumer.assign([a(0)])
  await send(0, 'last')
  assert.deepEqual(await read(consumer, 2), ['v', 'last'])
  assert.deepEqual(
    [...(await consumer.topics()).keys()].filter((name) => name === 'a'),
    ['a'],
  )
  assert.equal((await consumer.partitionsFor('a'))[0]!.leaderId, 1)
})

test('records(): what the loop has come back from is committed, the record it broke off at is not', async (t) => {
  const { send, consumer: make, admin } = await setUp(t)
  await send(0, ...numbers(20))
  const consumer = make({ groupId: 'g' })
  consumer.subscribe(['a'])
  const seen: string[] = []
  for await (const { value } of consumer.records()) {
    seen.push(value!)
    if (seen.length === 8) break
  }
  await consumer.close()
  assert.deepEqual(seen, numbers(8))
  assert.equal((await admin.listConsumerGroupOffsets('g')).get(a(0))?.offset, 7)
  assert.deepEqual(await admin.listGroups(), [{ groupId: 'g', protocolType: 'consumer', state: 'Empty', type: 'classic' }])
})

test('records() end with the consumer, and throw the reason of their signal', async (t) => {
  const { send, consumer: make } = await setUp(t)
  await send(0, 'v')
  const consumer = make()
  consumer.assign([a(0)])
  const reason = new Error('enough')
  const abort = new AbortController()
  await assert.rejects(async () => {
    for await (const _ of consumer.records({ signal: abort.signal })) abort.abort(reason)
  }, reason)
  consumer.seek(a(0), 0)
  let count = 0
  for await (const _ of consumer.records()) {
    count++
    void consumer.close()
  }
  assert.equal(count, 1)
})

test('batches() are of one partition each and commit themselves', async (t) => {
  const { send, consumer: make, admin } = await setUp(t, { partitions: 2 })
  await send(0, ...numbers(5))
  await send(1, ...numbers(5))
  const consumer = make({ groupId: 'g', enableAutoCommit: false, maxPollRecords: 3 })
  consumer.subscribe(['a'])
  let count = 0
  for await (const batch of consumer.batches()) {
    assert.ok(batch.count <= 3)
    assert.ok([...batch].every(({ partition }) => partition === batch.partition))
    await batch.commit()
    count += batch.count
    if (count === 10) break
  }
  const committed = await admin.listConsumerGroupOffsets('g')
  assert.deepEqual([committed.get(a(0))?.offset, committed.get(a(1))?.offset], [5, 5])
})

test('run(): each partition in order, a slow one holds up no other, an error ends it and its record stays uncommitted', async (t) => {
  const { send, consumer: make, admin } = await setUp(t, { partitions: 3 })
  for (const partition of [0, 1, 2]) await send(partition, ...numbers(10))
  const consumer = make({ groupId: 'g' })
  consumer.subscribe(['a'])
  const seen: string[][] = [[], [], []]
  let release!: () => void
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const running = consumer.run({
    partitionConcurrency: 3,
    async eachRecord({ partition, value }) {
      seen[partition]!.push(value!)
      if (partition === 0 && value === '2') await released
      if (seen[1]!.length === 10 && seen[2]!.length === 10) release()
      if (partition === 0 && value === '5') throw new Error('cannot do this one')
    },
  })
  await assert.rejects(running, /cannot do this one/)
  assert.deepEqual(seen, [numbers(6), numbers(10), numbers(10)])
  await consumer.close()
  const committed = await admin.listConsumerGroupOffsets('g')
  assert.deepEqual(
    [0, 1, 2].map((partition) => committed.get(a(partition))?.offset),
    [5, 10, 10],
  )
})

test('run() resolves when its signal aborts, after the handlers, which see it too', async (t) => {
  const { send, consumer: make } = await setUp(t)
  await send(0, ...numbers(3))
  const consumer = make()
  consumer.assign([a(0)])
  const stop = new AbortController()
  let isHandled = false
  await consumer.run({
    signal: stop.signal,
    async eachRecord(_, { signal }) {
      stop.abort()
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      isHandled = true
    },
  })
  assert.ok(isHandled)
  assert.equal(await consumer.position(a(0)), 1)
})

for (const partitionAssignmentStrategy of ['range', 'roundrobin', 'sticky', 'cooperative-sticky'] as const) {
  test(`members of a group share its partitions, and go on where others stopped: ${partitionAssignmentStrategy}`, async (t) => {
    const { send, consumer: make } = await setUp(t, { partitions: 4 })
    const seen: string[] = []
    const events: string[] = []
    const join = (name: string) => {
      const consumer = make({ groupId: 'g', partitionAssignmentStrategy })
      const tell = (event: string) => (partitions: readonly TopicPartition[]) =>
        void (partitions.length > 0 && events.push(`${name} ${event}`))
      consumer.subscribe(['a'], { onAssigned: tell('assigned'), onRevoked: tell('revoked'), onLost: tell('lost') })
      const stop = new AbortController()
      const done = consumer.run({ eachRecord: ({ partition, value }) => void seen.push(`${partition}:${value}`), signal: stop.signal })
      const leave = async () => {
        stop.abort()
        await done
        await consumer.close()
      }
      return { consumer, leave }
    }
    const first = join('first')
    while (first.consumer.assignment().length < 4) await new Promise((resolve) => setTimeout(resolve, 10))
    const second = join('second')
    while (first.consumer.assignment().length !== 2 || second.consumer.assignment().length !== 2)
      await new Promise((resolve) => setTimeout(resolve, 10))
    for (const partition of [0, 1, 2, 3]) await send(partition, ...numbers(5))
    while (seen.length < 20) await new Promise((resolve) => setTimeout(resolve, 10))
    await first.leave()
    while (second.consumer.assignment().length < 4) await new Promise((resolve) => setTimeout(resolve, 10))
    for (const partition of [0, 1, 2, 3]) await send(partition, ...numbers(5, 5))
    while (seen.length < 40) await new Promise((resolve) => setTimeout(resolve, 10))
    await second.leave()
    assert.deepEqual([...seen].sort(), [0, 1, 2, 3].flatMap((partition) => numbers(10).map((value) => `${partition}:${value}`)).sort())
    assert.deepEqual(events.slice(0, 2), ['first assigned', 'first revoked'])
    assert.ok(!events.includes('first lost') && !events.includes('second lost'))
  })
}

test('a pattern takes in topics as they come, and leaves internal ones out', async (t) => {
  const { send, consumer: make, admin } = await setUp(t)
  await send(0, 'one')
  const consumer = make({ groupId: 'g', metadataMaxAgeMs: 50 })
  consumer.subscribe(/^(a|b|__.*)$/g)
  assert.deepEqual(await read(consumer, 1), ['one'])
  assert.deepEqual(consumer.subscription(), ['a'])
  await admin.createTopics([{ topic: 'b', numPartitions: 2 }])
  await pollUntil(consumer, () => consumer.assignment().length === 3)
  assert.deepEqual([...consumer.subscription()].sort(), ['a', 'b'])
})

test('a topic that comes to exist after it was subscribed to is read from its beginning', async (t) => {
  const { consumer: make, admin, bootstrapServers } = await setUp(t)
  const consumer = make({ groupId: 'g', metadataMaxAgeMs: 50, allowAutoCreateTopics: false })
  consumer.subscribe(['later'])
  await consumer.poll({ timeoutMs: 50 })
  await admin.createTopics([{ topic: 'later', numPartitions: 1 }])
  const producer = new Producer({ bootstrapServers, valueSerializer: string })
  await producer.send({ topic: 'later', value: 'v' })
  await producer.close()
  assert.deepEqual(await read(consumer, 1), ['v'])
})

test('a commit goes through while the group rebalances, and a listener may commit and seek', async (t) => {
  const { send, consumer: make, admin } = await setUp(t, { partitions: 2 })
  await send(0, ...numbers(4))
  await send(1, ...numbers(4))
  const options = { groupId: 'g', partitionAssignmentStrategy: 'cooperative-sticky', enableAutoCommit: false } as const
  const one = make(options)
  const revoked: TopicPartition[] = []
  one.subscribe(['a'], {
    onAssigned: (partitions) => {
      for (const partition of partitions) one.seek(partition, 1)
    },
    onRevoked: async (partitions) => {
      await one.commit()
      revoked.push(...partitions)
    },
  })
  assert.equal((await read(one, 6)).length, 6)
  const two = make(options)
  two.subscribe(['a'])
  // The first member rejoins, and the group waits for the other, when the heartbeat tells it; its own offsets are safe meanwhile.
  while (two.assignment().length === 0) {
    await Promise.all([one.poll({ timeoutMs: 10 }), two.poll({ timeoutMs: 10 })])
    await one.commit().catch((error) => assert.equal(error.code, 'COMMIT_FAILED'))
  }
  assert.equal(revoked.length, 1)
  assert.equal(one.assignment().length, 1)
  assert.equal((await admin.listConsumerGroupOffsets('g')).get(revoked[0]!)?.offset, 4)
  assert.deepEqual(two.assignment(), revoked)
})

test('new partitions of a topic are found and shared out', async (t) => {
  const { consumer: make, admin } = await setUp(t)
  const consumer = make({ groupId: 'g', metadataMaxAgeMs: 50 })
  consumer.subscribe(['a'])
  await pollUntil(consumer, () => consumer.assignment().length === 1)
  await admin.createPartitions([{ topic: 'a', totalCount: 3 }])
  await pollUntil(consumer, () => consumer.assignment().length === 3)
})

test('a topic that does not exist yet is asked for until it does', async (t) => {
  const { consumer: make, admin } = await setUp(t)
  const consumer = make({ groupId: 'g', allowAutoCreateTopics: false, metadataMaxAgeMs: 300_000, retryBackoffMs: 10 })
  consumer.subscribe(['late'])
  while (consumer.groupMetadata().generationId < 0) await consumer.poll({ timeoutMs: 20 })
  await admin.createTopics([{ topic: 'late', numPartitions: 2 }])
  await pollUntil(consumer, () => consumer.assignment().length === 2)
})

test('G2: a member that does not come back for records loses its partitions, hears of it, and cannot commit', async (t) => {
  const { send, consumer: make } = await setUp(t)
  await send(0, 'v')
  const lost: TopicPartition[] = []
  const consumer = make({ groupId: 'g', maxPollIntervalMs: 200, enableAutoCommit: false })
  consumer.subscribe(['a'], { onLost: (partitions) => void lost.push(...partitions) })
  await read(consumer, 1)
  await new Promise((resolve) => setTimeout(resolve, 400))
  await assert.rejects(consumer.commit(), { code: 'COMMIT_FAILED' })
  assert.deepEqual(lost, [])
  assert.deepEqual(await read(consumer, 1), ['v'])
  assert.deepEqual(lost, [a(0)])
})

test('a static member that comes back has its partitions again without a rebalance', async (t) => {
  const { consumer: make, admin } = await setUp(t, { partitions: 2 })
  const join = (groupInstanceId: string) => {
    const consumer = make({ groupId: 'g', groupInstanceId })
    consumer.subscribe(['a'])
    return consumer
  }
  const one = join('one')
  await pollUntil(one, () => one.assignment().length === 2)
  const two = join('two')
  while (two.assignment().length !== 1) await Promise.all([one.poll({ timeoutMs: 20 }), two.poll({ timeoutMs: 20 })])
  await pollUntil(one, () => one.assignment().length === 1)
  const mine = two.assignment()
  const { generationId } = one.groupMetadata()
  await two.close()
  const again = join('two')
  await pollUntil(again, () => again.assignment().length === 1)
  assert.deepEqual(again.assignment(), mine)
  assert.equal(again.groupMetadata().generationId, generationId)
  const [group] = (await admin.describeClassicGroups(['g'])).values()
  assert.deepEqual(group!.members.map(({ groupInstanceId }) => groupInstanceId).sort(), ['one', 'two'])
})

test('without an offset to start from, autoOffsetReset decides, and none is an error', async (t) => {
  const { send, consumer: make, admin } = await setUp(t)
  await send(0, ...numbers(10))
  await admin.deleteRecords([{ ...a(0), beforeOffset: 4 }])
  const none = make({ groupId: 'g', autoOffsetReset: 'none' })
  none.assign([a(0)])
  await assert.rejects(none.poll(), { code: 'NO_OFFSET_FOR_PARTITION', partitions: [a(0)] })
  none.seek(a(0), 2)
  await assert.rejects(none.poll(), { code: 'OFFSET_OUT_OF_RANGE' })
  none.seek(a(0), 9)
  assert.deepEqual(await read(none, 1), ['9'])
  const earliest = make()
  earliest.assign([a(0)])
  earliest.seek(a(0), 2)
  assert.deepEqual(await read(earliest, 6), numbers(6, 4))
  const recent = make({ autoOffsetReset: 'by_duration:PT1H' })
  recent.assign([a(0)])
  assert.deepEqual(await read(recent, 6), numbers(6, 4))
  const latest = make({ autoOffsetReset: 'latest' })
  latest.assign([a(0)])
  assert.equal(await latest.position(a(0)), 10)
})

test('a value that cannot be read fails where it is asked for, and a deserializer may be asynchronous', async (t) => {
  const { send, bootstrapServers } = await setUp(t)
  await send(0, '{"n":1}', 'no json', '{"n":3}')
  const consumer = new Consumer({ bootstrapServers, valueDeserializer: json<{ n: number }>() })
  const later = new Consumer({ bootstrapServers, valueDeserializer: async (data: Buffer) => JSON.parse(data.toString()) as { n: number } })
  t.after(() => Promise.all([consumer.close(), later.close()]))
  for (const one of [consumer, later]) {
    one.assign([a(0)])
    one.seekToBeginning()
    const records = [...(await one.poll())]
    assert.deepEqual(records[0]!.value, { n: 1 })
    assert.throws(() => records[1]!.value, { code: 'SERIALIZATION_FAILED', message: /the value of a-0@1/ })
    assert.equal(records[1]!.valueBytes!.toString(), 'no json')
    assert.deepEqual(records[2]!.value, { n: 3 })
  }
})

test('keys, tombstones and numbers keep their types', async (t) => {
  const { bootstrapServers } = await setUp(t)
  const producer = new Producer({ bootstrapServers, keySerializer: int32, valueSerializer: bytes })
  await producer.sendMany([
    { topic: 'a', key: -7, value: Buffer.from([1]) },
    { topic: 'a', key: 8, value: null },
    { topic: 'a', value: Buffer.alloc(0) },
  ])
  await producer.close()
  const consumer = new Consumer({ bootstrapServers, keyDeserializer: int32, valueDeserializer: bytes })
  t.after(() => consumer.close())
  consumer.assign([a(0)])
  consumer.seekToBeginning()
  const records = [...(await consumer.poll())]
  assert.deepEqual(
    records.map(({ key, value }) => [key, value?.length ?? null]),
    [
      [-7, 1],
      [8, null],
      [null, 0],
    ],
  )
})

test('what cannot be is refused by name', async () => {
  const make = (options: object) => () => new Consumer({ bootstrapServers: 'localhost:1', ...options } as never)
  assert.throws(make({ groupid: 'g' }), /unknown option groupid/)
  assert.throws(
    make({ groupProtocol: 'consumer', sessionTimeoutMs: 9000 }),
    /sessionTimeoutMs has no meaning with groupProtocol: 'consumer'/,
  )
  assert.throws(make({ groupRemoteAssignor: 'range' }), /groupRemoteAssignor has no meaning with groupProtocol: 'classic'/)
  assert.throws(make({ partitionAssignmentStrategy: 'fair' }), /no assignor is called fair/)
  assert.throws(make({ partitionAssignmentStrategy: ['range', 'range'] }), /one name/)
  const cooperativeOnly = { name: 'own', supportedProtocols: ['cooperative'], assign: () => new Map() }
  assert.throws(make({ partitionAssignmentStrategy: ['range', cooperativeOnly] }), /no way of rebalancing in common/)
  assert.throws(make({ autoOffsetReset: 'by_duration:1h' }), /autoOffsetReset/)
  assert.throws(make({ bootstrapServers: 'localhost' }), /'localhost' is not host:port/)
  const consumer = new Consumer({ bootstrapServers: 'localhost:1' })
  assert.throws(() => consumer.subscribe(['a']), /groupId/)
  await assert.rejects(async () => consumer.commit(), /groupId/)
  await consumer.close()
})
