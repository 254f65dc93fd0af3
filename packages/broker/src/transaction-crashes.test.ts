import assert from 'node:assert/strict'
import { cp } from 'node:fs/promises'
import { type TestContext, test } from 'node:test'
import { AddOffsetsToTxn, OffsetFetch, TxnOffsetCommit } from '@tidelog/protocol'
import { type FileSystem, nodeFileSystem } from '@tidelog/storage'
import {
  addPartition,
  type Call,
  committedValues,
  connectForTest,
  connectTo,
  createTopic,
  endOffsets,
  endTransaction,
  initProducer,
  killedFileSystem,
  produceInTransaction,
  startTestBroker,
  type TestProducer,
  temporaryDirectory,
  until,
} from '@tidelog/testkit'
import { createGroupTopic, createTransactionTopic } from './handlers/transactions-harness.test.ts'

const topic = 'orders'
const partitions = [0, 1]

/** A transaction with records in two partitions and an offset, all of it in the log. */
async function open(call: Call, version: 1 | 2): Promise<TestProducer> {
  await stableOffset(call)
  const producer = await initProducer(call, 'txn')
  for (const partition of partitions) {
    if (version === 1) assert.equal(await addPartition(call, producer, topic, partition), 0)
    const produced = await produceInTransaction(call, producer, { topic, partition, value: 'v', version: version === 1 ? 10 : 12 })
    assert.equal(produced, 0)
  }
  if (version === 1) assert.equal((await call(AddOffsetsToTxn, 3, { ...producer, groupId: 'g' })).errorCode, 0)
  const { topics } = await call(TxnOffsetCommit, version === 1 ? 3 : 5, {
    ...producer,
    groupId: 'g',
    topics: [{ name: topic, partitions: [{ partitionIndex: 0, committedOffset: 5, committedMetadata: '' }] }],
  })
  assert.equal(topics[0]!.partitions[0]!.errorCode, 0)
  return producer
}

/** 5 when the transaction was committed, -1 when it was aborted. */
async function stableOffset(call: Call): Promise<number> {
  for (;;) {
    const { groups } = await call(OffsetFetch, 8, {
      groups: [{ groupId: 'g', topics: [{ name: topic, partitionIndexes: [0] }] }],
      requireStable: true,
    })
    const { errorCode, topics } = groups[0]!
    const partition = topics[0]?.partitions[0]
    if (errorCode === 0 && partition?.errorCode === 0) return partition.committedOffset
  }
}

async function kill(t: TestContext, base: string, { change, version, committed }: { change: number; version: 1 | 2; committed: boolean }) {
  const dir = await temporaryDirectory(t)
  await cp(base, dir, { recursive: true })
  let disk: FileSystem = nodeFileSystem
  const fs = new Proxy(nodeFileSystem, { get: (_, name) => Reflect.get(disk, name) })
  const broker = await startTestBroker({ config: { 'log.dirs': dir }, fs })
  const connection = await connectTo(t, broker)
  const call: Call = (api, apiVersion, request) => connection.send(api, apiVersion, request)
  const producer = await open(call, version)
  const killed = killedFileSystem(change)
  disk = killed.fs
  const isDead = () => killed.changesDone() === change
  const answer = await endTransaction(call, producer, { committed, version: version === 1 ? 3 : 5 }).then(
    ({ errorCode }) => errorCode,
    () => 'none',
  )
  // Either the transaction comes to its end or the disk to its own.
  await until(() => isDead() || isStable(call).catch(isDead))
  connection.close()
  await broker.close().catch(() => {})
  const isDone = killed.changesDone() < change

  const next = await startTestBroker({ config: { 'log.dirs': dir } })
  t.after(() => next.close())
  const again = await connectForTest(t, next)
  // Whoever comes next gets hold of the id only when the transaction before is over everywhere.
  await untilCoordinated(() => initProducer(again, 'txn'))
  await until(() => isStable(again))
  const seen = [await committedValues(again, topic, 0), await committedValues(again, topic, 1), await stableOffset(again)]
  const all = [['v'], ['v'], 5]
  const none = [[], [], -1]
  const isCommitted = seen[2] === 5
  assert.deepEqual(seen, isCommitted ? all : none, `killed in change ${change}`)
  if (answer === 0) assert.equal(isCommitted, committed, `killed in change ${change}`)
  else assert.ok(committed || !isCommitted)
  await next.close()
  return { isDone, isCommitted }
}

async function isStable(call: Call): Promise<boolean> {
  for (const partition of partitions) {
    const [lastStable, highWatermark] = await endOffsets(call, topic, partition)
    if (lastStable !== highWatermark) return false
  }
  return true
}

/** Until this broker coordinates again. */
async function untilCoordinated(work: () => Promise<unknown>): Promise<void> {
  await until(() =>
    work().then(
      () => true,
      () => false,
    ),
  )
}

for (const [version, committed] of [
  [1, true],
  [2, true],
  [2, false],
] as const) {
  test(`T1: killed in a change to the disk behind EndTxn, a transaction (v${version}, ${committed ? 'commit' : 'abort'}) ends the same everywhere, and as was told`, async (t) => {
    const base = await temporaryDirectory(t)
    const broker = await startTestBroker({ config: { 'log.dirs': base } })
    const call = await connectForTest(t, broker)
    await createTransactionTopic(call)
    await createGroupTopic(call)
    await createTopic({ send: call }, topic, { partitions: 2 })
    await initProducer(call, 'txn')
    await broker.close()
    const outcomes = new Set<boolean>()
    // Each of the first changes, and fewer of those behind the decision.
    for (let change = 1; ; change += Math.ceil(change / 5)) {
      const { isDone, isCommitted } = await kill(t, base, { change, version, committed })
      outcomes.add(isCommitted)
      if (isDone) break
    }
    assert.equal(outcomes.size, committed ? 2 : 1)
  })
}
