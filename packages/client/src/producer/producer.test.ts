import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { seededRandom } from '@tidelog/core'
import type { Exchange } from '@tidelog/net'
import { Produce } from '@tidelog/protocol'
import { freePort, startProxied, startTestBroker, TcpProxy, until } from '@tidelog/testkit'
import { Admin } from '../admin/admin.ts'
import { Consumer } from '../consumer/consumer.ts'
import type { ConsumerRecord } from '../consumer/consumer-record.ts'
import { json, string } from '../serde/serde.ts'
import { partitionForKey } from './murmur2.ts'
import { Producer } from './producer.ts'
import type { ProducerOptions } from './producer-options.ts'

interface Cluster {
  readonly bootstrapServers: string
  readonly admin: Admin
}

async function clusterOf(t: TestContext, config: Record<string, string> = {}): Promise<Cluster> {
  const broker = await startTestBroker({ config })
  const admin = new Admin({ bootstrapServers: broker.bootstrapServers })
  t.after(async () => {
    await admin.close()
    await broker.close()
  })
  return { bootstrapServers: broker.bootstrapServers, admin }
}

/** Behind a proxy that the broker advertises as its own address. */
async function proxiedClusterOf(t: TestContext): Promise<Cluster & { readonly proxy: TcpProxy }> {
  const proxy = await TcpProxy.start(t)
  const port = await freePort()
  proxy.target = { host: '127.0.0.1', port }
  const listeners = { listeners: `PLAINTEXT://127.0.0.1:${port}`, 'advertised.listeners': `PLAINTEXT://127.0.0.1:${proxy.port}` }
  const broker = await startTestBroker({ config: listeners })
  const bootstrapServers = `127.0.0.1:${proxy.port}`
  const admin = new Admin({ bootstrapServers })
  t.after(async () => {
    await admin.close()
    proxy.breakAll()
    await broker.close()
  })
  return { bootstrapServers, admin, proxy }
}

function producerOf(t: TestContext, options: ProducerOptions<string, string>): Producer<string, string> {
  const producer = new Producer({ keySerializer: string, valueSerializer: string, ...options })
  t.after(() => producer.close({ timeoutMs: 1000 }))
  return producer
}

const metricOf = (producer: Producer<string, string>, name: string): number =>
  producer.metrics().find((metric) => metric.name === name)!.value

/** Everything in a topic, partition by partition. */
async function contentOf({ bootstrapServers, admin }: Cluster, topic: string): Promise<ConsumerRecord<string, string>[][]> {
  const { partitions } = (await admin.describeTopics([topic])).get(topic)!
  const consumer = new Consumer({ bootstrapServers, keyDeserializer: string, valueDeserializer: string })
  const all = partitions.map(({ partition }) => ({ topic, partition }))
  consumer.assign(all)
  consumer.seekToBeginning()
  const ends = await consumer.endOffsets(all)
  const content: ConsumerRecord<string, string>[][] = partitions.map(() => [])
  while ([...ends].some(([{ partition }, end]) => (content[partition]!.at(-1)?.offset ?? -1) < end - 1)) {
    for (const record of await consumer.poll({ timeoutMs: 5000 })) content[record.partition]!.push(record)
  }
  await consumer.close()
  return content
}

test('an awaited send tells where the record went, and headers keep their order and duplicates', async (t) => {
  const cluster = await clusterOf(t)
  await cluster.admin.createTopics([{ topic: 'a', numPartitions: 3 }])
  const producer = producerOf(t, { bootstrapServers: cluster.bootstrapServers })
  const headers = [
    { key: 'h', value: '1' },
    { key: 'h', value: null },
    { key: 'constructor', value: Buffer.from([0, 255]) },
  ]
  const metadata = await producer.send({ topic: 'a', key: 'k', value: 'v', timestamp: 1234, headers })
  assert.deepEqual(metadata, { topic: 'a', partition: partitionForKey(Buffer.from('k'), 3), offset: 0, timestamp: 1234 })
  const [record] = (await contentOf(cluster, 'a')).flat()
  assert.equal(record!.key, 'k')
  assert.equal(record!.value, 'v')
  assert.equal(record!.timestamp, 1234)
  assert.deepEqual(
    record!.headers.map(({ key, value }) => [key, value?.toString('latin1') ?? null]),
    [
      ['h', '1'],
      ['h', null],
      ['constructor', '\u0000\u00ff'],
    ],
  )
})

