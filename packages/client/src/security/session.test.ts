import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { freePort, SaslGateway, startTestBroker } from '@tidelog/testkit'
import { Admin } from '../admin/admin.ts'
import { Consumer } from '../consumer/consumer.ts'
import { AuthenticationError } from '../errors.ts'
import { Producer } from '../producer/producer.ts'
import { string } from '../serde/serde.ts'

async function gatewayFor(t: TestContext, sessionLifetimeMs: number) {
  const gateway = await SaslGateway.start(t, { username: 'u', password: 'p', sessionLifetimeMs, graceMs: 2000 })
  const port = await freePort()
  const config = {
    listeners: `PLAINTEXT://127.0.0.1:${port}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${gateway.port}`,
    'num.partitions': '2',
    'group.initial.rebalance.delay.ms': '0',
  }
  const broker = await startTestBroker({ config })
  gateway.target = { host: '127.0.0.1', port }
  t.after(() => broker.close())
  return { gateway, bootstrapServers: `127.0.0.1:${gateway.port}` }
}

test('C5: sessions that end again and again under load are renewed in time: nothing is cut off, lost or twice', async (t) => {
  const { gateway, bootstrapServers } = await gatewayFor(t, 100)
  const options = { bootstrapServers, sasl: { mechanism: 'PLAIN', username: 'u', password: 'p' } } as const
  const producer = new Producer({ ...options, valueSerializer: string })
  const quick = { fetchMaxWaitMs: 5, heartbeatIntervalMs: 20, autoCommitIntervalMs: 20 }
  const consumer = new Consumer({ ...options, ...quick, valueDeserializer: string, groupId: 'g', autoOffsetReset: 'earliest' })
  t.after(() => Promise.all([producer.close({ timeoutMs: 1000 }), consumer.close({ timeoutMs: 1000 })]))
  await producer.send({ topic: 'a', value: 'first' })
  consumer.subscribe('a')
  const seen: string[] = []
  let sentCount = 1
  let isDone = false
  const reading = (async () => {
    for await (const { value } of consumer.records()) {
      seen.push(value!)
      if (isDone && seen.length >= sentCount) break
    }
  })()
  while (gateway.renewals < 12) {
    const values = Array.from({ length: 20 }, () => `v${sentCount++}`)
    await Promise.all(values.map((value) => producer.send({ topic: 'a', value })))
  }
  isDone = true
  await producer.send({ topic: 'a', value: `v${sentCount++}` })
  await reading
  assert.deepEqual(gateway.violations, [])
  assert.equal(seen.length, sentCount)
  assert.equal(new Set(seen).size, sentCount)
})

test('C5: a login that is refused when the session ends is an AuthenticationError, and with the right password it goes on', async (t) => {
  const { gateway, bootstrapServers } = await gatewayFor(t, 100)
  let current = 'p'
  const sasl = { mechanism: 'PLAIN', username: 'u', password: () => current } as const
  const admin = new Admin({ bootstrapServers, sasl, reconnectBackoffMs: 1, reconnectBackoffMaxMs: 1, retryBackoffMs: 1 })
  t.after(() => admin.close())
  await admin.describeCluster()
  current = 'wrong'
  let error: unknown
  while (error === undefined)
    error = await admin.describeCluster().then(
      () => undefined,
      (reason) => reason,
    )
  assert.ok(error instanceof AuthenticationError, String(error))
  assert.ok(gateway.refusals > 0)
  current = 'p'
  for (;;) {
    const isIn = await admin.describeCluster().then(
      () => true,
      () => false,
    )
    if (isIn) break
  }
  assert.deepEqual(gateway.violations, [])
})
