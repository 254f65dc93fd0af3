/** Faults that other Node clients have or had, as tests of this one; docs/decisions/faults-of-other-clients.md names the reports. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorTable, Fetch, FindCoordinator, Heartbeat, OffsetCommit, Produce } from '@tidelog/protocol'
import { freePort, pollUntil, readValues, startProxied, until } from '@tidelog/testkit'
import { Admin } from './admin/admin.ts'
import { Consumer } from './consumer/consumer.ts'
import { Producer } from './producer/producer.ts'
import { int32, json, string } from './serde/serde.ts'

const a = { topic: 'a', partition: 0 }
const numbers = (count: number, from = 0): string[] => Array.from({ length: count }, (_, i) => String(from + i))

test('what is committed is the offset behind the last record, whichever way it was read', async (t) => {
  const { send, consumer: make, admin } = await startProxied(t)
  await send('a', 0, ...numbers(10))
  const committed = async (group: string) => (await admin.listConsumerGroupOffsets(group)).get(a)?.offset
  const options = (groupId: string) => ({ groupId, enableAutoCommit: false })

  const polling = make(options('poll'))
  polling.subscribe(['a'])
  const polled = await polling.poll({ maxRecords: 4 })
  await polling.commit(polled.offsets())
  assert.equal(await committed('poll'), 4)
  await readValues(polling, 6)
  await polling.commit()
  assert.equal(await committed('poll'), 10)

  const batching = make({ ...options('batches'), maxPollRecords: 3 })
  batching.subscribe(['a'])
  for await (const batch of batching.batches()) {
    await batch.commit()
    assert.equal(await committed('batches'), batch.records.at(-1)!.offset + 1)
    if (batch.records.at(-1)!.offset === 9) break
  }

  for (const way of ['records', 'run'] as const) {
    const automatic = make({ groupId: way })
    automatic.subscribe(['a'])
    const stop = new AbortController()
    let seen = 0
    if (way === 'run') await automatic.run({ eachRecord: () => void (++seen === 10 && stop.abort()), signal: stop.signal })
    else for await (const _ of automatic.records()) if (++seen > 9) void automatic.close()
    await automatic.close()
    assert.equal(await committed(way), 10, way)
  }
})

test('a record without value is a tombstone: null and not a failure, under every serde', async (t) => {
  const { proxy, admin } = await startProxied(t)
  await admin.createTopics([{ topic: 'compacted', numPartitions: 1, configs: { 'cleanup.policy': 'compact' } }])
  const { bootstrapServers } = proxy
  const producer = new Producer({ bootstrapServers, keySerializer: string, valueSerializer: json<{ n: number }>() })
  await producer.sendMany([
    { topic: 'compacted', key: 'k', value: { n: 1 } },
    { topic: 'compacted', key: 'k', value: null },
  ])
  await producer.close()
  for (const valueDeserializer of [
    json<unknown>(),
    int32,
    string,
    async (bytes: Buffer): Promise<unknown> => JSON.parse(bytes.toString()),
  ]) {
    const consumer = new Consumer<string, unknown>({ bootstrapServers, keyDeserializer: string, valueDeserializer })
    consumer.assign([{ topic: 'compacted', partition: 0 }])
    consumer.seekToBeginning()
    const records = [...(await consumer.poll())]
    assert.deepEqual([records[1]!.key, records[1]!.value, records[1]!.valueBytes], ['k', null, null])
    await consumer.close()
  }
})

test('a slow reader is not fetched for without bound, and a partition that stands still holds up no other', async (t) => {
  const fetchMaxBytes = 64 * 1024
  const { proxy, producer: makeProducer, consumer: make } = await startProxied(t, { topics: { a: 4 } })
  const producer = makeProducer({ batchSize: 8 * 1024 })
  const value = 'x'.repeat(1000)
  const perPartition = 200
  for (let i = 0; i < perPartition; i++) await producer.sendMany([0, 1, 2, 3].map((partition) => ({ topic: 'a', partition, value })))
  let answered = 0
  proxy.onAnswer(Fetch, ({ responses }) => {
    for (const { partitions } of responses) for (const { records } of partitions) answered += records?.length ?? 0
    return undefined
  })
  const consumer = make({ fetchMaxBytes, maxPartitionFetchBytes: 32 * 1024, maxPollRecords: 1, fetchMaxWaitMs: 5 })
  consumer.assign([0, 1, 2, 3].map((partition) => ({ topic: 'a', partition })))
  const seen = [0, 0, 0, 0]
  const take = async () => {
    for (const { partition } of await consumer.poll({ timeoutMs: 100 })) seen[partition]!++
  }
  // Some of each, so that everything is buffered that may be; then nobody takes.
  while (seen.some((count) => count === 0)) await take()
  await new Promise((resolve) => setTimeout(resolve, 60))
  const handedOut = seen.reduce((sum, count) => sum + count) * value.length
  assert.ok(answered - handedOut <= fetchMaxBytes + 32 * 1024, `${answered - handedOut} bytes are ahead`)
  // One that is paused with a full buffer.
  consumer.pause([a])
  const before = seen[0]
  while (seen.slice(1).some((count) => count < perPartition)) await take()
  assert.equal(seen[0], before)
  consumer.resume([a])
  while (seen[0]! < perPartition) await take()
  assert.deepEqual(seen, [perPartition, perPartition, perPartition, perPartition])
})

test('a position that is out of range hangs nothing: by policy reading goes on, without one it is an error and seek() mends it', async (t) => {
  const { send, consumer: make, admin } = await startProxied(t)
  await send('a', 0, ...numbers(10))
  const consumer = make({ groupId: 'g' })
  consumer.assign([a])
  assert.deepEqual(await readValues(consumer, 10), numbers(10))
  // Behind the end, before the start.
  consumer.seek(a, 1000)
  assert.deepEqual(await readValues(consumer, 10), numbers(10))
  await admin.deleteRecords([{ ...a, beforeOffset: 6 }])
  consumer.seek(a, 3)
  assert.deepEqual(await readValues(consumer, 4), numbers(4, 6))
  const strict = make({ autoOffsetReset: 'none' })
  strict.assign([a])
  strict.seek(a, 1000)
  await assert.rejects(strict.poll(), { code: 'OFFSET_OUT_OF_RANGE', partitions: [a] })
  strict.seek(a, 8)
  assert.deepEqual(await readValues(strict, 2), ['8', '9'])
})

test('a coordinator that moves, loads or is not there yet costs no membership and no commit', async (t) => {
  const { proxy, send, consumer: make, admin } = await startProxied(t, { nodes: [1, 2] })
  await send('a', 0, ...numbers(5))
  const consumer = make({ groupId: 'g', enableAutoCommit: false })
  let lost = 0
  consumer.subscribe(['a'], { onLost: () => void lost++ })
  assert.deepEqual(await readValues(consumer, 5), numbers(5))
  const { memberId, generationId } = consumer.groupMetadata()
  proxy.onAnswer(FindCoordinator, (answer) => {
    const place = { nodeId: 2, host: '127.0.0.1', port: proxy.portOf(2) }
    return { ...answer, coordinators: answer.coordinators.map((one) => ({ ...one, ...place })) }
  })
  const refusals = ['NOT_COORDINATOR', 'COORDINATOR_LOAD_IN_PROGRESS', 'COORDINATOR_NOT_AVAILABLE'] as const
  let refused = 0
  const errorFor = (nodeId: number): number => {
    if (nodeId === 1) return errorTable.NOT_COORDINATOR.code
    return refused < 4 ? errorTable[refusals[refused++ % 3]!].code : 0
  }
  proxy.onRequest(OffsetCommit, ({ request, nodeId }) => {
    const errorCode = errorFor(nodeId)
    if (errorCode === 0) return undefined
    const topics = request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
    }))
    return { answer: { topics } }
  })
  proxy.onRequest(Heartbeat, ({ nodeId }) => {
    const errorCode = errorFor(nodeId)
    return errorCode === 0 ? undefined : { answer: { errorCode } }
  })
  await consumer.commit()
  assert.equal((await admin.listConsumerGroupOffsets('g')).get(a)?.offset, 5)
  const beats = () => proxy.requests(Heartbeat).filter(({ nodeId }) => nodeId === 2).length
  await pollUntil(consumer, () => beats() >= 3 && refused === 4)
  await send('a', 0, ...numbers(5, 5))
  assert.deepEqual(await readValues(consumer, 5), numbers(5, 5))
  assert.deepEqual([consumer.groupMetadata().memberId, consumer.groupMetadata().generationId, lost], [memberId, generationId, 0])
})

test('heartbeats do not wait for handlers: however long one takes, membership and partitions are kept', async (t) => {
  const { proxy, send, consumer: make } = await startProxied(t)
  await send('a', 0, ...numbers(3))
  const consumer = make({ groupId: 'g', heartbeatIntervalMs: 20 })
  const events: string[] = []
  consumer.subscribe(['a'], { onAssigned: () => void events.push('assigned'), onLost: () => void events.push('lost') })
  let beats = 0
  proxy.onAnswer(Heartbeat, ({ errorCode }) => void (errorCode === 0 && beats++))
  const seen: string[] = []
  for await (const { value } of consumer.records()) {
    seen.push(value!)
    const before = beats
    if (seen.length === 1) await until(() => beats - before >= 5)
    if (seen.length === 3) break
  }
  await consumer.commit()
  assert.deepEqual([seen, events], [numbers(3), ['assigned']])
})

test('one heartbeat that fails is not the last one', async (t) => {
  const { proxy, consumer: make } = await startProxied(t)
  const consumer = make({ groupId: 'g', heartbeatIntervalMs: 20 })
  consumer.subscribe(['a'])
  await pollUntil(consumer, () => consumer.assignment().length === 1)
  const { generationId } = consumer.groupMetadata()
  const fates = ['cut', 'cut-midway'] as const
  let faults = 0
  proxy.onRequest(Heartbeat, () => fates[faults++])
  await until(() => proxy.requests(Heartbeat).length > 6)
  await pollUntil(consumer, () => proxy.requests(Heartbeat).length > 8)
  assert.equal(consumer.groupMetadata().generationId, generationId)
})

for (const fault of ['nobody listens', 'every connection is cut', 'nobody answers'] as const) {
  test(`close() ends while the client tries to connect: ${fault}`, async (t) => {
    const { proxy } = await startProxied(t)
    if (fault === 'every connection is cut') proxy.down.add(1)
    if (fault === 'nobody answers') for (const api of [Fetch, Produce, FindCoordinator, OffsetCommit]) proxy.onRequest(api, () => 'drop')
    const bootstrapServers = fault === 'nobody listens' ? `127.0.0.1:${await freePort()}` : proxy.bootstrapServers
    const consumer = new Consumer({ bootstrapServers, groupId: 'g' })
    consumer.subscribe(['a'])
    const polling = consumer.poll().catch((error: { code: string }) => error.code)
    const producer = new Producer({ bootstrapServers, valueSerializer: string })
    const sending = producer.send({ topic: 'a', value: 'v' }).catch((error: { code: string }) => error.code)
    const admin = new Admin({ bootstrapServers })
    const asking =
      fault === 'nobody answers' ? Promise.resolve('CLOSED') : admin.listTopics().catch((error: { code: string }) => error.code)
    await new Promise((resolve) => setTimeout(resolve, 30))
    const startedMs = performance.now()
    await Promise.all([consumer.close({ timeoutMs: 100 }), producer.close({ timeoutMs: 100 }), admin.close()])
    assert.ok(performance.now() - startedMs < 5000)
    assert.deepEqual([await polling, await asking], ['CLOSED', 'CLOSED'])
    assert.ok(['CLOSED', 'TIMEOUT'].includes(String(await sending)))
  })
}

test('close() from inside of a handler ends, and nothing is handed out behind it', async (t) => {
  const { send, consumer: make } = await startProxied(t)
  await send('a', 0, ...numbers(20))
  const running = make({ groupId: 'run' })
  running.subscribe(['a'])
  let seen = 0
  let closed: Promise<void> | undefined
  await running.run({
    eachRecord: () => {
      seen++
      closed ??= running.close({ timeoutMs: 1000 })
    },
  })
  await closed
  assert.equal(seen, 1)
  const looping = make({ groupId: 'loop' })
  looping.subscribe(['a'])
  let looped = 0
  for await (const _ of looping.records()) {
    looped++
    await looping.close()
  }
  assert.equal(looped, 1)
})

test('what fails in the background, with nobody waiting for it, rejects nothing', async (t) => {
  const unhandled: unknown[] = []
  const listener = (reason: unknown) => unhandled.push(reason)
  process.on('unhandledRejection', listener)
  t.after(() => process.off('unhandledRejection', listener))
  const { proxy, send, consumer: make, producer: makeProducer } = await startProxied(t)
  await send('a', 0, ...numbers(5))
  const consumer = make({ groupId: 'g', requestTimeoutMs: 50, autoCommitIntervalMs: 5, defaultApiTimeoutMs: 100 })
  consumer.subscribe(['a'])
  await readValues(consumer, 5)
  const producer = makeProducer({ deliveryTimeoutMs: 60, requestTimeoutMs: 20, lingerMs: 0, maxBlockMs: 50 })
  // So little time may not do for a send on a busy machine, and here it need not.
  const isSent = () =>
    producer.send({ ...a, value: 'v' }).then(
      () => true,
      () => false,
    )
  while (!(await isSent()));
  // Reading goes on without anybody asking; the broker does not.
  proxy.down.add(1)
  proxy.breakAll()
  producer.enqueue({ ...a, value: 'lost' })
  producer.send({ ...a, value: 'lost too' }).catch(() => {})
  await new Promise((resolve) => setTimeout(resolve, 250))
  await Promise.all([consumer.close({ timeoutMs: 50 }), producer.close({ timeoutMs: 50 })])
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.deepEqual(unhandled, [])
})

test('an explicit partition that the topic does not have is an error, and no other partition gets the record', async (t) => {
  const { admin, producer: make } = await startProxied(t, { topics: { a: 3 } })
  const producer = make({ maxBlockMs: 100 })
  for (const partition of [-1, 1.5, Number.NaN, 3, 2 ** 31]) {
    await assert.rejects(producer.send({ topic: 'a', partition, value: 'v' }), (error: { message: string }) =>
      /partition/.test(error.message),
    )
  }
  const ends = await admin.listOffsets([0, 1, 2].map((partition) => ({ topic: 'a', partition, spec: 'latest' as const })))
  assert.deepEqual(
    [...ends.values()].map(({ offset }) => offset),
    [0, 0, 0],
  )
})

test('many sends at the same time, idempotent, are as many records with offsets of their own', async (t) => {
  const { consumer: make, producer: makeProducer } = await startProxied(t)
  const producer = makeProducer()
  const sent = await Promise.all(numbers(100).map((value) => producer.send({ ...a, value })))
  assert.deepEqual(
    sent.map(({ offset }) => offset),
    numbers(100).map(Number),
  )
  const consumer = make()
  consumer.assign([a])
  assert.deepEqual(await readValues(consumer, 100), numbers(100))
})

test('an answer that is lost makes no second record', async (t) => {
  const { proxy, consumer: make, producer: makeProducer } = await startProxied(t)
  const producer = makeProducer({ requestTimeoutMs: 150 })
  await producer.send({ ...a, value: '0' })
  const fates = ['drop', 'cut', 'cut-midway'] as const
  let faults = 0
  proxy.onAnswer(Produce, () => fates[faults++])
  for (const value of numbers(9, 1)) await producer.send({ ...a, value })
  assert.ok(faults >= 3)
  const consumer = make()
  consumer.assign([a])
  assert.deepEqual(await readValues(consumer, 10), numbers(10))
  assert.equal((await consumer.endOffsets([a])).get(a), 10)
})

test('a producer whose state the broker has forgotten goes on', async (t) => {
  const { proxy, consumer: make, producer: makeProducer } = await startProxied(t)
  const producer = makeProducer()
  await producer.send({ ...a, value: '0' })
  for (const [index, name] of (['UNKNOWN_PRODUCER_ID', 'OUT_OF_ORDER_SEQUENCE_NUMBER'] as const).entries()) {
    let left = 1
    proxy.onRequest(Produce, ({ request }) => {
      if (left-- <= 0) return undefined
      const responses = request.topicData.map(({ name: topic, topicId, partitionData }) => ({
        name: topic,
        topicId,
        partitionResponses: partitionData.map((row) => ({
          index: row.index,
          errorCode: errorTable[name].code,
          baseOffset: -1,
          logStartOffset: 1,
        })),
      }))
      return { answer: { responses } }
    })
    const value = String(index + 1)
    // Whether it was appended is not known to everybody; the record may fail, the producer must not.
    await producer.send({ ...a, value }).catch(() => producer.send({ ...a, value }))
  }
  const consumer = make()
  consumer.assign([a])
  assert.deepEqual(await readValues(consumer, 3), numbers(3))
})

test('connections that the broker closes for being idle are made again, for every client', async (t) => {
  const { send, admin, consumer: make, producer: makeProducer } = await startProxied(t, { config: { 'connections.max.idle.ms': '50' } })
  const producer = makeProducer()
  const consumer = make()
  consumer.assign([a])
  for (let round = 0; round < 3; round++) {
    await producer.send({ ...a, value: String(2 * round) })
    await send('a', 0, String(2 * round + 1))
    assert.deepEqual(await readValues(consumer, 2), numbers(2, 2 * round))
    assert.equal((await admin.describeTopics(['a'])).size, 1)
    await new Promise((resolve) => setTimeout(resolve, 120))
  }
})

test('pause() in a handler loses nothing of what was fetched ahead, and seek() in one is obeyed at once', async (t) => {
  const { send, consumer: make } = await startProxied(t)
  await send('a', 0, ...numbers(100))
  const consumer = make({ groupId: 'g', maxPollRecords: 10 })
  consumer.subscribe(['a'])
  const stop = new AbortController()
  const seen: string[] = []
  await consumer.run({
    signal: stop.signal,
    eachRecord({ value }) {
      seen.push(value!)
      if (seen.length === 25) {
        consumer.pause([a])
        setTimeout(() => consumer.resume([a]), 20)
      }
      if (seen.length === 50) consumer.seek(a, 90)
      if (value === '99') stop.abort()
    },
  })
  assert.deepEqual(seen, [...numbers(50), ...numbers(10, 90)])
})

test('a record larger than all limits of a fetch comes, and so does what is behind it', async (t) => {
  const { consumer: make, producer: makeProducer } = await startProxied(t)
  const producer = makeProducer()
  const values = ['small', 'x'.repeat(100_000), 'y'.repeat(50_000), 'small again']
  for (const value of values) await producer.send({ ...a, value })
  const consumer = make({ fetchMaxBytes: 1000, maxPartitionFetchBytes: 100 })
  consumer.assign([a])
  assert.deepEqual(await readValues(consumer, 4), values)
})

test('a handler that fails ends run(), and its record is the first one of the next', async (t) => {
  const { send, consumer: make } = await startProxied(t)
  await send('a', 0, ...numbers(10))
  const seen: string[] = []
  const readUntilFailure = async (failAt: string | undefined) => {
    const consumer = make({ groupId: 'g' })
    consumer.subscribe(['a'])
    const stop = new AbortController()
    const run = consumer.run({
      signal: stop.signal,
      eachRecord({ value }) {
        if (value === failAt) throw new Error('not this one')
        seen.push(value!)
        if (value === '9') stop.abort()
      },
    })
    if (failAt === undefined) await run
    else await assert.rejects(run, /not this one/)
    await consumer.close()
  }
  await readUntilFailure('4')
  await readUntilFailure('7')
  await readUntilFailure(undefined)
  assert.deepEqual(seen, numbers(10))
})
