import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startTestBroker } from '@tidelog/testkit'
import { Producer } from './producer.ts'

test("metrics have Kafka's names, of the producer and of each topic, and add up", async (t) => {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const producer = new Producer({ bootstrapServers: broker.bootstrapServers, clientId: 'c', compressionType: 'gzip' })
  t.after(() => producer.close())
  await producer.sendMany(Array.from({ length: 100 }, (_, i) => ({ topic: i % 4 === 0 ? 'a' : 'b', value: 'x'.repeat(100) })))
  await assert.rejects(producer.send({ topic: 'a', value: 'v', timestamp: Date.now() + 1e9 }), { code: 'INVALID_TIMESTAMP' })
  const metrics = producer.metrics()
  const of = (name: string, topic?: string): number =>
    metrics.find((one) => one.name === name && one.tags.topic === topic && one.tags['client-id'] === 'c')!.value
  assert.equal(of('record-send-total'), 101)
  assert.equal(of('record-send-total', 'a'), 26)
  assert.equal(of('record-send-total', 'b'), 75)
  assert.equal(of('byte-total'), of('byte-total', 'a') + of('byte-total', 'b'))
  assert.equal(of('record-error-total'), 1)
  assert.equal(of('record-error-total', 'b'), 0)
  assert.equal(of('requests-in-flight'), 0)
  for (const name of ['record-send-rate', 'byte-rate', 'request-rate', 'record-size-avg', 'batch-size-max', 'request-latency-avg']) {
    assert.ok(of(name) > 0, name)
  }
  assert.ok(of('compression-rate-avg') > 0 && of('compression-rate', 'b') < 1)
  assert.ok(of('record-queue-time-max') >= of('record-queue-time-avg'))
  const ofNode = new Map(metrics.filter(({ group }) => group === 'producer-node-metrics').map(({ name, value }) => [name, value]))
  assert.ok(ofNode.get('request-latency-max')! >= ofNode.get('request-latency-avg')! && ofNode.get('request-latency-avg')! > 0)
  assert.equal(ofNode.get('request-total'), ofNode.get('response-total'))
  assert.ok(ofNode.get('request-total')! > of('request-total'), 'metadata and the like too')
  assert.equal(of('connection-creation-rate'), of('connection-creation-total') / 30)
})
