import assert from 'node:assert/strict'
import { test } from 'node:test'
import { batchHeader, type ErrorName, errorTable, InitProducerId, Produce, type RequestOf, type ResponseInput } from '@tidelog/protocol'
import { freePort, ManualClock, readCommittedValues, startProxied, startTestBroker, TcpProxy, until } from '@tidelog/testkit'
import { Admin } from '../admin/admin.ts'
import { string } from '../serde/serde.ts'
import { Producer } from './producer.ts'

/** Every batch of the request refused. */
const refusal = ({ topicData }: RequestOf<typeof Produce>, error: ErrorName): ResponseInput<typeof Produce> => ({
  responses: topicData.map(({ name, topicId, partitionData }) => ({
    name,
    topicId,
    partitionResponses: partitionData.map(({ index }) => ({ index, errorCode: errorTable[error].code, baseOffset: -1 })),
  })),
})

const batchesOf = ({ topicData }: RequestOf<typeof Produce>): Buffer[] =>
  topicData.flatMap(({ partitionData }) => partitionData.map(({ records }) => records!))

const deliveryTimeoutMs = 100_000
/** By the manual clock, so that nothing else times out. */
const slow = { batchSize: 1, lingerMs: 0, requestTimeoutMs: 90_000, deliveryTimeoutMs, retryBackoffMs: 5, reconnectBackoffMs: 5 }

/** Moves the clock in small steps until `promise` is settled. */
async function settledBy<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  let isSettled = false
  const done = () => {
    isSettled = true
  }
  promise.then(done, done)
  await until(() => {
    clock.advance(1)
    return isSettled
  })
  return promise
}

test('a batch behind one whose fate nobody learned keeps its number: it has arrived as well, and comes no second time', async (t) => {
  const proxy = await TcpProxy.start(t)
  const port = await freePort()
  const target = { host: '127.0.0.1', port }
  proxy.target = target
  const broker = await startTestBroker({
    config: { listeners: `PLAINTEXT://127.0.0.1:${port}`, 'advertised.listeners': `PLAINTEXT://127.0.0.1:${proxy.port}` },
  })
  const bootstrapServers = `127.0.0.1:${proxy.port}`
  const clock = new ManualClock()
  const producer = new Producer<string, string>({ ...slow, bootstrapServers, valueSerializer: string, clock })
  t.after(async () => {
    await producer.close({ timeoutMs: 0 })
    proxy.breakAll()
    await broker.close()
  })
  /** On connections of its own: others are held. */
  const byAdmin = async <T>(call: (admin: Admin) => Promise<T>): Promise<T> => {
    const admin = new Admin({ bootstrapServers })
    return call(admin).finally(() => admin.close())
  }
  await byAdmin((admin) => admin.createTopics([{ topic: 'a', numPartitions: 1 }]))
  await producer.send({ topic: 'a', value: 'before' })

  proxy.holdAnswers()
  const first = assert.rejects(producer.send({ topic: 'a', value: 'first' }), { code: 'TIMEOUT' })
  await until(() => metricOf(producer, 'requests-in-flight') === 1)
  clock.advance(deliveryTimeoutMs / 2)
  const second = producer.send({ topic: 'a', value: 'second' })
  await until(() => metricOf(producer, 'requests-in-flight') === 2)
  proxy.stopHolding()
  await byAdmin((admin) => until(async () => (await admin.listOffsets([{ topic: 'a', partition: 0, spec: 'latest' }]))[0]!.offset === 3))
  proxy.target = undefined
  proxy.breakAll()
  await until(() => metricOf(producer, 'requests-in-flight') === 0)
  clock.advance(deliveryTimeoutMs / 2)
  await first
  proxy.target = target
  assert.equal((await settledBy(clock, second)).offset, 2)
  assert.deepEqual(await readCommittedValues(bootstrapServers, 'a'), [['before', 'first', 'second']])
})

const metricOf = (producer: Producer<string, string>, name: string): number =>
  producer.metrics().find((metric) => metric.name === name)!.value

test('a batch behind one that was lost on its way goes under a new epoch once the broker has said that something is missing', async (t) => {
  const { proxy, producer: make } = await startProxied(t)
  const clock = new ManualClock()
  const producer = make({ ...slow, clock })
  t.after(() => producer.close({ timeoutMs: 0 }))
  await producer.send({ topic: 'a', value: 'before' })

  proxy.onRequest(Produce, () => 'drop')
  const lost = assert.rejects(producer.send({ topic: 'a', value: 'lost' }), { code: 'TIMEOUT' })
  await until(() => proxy.requests(Produce).length === 2)
  clock.advance(deliveryTimeoutMs / 2)
  const sends = ['1', '2', '3'].map((value) => producer.send({ topic: 'a', value }))
  await until(() => proxy.requests(Produce).length === 5)
  proxy.down.add(1)
  proxy.breakAll()
  await until(() => metricOf(producer, 'requests-in-flight') === 0)
  clock.advance(deliveryTimeoutMs / 2)
  await lost
  proxy.onRequest(Produce, undefined)
  proxy.down.clear()
  const delivered = await settledBy(clock, Promise.all(sends))
  assert.deepEqual(
    delivered.map(({ offset }) => offset),
    [1, 2, 3],
  )
  assert.deepEqual(await readCommittedValues(proxy.bootstrapServers, 'a'), [['before', '1', '2', '3']])
  const numbers = proxy
    .requests(Produce)
    .slice(-4)
    .flatMap(({ request }) => batchesOf(request).map((batch) => [batchHeader.producerEpoch(batch, 0), batchHeader.baseSequence(batch, 0)]))
  assert.deepEqual(numbers, [
    [0, 2],
    [1, 0],
    [1, 1],
    [1, 2],
  ])
})