test('records arrive once and in order under every codec, whichever way they are sent', async (t) => {
  const cluster = await clusterOf(t)
  for (const compressionType of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
    await cluster.admin.createTopics([{ topic: compressionType, numPartitions: 2 }])
    const producer = producerOf(t, { bootstrapServers: cluster.bootstrapServers, compressionType, batchSize: 2000 })
    const values = Array.from({ length: 300 }, (_, i) => `value ${i} `.repeat(1 + (i % 7)))
    const record = (i: number) => ({ topic: compressionType, partition: i % 2, value: values[i]! })
    const sent = values.slice(0, 100).map((_, i) => producer.send(record(i)))
    const many = producer.sendMany(values.slice(100, 200).map((_, i) => record(i + 100)))
    let delivered = 0
    for (let i = 200; i < 300; i++) assert.ok(producer.enqueue(record(i), (error) => void (error === undefined && delivered++)))
    await producer.flush()
    assert.equal(delivered, 100)
    assert.deepEqual(
      (await Promise.all(sent)).map(({ offset }) => offset),
      values.slice(0, 100).map((_, i) => i >> 1),
    )
    assert.deepEqual(
      (await many).map(({ offset }) => offset),
      values.slice(0, 100).map((_, i) => 50 + (i >> 1)),
    )
    const content = await contentOf(cluster, compressionType)
    for (const partition of [0, 1]) {
      assert.deepEqual(
        content[partition]!.map(({ value }) => value),
        values.filter((_, i) => i % 2 === partition),
      )
    }
  }
})

test('a batch that is too large for the broker is split until it fits, and a record that never will fails alone', async (t) => {
  const cluster = await clusterOf(t)
  await cluster.admin.createTopics([{ topic: 'a', numPartitions: 1, configs: { 'max.message.bytes': '3000' } }])
  for (const compressionType of ['none', 'zstd'] as const) {
    const producer = producerOf(t, { bootstrapServers: cluster.bootstrapServers, compressionType, batchSize: 100_000 })
    const random = seededRandom(7)
    const noise = (bytes: number) => Buffer.from(random.bytes(bytes)).toString('base64')
    const results = await Promise.allSettled([
      ...Array.from({ length: 40 }, (_, i) => producer.send({ topic: 'a', value: `${i} ${noise(300)}` })),
      producer.send({
        topic: 'a',
        value: noise(6000),
      }),
      producer.send({ topic: 'a', value: 'behind' }),
    ])
    assert.deepEqual(
      results.slice(0, 40).map(({ status }) => status),
      Array(40).fill('fulfilled'),
    )
    assert.equal(results[40]!.status === 'rejected' && results[40]!.reason.code, 'MESSAGE_TOO_LARGE')
    assert.equal(results[41]!.status, 'fulfilled')
  }
  const values = (await contentOf(cluster, 'a'))[0]!.map(({ value }) => value!.split(' ')[0])
  const expected = [...Array.from({ length: 40 }, (_, i) => String(i)), 'behind']
  assert.deepEqual(values, [...expected, ...expected])
})

