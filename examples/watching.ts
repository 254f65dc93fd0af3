import assert from 'node:assert/strict'
import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Consumer, createLogger, type ExchangeObserver, type Logger, Producer, UnsupportedVersionError } from 'tidelog'

export async function logToStandardError(bootstrapServers: string): Promise<void> {
  // #region logger
  const logger = createLogger({ level: 'warn', format: 'json' })
  const producer = new Producer({ bootstrapServers, logger })
  // #endregion
  await producer.send({ topic: 'watched', value: 'a' })
  await producer.close()
}

export async function logByOnesOwn(bootstrapServers: string): Promise<void> {
  const lines: string[] = []
  // #region own-logger
  const loggerWith = (bound: Record<string, unknown>): Logger => {
    const line = (level: string) => (message: string, fields?: Record<string, unknown>) =>
      void lines.push(`${level} ${message} ${JSON.stringify({ ...bound, ...fields })}`)
    return {
      debug: line('debug'),
      info: line('info'),
      warn: line('warn'),
      error: line('error'),
      child: (fields) => loggerWith({ ...bound, ...fields }),
    }
  }
  const producer = new Producer({ bootstrapServers, logger: loggerWith({ service: 'shop' }) })
  // #endregion
  await producer.send({ topic: 'watched', value: 'a' })
  await producer.close()
  assert.match(lines[0] ?? '', /^debug connected .*"service":"shop"/)
}

export async function followTheGroup(bootstrapServers: string): Promise<void> {
  const seen: string[] = []
  await using producer = new Producer({ bootstrapServers })
  await producer.send({ topic: 'watched', value: 'a' })
  // #region channels
  const onRebalance = (message: unknown) => {
    const { groupId, assigned, revoked } = message as { groupId: string; assigned: object[]; revoked: object[] }
    seen.push(`${groupId}: ${assigned.length} partitions assigned, ${revoked.length} revoked`)
  }
  subscribe('tidelog:consumer:rebalance', onRebalance)
  // #endregion
  assert.ok(channel('tidelog:consumer:rebalance').hasSubscribers)
  const consumer = new Consumer({ bootstrapServers, groupId: 'watchers', autoOffsetReset: 'earliest' })
  consumer.subscribe(['watched'])
  await consumer.poll()
  await consumer.close()
  unsubscribe('tidelog:consumer:rebalance', onRebalance)
  assert.equal(seen[0], 'watchers: 1 partitions assigned, 0 revoked')
}

export async function traceRequests(bootstrapServers: string): Promise<void> {
  const spans: string[] = []
  // #region observer
  const observer: ExchangeObserver = {
    answered({ api, host, port, sentMs }, { bytes, nowMs }) {
      spans.push(`${api.name} to ${host}:${port}: ${Math.round(nowMs - sentMs)} ms, ${bytes} bytes`)
    },
    timedOut: ({ api }) => spans.push(`${api.name}: no answer`),
  }
  const producer = new Producer({ bootstrapServers, observer })
  // #endregion
  await producer.send({ topic: 'watched', value: 'a' })
  await producer.close()
  assert.ok(spans.some((span) => span.startsWith('Produce to 127.0.0.1:')))
}

export async function pushMetrics(bootstrapServers: string): Promise<void> {
  const orders = new Set(['a'])
  // #region own-metric
  const producer = new Producer({ bootstrapServers, clientId: 'shop' })
  producer.registerMetricForSubscription({
    name: 'open-orders',
    group: 'shop-metrics',
    tags: { 'shop-id': 'rome' },
    value: () => orders.size,
  })
  // #endregion
  await producer.send({ topic: 'measured', value: 'a' })
  // #region instance-id
  const id = await producer.clientInstanceId().catch((error) => {
    if (error instanceof UnsupportedVersionError) return undefined // no broker collects metrics
    throw error
  })
  // #endregion
  assert.equal(id, undefined)
  await producer.close()
}
