import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Random, seededRandom, silentLogger } from '@tidelog/core'
import {
  codecById,
  decompressSync,
  errorTable,
  GetTelemetrySubscriptions,
  type GetTelemetrySubscriptionsResponse,
  Metadata,
  PushTelemetry,
  type PushTelemetryRequest,
} from '@tidelog/protocol'
import { type DecodedMetric, decodeMetrics, type FakeBroker, fakeBroker, ManualClock, metadataOf, until } from '@tidelog/testkit'
import { Admin } from '../admin/admin.ts'
import type { AdminOptions } from '../admin/admin-options.ts'
import { Producer } from '../producer/producer.ts'

const INTERVAL_MS = 10_000
const instanceId = 'AAAAAAAAAAAAAAAAAAAAAg'
const subscription = {
  errorCode: 0,
  clientInstanceId: instanceId,
  subscriptionId: 7,
  acceptedCompressionTypes: [4, 2],
  pushIntervalMs: INTERVAL_MS,
  telemetryMaxBytes: 100_000,
  deltaTemporality: true,
  requestedMetrics: ['*'],
}
type Answer = Partial<GetTelemetrySubscriptionsResponse> | undefined

const codeOf = (name: keyof typeof errorTable): number => errorTable[name].code

interface Script {
  readonly asked?: (index: number) => Answer
  readonly pushed?: (index: number) => number | undefined
}

/** A broker that wants metrics. `asked` answers questions, `pushed` pushes, by their number from 0; undefined: what a decent broker says. */
async function receiver(t: TestContext, { asked, pushed }: Script = {}): Promise<FakeBroker> {
  const broker = await fakeBroker(t)
  let questions = 0
  let pushes = 0
  broker.serve(GetTelemetrySubscriptions, () => ({ ...subscription, ...asked?.(questions++) }))
  broker.serve(PushTelemetry, () => ({ errorCode: pushed?.(pushes++) ?? 0 }))
  return broker
}

const questionsOf = (broker: FakeBroker) => broker.requests(GetTelemetrySubscriptions)
const pushesOf = (broker: FakeBroker) => broker.requests(PushTelemetry)

function metricsOf({ compressionType, metrics }: PushTelemetryRequest): Map<string, DecodedMetric> {
  const bytes = decompressSync(codecById(compressionType), Buffer.from(metrics), { maxOutputBytes: 2 ** 20 })
  return new Map(decodeMetrics(bytes).map((metric) => [metric.name, metric]))
}

/** No jitter: the first push comes after one interval. */
const steady: Random = { ...seededRandom(1), int: (end) => Math.floor(end / 2) }

interface Expected {
  /** How many of each the broker is to have had by then. */
  readonly questions?: number
  readonly pushes?: number
}

interface Watched {
  readonly admin: Admin
  readonly clock: ManualClock
  /** Lets so much time pass, and waits for what is expected to come of it, up to where telemetry waits again, or has ended. */
  pass(ms: number, expected?: Expected): Promise<void>
  /** As pass() does, for what is expected of no broker. */
  over(): Promise<void>
}

async function watched(
  t: TestContext,
  broker: FakeBroker,
  options: Partial<AdminOptions> = {},
  expected: Expected = { questions: 1 },
): Promise<Watched> {
  const clock = new ManualClock()
  let waits = 0
  let waitsBefore = 0
  const debug = (message: string) => {
    if (message === 'telemetry waits') waits++
  }
  const warn = (message: string) => {
    if (message === 'metrics are not pushed any more') waits++
  }
  const admin = new Admin({
    bootstrapServers: broker.bootstrapServers,
    enableMetricsPush: true,
    clock,
    logger: { ...silentLogger, debug, warn },
    random: steady,
    connectionsMaxIdleMs: -1,
    ...options,
  })
  t.after(async () => {
    const closed = admin.close()
    clock.advance(60_000)
    await closed
  })
  const over = () => until(() => waits > waitsBefore)
  const pass = async (ms: number, { questions = 0, pushes = 0 }: Expected = {}) => {
    waitsBefore = waits
    clock.advance(ms)
    if (questions + pushes === 0) return turns()
    await until(() => questionsOf(broker).length >= questions && pushesOf(broker).length >= pushes)
    await over()
  }
  await admin.describeFeatures()
  await pass(0, expected)
  return { admin, clock, pass, over }
}

