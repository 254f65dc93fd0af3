import assert from 'node:assert/strict'
import { readdir, readFile, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { decodeTransactionRecord } from '@tidelog/coordinator'
import {
  DescribeTransactions,
  FindCoordinator,
  iterateBatches,
  OffsetFetch,
  type RecordBatch,
  readRecords,
  TxnOffsetCommit,
} from '@tidelog/protocol'
import {
  addOffsetsToTransaction,
  addPartition,
  type Call,
  committedValues,
  connectForTest,
  createTopic,
  endOffsets,
  endTransaction,
  initProducer,
  produceInTransaction,
  type TestProducer,
} from '@tidelog/testkit'
import { type BrokerKind, type BrokerProcess, brokersInTurn } from './harness.ts'

const settings = { 'offsets.topic.num.partitions': '1', 'transaction.state.log.num.partitions': '1' }

async function eventually<T>(ask: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const stateOf = async (call: Call, transactionalId: string) =>
  (await call(DescribeTransactions, 0, { transactionalIds: [transactionalId] })).transactionStates[0]!.transactionState

async function committedOffset(call: Call): Promise<number | undefined> {
  const request = { groups: [{ groupId: 'g', topics: [{ name: 'moved', partitionIndexes: [0] }] }], requireStable: true }
  const { errorCode, topics } = (await call(OffsetFetch, 8, request)).groups[0]!
  const partition = topics[0]?.partitions[0]
  return errorCode === 0 && partition?.errorCode === 0 ? partition.committedOffset : undefined
}

/** Records in two partitions, and an offset. */
async function write(call: Call, producer: TestProducer, version: 1 | 2): Promise<void> {
  for (const partition of [0, 1]) {
    if (version === 1) assert.equal(await addPartition(call, producer, 'moved', partition), 0)
    const code = await produceInTransaction(call, producer, {
      topic: 'moved',
      partition,
      value: `v${partition}`,
      version: version === 1 ? 10 : 12,
    })
    assert.equal(code, 0)
  }
  if (version === 1) assert.equal(await addOffsetsToTransaction(call, producer, 'g'), 0)
  const { topics } = await call(TxnOffsetCommit, version === 1 ? 3 : 5, {
    ...producer,
    groupId: 'g',
    topics: [{ name: 'moved', partitions: [{ partitionIndex: 0, committedOffset: 5, committedMetadata: '' }] }],
  })
  assert.equal(topics[0]!.partitions[0]!.errorCode, 0)
}

/** Takes the last batches away that `goes`, as if the broker had been killed before it wrote them. */
async function cutOff(dir: string, folder: string, goes: (batch: RecordBatch) => boolean): Promise<void> {
  const [newest] = (await readdir(join(dir, folder)))
    .filter((name) => name.endsWith('.log'))
    .sort()
    .reverse()
  const path = join(dir, folder, newest!)
  const bytes = await readFile(path)
  const batches = [...iterateBatches(bytes)]
  let end = bytes.length
  for (const batch of batches.reverse()) {
    if (!goes(batch)) break
    end = batch.at
  }
  assert.ok(end < bytes.length, `${folder} has what is to go`)
  await truncate(path, end)
}

function isCompleted(batch: RecordBatch): boolean {
  return [...readRecords(batch, { maxOutputBytes: 1 << 20 })].some(({ key, value }) => {
    const record = decodeTransactionRecord(key!, value)
    return record?.transaction?.state.startsWith('Complete') === true
  })
}

async function connected(t: TestContext, { port }: BrokerProcess): Promise<Call> {
  const call = await connectForTest(t, { host: '127.0.0.1', port })
  for (const [keyType, key] of [
    [1, 'decided'],
    [0, 'g'],
  ] as const) {
    await eventually(async () =>
      (await call(FindCoordinator, 4, { keyType, coordinatorKeys: [key] })).coordinators[0]!.errorCode === 0 ? true : undefined,
    )
  }
  await eventually(
    async () => (await call(DescribeTransactions, 0, { transactionalIds: ['?'] })).transactionStates[0]!.errorCode === 105 || undefined,
  )
  await eventually(() => committedOffset(call))
  return call
}

for (const [kind, version] of [
  ['kafka-4.3', 2],
  ['kafka-4.3', 1],
  ['kafka-3.9', 1],
] as const satisfies readonly (readonly [BrokerKind, 1 | 2])[]) {
  test(`T1: what ${kind} had decided (v${version}) and not written everywhere is carried out here; what it left open is aborted when its producer comes back`, async (t) => {
    const { dir, start } = brokersInTurn(t)
    const kafka = await start(kind, settings)
    const before = await connected(t, kafka)
    await createTopic({ send: before }, 'moved', { partitions: 2 })
    await createTopic({ send: before }, 'held')
    const open = await initProducer(before, 'open')
    assert.equal(await addPartition(before, open, 'held'), 0)
    assert.equal(await produceInTransaction(before, open, { topic: 'held' }), 0)
    const decided = await initProducer(before, 'decided')
    await write(before, decided, version)
    assert.equal((await endTransaction(before, decided, { committed: true, version: version === 1 ? 3 : 5 })).errorCode, 0)
    await eventually(async () => (await stateOf(before, 'decided')) === 'CompleteCommit' || undefined)
    await kafka.kill()
    await cutOff(dir, '__transaction_state-0', isCompleted)
    for (const folder of ['moved-0', 'moved-1', '__consumer_offsets-0']) await cutOff(dir, folder, ({ isControl }) => isControl)

    const ours = await start('tidelog', settings)
    const call = await connected(t, ours)
    await eventually(async () => (await stateOf(call, 'decided')) === 'CompleteCommit' || undefined)
    assert.deepEqual([await committedValues(call, 'moved', 0), await committedValues(call, 'moved', 1)], [['v0'], ['v1']])
    assert.equal(await eventually(() => committedOffset(call)), 5)
    assert.deepEqual(await endOffsets(call, 'held'), [0, 1])
    const { producerEpoch } = await initProducer(call, 'open')
    assert.equal(producerEpoch, open.producerEpoch + 2)
    assert.deepEqual([await endOffsets(call, 'held'), await committedValues(call, 'held')], [[2, 2], []])
    await ours.stop()

    const again = await start(kind, settings)
    const back = await connected(t, again)
    assert.deepEqual([await stateOf(back, 'decided'), await stateOf(back, 'open')], ['CompleteCommit', 'Empty'])
    // 3.9 refuses the markers of its own coordinators until its leader epochs have caught up with ours: see the guide on moving from Kafka.
    if (kind === 'kafka-3.9') return
    const next = await initProducer(back, 'decided')
    await write(back, next, version)
    assert.equal((await endTransaction(back, next, { committed: true, version: version === 1 ? 3 : 5 })).errorCode, 0)
    await eventually(async () => (await stateOf(back, 'decided')) === 'CompleteCommit' || undefined)
    const [lastStable, highWatermark] = await endOffsets(back, 'moved')
    assert.equal(lastStable, highWatermark)
  })
}
