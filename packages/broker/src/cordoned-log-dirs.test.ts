import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { FramedConnection } from '@tidelog/net'
import { AlterReplicaLogDirs, CreatePartitions, CreateTopics, DescribeLogDirs, IncrementalAlterConfigs, Metadata } from '@tidelog/protocol'
import { alterConfig, connectTo, createTopic, startTestBroker, temporaryDirectory } from '@tidelog/testkit'

const CORDONED = 'cordoned.log.dirs'
const one = { broker: '1' }

async function brokerWithTwoDirs(t: TestContext, config: Record<string, string> = {}) {
  const base = await temporaryDirectory(t)
  const dirs = [join(base, 'one'), join(base, 'two')] as const
  const start = async () => {
    const broker = await startTestBroker({ config: { 'node.id': '1', 'log.dirs': dirs.join(','), ...config } })
    t.after(() => broker.close())
    return { broker, connection: await connectTo(t, broker) }
  }
  return { dirs, start, ...(await start()) }
}

/** Partitions of each directory by topic, and which ones are cordoned. */
async function describe(connection: FramedConnection, version = 5): Promise<{ partitions: string[]; cordoned: boolean[] }> {
  const { results } = await connection.send(DescribeLogDirs, version, { topics: null })
  const of = (topics: (typeof results)[number]['topics']) => topics.map(({ name, partitions }) => `${name}:${partitions.length}`).sort()
  return { partitions: results.map(({ topics }) => of(topics).join(' ')), cordoned: results.map(({ isCordoned }) => isCordoned) }
}

async function move(connection: FramedConnection, topic: string, path: string): Promise<number> {
  const { results } = await connection.send(AlterReplicaLogDirs, 2, { dirs: [{ path, topics: [{ name: topic, partitions: [0] }] }] })
  return results[0]!.partitions[0]!.errorCode
}

const INVALID_REPLICATION_FACTOR = 38
const INVALID_REPLICA_ASSIGNMENT = 39

test('a cordoned directory gets no new partition and no moved one, keeps those it has, and is shown', async (t) => {
  const { connection, dirs } = await brokerWithTwoDirs(t)
  await createTopic(connection, 'before', { partitions: 2 })
  assert.deepEqual(await alterConfig(connection, one, CORDONED, dirs[1]), { errorCode: 0, errorMessage: null })
  await createTopic(connection, 'after', { partitions: 3 })
  assert.deepEqual(await describe(connection), { partitions: ['after:3 before:1', 'before:1'], cordoned: [false, true] })
  assert.deepEqual((await describe(connection, 4)).cordoned, [false, false], 'version 4 has no place for it')
  assert.equal(await move(connection, 'after', dirs[1]), INVALID_REPLICA_ASSIGNMENT)
  assert.equal(await move(connection, 'after', dirs[0]), 0)
  assert.equal((await alterConfig(connection, one, CORDONED, null)).errorCode, 0)
  await createTopic(connection, 'then', { partitions: 3 })
  assert.deepEqual(await describe(connection), { partitions: ['after:3 before:1', 'before:1 then:3'], cordoned: [false, false] })
})

test('a broker with all of its directories cordoned gets no partitions unless it is named', async (t) => {
  const { connection, dirs } = await brokerWithTwoDirs(t)
  await createTopic(connection, 'before')
  const create = async (name: string, assignments: { partitionIndex: number; brokerIds: number[] }[] = []) => {
    const counts = assignments.length > 0 ? { numPartitions: -1, replicationFactor: -1 } : { numPartitions: 1, replicationFactor: 1 }
    const { topics } = await connection.send(CreateTopics, 7, { topics: [{ name, ...counts, assignments, configs: [] }] })
    return [topics[0]!.errorCode, topics[0]!.errorMessage] as const
  }
  const refusal = [
    INVALID_REPLICATION_FACTOR,
    'Unable to replicate the partition 1 time(s): All brokers are currently fenced, or have all their log directories cordoned.',
  ]
  for (const every of ['*', dirs.join(',')]) {
    assert.equal((await alterConfig(connection, one, CORDONED, every)).errorCode, 0)
    assert.deepEqual((await describe(connection)).cordoned, [true, true])
    assert.deepEqual(await create('refused'), refusal)
    const added = await connection.send(CreatePartitions, 3, {
      topics: [{ name: 'before', count: 2, assignments: null }],
      timeoutMs: 5000,
      validateOnly: false,
    })
    assert.deepEqual([added.results[0]!.errorCode, added.results[0]!.errorMessage], refusal)
    assert.equal(await move(connection, 'before', dirs[1]), INVALID_REPLICA_ASSIGNMENT)
    const { topics } = await connection.send(Metadata, 9, { topics: [{ name: 'wished' }], allowAutoTopicCreation: true })
    assert.equal(topics[0]!.errorCode, 3)
  }
  assert.deepEqual(await create('named', [{ partitionIndex: 0, brokerIds: [1] }]), [0, null])
  assert.deepEqual((await describe(connection)).partitions, ['before:1 named:1', ''])
  assert.equal((await alterConfig(connection, one, CORDONED, '')).errorCode, 0)
  assert.deepEqual(await create('taken'), [0, null])
})

test('entries are added and taken away one by one, those that are not in log.dirs are refused, and they outlive a restart', async (t) => {
  const { broker, connection, dirs, start } = await brokerWithTwoDirs(t)
  const refused = async (value: string, message: string) =>
    assert.deepEqual(await alterConfig(connection, one, CORDONED, value), { errorCode: 42, errorMessage: message })
  const missing = 'All entries in cordoned.log.dirs must be present in log.dirs or log.dir. Missing entries : '
  await refused('/nowhere', `${missing}/nowhere`)
  await refused(`${dirs[1]}/`, `${missing}${dirs[1]}/`)
  await refused(`${dirs[1]},*`, 'When cordoned.log.dirs is set to *, it must not contain other values')
  assert.equal((await alterConfig(connection, { broker: '' }, CORDONED, dirs[1])).errorCode, 42)
  const change = async (configOperation: number, value: string) => {
    const resources = [{ resourceType: 4, resourceName: '1', configs: [{ name: CORDONED, configOperation, value }] }]
    const { responses } = await connection.send(IncrementalAlterConfigs, 1, { resources, validateOnly: false })
    assert.equal(responses[0]!.errorCode, 0)
  }
  for (const dir of dirs) await change(2, dir)
  assert.deepEqual((await describe(connection)).cordoned, [true, true])
  await change(3, dirs[0])
  await broker.close()
  const { connection: again } = await start()
  assert.deepEqual((await describe(again)).cordoned, [false, true])
  await createTopic(again, 't', { partitions: 2 })
  assert.deepEqual((await describe(again)).partitions, ['t:2', ''])
})

test('server.properties may cordon directories from the start', async (t) => {
  const { connection } = await brokerWithTwoDirs(t, { [CORDONED]: '*' })
  assert.deepEqual((await describe(connection)).cordoned, [true, true])
  await assert.rejects(createTopic(connection, 't'), /38 /)
})
