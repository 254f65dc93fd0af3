import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { freePort, startTestBroker } from '@tidelog/testkit'
import { Consumer } from './consumer/consumer.ts'
import { Producer } from './producer/producer.ts'
import { string } from './serde/serde.ts'

test('producer and group go on by themselves when the broker comes back, with nothing lost and nothing doubled', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'tidelog-restart-'))
  const config = { 'log.dirs': dir, listeners: `PLAINTEXT://127.0.0.1:${await freePort()}`, 'num.partitions': '2' }
  let broker = await startTestBroker({ config })
  const { bootstrapServers } = broker
  const quick = { bootstrapServers, retryBackoffMs: 5, reconnectBackoffMs: 5, reconnectBackoffMaxMs: 50 }
  const producer = new Producer({ ...quick, valueSerializer: string })
  const consumer = new Consumer({
    ...quick,
    groupId: 'g',
    valueDeserializer: string,
    autoOffsetReset: 'earliest',
    heartbeatIntervalMs: 50,
    autoCommitIntervalMs: 20,
  })
  t.after(async () => {
    await Promise.all([producer.close({ timeoutMs: 1000 }), consumer.close({ timeoutMs: 1000 })])
    await broker.close()
    await rm(dir, { recursive: true, force: true })
  })
  consumer.subscribe(['a'])
  const seen: string[] = []
  const reading = (async () => {
    for await (const { value } of consumer.records()) if (seen.push(value!) === 60) break
  })()
  for (let round = 0; round < 3; round++) {
    const sent = producer.sendMany(Array.from({ length: 20 }, (_, i) => ({ topic: 'a', partition: i % 2, value: `${round}-${i}` })))
    if (round < 2) {
      await broker.close()
      broker = await startTestBroker({ config })
    }
    await sent
  }
  await reading
  const expected = [0, 1, 2].flatMap((round) => Array.from({ length: 20 }, (_, i) => `${round}-${i}`))
  assert.deepEqual([...new Set(seen)].sort(), expected.sort())
  assert.equal((await consumer.endOffsets([0, 1].map((partition) => ({ topic: 'a', partition })))).get({ topic: 'a', partition: 0 }), 30)
})