test('a leader that knows a newer epoch refuses one record, not all that come after it', async (t) => {
  const { proxy, producer: make } = await startProxied(t)
  const producer = make()
  await producer.send({ topic: 'a', value: '0' })
  proxy.onRequest(Produce, ({ request }) =>
    batchesOf(request).some((batch) => batchHeader.producerEpoch(batch, 0) === 0)
      ? { answer: refusal(request, 'INVALID_PRODUCER_EPOCH') }
      : undefined,
  )
  await assert.rejects(producer.send({ topic: 'a', value: 'refused' }), { code: 'INVALID_PRODUCER_EPOCH' })
  for (const value of ['1', '2']) await producer.send({ topic: 'a', value })
  assert.deepEqual(await readCommittedValues(proxy.bootstrapServers, 'a'), [['0', '1', '2']])
})

test('a broker that keeps on losing its state is asked again with waits in between', async (t) => {
  const { proxy, producer: make } = await startProxied(t)
  const producer = make({ retryBackoffMs: 10, retryBackoffMaxMs: 40 })
  await producer.send({ topic: 'a', value: '0' })
  let refused = 0
  const arrivedMs: number[] = []
  proxy.onRequest(Produce, ({ request }) => {
    arrivedMs.push(performance.now())
    return refused++ < 5 ? { answer: refusal(request, 'OUT_OF_ORDER_SEQUENCE_NUMBER') } : undefined
  })
  await producer.send({ topic: 'a', value: '1' })
  assert.equal(arrivedMs.length, 6)
  const waits = arrivedMs.slice(1).map((ms, index) => ms - arrivedMs[index]!)
  assert.ok(
    waits.every((ms, index) => ms >= [8, 16, 32, 32, 32][index]! - 1),
    waits.join(),
  )
  assert.deepEqual(await readCommittedValues(proxy.bootstrapServers, 'a'), [['0', '1']])
})

test('a producer that is not allowed to be idempotent yet fails what waits, and goes on when it is', async (t) => {
  const { proxy, producer: make } = await startProxied(t)
  const producer = make()
  const { code } = errorTable.CLUSTER_AUTHORIZATION_FAILED
  let refused = 0
  proxy.onRequest(InitProducerId, () => (refused++ === 0 ? { answer: { errorCode: code, producerEpoch: -1 } } : undefined))
  await assert.rejects(producer.send({ topic: 'a', value: 'refused' }), {
    name: 'BrokerError',
    code: 'CLUSTER_AUTHORIZATION_FAILED',
    fatal: false,
  })
  await producer.send({ topic: 'a', value: '0' })
  assert.deepEqual(await readCommittedValues(proxy.bootstrapServers, 'a'), [['0']])
})

test('behind the last epoch of its id the producer goes on under another id', async (t) => {
  const { proxy, producer: make, admin } = await startProxied(t, { topics: { a: 2 } })
  const producer = make()
  let asked = 0
  let lastEpochId = -1
  proxy.onAnswer(InitProducerId, (answer) => {
    if (asked++ > 0) return undefined
    lastEpochId = answer.producerId
    return { ...answer, producerEpoch: 32_767 }
  })
  for (const partition of [0, 1]) await producer.send({ topic: 'a', partition, value: '0' })
  let left = 1
  proxy.onRequest(Produce, ({ request }) => (left-- > 0 ? { answer: refusal(request, 'OUT_OF_ORDER_SEQUENCE_NUMBER') } : undefined))
  for (const value of ['1', '2']) for (const partition of [0, 1]) await producer.send({ topic: 'a', partition, value })
  assert.equal(asked, 2)
  assert.deepEqual(await readCommittedValues(proxy.bootstrapServers, 'a'), Array(2).fill(['0', '1', '2']))
  for (const { activeProducers } of await admin.describeProducers([0, 1].map((partition) => ({ topic: 'a', partition })))) {
    const byId = activeProducers.map(({ producerId, producerEpoch }) => [producerId === lastEpochId, producerEpoch])
    assert.deepEqual(byId.sort(), [
      [false, 0],
      [true, 32_767],
    ])
  }
})
