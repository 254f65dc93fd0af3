import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorTable, Fetch, type FetchRequest } from '@tidelog/protocol'
import { type ApiProxy, pollUntil, readValues, startProxied } from '@tidelog/testkit'

const numbers = (count: number, from = 0): string[] => Array.from({ length: count }, (_, i) => String(from + i))
const partitionsOf = (topic: string, count: number) => Array.from({ length: count }, (_, partition) => ({ topic, partition }))

/** The fetches of a session, in order; a last one that closes it aside. */
const fetches = (proxy: ApiProxy): FetchRequest[] => proxy.requests(Fetch).map(({ request }) => request)
const named = ({ topics }: FetchRequest): number[] => topics.flatMap(({ partitions }) => partitions.map(({ partition }) => partition))
const forgotten = ({ forgottenTopicsData }: FetchRequest): number[] => forgottenTopicsData.flatMap(({ partitions }) => partitions)

test('a session names every partition once, and from then on what has changed', async (t) => {
  const { proxy, send, consumer: make } = await startProxied(t, { topics: { a: 20 } })
  const consumer = make()
  consumer.assign(partitionsOf('a', 20))
  await pollUntil(consumer, () => fetches(proxy).length >= 3)
  const [first, ...later] = fetches(proxy)
  assert.deepEqual([first!.sessionId, first!.sessionEpoch, named(first!).length], [0, 0, 20])
  assert.deepEqual(
    later.map(({ sessionEpoch }) => sessionEpoch),
    later.map((_, index) => index + 1),
  )
  assert.ok(later.every((request) => named(request).length === 0 && request.sessionId !== 0))
  await send('a', 7, 'v')
  assert.deepEqual(await readValues(consumer, 1), ['v'])
  const sofar = fetches(proxy).length
  await pollUntil(consumer, () => fetches(proxy).length >= sofar + 2)
  // Its next offset, and nothing else.
  assert.deepEqual(
    [
      ...new Set(
        fetches(proxy)
          .slice(sofar - 1)
          .flatMap(named),
      ),
    ],
    [7],
  )
})

test('a partition that is paused, or no longer assigned, is forgotten and comes back', async (t) => {
  const { proxy, send, consumer: make } = await startProxied(t, { topics: { a: 3 } })
  const consumer = make()
  consumer.assign(partitionsOf('a', 3))
  await pollUntil(consumer, () => fetches(proxy).length >= 2)
  consumer.pause([{ topic: 'a', partition: 1 }])
  await pollUntil(consumer, () => fetches(proxy).some((request) => forgotten(request).includes(1)))
  await send('a', 1, ...numbers(3))
  await send('a', 0, 'other')
  assert.deepEqual(await readValues(consumer, 1), ['other'])
  consumer.resume([{ topic: 'a', partition: 1 }])
  assert.deepEqual(await readValues(consumer, 3), numbers(3))
  consumer.assign(partitionsOf('a', 2))
  await pollUntil(consumer, () => fetches(proxy).some((request) => forgotten(request).includes(2)))
  await send('a', 2, 'back')
  consumer.assign(partitionsOf('a', 3))
  assert.deepEqual(await readValues(consumer, 1), ['back'])
  assert.equal(fetches(proxy).filter(({ sessionEpoch }) => sessionEpoch === 0).length, 1, 'one session all the time')
})

test('of a topic that is deleted and made again the old id is forgotten and the new one fetched', async (t) => {
  const config = { 'auto.create.topics.enable': 'false' }
  const { proxy, admin, send, consumer: make } = await startProxied(t, { topics: { a: 1, b: 1 }, config })
  await send('a', 0, ...numbers(5))
  const consumer = make()
  consumer.assign([...partitionsOf('a', 1), ...partitionsOf('b', 1)])
  assert.deepEqual(await readValues(consumer, 5), numbers(5))
  const idBefore = fetches(proxy)[0]!.topics.find(({ partitions }) => partitions.length > 0)!.topicId
  await admin.deleteTopics(['a'])
  await pollUntil(consumer, () => fetches(proxy).some(({ forgottenTopicsData }) => forgottenTopicsData.length > 0))
  await send('b', 0, 'meanwhile')
  assert.deepEqual(await readValues(consumer, 1), ['meanwhile'])
  await admin.createTopics([{ topic: 'a', numPartitions: 1 }])
  await send('a', 0, 'new')
  // Its position is beyond the new log's end: by autoOffsetReset the beginning.
  assert.deepEqual(await readValues(consumer, 1), ['new'])
  const ids = new Set(fetches(proxy).flatMap(({ topics }) => topics.map(({ topicId }) => topicId)))
  assert.ok(ids.has(idBefore) && ids.size === 3, [...ids].join())
})