test('connections that break and answers that get lost neither lose, double nor reorder a record', async (t) => {
  const cluster = await proxiedClusterOf(t)
  await cluster.admin.createTopics([{ topic: 'a', numPartitions: 2 }])
  const producer = producerOf(t, {
    bootstrapServers: cluster.bootstrapServers,
    batchSize: 500,
    retryBackoffMs: 5,
    reconnectBackoffMs: 5,
    requestTimeoutMs: 2000,
  })
  await producer.send({ topic: 'a', partition: 0, value: 'first' })
  const total = 3000
  const sent: Promise<unknown>[] = []
  for (let i = 0; i < total; i++) {
    sent.push(producer.send({ topic: 'a', partition: i % 2, value: String(i) }))
    if (i % 500 === 250) {
      // Only on a connection that is open: one that is being made would wait for its first answer as long as answers are held.
      await sent.at(-1)
      cluster.proxy.holdAnswers()
    }
    if (i % 500 === 400) {
      await until(() => metricOf(producer, 'requests-in-flight') > 0)
      cluster.proxy.breakAll()
      cluster.proxy.stopHolding()
    }
    if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  cluster.proxy.breakAll()
  cluster.proxy.stopHolding()
  await Promise.all(sent)
  assert.ok(cluster.proxy.accepted > 5, `${cluster.proxy.accepted} connections`)
  const content = await contentOf(cluster, 'a')
  for (const partition of [0, 1]) {
    const expected = Array.from({ length: total / 2 }, (_, i) => String(2 * i + partition))
    if (partition === 0) expected.unshift('first')
    assert.deepEqual(
      content[partition]!.map(({ value }) => value),
      expected,
    )
  }
})

test('a full buffer says so, and has room again', async (t) => {
  const cluster = await clusterOf(t)
  const producer = producerOf(t, { bootstrapServers: cluster.bootstrapServers, bufferMemory: 10_000, maxBlockMs: 20_000 })
  let taken = 0
  let waits = 0
  while (taken < 500) {
    if (producer.enqueue({ topic: 'a', value: 'x'.repeat(500) })) taken++
    else {
      waits++
      await producer.ready()
    }
  }
  await producer.flush()
  assert.ok(waits > 10)
  const results = await Promise.all(Array.from({ length: 100 }, () => producer.send({ topic: 'a', value: 'x'.repeat(500) })))
  assert.equal(results.at(-1)!.offset, 599)
  const available = metricOf(producer, 'buffer-available-bytes')
  assert.equal(available, 10_000)
})

test('without a broker sends fail after maxBlockMs, an aborted one at once, and close() does not hang', async (t) => {
  const producer = producerOf(t, { bootstrapServers: '127.0.0.1:9', maxBlockMs: 100, reconnectBackoffMs: 5 })
  await assert.rejects(producer.send({ topic: 'a', value: 'v' }), { code: 'TIMEOUT' })
  const reason = new Error('enough')
  await assert.rejects(producer.send({ topic: 'a', value: 'v' }, { signal: AbortSignal.abort(reason) }), reason)
  const abort = new AbortController()
  const waiting = producer.send({ topic: 'a', value: 'v' }, { signal: abort.signal })
  abort.abort(reason)
  await assert.rejects(waiting, reason)
  const never = producer.send({ topic: 'b', value: 'v' })
  never.catch(() => {})
  const closing = producer.close({ timeoutMs: 0 })
  assert.equal(producer.close(), closing)
  await closing
  await assert.rejects(never, { code: 'CLOSED' })
  await assert.rejects(producer.send({ topic: 'a', value: 'v' }), { code: 'CLOSED' })
  assert.throws(() => producer.enqueue({ topic: 'a', value: 'v' }), { code: 'CLOSED' })
})

test('what cannot be sent is refused by name: options, serializers, sizes, partitions', async (t) => {
  const cluster = await clusterOf(t)
  const { bootstrapServers } = cluster
  const bad = (options: object) => () => new Producer({ bootstrapServers, ...options } as never)
  assert.throws(bad({ lingerms: 5 }), /unknown option lingerms/)
  assert.throws(bad({ 'linger.ms': 5 }), /linger\.ms; its name here is lingerMs/)
  assert.throws(bad({ acks: 2 }), { code: 'INVALID_CONFIG', message: /acks/ })
  assert.throws(bad({ enableIdempotence: true, acks: 1 }), /acks is not all/)
  assert.throws(() => new Producer({}), /bootstrapServers/)
  const producer = new Producer({ bootstrapServers, valueSerializer: json(), maxRequestSize: 1000 })
  t.after(() => producer.close())
  await assert.rejects(producer.send({ topic: 'a', value: () => 1 }), { code: 'SERIALIZATION_FAILED' })
  await assert.rejects(producer.send({ topic: 'a', value: 'x'.repeat(2000) }), {
    code: 'MESSAGE_TOO_LARGE',
    message: /maxRequestSize is 1000/,
  })
  await cluster.admin.createTopics([{ topic: 'a', numPartitions: 1 }])
  await assert.rejects(producer.send({ topic: 'a', partition: 7, value: 1 }), { code: 'INVALID_PARTITION' })
  await assert.rejects(producer.send({ topic: 'no/topic', value: 1 }), { code: 'INVALID_TOPIC_EXCEPTION' })
  const slow = new Producer({ bootstrapServers, valueSerializer: async (text: string) => Buffer.from(text) })
  t.after(() => slow.close())
  assert.throws(() => slow.enqueue({ topic: 'a', value: 'v' }), /send\(\) awaits them/)
  assert.equal((await slow.send({ topic: 'a', value: 'v' })).offset, 0)
})

test('a failure of an enqueued record without callback comes out of flush()', async (t) => {
  const cluster = await clusterOf(t)
  const producer = producerOf(t, { bootstrapServers: cluster.bootstrapServers })
  await cluster.admin.createTopics([{ topic: 'a', numPartitions: 1, configs: { 'max.message.bytes': '500' } }])
  producer.enqueue({ topic: 'a', value: 'x'.repeat(1000) })
  await assert.rejects(producer.flush(), { code: 'MESSAGE_TOO_LARGE' })
  await producer.flush()
})

test('acks=0 waits for no answer, and idempotence gives way to it', async (t) => {
  const cluster = await clusterOf(t)
  const producer = producerOf(t, { bootstrapServers: cluster.bootstrapServers, acks: '0' })
  await cluster.admin.createTopics([{ topic: 'a', numPartitions: 1 }])
  assert.equal((await producer.send({ topic: 'a', value: 'v' })).offset, -1)
  // Handed to the system, and not appended yet, perhaps.
  await until(async () => (await contentOf(cluster, 'a'))[0]!.length === 1)
})

test('records without key stay on one partition for a batch, and then move on', async (t) => {
  const cluster = await clusterOf(t)
  await cluster.admin.createTopics([{ topic: 'a', numPartitions: 4 }])
  const producer = producerOf(t, { bootstrapServers: cluster.bootstrapServers, batchSize: 1000 })
  const sent = await producer.sendMany(Array.from({ length: 400 }, () => ({ topic: 'a', value: 'x'.repeat(60) })))
  let runs = 1
  for (let i = 1; i < sent.length; i++) if (sent[i]!.partition !== sent[i - 1]!.partition) runs++
  assert.ok(runs > 10 && runs < 60, `${runs} runs`)
  assert.equal(new Set(sent.map(({ partition }) => partition)).size, 4)
})

test('a partitioner of the user decides, and one that throws fails its record alone', async (t) => {
  const cluster = await clusterOf(t)
  await cluster.admin.createTopics([{ topic: 'a', numPartitions: 3 }])
  const producer = producerOf(t, {
    bootstrapServers: cluster.bootstrapServers,
    partitioner: ({ value }, _key, count) => {
      if (value === 'bad') throw new Error('no idea')
      return value!.length % count
    },
  })
  const results = await Promise.allSettled(['a', 'bad', 'cc'].map((value) => producer.send({ topic: 'a', value })))
  assert.deepEqual(
    results.map((result) => (result.status === 'fulfilled' ? result.value.partition : result.reason.code)),
    [1, 'PARTITIONER_FAILED', 2],
  )
})

test('a batch that is full leaves within the call that filled it, when nothing is under way', async (t) => {
  const cluster = await clusterOf(t)
  await cluster.admin.createTopics([{ topic: 'a', numPartitions: 1 }])
  let sent = 0
  const observer = {
    sent: ({ api }: Exchange) => {
      if (api.name === 'Produce') sent++
    },
  }
  const producer = producerOf(t, { bootstrapServers: cluster.bootstrapServers, batchSize: 300, observer })
  const value = 'x'.repeat(90)
  await producer.send({ topic: 'a', value })
  sent = 0
  const atEachCall = Array.from({ length: 5 }, () => {
    producer.enqueue({ topic: 'a', value })
    return sent
  })
  // Two of them make a batch; what is behind the first waits for its answer, or for the end of the turn.
  assert.deepEqual(atEachCall, [0, 0, 1, 1, 1])
  await producer.flush()
})

test('a batch that is refused for good leaves no gap in the sequence for those behind it', async (t) => {
  const cluster = await clusterOf(t)
  await cluster.admin.createTopics([{ topic: 'a', numPartitions: 1, configs: { 'message.timestamp.after.max.ms': '1000' } }])
  const producer = producerOf(t, { bootstrapServers: cluster.bootstrapServers, batchSize: 1, retryBackoffMs: 5 })
  const results = await Promise.allSettled(
    Array.from({ length: 60 }, (_, i) =>
      producer.send({ topic: 'a', value: String(i), ...(i % 10 === 5 ? { timestamp: Date.now() + 100_000 } : {}) }),
    ),
  )
  const refused = results.flatMap((result, i) => (result.status === 'rejected' ? [[i, result.reason.code]] : []))
  assert.deepEqual(
    refused,
    [5, 15, 25, 35, 45, 55].map((i) => [i, 'INVALID_TIMESTAMP']),
  )
  const expected = results.flatMap(({ status }, i) => (status === 'fulfilled' ? [String(i)] : []))
  assert.deepEqual(
    (await contentOf(cluster, 'a'))[0]!.map(({ value }) => value),
    expected,
  )
})

test('nothing is sent behind the first batch of a partition until a leader has it, since one that knows nothing of the producer takes any sequence', async (t) => {
  const cluster = await clusterOf(t)
  await cluster.admin.createTopics([{ topic: 'a', numPartitions: 1 }])
  let underWay = 0
  const atOnce: number[] = []
  const counting = (by: number) => (exchange: Exchange) => {
    if (exchange.api.name !== 'Produce') return
    underWay += by
    if (by > 0) atOnce.push(underWay)
  }
  const observer = { sent: counting(1), answered: counting(-1) }
  const producer = producerOf(t, { bootstrapServers: cluster.bootstrapServers, batchSize: 100, observer })
  await producer.sendMany(Array.from({ length: 30 }, () => ({ topic: 'a', value: 'x'.repeat(90) })))
  assert.deepEqual(atOnce.slice(0, 2), [1, 1])
  assert.equal(Math.max(...atOnce), 5)
  // Nor when the topic has been made anew in between: its leader knows nothing any more.
  await cluster.admin.deleteTopics(['a'])
  await cluster.admin.createTopics([{ topic: 'a', numPartitions: 1 }])
  atOnce.length = 0
  const values = Array.from({ length: 30 }, (_, i) => `${i} ${'x'.repeat(90)}`)
  await producer.sendMany(values.map((value) => ({ topic: 'a', value })))
  assert.deepEqual(
    (await contentOf(cluster, 'a'))[0]!.map(({ value }) => value),
    values,
  )
})

test('after a batch whose fate nobody knows, sequences start again under a new epoch', async (t) => {
  const cluster = await proxiedClusterOf(t)
  await cluster.admin.createTopics([{ topic: 'a', numPartitions: 1 }])
  const producer = producerOf(t, {
    bootstrapServers: cluster.bootstrapServers,
    requestTimeoutMs: 600,
    deliveryTimeoutMs: 1200,
    lingerMs: 0,
    retryBackoffMs: 5,
    reconnectBackoffMs: 5,
  })
  await producer.send({ topic: 'a', value: 'before' })
  cluster.proxy.holdAnswers()
  await assert.rejects(producer.send({ topic: 'a', value: 'unknown' }), { code: 'TIMEOUT' })
  cluster.proxy.breakAll()
  cluster.proxy.stopHolding()
  const after = async (value: string): Promise<void> => {
    // The first ones may meet the broken connection still, and run into the short timeout.
    await producer.send({ topic: 'a', value }).catch(() => after(value))
  }
  for (let i = 0; i < 5; i++) await after(String(i))
  const [state] = await cluster.admin.describeProducers([{ topic: 'a', partition: 0 }])
  assert.ok(state!.activeProducers[0]!.producerEpoch > 0)
  const values = (await contentOf(cluster, 'a'))[0]!.map(({ value }) => value)
  assert.equal(values[0], 'before')
  assert.deepEqual(values.slice(-1), ['4'])
})

test('a broker that throttles is left alone for as long as it says, and no longer than a request may wait', async (t) => {
  const { proxy } = await startProxied(t, { topics: { a: 2 } })
  const arrivedMs: number[] = []
  const throttleTimesMs = [80, 2 ** 31 - 1]
  proxy.onRequest(Produce, () => void arrivedMs.push(performance.now()))
  proxy.onAnswer(Produce, (answer) => ({ ...answer, throttleTimeMs: throttleTimesMs.shift() ?? 0 }))
  const { bootstrapServers } = proxy
  const producer = producerOf(t, { bootstrapServers, batchSize: 1, maxInFlightRequestsPerConnection: 1, requestTimeoutMs: 300 })
  await producer.send({ topic: 'a', partition: 0, value: 'first' })
  // Neither what is full, which would follow an answer at once, nor what is for another partition of that broker slips through.
  const sent = await producer.sendMany([0, 1, 0, 1].map((partition) => ({ topic: 'a', partition, value: 'later' })))
  assert.deepEqual(
    sent.map(({ partition, offset }) => [partition, offset]),
    [
      [0, 1],
      [1, 0],
      [0, 2],
      [1, 1],
    ],
  )
  const [first, second, third] = arrivedMs
  assert.ok(second! - first! >= 79 && third! - second! >= 299, arrivedMs.join())
})
