import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { DescribeLogDirs, Produce } from '@tidelog/protocol'
import { batchOf, connectTo, createTopic, startTestBroker, temporaryDirectory } from '@tidelog/testkit'

test('each log dir tells its partitions with their sizes, and what its volume holds; unknown partitions are left out', async (t) => {
  const base = await temporaryDirectory(t)
  const dirs = [join(base, 'one'), join(base, 'two')]
  const broker = await startTestBroker({ config: { 'log.dirs': dirs.join(',') } })
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  await createTopic(connection, 'l', { partitions: 4 })
  const records = batchOf()
  await connection.send(Produce, 9, {
    transactionalId: null,
    acks: 1,
    timeoutMs: 1000,
    topicData: [{ name: 'l', partitionData: [{ index: 2, records }] }],
  })
  for (let version = 0; version <= 5; version++) {
    const { errorCode, results } = await connection.send(DescribeLogDirs, version, { topics: null })
    assert.equal(errorCode, 0)
    assert.deepEqual(
      results.map(({ logDir }) => logDir),
      dirs,
    )
    const found = results.flatMap(({ topics }) =>
      topics.flatMap(({ name, partitions }) => partitions.map((partition) => ({ name, ...partition }))),
    )
    assert.equal(found.filter(({ name }) => name === 'l').length, 4)
    assert.deepEqual(
      results.map(({ topics }) => topics[0]?.partitions.length),
      [2, 2],
      'partitions are spread',
    )
    assert.equal(found.find(({ name, partitionIndex }) => name === 'l' && partitionIndex === 2)?.partitionSize, records.length)
    if (version >= 4) for (const { totalBytes, usableBytes } of results) assert.ok(totalBytes > usableBytes && usableBytes > 0)
  }
  const some = await connection.send(DescribeLogDirs, 4, {
    topics: [
      { topic: 'l', partitions: [2, 9] },
      { topic: 'missing', partitions: [0] },
    ],
  })
  assert.deepEqual(
    some.results
      .flatMap(({ topics }) => topics)
      .map(({ name, partitions }) => [name, partitions.map(({ partitionIndex }) => partitionIndex)]),
    [['l', [2]]],
  )
})