for (const name of ['FETCH_SESSION_ID_NOT_FOUND', 'INVALID_FETCH_SESSION_EPOCH', 'FETCH_SESSION_TOPIC_ID_ERROR'] as const) {
  test(`after ${name} everything is named again, and nothing is lost or doubled`, async (t) => {
    const { proxy, send, consumer: make } = await startProxied(t, { topics: { a: 2 } })
    const consumer = make()
    consumer.assign(partitionsOf('a', 2))
    await pollUntil(consumer, () => fetches(proxy).length >= 3)
    let left = 3
    proxy.onRequest(Fetch, ({ request }) => {
      if (request.sessionEpoch === 0 || left-- <= 0) return undefined
      return { answer: { errorCode: errorTable[name].code, sessionId: 0, responses: [] } }
    })
    await send('a', 0, ...numbers(10))
    await send('a', 1, ...numbers(10, 10))
    assert.deepEqual(
      (await readValues(consumer, 20)).map(Number).sort((a, b) => a - b),
      numbers(20).map(Number),
    )
    await pollUntil(consumer, () => left < 0)
    const again = fetches(proxy).filter(({ sessionEpoch }) => sessionEpoch === 0)
    assert.ok(again.length >= 2)
    // Where the broker may still have the old session, it is closed with the same request.
    assert.equal(again[1]!.sessionId === 0, name === 'FETCH_SESSION_ID_NOT_FOUND')
    assert.equal(named(again[1]!).length, 2)
  })
}

for (const name of ['UNKNOWN_TOPIC_ID', 'INCONSISTENT_TOPIC_ID', 'UNKNOWN_TOPIC_OR_PARTITION', 'KAFKA_STORAGE_ERROR'] as const) {
  test(`a partition that answers ${name} is asked again with fresh metadata, the others go on`, async (t) => {
    const { proxy, send, consumer: make } = await startProxied(t, { topics: { a: 2 } })
    let refusals = 0
    proxy.onAnswer(Fetch, (answer) => {
      if (refusals >= 3) return undefined
      const responses = answer.responses.map((topic) => ({
        ...topic,
        partitions: topic.partitions.map((row) => {
          if (row.partitionIndex !== 0) return row
          refusals++
          return { ...row, errorCode: errorTable[name].code, records: null }
        }),
      }))
      return { ...answer, responses }
    })
    await send('a', 0, 'zero')
    await send('a', 1, 'one')
    const consumer = make()
    consumer.assign(partitionsOf('a', 2))
    assert.deepEqual((await readValues(consumer, 2)).sort(), ['one', 'zero'])
    assert.equal(refusals, 3)
  })
}

test('a broker without room for sessions gets every partition named each time', async (t) => {
  const {
    proxy,
    send,
    consumer: make,
  } = await startProxied(t, {
    topics: { a: 3 },
    config: { 'max.incremental.fetch.session.cache.slots': '0' },
  })
  const consumer = make()
  consumer.assign(partitionsOf('a', 3))
  await pollUntil(consumer, () => fetches(proxy).length >= 4)
  await send('a', 2, ...numbers(5))
  assert.deepEqual(await readValues(consumer, 5), numbers(5))
  assert.ok(fetches(proxy).every((request) => request.sessionEpoch === 0 && request.sessionId === 0 && named(request).length === 3))
})

test('an answer that leaves partitions out, or has some that nobody asked for, is not taken', async (t) => {
  const { proxy, send, consumer: make } = await startProxied(t, { topics: { a: 2 } })
  await send('a', 0, 'zero')
  await send('a', 1, 'one')
  let answers = 0
  proxy.onAnswer(Fetch, (answer) => {
    answers++
    const [topic] = answer.responses
    if (answers === 1) return { ...answer, responses: [{ ...topic!, partitions: topic!.partitions.slice(1) }] }
    if (answers === 2) {
      const strange = { ...topic!.partitions[0]!, partitionIndex: 9 }
      return { ...answer, responses: [{ ...topic!, partitions: [...topic!.partitions, strange] }] }
    }
    return undefined
  })
  const consumer = make()
  consumer.assign(partitionsOf('a', 2))
  assert.deepEqual((await readValues(consumer, 2)).sort(), ['one', 'zero'])
  assert.ok(answers >= 3)
})

test('close() ends the session at the broker', async (t) => {
  const { proxy, send, consumer: make } = await startProxied(t, { topics: { a: 2 } })
  await send('a', 0, 'v')
  const consumer = make({ fetchMaxWaitMs: 5000 })
  consumer.assign(partitionsOf('a', 2))
  await pollUntil(consumer, () => fetches(proxy).length >= 2)
  const startedMs = performance.now()
  await consumer.close()
  assert.ok(performance.now() - startedMs < 4000, 'it does not wait for the fetch under way')
  const last = fetches(proxy).at(-1)!
  assert.deepEqual([last.sessionEpoch, named(last)], [-1, []])
  assert.ok(last.sessionId !== 0)
})

test('a broker that throttles is left alone for as long as it says, and no longer than a request may wait', async (t) => {
  const { proxy, send, consumer: make } = await startProxied(t)
  await send('a', 0, ...numbers(3))
  const arrivedMs: number[] = []
  const throttleTimesMs = [80, 2 ** 31 - 1]
  proxy.onRequest(Fetch, () => void arrivedMs.push(performance.now()))
  proxy.onAnswer(Fetch, (answer) => ({ ...answer, throttleTimeMs: throttleTimesMs.shift() ?? 0 }))
  const consumer = make({ requestTimeoutMs: 300 })
  consumer.assign(partitionsOf('a', 1))
  assert.deepEqual(await readValues(consumer, 3), numbers(3), 'what came with it is handed out')
  await pollUntil(consumer, () => arrivedMs.length >= 4)
  const [first, second, third] = arrivedMs
  assert.ok(second! - first! >= 79 && third! - second! >= 299, arrivedMs.join())
})
