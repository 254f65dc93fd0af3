import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type TestContext, test } from 'node:test'
import { readCommittedValues, startTestBroker } from '@tidelog/testkit'
import { Admin } from '../admin/admin.ts'
import { string } from '../serde/serde.ts'
import { Producer } from './producer.ts'
import type { ProducerOptions } from './producer-options.ts'

async function producerOf(t: TestContext, options: ProducerOptions<string, string> = {}) {
  const broker = await startTestBroker()
  const { bootstrapServers } = broker
  const admin = new Admin({ bootstrapServers })
  const producer = new Producer({ bootstrapServers, valueSerializer: string, ...options })
  t.after(async () => {
    await Promise.all([admin.close(), producer.close()])
    await broker.close()
  })
  await admin.createTopics([{ topic: 'a', numPartitions: 1, configs: { 'max.message.bytes': '2000' } }])
  return { producer, values: async () => (await readCommittedValues(bootstrapServers, 'a'))[0]! }
}

const values = Array.from({ length: 500 }, (_, i) => `${i} ${'x'.repeat(100)}`)
const records = values.map((value) => ({ topic: 'a', value }))

test('a Node stream of records ends when all are delivered, and takes no more than bufferMemory has room for', async (t) => {
  const { producer, values: read } = await producerOf(t, { bufferMemory: 5000, batchSize: 1000 })
  let given = 0
  let most = 0
  const source = Readable.from(
    (function* () {
      for (const record of records) {
        given++
        const free = producer.metrics().find(({ name }) => name === 'buffer-available-bytes')!.value
        most = Math.max(most, 5000 - free)
        yield record
      }
    })(),
  )
  await pipeline(source, producer.writable({ highWaterMark: 4 }))
  assert.equal(given, values.length)
  assert.ok(most > 3000 && most <= 5000, `${most} bytes`)
  assert.deepEqual(await read(), values)
})

test('serializers that return promises are waited for, in the order of the records', async (t) => {
  let calls = 0
  const { producer, values: read } = await producerOf(t, {
    valueSerializer: async (text: string) => {
      calls++
      return Buffer.from(text)
    },
  })
  await pipeline(Readable.from(records.slice(0, 50)), producer.writable())
  assert.deepEqual(await read(), values.slice(0, 50))
  assert.equal(calls, 51)
})

test('a record that fails destroys the Node stream with its error, and the producer stays open', async (t) => {
  const { producer, values: read } = await producerOf(t)
  const writable = producer.writable()
  writable.write({ topic: 'a', value: 'x'.repeat(5000) })
  const [error] = await once(writable, 'error')
  assert.equal(error.code, 'MESSAGE_TOO_LARGE')
  const unserializable = producer.writable()
  unserializable.write({ topic: 'a', value: 7 })
  assert.equal((await once(unserializable, 'error'))[0].code, 'SERIALIZATION_FAILED')
  await producer.send({ topic: 'a', value: 'alive' })
  assert.deepEqual(await read(), ['alive'])
})

test("a stream of the web's kind takes records, closes when they are delivered, and errors with the first that fails", async (t) => {
  const { producer, values: read } = await producerOf(t)
  await ReadableStream.from(records).pipeTo(producer.writableStream())
  assert.deepEqual(await read(), values)
  const writer = producer.writableStream().getWriter()
  writer.closed.catch(() => {})
  await writer.write({ topic: 'a', value: 'x'.repeat(5000) })
  await assert.rejects(writer.close(), { code: 'MESSAGE_TOO_LARGE' })
})
