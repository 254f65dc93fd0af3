import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '@tidelog/core'
import { Fetch, OffsetCommit } from '@tidelog/protocol'
import { pollUntil, readValues, startProxied, until } from '@tidelog/testkit'

const a = { topic: 'a', partition: 0 }
const numbers = (count: number, from = 0): string[] => Array.from({ length: count }, (_, i) => String(from + i))
const RECORDS = 60

test('whatever is sought, paused and resumed between polls, each partition goes on exactly where it was told to', async (t) => {
  const { send, consumer: make } = await startProxied(t, { topics: { a: 3 } })
  for (const partition of [0, 1, 2]) await send('a', partition, ...numbers(RECORDS))
  const seed = Date.now() % 100_000
  const random = seededRandom(seed)
  const consumer = make({ fetchMaxWaitMs: 2, maxPartitionFetchBytes: 600, metadataMaxAgeMs: 300_000 })
  const places = [0, 1, 2].map((partition) => ({ topic: 'a', partition }))
  consumer.assign(places)
  const next = [0, 0, 0]
  const paused = [false, false, false]
  for (let step = 0; step < 400; step++) {
    const partition = random.int(3)
    const place = places[partition]!
    switch (random.int(12)) {
      case 0:
        next[partition] = random.int(RECORDS)
        consumer.seek(place, next[partition]!)
        break
      case 1:
        next[partition] = 0
        consumer.seekToBeginning([place])
        break
      case 2:
        next[partition] = RECORDS
        consumer.seekToEnd([place])
        break
      case 3:
        paused[partition] = true
        consumer.pause([place])
        break
      case 4:
        paused[partition] = false
        consumer.resume([place])
        break
      case 5:
        // With a fetch under way.
        await new Promise((resolve) => setImmediate(resolve))
        break
      default:
        for (const record of await consumer.poll({ timeoutMs: random.int(3), maxRecords: 1 + random.int(20) })) {
          assert.equal(record.offset, next[record.partition], `partition ${record.partition} at step ${step}, seed ${seed}`)
          assert.ok(!paused[record.partition], `partition ${record.partition} is paused at step ${step}, seed ${seed}`)
          next[record.partition]!++
        }
    }
  }
  for (const [partition, place] of places.entries()) assert.equal(await consumer.position(place), next[partition], `seed ${seed}`)
})

test('a seek while a fetch is under way drops its answer', async (t) => {
  const { proxy, send, consumer: make } = await startProxied(t)
  await send('a', 0, ...numbers(10))
  const consumer = make({ maxPollRecords: 1 })
  consumer.assign([a])
  let isSought = false
  proxy.onAnswer(Fetch, () => {
    // The answer has the records from 0 on; the consumer has not got it yet.
    if (!isSought) consumer.seek(a, 7)
    isSought = true
    return undefined
  })
  assert.deepEqual(await readValues(consumer, 3), ['7', '8', '9'])
})

test('a reset that the log forces leaves what was handed out to its handlers, and commits nothing beyond the position', async (t) => {
  const { send, admin, consumer: make } = await startProxied(t)
  await send('a', 0, ...numbers(10))
  const consumer = make({ groupId: 'g' })
  consumer.subscribe(['a'])
  const stop = new AbortController()
  const seen: string[] = []
  await consumer.run({
    signal: stop.signal,
    async eachRecord({ value }) {
      seen.push(value!)
      if (value === '3') {
        // Everything that was there goes while its records are in hand; the consumer has asked for what is behind them.
        await admin.deleteRecords([{ ...a, beforeOffset: 10 }])
        await send('a', 0, ...numbers(5, 10))
      }
      if (value === '14') stop.abort()
    },
  })
  assert.deepEqual(seen, numbers(15))
  await consumer.close()
  assert.equal((await admin.listConsumerGroupOffsets('g')).get(a)?.offset, 15)
})

