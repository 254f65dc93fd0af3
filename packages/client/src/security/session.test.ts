import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { freePort, SaslGateway, startTestBroker, TcpProxy } from '@tidelog/testkit'
import { Admin } from '../admin/admin.ts'
import { Consumer } from '../consumer/consumer.ts'
import { AuthenticationError } from '../errors.ts'
import { Producer } from '../producer/producer.ts'
import { string } from '../serde/serde.ts'

const sasl = { mechanism: 'PLAIN', username: 'u', password: 'p' } as const

/** Sends in rounds of 20, and `each` after every round, until it is enough; a group reads it all. */
async function load(
  t: TestContext,
  bootstrapServers: string,
  { until, each }: { readonly until: () => boolean; readonly each: () => void },
): Promise<{ sent: number; seen: number; different: number }> {
  const quick = { bootstrapServers, sasl, retryBackoffMs: 5, reconnectBackoffMs: 5, reconnectBackoffMaxMs: 20 }
  const producer = new Producer({ ...quick, valueSerializer: string })
  const reads = { fetchMaxWaitMs: 5, heartbeatIntervalMs: 20, autoCommitIntervalMs: 20, autoOffsetReset: 'earliest' }
  const consumer = new Consumer({ ...quick, ...reads, valueDeserializer: string, groupId: 'g' })
  t.after(() => Promise.all([producer.close({ timeoutMs: 1000 }), consumer.close({ timeoutMs: 1000 })]))
  await producer.send({ topic: 'a', value: 'first' })
  consumer.subscribe('a')
  const seen: string[] = []
  const different = new Set<string>()
  let sent = 1
  let isDone = false
  const reading = (async () => {
    for await (const { value } of consumer.records()) {
      seen.push(value!)
      different.add(value!)
      if (isDone && different.size >= sent) break
    }
  })()
  while (!until()) {
    const sending = Array.from({ length: 20 }, () => producer.send({ topic: 'a', value: `v${sent++}` }))
    each()
    await Promise.all(sending)
  }
  isDone = true
  await producer.send({ topic: 'a', value: `v${sent++}` })
  await reading
  return { sent, seen: seen.length, different: different.size }
}

/** Our broker behind a listener with SASL, and before that what can break connections. */
async function gatewayFor(t: TestContext, sessionLifetimeMs: number) {
  const proxy = await TcpProxy.start(t)
  const gateway = await SaslGateway.start(t, { username: 'u', password: 'p', sessionLifetimeMs, graceMs: 2000 })
  const port = await freePort()
  const config = {
    listeners: `PLAINTEXT://127.0.0.1:${port}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${proxy.port}`,
    'num.partitions': '2',
    'group.initial.rebalance.delay.ms': '0',
  }
  const broker = await startTestBroker({ config })
  gateway.target = { host: '127.0.0.1', port }
  proxy.target = { host: '127.0.0.1', port: gateway.port }
  t.after(() => broker.close())
  return { gateway, proxy, bootstrapServers: `127.0.0.1:${proxy.port}` }
}

test('C5: sessions that end again and again under load are renewed in time: nothing is cut off, lost or twice', async (t) => {
  const { gateway, bootstrapServers } = await gatewayFor(t, 100)
  const counts = await load(t, bootstrapServers, { until: () => gateway.renewals >= 8, each: () => {} })
  assert.deepEqual(gateway.violations, [])
  assert.deepEqual([counts.seen, counts.different], [counts.sent, counts.sent])
})

test('C2: connections that break again and again amid logins, requests and answers lose nothing and double nothing', async (t) => {
  const { gateway, proxy, bootstrapServers } = await gatewayFor(t, 5)
  let breaks = 0
  const each = () => {
    breaks++
    proxy.breakAll()
  }
  const counts = await load(t, bootstrapServers, { until: () => breaks >= 12, each })
  assert.deepEqual(gateway.violations, [])
  // What was read and not yet committed when a connection broke may be read again.
  assert.equal(counts.different, counts.sent)
  const consumer = new Consumer({ bootstrapServers, sasl })
  t.after(() => consumer.close({ timeoutMs: 1000 }))
  const ends = await consumer.endOffsets([0, 1].map((partition) => ({ topic: 'a', partition })))
  assert.equal(
    [...ends.values()].reduce((sum, end) => sum + end, 0),
    counts.sent,
  )
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

for (const groupProtocol of ['classic', 'consumer'] as const) {
  test(`C3: a member whose password is refused goes on by the next read once it is right (${groupProtocol})`, async (t) => {
    const { gateway, bootstrapServers } = await gatewayFor(t, 60_000)
    const quick = { bootstrapServers, reconnectBackoffMs: 5, reconnectBackoffMaxMs: 20, retryBackoffMs: 5 }
    let password = 'wrong'
    const consumer = new Consumer({
      ...quick,
      sasl: { mechanism: 'PLAIN', username: 'u', password: () => password },
      groupId: 'g',
      groupProtocol,
      autoOffsetReset: 'earliest',
      valueDeserializer: string,
    })
    const producer = new Producer({ ...quick, sasl, valueSerializer: string })
    t.after(() => Promise.all([producer.close({ timeoutMs: 1000 }), consumer.close({ timeoutMs: 1000 })]))
    await producer.send({ topic: 'a', value: 'v' })
    consumer.subscribe('a')
    const read = async (): Promise<string | null> => {
      for await (const { value } of consumer.records()) return value
      return null
    }
    for (let i = 0; i < 3; i++) await assert.rejects(read(), AuthenticationError)
    assert.ok(gateway.refusals > 0)
    password = 'p'
    const readOn = (): Promise<string | null> =>
      read().catch((error) => {
        assert.ok(error instanceof AuthenticationError, String(error))
        return readOn()
      })
    assert.equal(await readOn(), 'v')
  })
}
