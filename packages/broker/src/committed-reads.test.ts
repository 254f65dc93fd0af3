import assert from 'node:assert/strict'
import { cp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { Consumer } from '@tidelog/client'
import { Fetch, iterateBatches, ListOffsets } from '@tidelog/protocol'
import { connectTo, startTestBroker, temporaryDirectory } from '@tidelog/testkit'

const golden = join(import.meta.dirname, '../../storage/fixtures/golden')
const topic = 'golden-txn'

interface Expected {
  readonly records: readonly { readonly offset: number; readonly key: string | null; readonly value: string | null }[]
}

test('transactions that Kafka left, aborted ones and an open one, read under read_committed as librdkafka read them', async (t) => {
  const expected = JSON.parse(await readFile(join(golden, 'expected.json'), 'utf8')) as Record<string, Expected | undefined>
  const committed = expected[`${topic} read_committed`]!.records
  const uncommitted = expected[`${topic} read_uncommitted`]!.records
  assert.ok(committed.length > 0 && committed.length < uncommitted.length)
  const dir = await temporaryDirectory(t)
  await cp(join(golden, 'data'), dir, { recursive: true })
  const broker = await startTestBroker({ config: { 'log.dirs': dir } })
  t.after(() => broker.close())

  for (const [isolationLevel, wanted] of [
    ['read_committed', committed],
    ['read_uncommitted', uncommitted],
  ] as const) {
    const consumer = new Consumer({ bootstrapServers: broker.bootstrapServers, isolationLevel, autoOffsetReset: 'earliest' })
    t.after(() => consumer.close())
    consumer.assign([{ topic, partition: 0 }])
    const got: { offset: number; key: string | null; value: string | null }[] = []
    for await (const { offset, key, value } of consumer.records()) {
      got.push({ offset, key: key === null ? null : String(key), value: value === null ? null : String(value) })
      if (got.length === wanted.length) break
    }
    assert.deepEqual(
      got,
      wanted.map(({ offset, key, value }) => ({ offset, key, value })),
      isolationLevel,
    )
  }

  const connection = await connectTo(t, broker)
  const offsets = await connection.send(ListOffsets, 5, {
    replicaId: -1,
    isolationLevel: 1,
    topics: [{ name: topic, partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
  })
  const lastStableOffset = offsets.topics[0]!.partitions[0]!.offset
  const fetchFrom = async (fetchOffset: number, partitionMaxBytes: number) => {
    const topics = [{ topic, partitions: [{ partition: 0, fetchOffset, partitionMaxBytes }] }]
    const { responses } = await connection.send(Fetch, 11, {
      maxWaitMs: 0,
      minBytes: 0,
      isolationLevel: 1,
      topics,
      forgottenTopicsData: [],
    })
    return responses[0]!.partitions[0]!
  }
  let told = 0
  for (let fetchOffset = 0; fetchOffset < lastStableOffset; ) {
    const { records, abortedTransactions, lastStableOffset: lso } = await fetchFrom(fetchOffset, 1)
    assert.equal(lso, lastStableOffset)
    const [batch] = [...iterateBatches(records!)]
    for (const { firstOffset } of abortedTransactions!) assert.ok(firstOffset <= batch!.lastOffset, 'only transactions among what is read')
    told += abortedTransactions!.length
    fetchOffset = batch!.lastOffset + 1
  }
  assert.ok(told > 0)
  const { records, abortedTransactions } = await fetchFrom(lastStableOffset, 1 << 20)
  assert.deepEqual([records?.length ?? 0, abortedTransactions], [0, []], 'nothing beyond the last stable offset')
})
