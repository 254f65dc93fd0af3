/** What our clients tell Apache Kafka of themselves (KIP-714), beside what Java's clients tell the same broker under the same subscription. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { Admin, Consumer, Producer, ShareConsumer, string } from '@tidelog/client'
import { type DecodedMetric, decodeMetrics } from '@tidelog/testkit'
import { BackgroundProcess } from './background.ts'
import { eventually } from './eventually.ts'
import { type BrokerKind, compatDir, javaArgs, kafkaJars, startBrokerProcess, succeed } from './harness.ts'

const STEP_TIMEOUT_MS = 120_000

interface Push {
  readonly clientId: string
  readonly instanceId: string
  readonly isLast: boolean
  readonly metrics: readonly DecodedMetric[]
}

interface Stage {
  readonly bootstrapServers: string
  /** Of a client, in order. */
  pushes(clientId: string): Push[]
}

/** A broker that writes down what it is told. */
async function stageOf(t: TestContext, kind: BrokerKind): Promise<Stage> {
  const dir = mkdtempSync(join(tmpdir(), 'tidelog-telemetry-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const [classes, pushed] = [join(dir, 'classes'), join(dir, 'pushed')]
  mkdirSync(classes)
  mkdirSync(pushed)
  const jars = await kafkaJars(kind === 'kafka-3.9' ? '3.9.1' : '4.3.0')
  await succeed('javac', ['-cp', jars, '-d', classes, join(compatDir, 'java', 'TelemetryReceiver.java')])
  const settings = {
    'metric.reporters': 'TelemetryReceiver',
    'test.telemetry.dir': pushed,
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
  }
  const broker = await startBrokerProcess(t, settings, kind, { listeners: {}, scramUsers: [], classPath: [classes] })
  const pushes = (clientId: string): Push[] =>
    readdirSync(pushed)
      .filter((name) => name.endsWith('.otlp'))
      .map((name) => ({ name, parts: name.replace(/\.otlp$/, '').split('@') }))
      .filter(({ parts }) => parts[0] === clientId)
      .sort((a, b) => Number(a.parts[2]) - Number(b.parts[2]))
      .map(({ name, parts }) => ({
        clientId,
        instanceId: parts[1]!,
        isLast: parts[3] === 'last',
        metrics: decodeMetrics(readFileSync(join(pushed, name))),
      }))
  const { bootstrap: bootstrapServers } = broker
  const admin = new Admin({ bootstrapServers })
  t.after(() => admin.close())
  await admin.createTopics([{ topic: 'a', numPartitions: 2 }])
  const resource = { type: 'client-metrics', name: 'all' } as const
  const ops = Object.entries({ metrics: '*', 'interval.ms': '500' }).map(([name, value]) => ({ name, value, op: 'set' }) as const)
  await admin.incrementalAlterConfigs([{ resource, ops }])
  await eventually('the broker knows of the subscription', async () => (await admin.listClientMetricsResources()).includes('all'))
  return { bootstrapServers, pushes }
}

/** As Java's program of the same purpose. */
async function metered({ bootstrapServers }: Stage, groupProtocol: 'classic' | 'consumer', until: () => boolean): Promise<void> {
  const producer = new Producer({
    bootstrapServers,
    clientId: 'our-producer',
    transactionalId: 'our-transactions',
    valueSerializer: string,
  })
  const consumer = new Consumer({
    bootstrapServers,
    clientId: 'our-consumer',
    groupId: 'our-group',
    groupInstanceId: 'our-instance',
    clientRack: 'r1',
    autoOffsetReset: 'earliest',
    groupProtocol,
  })
  const deadline = performance.now() + STEP_TIMEOUT_MS
  try {
    consumer.subscribe('a')
    while (!until() && performance.now() < deadline) {
      await producer.transaction(async (transaction) => {
        for (let index = 0; index < 10; index++) void transaction.send({ topic: 'a', value: 'v' })
      })
      if ((await consumer.poll({ timeoutMs: 100 })).count > 0) await consumer.commit()
    }
  } finally {
    await producer.close()
    await consumer.close()
  }
}

/** Everything a client has told of its metrics, by name. */
function toldBy(pushes: readonly Push[]): Map<string, DecodedMetric[]> {
  const told = new Map<string, DecodedMetric[]>()
  for (const metric of pushes.flatMap(({ metrics }) => metrics)) told.set(metric.name, [...(told.get(metric.name) ?? []), metric])
  return told
}

const sorted = (texts: Iterable<string>): string[] => [...new Set(texts)].sort()

/** What a receiver makes of a metric, its values and times aside. */
function formOf(metrics: readonly DecodedMetric[]): object {
  const points = metrics.flatMap((metric) => metric.points)
  return {
    types: sorted(metrics.map(({ type, temporality, isMonotonic }) => `${type} ${temporality} ${isMonotonic}`)),
    attributes: sorted(points.map(({ attributes }) => Object.keys(attributes).sort().join())),
    texts: sorted(metrics.map(({ unit, description }) => unit + description)),
    integers: sorted(points.map(({ isInteger }) => String(isInteger))),
    hasStart: sorted(points.map(({ startNs }) => String(startNs > 0n))),
  }
}

/** What ours count and Java's do not. */
const besides = { producer: ['producer.byte.rate', 'producer.byte.total', 'producer.incomplete.batches'], consumer: [] }

const standard = {
  producer: [
    'connection.creation.rate',
    'connection.creation.total',
    'node.request.latency.avg',
    'node.request.latency.max',
    'produce.throttle.time.avg',
    'produce.throttle.time.max',
    'record.queue.time.avg',
    'record.queue.time.max',
  ],
  consumer: [
    'connection.creation.rate',
    'connection.creation.total',
    'node.request.latency.avg',
    'node.request.latency.max',
    'poll.idle.ratio.avg',
    'coordinator.commit.latency.avg',
    'coordinator.commit.latency.max',
    'coordinator.assigned.partitions',
    'coordinator.rebalance.latency.avg',
    'coordinator.rebalance.latency.max',
    'coordinator.rebalance.latency.total',
    'fetch.manager.fetch.latency.avg',
    'fetch.manager.fetch.latency.max',
  ],
} as const

for (const groupProtocol of ['classic', 'consumer'] as const) {
  test(`producers and members of ${groupProtocol} groups tell Kafka 4.3 what Java's do, in the same form`, async (t) => {
    const stage = await stageOf(t, 'kafka-4.3')
    const args = [...javaArgs, '-Xmx256M', '-cp', await kafkaJars('4.3.0'), join(compatDir, 'java', 'Metered.java')]
    const java = new BackgroundProcess(t, 'java', [...args, stage.bootstrapServers, 'a', groupProtocol])
    const hasTold = (clientId: string) => {
      const pushes = stage.pushes(clientId)
      // A consumer shall have been a member for a while.
      return pushes.length >= 4 && (clientId.endsWith('producer') || 'group_member_id' in pushes.at(-3)!.metrics[0]!.labels)
    }
    await metered(stage, groupProtocol, () => ['our-producer', 'our-consumer'].every(hasTold))
    await eventually('Java has pushed', () => ['java-producer', 'java-consumer'].every(hasTold), STEP_TIMEOUT_MS)
    java.write('\n')
    assert.equal(await java.end(STEP_TIMEOUT_MS), 0)

    for (const client of ['producer', 'consumer'] as const) {
      const [ours, javas] = [stage.pushes(`our-${client}`), stage.pushes(`java-${client}`)]
      for (const pushes of [ours, javas]) assert.equal(new Set(pushes.map(({ instanceId }) => instanceId)).size, 1)
      // Java's producer closes without one.
      assert.deepEqual([ours.at(-1)!.isLast, ours.filter(({ isLast }) => isLast).length], [true, 1])
      const [told, toldByJava] = [toldBy(ours), toldBy(javas)]
      for (const name of standard[client]) assert.ok(told.has(`org.apache.kafka.${client}.${name}`), `${client}.${name}`)
      const javaHasNot: string[] = []
      for (const [name, metrics] of told) {
        const javaMetrics = toldByJava.get(name)
        if (javaMetrics === undefined) javaHasNot.push(name.replace('org.apache.kafka.', ''))
        else assert.deepEqual(formOf(metrics), formOf(javaMetrics), name)
      }
      assert.deepEqual(javaHasNot.sort(), besides[client])
      const labelsOf = (pushes: readonly Push[]) => Object.keys(pushes.at(-1)!.metrics[0]!.labels).sort()
      assert.deepEqual(labelsOf(ours), labelsOf(javas))
      t.diagnostic(`${client}: ${told.size} metrics of ours, ${toldByJava.size} of Java's`)
    }
    const sent = toldBy(stage.pushes('our-producer')).get('org.apache.kafka.producer.record.send.total')!
    const sum = sent.flatMap(({ points }) => points).reduce((total, { value }) => total + value, 0)
    assert.ok(sum >= 10 && sum % 10 === 0, `${sum} records: every one told once`)
    const { labels } = sent[0]!
    assert.deepEqual(labels, { transactional_id: 'our-transactions' })
  })
}

test('share consumers and admin clients push too; Kafka 3.9 takes what is pushed as 4.3 does', async (t) => {
  for (const kind of ['kafka-4.3', 'kafka-3.9'] as const) {
    const stage = await stageOf(t, kind)
    const { bootstrapServers } = stage
    const admin = new Admin({ bootstrapServers, clientId: 'our-admin', enableMetricsPush: true })
    t.after(() => admin.close())
    const orders = { name: 'orders-total', group: 'shop-metrics', value: () => 5 }
    admin.registerMetricForSubscription(orders)
    const instanceId = await admin.clientInstanceId()
    await eventually('the admin client has pushed', () => stage.pushes('our-admin').length >= 2, STEP_TIMEOUT_MS)
    const [first, second] = stage.pushes('our-admin')
    assert.deepEqual([first!.instanceId, second!.instanceId], [instanceId, instanceId])
    const valuesOf = (push: Push) =>
      toldBy([push])
        .get('org.apache.kafka.shop.orders.total')!
        .flatMap(({ points }) => points)
    assert.deepEqual([valuesOf(first!)[0]!.value, valuesOf(second!)[0]!.value], [5, 0])
    if (kind === 'kafka-3.9') continue
    const share = new ShareConsumer({ bootstrapServers, clientId: 'our-share', groupId: 'our-share-group' })
    share.subscribe('a')
    t.after(() => share.close())
    await eventually('the share consumer has pushed', () => stage.pushes('our-share').length >= 1, STEP_TIMEOUT_MS)
    await share.close()
    const last = stage.pushes('our-share').at(-1)!
    assert.ok(last.isLast)
    assert.ok(toldBy([last]).has('org.apache.kafka.consumer.connection.creation.total'))
    assert.equal(last.metrics[0]!.labels.group_id, 'our-share-group')
  }
})

test('a broker without a receiver is asked nothing', async (t) => {
  const { bootstrap: bootstrapServers } = await startBrokerProcess(t, {}, 'kafka-4.3')
  const asked: string[] = []
  const observer = { sent: ({ api }: { api: { name: string } }) => void asked.push(api.name) }
  const producer = new Producer({ bootstrapServers, observer, valueSerializer: string })
  t.after(() => producer.close())
  await producer.send({ topic: 'a', value: 'v' })
  await assert.rejects(producer.clientInstanceId(), { code: 'UNSUPPORTED_VERSION' })
  await producer.close()
  assert.ok(!asked.some((name) => name.includes('Telemetry')), asked.join())
})
