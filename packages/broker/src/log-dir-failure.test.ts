import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import {
  AlterReplicaLogDirs,
  DeleteRecords,
  DeleteTopics,
  DescribeLogDirs,
  Fetch,
  FindCoordinator,
  Heartbeat,
  ListOffsets,
  Metadata,
  OffsetForLeaderEpoch,
  Produce,
} from '@tidelog/protocol'
import { type FileSystem, nodeFileSystem } from '@tidelog/storage'
import { batchOf, connectTo, createTopic, recordsIn, startTestBroker, temporaryDirectory, trackedPaths } from '@tidelog/testkit'

type Connection = Awaited<ReturnType<typeof connectTo>>

/** A disk whose directory `failing` takes no more changes, as one that was mounted anew read-only. */
function readOnlyIn(failing: () => string | undefined): FileSystem {
  const tracked = trackedPaths(nodeFileSystem)
  const check = (path: string) => {
    const dir = failing()
    if (dir !== undefined && (path === dir || path.startsWith(`${dir}/`))) {
      throw Object.assign(new Error('EROFS: read-only file system'), { code: 'EROFS' })
    }
  }
  return {
    ...tracked.fs,
    async open(path, mode) {
      if (mode !== 'read') check(path)
      return tracked.fs.open(path, mode)
    },
    async write(fd, bytes, position) {
      check(tracked.pathOf(fd))
      return nodeFileSystem.write(fd, bytes, position)
    },
    async truncate(fd, sizeBytes) {
      check(tracked.pathOf(fd))
      return nodeFileSystem.truncate(fd, sizeBytes)
    },
    async rename(from, to) {
      check(from)
      return nodeFileSystem.rename(from, to)
    },
    async makeDirectory(path) {
      check(path)
      return nodeFileSystem.makeDirectory(path)
    },
  }
}

/** Two log dirs of one broker; `fail` says which takes no changes from now on. */
async function twoDirs(t: TestContext) {
  const base = await temporaryDirectory(t)
  const dirs = [join(base, 'one'), join(base, 'two')]
  let failing: string | undefined
  return {
    dirs,
    config: { 'log.dirs': dirs.join(','), 'node.id': '1' },
    fs: readOnlyIn(() => failing),
    fail: (dir: string | undefined) => {
      failing = dir
    },
  }
}

const topic = 't'

/** The code of an append, an acknowledged one being noted. */
async function produce(connection: Connection, index: number, value: string, acked: Map<number, string[]>): Promise<number> {
  const topicData = [{ name: topic, partitionData: [{ index, records: batchOf([{ value }]) }] }]
  const { responses } = await connection.send(Produce, 9, { transactionalId: null, acks: -1, timeoutMs: 5000, topicData })
  const { errorCode } = responses[0]!.partitionResponses[0]!
  if (errorCode === 0) acked.set(index, [...(acked.get(index) ?? []), value])
  return errorCode
}

async function read(connection: Connection, partition: number): Promise<{ errorCode: number; values: (string | null)[] }> {
  const { responses } = await connection.send(Fetch, 11, {
    maxWaitMs: 10_000, // an error does not wait
    minBytes: 1,
    topics: [{ topic, partitions: [{ partition, fetchOffset: 0, partitionMaxBytes: 1 << 20 }] }],
    forgottenTopicsData: [],
  })
  const { errorCode, records } = responses[0]!.partitions[0]!
  return { errorCode, values: recordsIn(records).map(({ value }) => value) }
}

async function dirOf(connection: Connection, name: string, partition: number): Promise<string> {
  const { results } = await connection.send(DescribeLogDirs, 4, { topics: [{ topic: name, partitions: [partition] }] })
  return results.find(({ topics }) => topics.length > 0)!.logDir
}

/** As Metadata tells it, once it does. */
async function untilLeaderIs(connection: Connection, partition: number, leaderId: number) {
  for (let turn = 0; turn < 5000; turn++) {
    const { topics } = await connection.send(Metadata, 9, { topics: [{ name: topic }], allowAutoTopicCreation: false })
    const row = topics[0]!.partitions.find(({ partitionIndex }) => partitionIndex === partition)!
    if (row.leaderId === leaderId) return row
  }
  throw new Error(`${topic}-${partition} is not led by ${leaderId}`)
}

/** The codes of everything that is asked of a partition. */
async function codesOf(connection: Connection, partition: number): Promise<Record<string, number>> {
  const offsets = await connection.send(ListOffsets, 5, {
    replicaId: -1,
    isolationLevel: 0,
    topics: [{ name: topic, partitions: [{ partitionIndex: partition, timestamp: -1 }] }],
  })
  const deleted = await connection.send(DeleteRecords, 2, {
    topics: [{ name: topic, partitions: [{ partitionIndex: partition, offset: 0 }] }],
    timeoutMs: 5000,
  })
  const epochs = await connection.send(OffsetForLeaderEpoch, 4, {
    replicaId: -1,
    topics: [{ topic, partitions: [{ partition, leaderEpoch: 0 }] }],
  })
  return {
    fetch: (await read(connection, partition)).errorCode,
    listOffsets: offsets.topics[0]!.partitions[0]!.errorCode,
    deleteRecords: deleted.topics[0]!.partitions[0]!.errorCode,
    offsetForLeaderEpoch: epochs.topics[0]!.partitions[0]!.errorCode,
  }
}

