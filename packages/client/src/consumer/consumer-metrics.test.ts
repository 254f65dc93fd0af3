import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readValues, startProxied, until } from '@tidelog/testkit'
import type { Metric } from '../metrics.ts'
import type { Consumer } from './consumer.ts'

const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i))

/** By name and by what of the topic's tags they bear. */
function finder(metrics: readonly Metric[]) {
  return (name: string, topic?: string, partition?: number): number | undefined =>
    metrics.find((one) => {
      const { topic: ofTopic, partition: ofPartition } = one.tags
      return one.name === name && ofTopic === topic && ofPartition === (partition === undefined ? undefined : String(partition))
    })?.value
}

const ways: Readonly<Record<string, (consumer: Consumer<string, string>, count: number) => Promise<unknown>>> = {
  'poll()': (consumer, count) => readValues(consumer, count),
  async 'records()'(consumer, count) {
    let seen = 0
    for await (const _ of consumer.records()) if (++seen === count) break
  },
  async 'run()'(consumer, count) {
    const stop = new AbortController()
    let seen = 0
    await consumer.run({ eachRecord: () => void (++seen === count && stop.abort()), signal: stop.signal })
  },
}

for (const [way, read] of Object.entries(ways)) {
  test(`metrics count what ${way} hands out, of each topic and partition, to the record, also amid a batch and behind a seek`, async (t) => {
    const { send, consumer: make } = await startProxied(t, { topics: { a: 2, b: 1 } })
    await send('a', 0, ...numbers(10))
    await send('a', 1, ...numbers(4))
    const consumer = make({ groupId: 'g', maxPollRecords: 1 })
    consumer.assign([
      { topic: 'a', partition: 0 },
      { topic: 'a', partition: 1 },
    ])
    await read(consumer, 7)
    let of = finder(consumer.metrics())
    assert.equal(of('records-consumed-total'), 7, 'amid the batches')
    consumer.seek({ topic: 'a', partition: 0 }, 4)
    consumer.seek({ topic: 'a', partition: 1 }, 0)
    await read(consumer, 10)
    of = finder(consumer.metrics())
    assert.deepEqual([of('records-consumed-total'), of('records-consumed-total', 'a')], [17, 17])
    await send('b', 0, ...numbers(5))
    consumer.assign([
      { topic: 'a', partition: 1 },
      { topic: 'b', partition: 0 },
    ])
    await read(consumer, 5)
    of = finder(consumer.metrics())
    assert.deepEqual([of('records-consumed-total'), of('records-consumed-total', 'a'), of('records-consumed-total', 'b')], [22, 17, 5])
    assert.equal(of('bytes-consumed-total'), of('bytes-consumed-total', 'a')! + of('bytes-consumed-total', 'b')!)
    for (const name of ['fetch-size-avg', 'fetch-size-max', 'bytes-consumed-rate', 'records-per-request-avg', 'records-consumed-rate']) {
      for (const topic of [undefined, 'a', 'b']) assert.ok(of(name, topic)! > 0, `${name} of ${topic}`)
    }
    assert.ok(of('last-poll-seconds-ago')! >= 0 && of('time-between-poll-max')! >= of('time-between-poll-avg')!)
    consumer.assign([{ topic: 'b', partition: 0 }])
    of = finder(consumer.metrics())
    assert.equal(of('records-consumed-total', 'a'), undefined, 'a topic that is not assigned is forgotten')
    assert.deepEqual([of('records-consumed-total', 'b'), of('records-consumed-total')], [5, 22])
  })
}

test('lag and lead of each partition: now, and mean and extreme of late; they go with the partition', async (t) => {
  const { send, consumer: make } = await startProxied(t, { topics: { a: 2 } })
  await send('a', 0, ...numbers(8))
  await send('a', 1, ...numbers(2))
  const consumer = make({})
  const [zero, one] = [0, 1].map((partition) => ({ topic: 'a', partition })) as [
    { topic: string; partition: number },
    { topic: string; partition: number },
  ]
  consumer.assign([zero, one])
  await readValues(consumer, 10)
  consumer.seek(zero, 2)
  const found = (name: string, partition?: number) => finder(consumer.metrics())(name, partition === undefined ? undefined : 'a', partition)
  assert.deepEqual([found('records-lag', 0), found('records-lag-max', 0), found('records-lead', 0)], [6, 6, 2])
  assert.deepEqual([found('records-lag', 1), found('records-lag-max', 1), found('records-lead-min', 1)], [0, 0, 2])
  assert.ok(found('records-lag-avg', 0)! > 0 && found('records-lag-avg', 0)! < 6)
  consumer.seek(zero, 8)
  assert.deepEqual([found('records-lag', 0), found('records-lag-max', 0), found('records-lag-max')], [0, 6, 6], 'of late it was more')
  consumer.assign([one])
  assert.equal(found('records-lag', 0), undefined)
  assert.equal(found('preferred-read-replica', 1), -1)
})

for (const groupProtocol of ['classic', 'consumer'] as const) {
  test(`what a member of a group counts: commits, heartbeats, rebalances, its listener's time (${groupProtocol})`, async (t) => {
    const config = { 'group.consumer.heartbeat.interval.ms': '50', 'group.consumer.min.heartbeat.interval.ms': '50' }
    const { send, consumer: make } = await startProxied(t, { topics: { a: 2 }, config })
    await send('a', 0, ...numbers(3))
    const consumer = make({
      groupId: 'g',
      groupProtocol,
      enableAutoCommit: false,
      ...(groupProtocol === 'classic' ? { heartbeatIntervalMs: 50 } : {}),
    })
    let found = () => finder(consumer.metrics())
    assert.deepEqual([found()('last-heartbeat-seconds-ago'), found()('last-rebalance-seconds-ago')], [-1, -1])
    consumer.subscribe(['a'], { onAssigned: () => new Promise((resolve) => setTimeout(resolve, 5)) })
    await readValues(consumer, 3)
    await consumer.commit()
    await consumer.committed([{ topic: 'a', partition: 0 }])
    await until(() => found()('heartbeat-total')! > 1)
    const of = found()
    assert.deepEqual([of('commit-total'), of('assigned-partitions'), of('rebalance-total')], [1, 2, 1])
    for (const name of ['commit-latency-avg', 'heartbeat-response-time-max', 'commit-sync-time-ns-total', 'committed-time-ns-total'])
      assert.ok(of(name)! > 0, name)
    assert.ok(of('partition-assigned-latency-avg')! >= 4 && of('rebalance-latency-total')! >= of('partition-assigned-latency-max')!)
    assert.deepEqual([of('last-heartbeat-seconds-ago'), of('last-rebalance-seconds-ago'), of('failed-rebalance-total')], [0, 0, 0])
    assert.equal(of('join-total'), groupProtocol === 'classic' ? 2 : undefined, 'the first asks for an id')
    await consumer.unsubscribe()
    found = () => finder(consumer.metrics())
    assert.deepEqual([found()('assigned-partitions'), found()('records-consumed-total', 'a')], [0, undefined])
  })
}