const connectionsOf = (admin: Admin): number => admin.metrics().find(({ name }) => name === 'connection-count')!.value

/** More than a small payload has room for. */
function registerMany(client: Admin): void {
  for (let index = 0; index < 100; index++)
    client.registerMetricForSubscription({ name: 'size', group: 'shop-metrics', tags: { shop: `${index}` }, value: () => index })
}

/** For what is not to happen. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}

test('a broker that does not say that it takes telemetry is asked nothing, and nothing waits for it', async (t) => {
  const broker = await fakeBroker(t)
  const { clock, pass } = await watched(t, broker, {}, {})
  await pass(24 * 3_600_000)
  assert.equal(questionsOf(broker).length, 0)
  // Those of requests have run out.
  assert.equal(clock.pendingTimers, 0)
})

test('nothing is asked or pushed unless the client is told to', async (t) => {
  const broker = await receiver(t)
  const { admin, pass } = await watched(t, broker, { enableMetricsPush: false }, {})
  await pass(INTERVAL_MS * 10)
  assert.equal(questionsOf(broker).length, 0)
  await assert.rejects(admin.clientInstanceId(), { code: 'ILLEGAL_STATE', message: /enableMetricsPush/ })
})

test('a subscription is asked for with the first connection, metrics are pushed once an interval, under the id that the first answer gave', async (t) => {
  const broker = await receiver(t)
  const { pass, admin } = await watched(t, broker)
  assert.deepEqual(questionsOf(broker), [{ clientInstanceId: 'AAAAAAAAAAAAAAAAAAAAAA' }])
  await pass(INTERVAL_MS - 1)
  assert.equal(pushesOf(broker).length, 0)
  await pass(1, { pushes: 1 })
  await pass(INTERVAL_MS, { pushes: 2 })
  await pass(INTERVAL_MS, { pushes: 3 })
  assert.equal(questionsOf(broker).length, 1)
  const pushes = pushesOf(broker)
  assert.equal(pushes.length, 3)
  for (const push of pushes)
    assert.deepEqual([push.clientInstanceId, push.subscriptionId, push.terminating, push.compressionType], [instanceId, 7, false, 4])
  const metric = metricsOf(pushes[0]!).get('org.apache.kafka.admin.client.connection.creation.total')
  assert.deepEqual([metric?.type, metric?.temporality, metric?.isMonotonic, metric?.unit], ['sum', 1, true, ''])
  assert.equal(metric?.points[0]?.value, 1)
  assert.equal(await admin.clientInstanceId(), instanceId)
})

test('the first push comes after half to one and a half intervals', async (t) => {
  for (const drawn of [0, 100]) {
    const ms = INTERVAL_MS * (0.5 + drawn / 100)
    const broker = await receiver(t)
    const { pass } = await watched(t, broker, { random: { ...steady, int: (end) => (end === 101 ? drawn : 0) } })
    await pass(ms - 1)
    assert.equal(pushesOf(broker).length, 0)
    await pass(1, { pushes: 1 })
    assert.equal(pushesOf(broker).length, 1)
  }
})

test('only what begins as the broker asks for is pushed', async (t) => {
  const wanted = ['org.apache.kafka.admin.client.connection.', 'org.apache.kafka.nothing']
  const broker = await receiver(t, { asked: () => ({ requestedMetrics: wanted }) })
  const { pass } = await watched(t, broker)
  await pass(INTERVAL_MS, { pushes: 1 })
  const names = [...metricsOf(pushesOf(broker)[0]!).keys()].sort()
  const all = ['count', 'creation.rate', 'creation.total'].map((end) => `org.apache.kafka.admin.client.connection.${end}`)
  assert.deepEqual(names, all)
})

test('while nothing is wanted the broker is asked again once an interval, over the connection that there is', async (t) => {
  const broker = await receiver(t, { asked: (index) => ({ requestedMetrics: index < 2 ? [] : [''] }) })
  const { admin, pass } = await watched(t, broker)
  await pass(INTERVAL_MS, { questions: 2 })
  assert.deepEqual([questionsOf(broker).length, pushesOf(broker).length, connectionsOf(admin)], [2, 0, 1])
  await pass(INTERVAL_MS, { questions: 3 })
  assert.deepEqual([questionsOf(broker).length, questionsOf(broker)[2]!.clientInstanceId], [3, instanceId])
  await pass(INTERVAL_MS, { pushes: 1 })
  assert.deepEqual([pushesOf(broker).length, connectionsOf(admin)], [1, 2])
})

test('a subscription of which this client has nothing is asked for again, and nothing is pushed', async (t) => {
  const broker = await receiver(t, { asked: (index) => (index === 0 ? { requestedMetrics: ['org.apache.kafka.streams.'] } : {}) })
  const { pass, over } = await watched(t, broker)
  await pass(INTERVAL_MS)
  await over()
  await pass(INTERVAL_MS, { questions: 2 })
  assert.deepEqual([questionsOf(broker).length, pushesOf(broker).length], [2, 0])
  await pass(INTERVAL_MS, { pushes: 1 })
  assert.equal(pushesOf(broker).length, 1)
})

test('a subscription that is another by now is asked for at once, under the same client instance id', async (t) => {
  const broker = await receiver(t, {
    asked: (index) => ({ subscriptionId: 7 + index }),
    pushed: (index) => (index === 0 ? codeOf('UNKNOWN_SUBSCRIPTION_ID') : undefined),
  })
  const { pass } = await watched(t, broker)
  await pass(INTERVAL_MS, { pushes: 1 })
  await pass(0, { questions: 2 })
  assert.deepEqual(
    questionsOf(broker).map(({ clientInstanceId }) => clientInstanceId),
    ['AAAAAAAAAAAAAAAAAAAAAA', instanceId],
  )
  await pass(INTERVAL_MS, { pushes: 2 })
  assert.deepEqual(
    pushesOf(broker).map(({ subscriptionId }) => subscriptionId),
    [7, 8],
  )
})

test('a codec that the broker refuses is not used again: the next that it names is, and none at the end', async (t) => {
  const broker = await receiver(t, { pushed: (index) => (index < 2 ? codeOf('UNSUPPORTED_COMPRESSION_TYPE') : undefined) })
  const { pass } = await watched(t, broker)
  for (let push = 1; push <= 3; push++) {
    await pass(INTERVAL_MS, { pushes: push })
    if (push < 3) await pass(0, { questions: push + 1 })
  }
  assert.deepEqual(
    pushesOf(broker).map(({ compressionType }) => compressionType),
    [4, 2, 0],
  )
  assert.equal(questionsOf(broker).length, 3)
})

for (const code of ['THROTTLING_QUOTA_EXCEEDED', 'TELEMETRY_TOO_LARGE', 'NOT_CONTROLLER'] as const) {
  test(`C8: ${code} for a push: the broker is asked again an interval later`, async (t) => {
    const broker = await receiver(t, { pushed: (index) => (index === 0 ? codeOf(code) : undefined) })
    const { admin, pass } = await watched(t, broker)
    registerMany(admin)
    await pass(INTERVAL_MS, { pushes: 1 })
    await pass(INTERVAL_MS - 1)
    assert.equal(questionsOf(broker).length, 1)
    await pass(1, { questions: 2 })
    await pass(INTERVAL_MS, { pushes: 2 })
    const [first, second] = pushesOf(broker)
    assert.equal(pushesOf(broker).length, 2)
    if (code === 'TELEMETRY_TOO_LARGE') assert.ok(second!.metrics.length <= first!.metrics.length / 2)
  })
}

for (const code of ['INVALID_REQUEST', 'INVALID_RECORD', 'UNSUPPORTED_VERSION', 'CLUSTER_AUTHORIZATION_FAILED'] as const) {
  test(`C8: ${code} ends telemetry, for a push as for a question, and nothing else`, async (t) => {
    const refusesPushes = await receiver(t, { pushed: () => codeOf(code) })
    const pushing = await watched(t, refusesPushes)
    await pushing.pass(INTERVAL_MS, { pushes: 1 })
    await pushing.pass(INTERVAL_MS * 100)
    assert.deepEqual([questionsOf(refusesPushes).length, pushesOf(refusesPushes).length], [1, 1])
    assert.equal(await pushing.admin.clientInstanceId(), instanceId)
    await pushing.admin.describeFeatures()

    const refusesQuestions = await receiver(t, { asked: () => ({ errorCode: codeOf(code) }) })
    const asking = await watched(t, refusesQuestions, {}, { questions: 1 })
    await asking.pass(3_600_000)
    assert.deepEqual([questionsOf(refusesQuestions).length, pushesOf(refusesQuestions).length], [1, 0])
    await assert.rejects(asking.admin.clientInstanceId(), { code })
    await asking.admin.describeFeatures()
  })
}

for (const code of ['UNKNOWN_SUBSCRIPTION_ID', 'UNSUPPORTED_COMPRESSION_TYPE', 'THROTTLING_QUOTA_EXCEEDED'] as const) {
  test(`C8: ${code} for a question: it is asked again five minutes later, not at once`, async (t) => {
    const broker = await receiver(t, { asked: () => ({ errorCode: codeOf(code) }) })
    const { pass } = await watched(t, broker)
    await pass(299_999)
    assert.equal(questionsOf(broker).length, 1)
    await pass(1, { questions: 2 })
    assert.equal(questionsOf(broker).length, 2)
  })
}

test('an answer without a client instance id is none', async (t) => {
  const broker = await receiver(t, { asked: (index) => (index === 0 ? { clientInstanceId: 'AAAAAAAAAAAAAAAAAAAAAA' } : {}) })
  const { admin, pass } = await watched(t, broker)
  await pass(INTERVAL_MS * 2)
  assert.equal(pushesOf(broker).length, 0)
  assert.equal(await admin.clientInstanceId(), instanceId)
})

test('a payload is as large as the broker takes: standard metrics are the last to be left out', async (t) => {
  const broker = await receiver(t, { asked: () => ({ telemetryMaxBytes: 400, acceptedCompressionTypes: [] }) })
  const { pass, admin } = await watched(t, broker)
  registerMany(admin)
  await pass(INTERVAL_MS, { pushes: 1 })
  const [push = assert.fail()] = pushesOf(broker)
  assert.ok(push.metrics.length <= 400 && push.compressionType === 0)
  assert.ok(metricsOf(push).has('org.apache.kafka.admin.client.connection.creation.total'))
})

test('where not even one metric finds room nothing is pushed', async (t) => {
  const broker = await receiver(t, { asked: () => ({ telemetryMaxBytes: 5 }) })
  const { pass, over } = await watched(t, broker)
  await pass(INTERVAL_MS)
  await over()
  await pass(INTERVAL_MS, { questions: 2 })
  assert.deepEqual([questionsOf(broker).length, pushesOf(broker).length], [2, 0])
})

const odd: Record<string, { answer: Answer; firstPushMs: number }> = {
  'no interval': { answer: { pushIntervalMs: 0 }, firstPushMs: 300_000 },
  'a negative interval': { answer: { pushIntervalMs: -(2 ** 31) }, firstPushMs: 300_000 },
  'an interval of nothing': { answer: { pushIntervalMs: 1 }, firstPushMs: 100 },
  'an interval of weeks': { answer: { pushIntervalMs: 2 ** 31 - 1 }, firstPushMs: 2 ** 31 - 1 },
  'throttling for an hour': { answer: { throttleTimeMs: 3_600_000 }, firstPushMs: 3_600_000 },
  'no room, which makes no sense': { answer: { telemetryMaxBytes: -1 }, firstPushMs: INTERVAL_MS },
  'codecs that nobody has': { answer: { acceptedCompressionTypes: [-1, 77, 5] }, firstPushMs: INTERVAL_MS },
  'a hundred thousand prefixes': {
    answer: { requestedMetrics: ['org.', ...Array.from({ length: 100_000 }, (_, index) => `org.apache.kafka.${index}`)] },
    firstPushMs: INTERVAL_MS,
  },
  'a prefix as long as a text can be': { answer: { requestedMetrics: ['x'.repeat(32_767), 'org.'] }, firstPushMs: INTERVAL_MS },
}
for (const [what, { answer, firstPushMs }] of Object.entries(odd)) {
  test(`C8: a broker that answers with ${what} makes telemetry neither busy nor large`, async (t) => {
    const broker = await receiver(t, { asked: () => answer })
    const { pass } = await watched(t, broker)
    await pass(firstPushMs - 1)
    assert.deepEqual([questionsOf(broker).length, pushesOf(broker).length], [1, 0])
    await pass(1, { pushes: 1 })
    assert.equal(pushesOf(broker).length, 1)
    assert.ok(pushesOf(broker)[0]!.metrics.length < 5000)
  })
}

test('C8: answers that are garbage are asked for again an interval later, and the client works', async (t) => {
  const broker = await receiver(t)
  let garbled = 0
  broker.damage = (api, body) => {
    if (api.key === PushTelemetry.key && garbled++ === 0) body.fill(0xff)
  }
  const { admin, pass, over } = await watched(t, broker)
  await pass(INTERVAL_MS)
  await until(() => garbled === 1)
  await over()
  assert.deepEqual([pushesOf(broker).length, questionsOf(broker).length], [1, 1])
  await pass(INTERVAL_MS, { questions: 2 })
  await pass(INTERVAL_MS, { pushes: 2 })
  await admin.describeFeatures()
})

test('sums count since the push before; of one that was refused they are told again, of one without an answer they are not', async (t) => {
  const broker = await receiver(t, { pushed: (index) => (index === 1 ? codeOf('UNKNOWN_SUBSCRIPTION_ID') : undefined) })
  const { admin, clock, pass, over } = await watched(t, broker)
  const startMs = clock.now()
  let total = 0
  admin.registerMetricForSubscription({ name: 'orders-total', group: 'shop-metrics', value: () => total })
  const told = (index: number) => metricsOf(pushesOf(broker)[index]!).get('org.apache.kafka.shop.orders.total')!.points[0]!
  total = 5
  await pass(INTERVAL_MS, { pushes: 1 })
  assert.deepEqual([told(0).value, told(0).startNs], [5, BigInt(startMs) * 1_000_000n])
  total = 7
  await pass(INTERVAL_MS, { pushes: 2 })
  assert.equal(told(1).value, 2)
  assert.equal(told(1).startNs, told(0).timeNs)
  total = 8
  await pass(0, { questions: 2 })
  await pass(INTERVAL_MS, { pushes: 3 })
  assert.equal(told(2).value, 3, 'the refused 2, and one more')
  broker.serve(PushTelemetry, () => undefined)
  total = 10
  await pass(INTERVAL_MS)
  await until(() => pushesOf(broker).length === 4)
  assert.equal(told(3).value, 2)
  broker.serve(PushTelemetry, () => ({ errorCode: 0 }))
  broker.disconnect()
  await over()
  total = 11
  await pass(INTERVAL_MS, { questions: 3 })
  await pass(INTERVAL_MS, { pushes: 5 })
  assert.equal(told(4).value, 1)
})

test('a broker that wants it so gets sums since the client was made', async (t) => {
  const broker = await receiver(t, { asked: () => ({ deltaTemporality: false }) })
  const { admin, pass } = await watched(t, broker)
  admin.registerMetricForSubscription({ name: 'orders', group: 'shop-metrics', type: 'sum', value: () => 5 })
  await pass(INTERVAL_MS, { pushes: 1 })
  await pass(INTERVAL_MS, { pushes: 2 })
  for (const push of pushesOf(broker)) {
    const { temporality, points } = metricsOf(push).get('org.apache.kafka.shop.orders')!
    assert.deepEqual([temporality, points[0]!.value], [2, 5])
  }
})

test('metrics of the application are pushed until they are taken back; one that throws, or gives no number, costs no other', async (t) => {
  const broker = await receiver(t)
  const { admin, pass } = await watched(t, broker)
  const queue = { name: 'queue-length', group: 'shop-metrics', tags: { 'shop-id': 'a' }, value: () => 3 }
  admin.registerMetricForSubscription(queue)
  admin.registerMetricForSubscription({ name: 'x', group: 'shop-metrics', value: () => assert.fail('no value') })
  admin.registerMetricForSubscription({ name: 'y', group: 'shop-metrics', value: () => 'text' as never })
  const own = { name: 'connection-count', group: 'admin-client-metrics', tags: { 'client-id': '' }, value: () => -5 }
  admin.registerMetricForSubscription(own)
  for (const wrong of [{ name: '' }, { tags: { a: 1 as never } }])
    assert.throws(() => admin.registerMetricForSubscription({ ...queue, ...wrong }), { code: 'INVALID_CONFIG' })
  await pass(INTERVAL_MS, { pushes: 1 })
  const first = metricsOf(pushesOf(broker)[0]!)
  const { type, points } = first.get('org.apache.kafka.shop.queue.length')!
  assert.deepEqual([type, points[0]!.value, points[0]!.attributes], ['gauge', 3, { shop_id: 'a' }])
  assert.ok(!first.has('org.apache.kafka.shop.x') && !first.has('org.apache.kafka.shop.y'))
  assert.equal(first.get('org.apache.kafka.admin.client.connection.count')!.points.length, 1)
  admin.unregisterMetricFromSubscription(queue)
  await pass(INTERVAL_MS, { pushes: 2 })
  assert.ok(!metricsOf(pushesOf(broker)[1]!).has('org.apache.kafka.shop.queue.length'))
})

test('closing pushes once more, with what has come since, and says that it is the end', async (t) => {
  const broker = await receiver(t)
  const { admin, pass } = await watched(t, broker)
  await pass(INTERVAL_MS, { pushes: 1 })
  await admin.close()
  await admin.close()
  assert.deepEqual(
    pushesOf(broker).map(({ terminating }) => terminating),
    [false, true],
  )
})

test('closing before the first push uses the connection that there is', async (t) => {
  const broker = await receiver(t)
  const { admin } = await watched(t, broker)
  await admin.close()
  assert.deepEqual(
    pushesOf(broker).map(({ terminating }) => terminating),
    [true],
  )
})

test('closing pushes nothing when nothing is wanted, and after a refusal', async (t) => {
  const wantsNothing = await receiver(t, { asked: () => ({ requestedMetrics: [] }) })
  await (await watched(t, wantsNothing)).admin.close()
  const refuses = await receiver(t, { pushed: () => codeOf('THROTTLING_QUOTA_EXCEEDED') })
  const { admin, pass } = await watched(t, refuses)
  await pass(INTERVAL_MS, { pushes: 1 })
  await admin.close()
  assert.deepEqual([pushesOf(wantsNothing).length, pushesOf(refuses).length], [0, 1])
})

test('C8: closing waits no longer than a second for a broker that does not answer the last push, and no time that it does not have', async (t) => {
  const broker = await receiver(t)
  broker.serve(PushTelemetry, () => undefined)
  const { admin, clock } = await watched(t, broker)
  let isClosed = false
  const closed = admin.close().then(() => {
    isClosed = true
  })
  await until(() => pushesOf(broker).length === 1)
  clock.advance(999)
  await turns()
  assert.equal(isClosed, false)
  clock.advance(1)
  await closed

  const producer = new Producer({ bootstrapServers: broker.bootstrapServers, clock: new ManualClock() })
  assert.equal(await producer.clientInstanceId(), instanceId)
  await producer.close({ timeoutMs: 0 })
  assert.equal(pushesOf(broker).length, 1)
})

test('pushes stay with one broker, and go to another that is connected when that one has gone', async (t) => {
  const brokers = [await receiver(t), await fakeBroker(t, { nodeId: 2 })] as const
  const [first, second] = brokers
  second.serve(GetTelemetrySubscriptions, () => subscription)
  second.serve(PushTelemetry, () => ({ errorCode: 0 }))
  for (const broker of brokers) broker.serve(Metadata, () => metadataOf(brokers, 1))
  const { admin, clock, pass, over } = await watched(t, first)
  const connecting = admin.describeFeatures({ nodeId: 2 })
  while (connectionsOf(admin) < 2) await pass(50)
  await connecting
  await pass(INTERVAL_MS, { pushes: 1 })
  await pass(INTERVAL_MS)
  await until(() => pushesOf(first).length === 2)
  assert.equal(pushesOf(second).length, 0)
  await over()
  first.stop()
  await until(() => connectionsOf(admin) === 1)
  clock.advance(INTERVAL_MS)
  await until(() => pushesOf(second).length > 0)
  const [push = assert.fail()] = pushesOf(second)
  assert.deepEqual([push.clientInstanceId, questionsOf(second).length], [instanceId, 0])
})