test('L20: a log dir that turns read-only under load goes offline alone: its partitions have no leader and answer 56, the other dir serves', async (t) => {
  const { dirs, config, fs, fail } = await twoDirs(t)
  const broker = await startTestBroker({ config, fs })
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  await createTopic(connection, topic, { partitions: 3 })
  const coordinator = await connection.send(FindCoordinator, 3, { key: 'g', keyType: 0 })
  assert.equal(coordinator.errorCode, 0)
  assert.equal(await dirOf(connection, '__consumer_offsets', 0), dirs[1])

  const acked = new Map<number, string[]>()
  const places = await Promise.all([0, 1, 2].map((index) => dirOf(connection, topic, index)))
  const lost = places.indexOf(dirs[1]!)
  const kept = places.indexOf(dirs[0]!)
  for (let round = 0; round < 30; round++) {
    if (round === 10) fail(dirs[1])
    await Promise.all([0, 1, 2].map((index) => produce(connection, index, `${index}-${round}`, acked)))
  }
  assert.deepEqual([acked.get(lost)!.length, acked.get(kept)!.length], [10, 30])
  assert.deepEqual((await read(connection, kept)).values, acked.get(kept))
  assert.equal(await produce(connection, lost, 'lost', acked), 56)
  assert.equal(await produce(connection, kept, 'kept', acked), 0)
  const row = await untilLeaderIs(connection, lost, -1)
  assert.deepEqual(row, { ...row, errorCode: 5, replicaNodes: [1], isrNodes: [1], offlineReplicas: [1] })
  assert.deepEqual(await codesOf(connection, lost), { fetch: 56, listOffsets: 56, deleteRecords: 56, offsetForLeaderEpoch: 56 })
  assert.deepEqual(await codesOf(connection, kept), { fetch: 0, listOffsets: 0, deleteRecords: 0, offsetForLeaderEpoch: 0 })
  assert.equal(await produce(connection, lost, 'lost', acked), 56)

  const described = await connection.send(DescribeLogDirs, 4, { topics: null })
  assert.deepEqual(
    described.results.map(({ logDir, errorCode, topics }) => [logDir, errorCode, topics.length > 0]),
    [
      [dirs[0], 0, true],
      [dirs[1], 56, false],
    ],
  )
  const alter = async (path: string, partition: number) =>
    (await connection.send(AlterReplicaLogDirs, 2, { dirs: [{ path, topics: [{ name: topic, partitions: [partition] }] }] })).results[0]!
      .partitions[0]!.errorCode
  assert.equal(await alter(dirs[0]!, lost), 56)
  assert.equal(await alter(dirs[1]!, kept), 56)
  assert.equal(await alter(dirs[0]!, kept), 0)
  assert.equal((await connection.send(FindCoordinator, 3, { key: 'g', keyType: 0 })).errorCode, 15)
  const heartbeat = { groupId: 'g', generationId: 1, memberId: 'm', groupInstanceId: null }
  assert.equal((await connection.send(Heartbeat, 4, heartbeat)).errorCode, 16)
  await createTopic(connection, 'new', { partitions: 2 })
  for (const index of [0, 1]) assert.equal(await dirOf(connection, 'new', index), dirs[0])
})

