import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { Admin, Producer, startBroker, string } from './index.ts'

const dirOf = (config: unknown) => (config as { 'log.dirs': readonly string[] | null })['log.dirs']?.[0] ?? ''

test('startBroker gives a broker on a free port that leaves nothing behind', async () => {
  const broker = await startBroker()
  const dir = dirOf(broker.config)
  assert.ok(existsSync(dir))
  assert.match(broker.bootstrapServers, /^127\.0\.0\.1:\d+$/)
  await broker.close()
  await broker.close()
  await broker.closed
  assert.ok(!existsSync(dir))
})

test('several brokers live in one process and know nothing of each other', async () => {
  await using first = await startBroker()
  await using second = await startBroker({ config: { 'num.partitions': '3' } })
  assert.notEqual(first.port, second.port)
  assert.notEqual(first.clusterId, second.clusterId)
  await using admin = new Admin({ bootstrapServers: second.bootstrapServers })
  await admin.createTopics([{ topic: 'here' }])
  assert.equal((await admin.describeTopics(['here'])).get('here')?.partitions.length, 3)
  await using other = new Admin({ bootstrapServers: first.bootstrapServers })
  assert.deepEqual(await other.listTopics(), [])
})

test('a directory that was given is kept, and its records are there again', async (t) => {
  const { mkdtemp, rm } = await import('node:fs/promises')
  const dir = await mkdtemp('/tmp/tidelog-kept-')
  t.after(() => rm(dir, { recursive: true, force: true }))
  const config = { 'log.dirs': dir }
  {
    await using broker = await startBroker({ config })
    await using producer = new Producer({ bootstrapServers: broker.bootstrapServers, valueSerializer: string })
    await producer.send({ topic: 'kept', value: 'hello' })
  }
  await using broker = await startBroker({ config })
  await using admin = new Admin({ bootstrapServers: broker.bootstrapServers })
  const [end] = await admin.listOffsets([{ topic: 'kept', partition: 0, spec: 'latest' }])
  assert.equal(end?.offset, 1)
})

test('a setting that cannot be is refused with its name', async () => {
  await assert.rejects(startBroker({ config: { 'num.partitions': 'many' } }), /num\.partitions/)
})
