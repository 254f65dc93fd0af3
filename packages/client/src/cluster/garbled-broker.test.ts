import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '@tidelog/core'
import { ApiVersions, FindCoordinator, Metadata } from '@tidelog/protocol'
import { readValues, startProxied } from '@tidelog/testkit'
import { ClientError } from '../errors.ts'

/** These name addresses, and their changed bytes might be somebody's. */
const withAddresses: ReadonlySet<number> = new Set([ApiVersions.key, Metadata.key, FindCoordinator.key])
const CORRELATION_ID_BYTES = 4

test("P10: a broker's answers with bytes changed, all through the life of a group's member and a producer, are errors and no more", async (t) => {
  const { proxy, send, consumer: make, producer: makeProducer } = await startProxied(t)
  const seed = Date.now() % 100_000
  const random = seededRandom(seed)
  let garbled = 0
  const garble: typeof proxy.garble = (api, answer) => {
    if (withAddresses.has(api.key) || answer.length <= CORRELATION_ID_BYTES || random.int(4) > 0) return
    garbled++
    for (let flips = 1 + random.int(3); flips > 0; flips--) {
      answer[CORRELATION_ID_BYTES + random.int(answer.length - CORRELATION_ID_BYTES)] = random.int(256)
    }
  }
  const isClientError = (error: unknown) => assert.ok(error instanceof ClientError, `seed ${seed}: ${(error as Error).stack}`)
  await send('a', 0, ...Array.from({ length: 20 }, (_, i) => String(i)))
  for (let round = 0; round < 8; round++) {
    proxy.garble = garble
    const brief = { requestTimeoutMs: 100, defaultApiTimeoutMs: 150, maxPollIntervalMs: 100 }
    const consumer = make({ ...brief, groupId: `g${round % 2}`, autoCommitIntervalMs: 10, heartbeatIntervalMs: 10 })
    consumer.subscribe(['a'])
    for (let polls = 0; polls < 6; polls++) {
      // A value may have changed and its checksum not, if that is where the bytes are: then its batch is refused, not the reading.
      await consumer.poll({ timeoutMs: 20 }).catch(isClientError)
    }
    await consumer.commit().catch(isClientError)
    const producer = makeProducer({ requestTimeoutMs: 100, deliveryTimeoutMs: 200, lingerMs: 0, maxBlockMs: 100 })
    await Promise.all([1, 2, 3].map((value) => producer.send({ topic: 'a', partition: 0, value: String(value) }).catch(isClientError)))
    await Promise.all([consumer.close({ timeoutMs: 100 }), producer.close({ timeoutMs: 100 })])
  }
  assert.ok(garbled > 10)
  proxy.garble = undefined
  const sound = make({ groupId: 'sound' })
  sound.subscribe(['a'])
  assert.deepEqual((await readValues(sound, 20)).slice(0, 3), ['0', '1', '2'])
})
