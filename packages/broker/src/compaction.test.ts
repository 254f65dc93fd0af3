import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Broker } from '@tidelog/broker'
import {
  buildBatch,
  CreateTopics,
  Fetch,
  FindCoordinator,
  IncrementalAlterConfigs,
  OffsetCommit,
  OffsetFetch,
  Produce,
} from '@tidelog/protocol'
import { type Call, connectForTest, recordsIn, startTestBroker } from '@tidelog/testkit'

/** Starts brokers on one directory, which goes once they are closed. */
async function brokersOnOneDir(t: TestContext, config: Record<string, string>): Promise<() => Promise<Broker>> {
  const dir = await mkdtemp(join(tmpdir(), 'tidelog-compaction-'))
  const started: Broker[] = []
  t.after(async () => {
    for (const broker of started) await broker.close()
    await rm(dir, { recursive: true, force: true })
  })
  return async () => {
    const broker = await startTestBroker({ config: { 'log.dirs': dir, 'log.cleaner.backoff.ms': '20', ...config } })
    started.push(broker)
    return broker
  }
}

async function createCompacted(call: Call, name: string, config: Record<string, string>): Promise<void> {
  const configs = Object.entries({ 'cleanup.policy': 'compact', 'segment.bytes': '1048576', ...config }).map(([key, value]) => ({
    name: key,
    value,
  }))
  const { topics } = await call(CreateTopics, 5, {
    topics: [{ name, numPartitions: 1, replicationFactor: 1, assignments: [], configs }],
    timeoutMs: 10_000,
    validateOnly: false,
  })
  assert.equal(topics[0]?.errorCode, 0)
}

async function produce(call: Call, topic: string, records: { key: string; value: Buffer }[]): Promise<void> {
  const batch = buildBatch(records.map(({ key, value }) => ({ key: Buffer.from(key), value, timestamp: Date.now() })))
  const { responses } = await call(Produce, 8, {
    transactionalId: null,
    acks: -1,
    timeoutMs: 10_000,
    topicData: [{ name: topic, partitionData: [{ index: 0, records: batch }] }],
  })
  assert.equal(responses[0]?.partitionResponses[0]?.errorCode, 0)
}

async function alter(call: Call, resourceType: number, resourceName: string, name: string, value: string): Promise<void> {
  const configs = [{ name, configOperation: 0, value }]
  const { responses } = await call(IncrementalAlterConfigs, 1, {
    resources: [{ resourceType, resourceName, configs }],
    validateOnly: false,
  })
  assert.equal(responses[0]?.errorCode, 0, responses[0]?.errorMessage ?? '')
}

async function fetched(call: Call, topic: string): Promise<{ offset: number; key: string | null }[]> {
  const found: { offset: number; key: string | null }[] = []
  for (let fetchOffset = 0; ; ) {
    const { responses } = await call(Fetch, 4, {
      replicaId: -1,
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: 1 << 22,
      isolationLevel: 0,
      topics: [{ topic, partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 1 << 22 }] }],
    })
    const records = recordsIn(responses[0]?.partitions[0]?.records ?? null)
    if (records.length === 0) return found
    found.push(...records.map(({ offset, key }) => ({ offset, key })))
    fetchOffset = found.at(-1)!.offset + 1
  }
}

/** Resolves with the line of the partition once the checkpoint of the broker has another than before. */
async function checkpointed(broker: Broker, partition: string, before?: string): Promise<string> {
  const path = join(broker.config['log.dirs']![0]!, 'cleaner-offset-checkpoint')
  for (;;) {
    const text = await readFile(path, 'utf8').catch(() => '')
    const line = text.split('\n').find((candidate) => candidate.startsWith(partition))
    if (line !== undefined && line !== before) return line
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

test('brokers of one process compact their logs, in threads, as soon as a topic or the cleaner is configured so', async (t) => {
  const value = Buffer.alloc(1000, 'x')
  const rounds = 4
  const keys = 700
  const runs = ['first', 'second'].map(async (name) => {
    const start = await brokersOnOneDir(t, {})
    const broker = await start()
    const call = await connectForTest(t, broker)
    // No share is larger than all of it.
    await createCompacted(call, name, { 'min.cleanable.dirty.ratio': '1' })
    for (let round = 0; round < rounds; round++) {
      for (let from = 0; from < keys; from += 100) {
        await produce(
          call,
          name,
          Array.from({ length: 100 }, (_, index) => ({ key: `${name} ${from + index}`, value })),
        )
      }
    }
    const before = await fetched(call, name)
    assert.equal(before.length, rounds * keys)
    await alter(call, 2, name, 'min.cleanable.dirty.ratio', '0.1')
    await checkpointed(broker, name)
    const after = await fetched(call, name)
    assert.ok(after.length < before.length, `${after.length} records`)
    const newest = (records: typeof after): Map<string | null, number> => new Map(records.map(({ key, offset }) => [key, offset]))
    assert.deepEqual(newest(after), newest(before))
    await alter(call, 4, '', 'log.cleaner.threads', '2')
    assert.equal(broker.config['log.cleaner.threads'], 2)
    for (const [key, text] of [
      ['log.cleaner.threads', '0'],
      ['log.cleaner.threads', '5'],
      ['log.cleaner.dedupe.buffer.size', '2097152'],
    ] as const) {
      const configs = [{ name: key, configOperation: 0, value: text }]
      const resources = [{ resourceType: 4, resourceName: '', configs }]
      const { responses } = await call(IncrementalAlterConfigs, 1, { resources, validateOnly: false })
      assert.equal(responses[0]?.errorCode, 42, `${key}=${text}`)
    }
  })
  await Promise.all(runs)
})

test('committed offsets are known after __consumer_offsets was compacted and the broker started again', async (t) => {
  const start = await brokersOnOneDir(t, { 'offsets.topic.segment.bytes': '1048576', 'log.cleaner.min.cleanable.ratio': '0.01' })
  const broker = await start()
  const call = await connectForTest(t, broker)
  await createCompacted(call, 'orders', {})
  const groups = ['g1', 'g2', 'g3']
  for (const key of groups) {
    while ((await call(FindCoordinator, 2, { key, keyType: 0 })).errorCode !== 0) await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const commit = async (groupId: string, committedOffset: number): Promise<void> => {
    for (;;) {
      const { topics } = await call(OffsetCommit, 7, {
        groupId,
        generationIdOrMemberEpoch: -1,
        memberId: '',
        groupInstanceId: null,
        topics: [{ name: 'orders', partitions: [{ partitionIndex: 0, committedOffset, committedMetadata: 'm'.repeat(4000) }] }],
      })
      const code = topics[0]?.partitions[0]?.errorCode
      if (code === 0) return
      assert.equal(code, 14) // loading
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  for (let offset = 1; offset <= 200; offset++) await Promise.all(groups.map((group) => commit(group, offset)))
  await checkpointed(broker, '__consumer_offsets 0 ')
  const partition = join(broker.config['log.dirs']![0]!, '__consumer_offsets-0')
  const logs = (await readdir(partition)).filter((name) => name.endsWith('.log'))
  assert.ok(logs.length >= 2)
  await broker.close()

  const again = await start()
  const second = await connectForTest(t, again)
  for (const groupId of groups) {
    for (;;) {
      const { errorCode, topics } = await second(OffsetFetch, 5, { groupId, topics: [{ name: 'orders', partitionIndexes: [0] }] })
      if (errorCode === 14 || errorCode === 16) {
        await new Promise((resolve) => setTimeout(resolve, 20))
        continue
      }
      assert.equal(topics?.[0]?.partitions[0]?.committedOffset, 200, groupId)
      break
    }
  }
})
