import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { type TestContext, test } from 'node:test'
import { seededRandom } from '@tidelog/core'
import { startTestBroker } from '@tidelog/testkit'
import { Admin } from '../admin/admin.ts'
import { string } from '../serde/serde.ts'
import { Producer } from './producer.ts'
import type { ProducerOptions } from './producer-options.ts'

/** At a broker whose topic `t` has four partitions. */
async function producerFor(t: TestContext): Promise<(options: Partial<ProducerOptions<string, string>>) => Producer<string, string>> {
  const broker = await startTestBroker()
  const { bootstrapServers } = broker
  const admin = new Admin({ bootstrapServers })
  await admin.createTopics([{ topic: 't', numPartitions: 4 }])
  await admin.close()
  const producers: Producer<string, string>[] = []
  t.after(async () => {
    await Promise.all(producers.map((producer) => producer.close()))
    await broker.close()
  })
  return (options) => {
    const producer = new Producer({ bootstrapServers, keySerializer: string, valueSerializer: string, ...options })
    producers.push(producer)
    return producer
  }
}

const metricOf = (producer: Producer<string, string>, name: string): number =>
  producer.metrics().find((metric) => metric.name === name && metric.tags.topic === undefined)!.value

test('a key decides the partition, unless partitionerIgnoreKeys says not', async (t) => {
  const producer = await producerFor(t)
  const records = Array.from({ length: 40 }, () => ({ topic: 't', key: 'same', value: 'x'.repeat(100) }))
  const partitionsOf = async (partitionerIgnoreKeys: boolean) => {
    const metadata = await producer({ batchSize: 200, partitionerIgnoreKeys }).sendMany(records)
    return new Set(metadata.map(({ partition }) => partition)).size
  }
  assert.equal(await partitionsOf(false), 1)
  assert.ok((await partitionsOf(true)) > 1)
})

test('batchSize bounds a batch, of compressed records too', async (t) => {
  const producer = await producerFor(t)
  const records = Array.from({ length: 100 }, (_, index) => ({ topic: 't', partition: 0, value: `${index}`.padEnd(90, '.') }))
  for (const compressionType of ['none', 'gzip'] as const) {
    const small = producer({ batchSize: 1000, compressionType })
    await small.sendMany(records)
    assert.ok(metricOf(small, 'batch-size-max') <= 1000)
    const large = producer({ batchSize: 100_000, compressionType })
    await large.sendMany(records)
    assert.ok(metricOf(large, 'batch-size-avg') > metricOf(small, 'batch-size-avg'))
  }
})

test('a higher level of gzip, of zstd and of lz4 makes less of the same records, save that 9 of lz4 is the fast one', async (t) => {
  const producer = await producerFor(t)
  const random = seededRandom(1)
  const values = Array.from(
    { length: 3000 },
    (_, id) => `{"id":${id},"user":"user-${random.int(50)}","path":"/shop/items/${random.int(200)}/reviews/${random.int(30)}"}`,
  )
  let sent = 0
  const count = (message: unknown) => {
    sent += (message as { bytes: number }).bytes
  }
  subscribe('tidelog:producer:request', count)
  t.after(() => unsubscribe('tidelog:producer:request', count))
  const bytesWith = async (options: Partial<ProducerOptions<string, string>>) => {
    sent = 0
    await producer({ batchSize: 1_000_000, ...options }).sendMany(values.map((value) => ({ topic: 't', partition: 0, value })))
    return sent
  }
  const byGzip = (compressionGzipLevel: number) => bytesWith({ compressionType: 'gzip', compressionGzipLevel })
  assert.ok((await byGzip(9)) < 0.9 * (await byGzip(1)))
  const byZstd = (compressionZstdLevel: number) => bytesWith({ compressionType: 'zstd', compressionZstdLevel })
  assert.ok((await byZstd(3)) < 0.9 * (await byZstd(-50)))
  const byLz4 = (compressionLz4Level?: number) =>
    bytesWith({ compressionType: 'lz4', ...(compressionLz4Level === undefined ? {} : { compressionLz4Level }) })
  const fast = await byLz4(9)
  const lowest = await byLz4(1)
  assert.ok(lowest < 0.97 * fast && (await byLz4(12)) < 0.97 * lowest)
  // However the records are batched, a request's head and a record's time take a few bytes more or less.
  assert.ok(Math.abs((await byLz4()) - fast) < 0.01 * fast)
})