test('offsets of partitions that are not there are an error, in the time that was given', async (t) => {
  const { consumer: make } = await startProxied(t, { config: { 'auto.create.topics.enable': 'false' } })
  const consumer = make()
  await consumer.endOffsets([a])
  for (const nowhere of [
    { topic: 'nowhere', partition: 0 },
    { topic: 'a', partition: 9 },
  ]) {
    for (const ask of [
      () => consumer.endOffsets([nowhere], { timeoutMs: 60 }),
      () => consumer.beginningOffsets([nowhere], { timeoutMs: 60 }),
      () => consumer.offsetsForTimes([{ ...nowhere, timestamp: 0 }], { timeoutMs: 60 }),
    ]) {
      await assert.rejects(ask, (error: { code: string }) => ['UNKNOWN_TOPIC_OR_PARTITION', 'TIMEOUT'].includes(error.code))
    }
  }
})

test('lag and lead are by partition, the largest and the smallest by client, and read_committed counts to the last stable offset', async (t) => {
  const { send, consumer: make, producer: makeProducer } = await startProxied(t, { topics: { a: 2 } })
  await send('a', 0, ...numbers(10))
  await send('a', 1, ...numbers(4))
  const pending = makeProducer({ transactionalId: 'x' })
  await pending.initTransactions()
  pending.beginTransaction()
  await pending.send({ ...a, value: 'open' })
  for (const isolationLevel of ['read_uncommitted', 'read_committed'] as const) {
    const consumer = make({ isolationLevel })
    const places = [a, { topic: 'a', partition: 1 }]
    consumer.assign(places)
    assert.equal(consumer.currentLag(a), undefined, 'nothing is known yet')
    await readValues(consumer, isolationLevel === 'read_committed' ? 14 : 15)
    consumer.seek(a, 3)
    consumer.seek(places[1]!, 4)
    const lag = isolationLevel === 'read_committed' ? 7 : 8
    assert.deepEqual([consumer.currentLag(a), consumer.currentLag(places[1]!)], [lag, 0])
    const metrics = consumer.metrics()
    const metricOf = (name: string, partition?: number) =>
      metrics.find((metric) => metric.name === name && metric.tags.partition === (partition === undefined ? undefined : String(partition)))
        ?.value
    assert.deepEqual(
      [
        metricOf('records-lag', 0),
        metricOf('records-lag', 1),
        metricOf('records-lag-max'),
        metricOf('records-lead', 0),
        metricOf('records-lead-min'),
      ],
      [lag, 0, lag, 3, 3],
    )
    assert.ok(metricOf('fetch-rate')! > 0 && metricOf('bytes-consumed-rate')! > 0 && metricOf('records-consumed-rate')! > 0)
    assert.ok(metricOf('fetch-total')! > 0 && metricOf('fetch-size-max')! > 0 && metricOf('bytes-consumed-total')! > 0)
    await pollUntil(consumer, () => true)
  }
  await pending.abortTransaction()
})

test('an automatic commit takes nothing back that the user has committed of the last poll', async (t) => {
  const { proxy, send, consumer: make } = await startProxied(t, { topics: { a: 2 } })
  await send('a', 0, ...numbers(3))
  const other = { topic: 'a', partition: 1 }
  const consumer = make({ groupId: 'g', autoCommitIntervalMs: 200 })
  consumer.assign([a, other])
  assert.deepEqual(await readValues(consumer, 3), numbers(3))
  await consumer.commit([{ ...a, offset: 3 }])
  const named = () => proxy.requests(OffsetCommit).flatMap(({ request }) => request.topics[0]!.partitions)
  await until(() => named().some(({ partitionIndex }) => partitionIndex === 1))
  assert.equal((await consumer.committed([a])).get(a)!.offset, 3)
  assert.equal(
    named()
      .filter(({ partitionIndex }) => partitionIndex === 0)
      .at(-1)!.committedOffset,
    3,
  )
})
