import assert from 'node:assert/strict'
import { cp, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ZERO_UUID } from '@tidelog/core'
import {
  CreateTopics,
  DeleteTopics,
  DescribeConfigs,
  errorTable,
  InitProducerId,
  ListOffsets,
  Metadata,
  OffsetFetch,
  type OffsetFetchResponse,
  Produce,
} from '@tidelog/protocol'
import { batchOf, type Call, connectForTest, startTestBroker, temporaryDirectory } from '@tidelog/testkit'

const golden = join(import.meta.dirname, '../../storage/fixtures/golden')
const latest = -1
const earliest = -2

/** A copy of the directory that Kafka 4.3 wrote, and what a correct reader sees in it. */
async function goldenDir(t: TestContext): Promise<{ dir: string; expected: Map<string, { low: number; high: number }> }> {
  const dir = await temporaryDirectory(t)
  await cp(join(golden, 'data'), dir, { recursive: true })
  const expected = JSON.parse(await readFile(join(golden, 'expected.json'), 'utf8')) as Record<string, { low: number; high: number }>
  return { dir, expected: new Map(Object.entries(expected).filter(([name]) => !name.includes(' ') && !name.includes('/'))) }
}

// As in Kafka, the partitions of an internal topic are as many as when it was made: a group's partition follows from their number.
const config = (dir: string) => ({ 'log.dirs': dir, 'offsets.topic.num.partitions': '50' })

async function offsetsOf(call: Call, topic: string) {
  const at = async (timestamp: number) => {
    const { topics } = await call(ListOffsets, 7, {
      replicaId: -1,
      isolationLevel: 0,
      topics: [{ name: topic, partitions: [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp }] }],
    })
    return topics[0]?.partitions[0]?.offset
  }
  return { low: await at(earliest), high: await at(latest) }
}

const topicsOf = async (call: Call) => new Map((await call(Metadata, 12, { topics: null })).topics.map((topic) => [topic.name, topic]))

test('a directory that Kafka wrote is taken over: topics, ids, records, commits, producer ids; and again after a restart', async (t) => {
  const { dir, expected } = await goldenDir(t)
  for (const restarts of [0, 1]) {
    const broker = await startTestBroker({ config: config(dir) })
    try {
      const call = await connectForTest(t, broker)
      assert.equal(broker.clusterId, 'abcdefghijklmnopqrstug')
      const topics = await topicsOf(call)
      assert.equal(topics.size, 10)
      assert.equal(topics.get('golden-txn')?.topicId, 'IQPsQipHTsKy71ijwH7wGA')
      // Kafka left them in leader epoch 2.
      assert.equal(topics.get('golden-plain')?.partitions[0]?.leaderEpoch, 3 + restarts)
      assert.equal(topics.get('__consumer_offsets')?.partitions.length, 50)
      for (const name of [...topics.keys()].filter((topic) => topic!.startsWith('golden-'))) {
        const { low, high } = expected.get(name!) ?? {}
        if (low !== undefined && name !== 'golden-txn') assert.deepEqual(await offsetsOf(call, name!), { low, high }, name!)
      }
      const { producerId } = await call(InitProducerId, 4, { transactionalId: null, transactionTimeoutMs: 1000 })
      assert.ok(producerId > 270, `producer id ${producerId}`)
    } finally {
      await broker.close()
    }
  }
})

test('an adopted topic keeps its old records, and a group its offsets', async (t) => {
  const { dir } = await goldenDir(t)
  const broker = await startTestBroker({ config: config(dir) })
  const call = await connectForTest(t, broker)
  const described = await call(DescribeConfigs, 4, {
    resources: [{ resourceType: 2, resourceName: 'golden-plain', configurationKeys: ['retention.ms', 'retention.bytes'] }],
  })
  assert.deepEqual(described.results[0]?.configs.map(({ name, value }) => [name, value]).sort(), [
    ['retention.bytes', '-1'],
    ['retention.ms', '-1'],
  ])
  const groups = [{ groupId: 'golden-group', topics: [{ name: 'golden-plain', partitionIndexes: [0] }] }]
  let group: OffsetFetchResponse['groups'][number] | undefined
  do group = (await call(OffsetFetch, 8, { groups, requireStable: false })).groups[0]
  while (group?.errorCode === errorTable.COORDINATOR_LOAD_IN_PROGRESS.code)
  const committed = group?.topics[0]?.partitions[0]
  assert.deepEqual([committed?.committedOffset, committed?.metadata, committed?.errorCode], [123, 'meta\u0000', 0])
  await broker.close()
})

test('L16: a folder that appears once the cluster is known is left alone, and set aside for a topic of its name that is made later', async (t) => {
  const dir = await temporaryDirectory(t)
  await (await startTestBroker({ config: { 'log.dirs': dir } })).close()
  await cp(join(golden, 'data/golden-plain-0'), join(dir, 'stray-0'), { recursive: true })
  const before = await readFile(join(dir, 'stray-0/00000000000000000000.log'))
  const broker = await startTestBroker({ config: { 'log.dirs': dir } })
  t.after(() => broker.close())
  const call = await connectForTest(t, broker)
  assert.deepEqual([...(await topicsOf(call)).keys()], [])
  await call(CreateTopics, 7, {
    topics: [{ name: 'stray', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
    timeoutMs: 5000,
  })
  const { responses } = await call(Produce, 9, {
    acks: 1,
    timeoutMs: 1000,
    topicData: [{ name: 'stray', partitionData: [{ index: 0, records: batchOf() }] }],
  })
  assert.deepEqual([responses[0]?.partitionResponses[0]?.errorCode, responses[0]?.partitionResponses[0]?.baseOffset], [0, 0])
  const deleted = await call(DeleteTopics, 6, { topics: [{ name: 'stray', topicId: ZERO_UUID }], timeoutMs: 5000 })
  assert.equal(deleted.responses[0]?.errorCode, 0)
  const aside = (await readdir(dir)).filter((name) => /^stray-0\.[0-9a-f]{32}-stray$/.test(name))
  assert.equal(aside.length, 1)
  assert.deepEqual(await readFile(join(dir, aside[0]!, '00000000000000000000.log')), before)
})
