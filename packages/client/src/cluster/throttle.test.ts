import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiVersions, Fetch, Heartbeat, Produce } from '@tidelog/protocol'
import { pollUntil, readValues, startProxied } from '@tidelog/testkit'
import { throttleMsOf } from './throttle.ts'

test('a client waits for what a broker asks from the versions on in which the broker has not waited itself', () => {
  const answer = { throttleTimeMs: 70 }
  assert.deepEqual([throttleMsOf(Produce, 5, answer), throttleMsOf(Produce, 6, answer)], [0, 70])
  assert.deepEqual([throttleMsOf(Fetch, 7, answer), throttleMsOf(Fetch, 8, answer), throttleMsOf(Fetch, 17, answer)], [0, 70, 70])
  assert.equal(throttleMsOf(Heartbeat, 4, answer), 0)
})

test('a broker of before KIP-219, which has held its answer back, is asked again at once', async (t) => {
  const { proxy, producer: makeProducer, consumer: make } = await startProxied(t)
  proxy.onAnswer(ApiVersions, (answer) => ({
    ...answer,
    apiKeys: answer.apiKeys.map((row) => {
      const newest = row.apiKey === Produce.key ? 5 : row.apiKey === Fetch.key ? 7 : row.maxVersion
      return { ...row, maxVersion: Math.min(row.maxVersion, newest) }
    }),
  }))
  const throttleTimeMs = 3_600_000
  proxy.onAnswer(Produce, (answer) => ({ ...answer, throttleTimeMs }))
  proxy.onAnswer(Fetch, (answer) => ({ ...answer, throttleTimeMs }))
  const producer = makeProducer({ enableIdempotence: false, requestTimeoutMs: 20_000 })
  const startedMs = performance.now()
  for (const value of ['0', '1', '2']) await producer.send({ topic: 'a', partition: 0, value })
  const consumer = make({ requestTimeoutMs: 20_000 })
  consumer.assign([{ topic: 'a', partition: 0 }])
  assert.deepEqual(await readValues(consumer, 3), ['0', '1', '2'])
  await pollUntil(consumer, () => proxy.requests(Fetch).length >= 3)
  assert.ok(performance.now() - startedMs < 15_000, 'nobody has waited')
  assert.deepEqual([proxy.requests(Produce).at(-1)!.version, proxy.requests(Fetch).at(-1)!.version], [5, 7])
})
