import assert from 'node:assert/strict'
import { test } from 'node:test'
import { codecById, decompressSync, GetTelemetrySubscriptions, PushTelemetry } from '@tidelog/protocol'
import { decodeMetrics, fakeBroker, ManualClock, until } from '@tidelog/testkit'
import { Consumer } from '../consumer/consumer.ts'
import { Producer } from '../producer/producer.ts'
import { ShareConsumer } from '../share/share-consumer.ts'

const INTERVAL_MS = 1000

type Client = Pick<Producer, 'clientInstanceId' | 'metrics'> & { close(options: { timeoutMs: number }): Promise<void> }

const clients: Record<
  string,
  { make: (options: { bootstrapServers: string; clock: ManualClock }) => Client; prefix: string; labels: object }
> = {
  'a producer': {
    make: (options) => new Producer({ ...options, clientId: 'c' }),
    prefix: 'org.apache.kafka.producer.',
    labels: {},
  },
  'a transactional producer': {
    make: (options) => new Producer({ ...options, transactionalId: 'payments' }),
    prefix: 'org.apache.kafka.producer.',
    labels: { transactional_id: 'payments' },
  },
  'a consumer that is no member yet': {
    make: (options) => new Consumer({ ...options, groupId: 'g', groupInstanceId: 'i', clientRack: 'r' }),
    prefix: 'org.apache.kafka.consumer.',
    labels: { client_rack: 'r', group_id: 'g', group_instance_id: 'i' },
  },
  'a consumer without a group': {
    make: (options) => new Consumer(options),
    prefix: 'org.apache.kafka.consumer.',
    labels: {},
  },
  'a share consumer': {
    make: (options) => new ShareConsumer({ ...options, groupId: 'g', random: { int: () => 0, bytes: (length) => new Uint8Array(length) } }),
    prefix: 'org.apache.kafka.consumer.',
    labels: { group_id: 'g', group_member_id: 'AAAAAAAAAAAAAAAAAAAAAA' },
  },
}

for (const [who, { make, prefix, labels }] of Object.entries(clients)) {
  test(`${who} pushes what its metrics() tells, under Kafka's names, and says who it is`, async (t) => {
    const broker = await fakeBroker(t)
    broker.serve(GetTelemetrySubscriptions, () => ({
      errorCode: 0,
      clientInstanceId: 'AAAAAAAAAAAAAAAAAAAAAg',
      subscriptionId: 1,
      acceptedCompressionTypes: [1],
      pushIntervalMs: INTERVAL_MS,
      telemetryMaxBytes: 100_000,
      deltaTemporality: true,
      requestedMetrics: ['*'],
    }))
    broker.serve(PushTelemetry, () => ({ errorCode: 0 }))
    const clock = new ManualClock()
    const client = make({ bootstrapServers: broker.bootstrapServers, clock })
    t.after(() => client.close({ timeoutMs: 0 }))
    assert.equal(await client.clientInstanceId(), 'AAAAAAAAAAAAAAAAAAAAAg')
    clock.advance(INTERVAL_MS * 1.5)
    await until(() => broker.requests(PushTelemetry).length === 1)
    const [push = assert.fail()] = broker.requests(PushTelemetry)
    const bytes = decompressSync(codecById(push.compressionType), Buffer.from(push.metrics), { maxOutputBytes: 2 ** 20 })
    const told = decodeMetrics(bytes)
    assert.deepEqual(told[0]!.labels, labels)
    const dotted = (text: string) => text.replaceAll('-', '.')
    const own = client.metrics().map(({ group, name }) => `org.apache.kafka.${dotted(group.replace('-metrics', ''))}.${dotted(name)}`)
    assert.deepEqual([...new Set(told.map(({ name }) => name))].sort(), [...new Set(own)].sort())
    assert.ok(told.every(({ name, points }) => name.startsWith(prefix) && points.every(({ attributes }) => !('client_id' in attributes))))
  })
}