test('L20: a topic with partitions on a failed disk is deleted at once; what comes back with the disk is set aside, beside a new topic of its name', async (t) => {
  const { dirs, config, fs, fail } = await twoDirs(t)
  let broker = await startTestBroker({ config, fs })
  t.after(() => broker.close())
  let connection = await connectTo(t, broker)
  const others = ['other', topic]
  for (const name of others) await createTopic(connection, name, { partitions: 2 })
  const acked = new Map<number, string[]>()
  for (const index of [0, 1]) assert.equal(await produce(connection, index, `old ${index}`, acked), 0)
  const lost = (await dirOf(connection, topic, 0)) === dirs[1] ? 0 : 1
  fail(dirs[1])
  assert.equal(await produce(connection, lost, 'lost', acked), 56)
  await untilLeaderIs(connection, lost, -1)

  const { responses } = await connection.send(DeleteTopics, 5, { topicNames: others, timeoutMs: 10_000 })
  assert.deepEqual(
    responses.map(({ errorCode }) => errorCode),
    [0, 0],
  )
  assert.deepEqual((await connection.send(Metadata, 9, { topics: null })).topics, [])
  await createTopic(connection, topic, { partitions: 2 })
  const anew = new Map<number, string[]>()
  for (const index of [0, 1]) {
    assert.equal(await dirOf(connection, topic, index), dirs[0])
    assert.equal(await produce(connection, index, `new ${index}`, anew), 0)
  }
  await broker.close()

  for (const failing of [dirs[1], undefined]) {
    fail(failing)
    broker = await startTestBroker({ config, fs })
    connection = await connectTo(t, broker)
    for (const index of [0, 1]) {
      await untilLeaderIs(connection, index, 1)
      assert.deepEqual((await read(connection, index)).values, anew.get(index))
    }
    if (failing === undefined) {
      await createTopic(connection, 'other', { partitions: 2 })
      for (const partition of [0, 1]) {
        const offsets = await connection.send(ListOffsets, 5, {
          replicaId: -1,
          isolationLevel: 0,
          topics: [{ name: 'other', partitions: [{ partitionIndex: partition, timestamp: -1 }] }],
        })
        assert.equal(offsets.topics[0]!.partitions[0]!.offset, 0)
      }
    }
    await broker.close()
  }
  const strays = (await readdir(dirs[1]!)).filter((name) => name.endsWith('-stray')).map((name) => name.slice(0, name.indexOf('.')))
  assert.deepEqual(strays.sort(), [`other-${lost}`, `${topic}-${lost}`])
})

test('L20: a start without one of several log dirs serves the others and makes nothing anew; a start that finds it repaired serves all of it', async (t) => {
  const { dirs, config, fs, fail } = await twoDirs(t)
  const acked = new Map<number, string[]>()
  let broker = await startTestBroker({ config, fs })
  t.after(() => broker.close())
  let connection = await connectTo(t, broker)
  await createTopic(connection, topic, { partitions: 2 })
  for (const index of [0, 1]) assert.equal(await produce(connection, index, `${index}`, acked), 0)
  const lost = (await dirOf(connection, topic, 0)) === dirs[1] ? 0 : 1
  await broker.close()

  fail(dirs[1])
  broker = await startTestBroker({ config, fs })
  connection = await connectTo(t, broker)
  assert.deepEqual((await untilLeaderIs(connection, lost, -1)).offlineReplicas, [1])
  assert.equal(await produce(connection, lost, 'lost', acked), 56)
  assert.equal(await produce(connection, 1 - lost, 'kept', acked), 0)
  await broker.close()

  fail(undefined)
  broker = await startTestBroker({ config, fs })
  connection = await connectTo(t, broker)
  for (const index of [0, 1]) {
    await untilLeaderIs(connection, index, 1)
    assert.deepEqual((await read(connection, index)).values, acked.get(index))
  }
  await broker.close()

  fail(dirs[0])
  await assert.rejects(startTestBroker({ config, fs }), /one cannot be used as a log dir: EROFS/)
})

test('L20: a log dir whose disk fails while its logs are opened is offline as a whole; a broker without another does not start', async (t) => {
  const base = await temporaryDirectory(t)
  const dirs = [join(base, 'one'), join(base, 'two')]
  const config = { 'log.dirs': dirs.join(','), 'node.id': '1' }
  const acked = new Map<number, string[]>()
  let broker = await startTestBroker({ config })
  t.after(() => broker.close())
  let connection = await connectTo(t, broker)
  await createTopic(connection, topic, { partitions: 2 })
  for (const index of [0, 1]) assert.equal(await produce(connection, index, `${index}`, acked), 0)
  const lost = (await dirOf(connection, topic, 0)) === dirs[1] ? 0 : 1
  await broker.close()

  const failingIn = (dir: string): FileSystem => ({
    ...nodeFileSystem,
    async unlink(path) {
      if (path.startsWith(dir)) throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })
      return nodeFileSystem.unlink(path)
    },
  })
  broker = await startTestBroker({ config, fs: failingIn(dirs[1]!) })
  connection = await connectTo(t, broker)
  assert.deepEqual((await untilLeaderIs(connection, lost, -1)).offlineReplicas, [1])
  assert.equal(await produce(connection, lost, 'lost', acked), 56)
  assert.equal(await produce(connection, 1 - lost, 'kept', acked), 0)
  const { results } = await connection.send(DescribeLogDirs, 4, { topics: null })
  assert.deepEqual(
    results.map(({ errorCode }) => errorCode),
    [0, 56],
  )
  await broker.close()

  const alone = { 'log.dirs': dirs[0]!, 'node.id': '1' }
  await assert.rejects(startTestBroker({ config: alone, fs: failingIn(dirs[0]!) }), /one cannot be used as a log dir: EIO/)
  broker = await startTestBroker({ config })
  connection = await connectTo(t, broker)
  for (const index of [0, 1]) {
    await untilLeaderIs(connection, index, 1)
    assert.deepEqual((await read(connection, index)).values, acked.get(index))
  }
})
