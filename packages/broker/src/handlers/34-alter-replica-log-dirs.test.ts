import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { AlterReplicaLogDirs, DescribeLogDirs, Fetch, IncrementalAlterConfigs, Produce } from '@tidelog/protocol'
import { batchOf, connectTo, createTopic, recordsIn, startTestBroker, temporaryDirectory } from '@tidelog/testkit'

type Connection = Awaited<ReturnType<typeof connectTo>>

async function brokerWithTwoDirs(t: TestContext): Promise<{ dirs: string[]; connection: Connection }> {
  const base = await temporaryDirectory(t)
  const dirs = [join(base, 'one'), join(base, 'two')]
  const broker = await startTestBroker({ config: { 'log.dirs': dirs.join(','), 'log.segment.delete.delay.ms': '0' } })
  t.after(() => broker.close())
  return { dirs, connection: await connectTo(t, broker) }
}

async function alter(connection: Connection, version: number, path: string, name: string, partitions: number[]): Promise<number[]> {
  const { results } = await connection.send(AlterReplicaLogDirs, version, { dirs: [{ path, topics: [{ name, partitions }] }] })
  assert.deepEqual(
    results.map(({ topicName }) => topicName),
    [name],
  )
  return results[0]!.partitions.map(({ errorCode }) => errorCode)
}

async function placesOf(
  connection: Connection,
  topic: string,
): Promise<{ dir: string; partition: number; isFuture: boolean; lag: number }[]> {
  const { results } = await connection.send(DescribeLogDirs, 4, { topics: null })
  return results.flatMap(({ logDir, topics }) =>
    topics
      .filter(({ name }) => name === topic)
      .flatMap(({ partitions }) =>
        partitions.map(({ partitionIndex, isFutureKey, offsetLag }) => ({
          dir: logDir,
          partition: partitionIndex,
          isFuture: isFutureKey,
          lag: offsetLag,
        })),
      ),
  )
}

async function produce(connection: Connection, value: string): Promise<void> {
  const topicData = [{ name: 'moved', partitionData: [{ index: 0, records: batchOf([{ value }]) }] }]
  const { responses } = await connection.send(Produce, 9, { transactionalId: null, acks: -1, timeoutMs: 5000, topicData })
  assert.equal(responses[0]!.partitionResponses[0]!.errorCode, 0)
}

test('a partition moves to the other log dir while it is written to; DescribeLogDirs shows its copy until then, throttled by its configuration', async (t) => {
  const { dirs, connection } = await brokerWithTwoDirs(t)
  const throttle = (value: string | null) =>
    connection.send(IncrementalAlterConfigs, 1, {
      resources: [
        {
          resourceType: 4,
          resourceName: '1',
          configs: [{ name: 'replica.alter.log.dirs.io.max.bytes.per.second', configOperation: value === null ? 1 : 0, value }],
        },
      ],
      validateOnly: false,
    })
  await createTopic(connection, 'moved')
  const { dir } = (await placesOf(connection, 'moved'))[0]!
  const other = dirs.find((candidate) => candidate !== dir)!
  await throttle('1')
  for (const value of ['a', 'b', 'c']) await produce(connection, value)
  for (const version of [0, 1, 2]) assert.deepEqual(await alter(connection, version, other, 'moved', [0]), [0])
  const places = await placesOf(connection, 'moved')
  assert.deepEqual(
    places.map(({ dir: where, isFuture }) => [where, isFuture]).sort(),
    [
      [dir, false],
      [other, true],
    ].sort(),
  )
  const { lag } = places.find(({ isFuture }) => isFuture)!
  assert.ok(lag >= 1 && lag <= 3, `lag ${lag}`)
  // Back to where it is: the copy goes.
  assert.deepEqual(await alter(connection, 2, dir, 'moved', [0]), [0])
  assert.deepEqual(await placesOf(connection, 'moved'), [{ dir, partition: 0, isFuture: false, lag: 0 }])

  await throttle(null)
  assert.deepEqual(await alter(connection, 2, other, 'moved', [0]), [0])
  const values = ['a', 'b', 'c']
  for (let turn = 0; ; turn++) {
    values.push(String(turn))
    await produce(connection, String(turn))
    const now = await placesOf(connection, 'moved')
    if (now.length === 1 && now[0]!.dir === other) break
    assert.ok(turn < 5000, 'the move ends')
  }
  const { responses } = await connection.send(Fetch, 11, {
    maxWaitMs: 0,
    minBytes: 0,
    topics: [{ topic: 'moved', partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 24 }] }],
    forgottenTopicsData: [],
  })
  assert.deepEqual(
    recordsIn(responses[0]!.partitions[0]!.records).map(({ value }) => value),
    values,
  )
})

test('Kafka’s codes: 57 for a directory that is none, 9 or 3 for a partition that is not here, which is remembered, 17 for a name too long', async (t) => {
  const { dirs, connection } = await brokerWithTwoDirs(t)
  await createTopic(connection, 'here')
  assert.deepEqual(await alter(connection, 2, '/nowhere', 'here', [0]), [57])
  assert.deepEqual(await alter(connection, 2, `${dirs[0]}/.`, 'here', [0]), [57])
  assert.deepEqual(await alter(connection, 2, dirs[0]!, 'x'.repeat(249), [0]), [17])
  assert.deepEqual(await alter(connection, 2, dirs[1]!, 'later', [0, 1, 2, 3]), [3, 3, 3, 3])
  await createTopic(connection, 'later', { partitions: 4 })
  assert.deepEqual(
    (await placesOf(connection, 'later')).map(({ dir }) => dir),
    [dirs[1], dirs[1], dirs[1], dirs[1]],
  )
})
