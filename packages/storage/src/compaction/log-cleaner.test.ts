import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { test } from 'node:test'
import { buildBatch, buildEndTxnMarker, codecNames, prepareCodec } from '@tidelog/protocol'
import { nodeFileSystem, verifyPartition } from '../index.ts'
import {
  append,
  appendBatch,
  batchesIn,
  cleanerCheckpoint,
  compactionBench,
  filesIn,
  recordOf,
  recordsIn,
  startMs,
  textOf,
} from './compaction-harness.test.ts'

test('only the newest record of every key stays, at its offset; the active segment is left alone', async (t) => {
  const { dir, partitionDir, manager, log } = await compactionBench(t)
  await append(log, ['a=1', 'b=1', 'c=1'])
  await append(log, ['a=2', 'd=1'])
  await log.roll()
  await append(log, ['b=2'])
  await log.roll()
  await append(log, ['a=3', 'a=4'])
  assert.equal(await manager.cleanLogs(), 1)
  assert.deepEqual(await recordsIn(log), ['2 c=1', '3 a=2', '4 d=1', '5 b=2', '6 a=3', '7 a=4'])
  assert.equal(await cleanerCheckpoint(dir), '0\n1\nt 0 6\n')
  assert.equal(log.segmentCount, 2, 'small neighbours become one segment')
  assert.equal(await manager.cleanLogs(), 0, 'what is clean is not cleaned again')
  await manager.close()
  assert.deepEqual((await verifyPartition(partitionDir)).problems, [])
})

test('producer snapshots of segments that were merged into another go with the merge', async (t) => {
  const { dir, partitionDir, manager, log } = await compactionBench(t)
  const producer = { producerId: 7, producerEpoch: 2 }
  for (let sequence = 0; sequence < 4; sequence++) {
    await append(log, [`a=${sequence}`], { ...producer, baseSequence: sequence })
    await log.roll()
  }
  const snapshots = async () =>
    (await readdir(partitionDir)).filter((name) => name.endsWith('.snapshot')).map((name) => Number.parseInt(name, 10))
  assert.deepEqual((await snapshots()).sort(), [1, 2, 3, 4])
  await manager.cleanLogs()
  assert.equal(log.segmentCount, 2)
  assert.deepEqual(await snapshots(), [4])
  await manager.abandon()
  const again = await compactionBench(t, { dir })
  const next = again.log.append(buildBatch([recordOf('a=9')], { ...producer, baseSequence: 9 }), { leaderEpoch: 0, origin: 'client' })
  await assert.rejects(next, { code: 45 }) // the producer is known
})

test('batches keep codec, offsets, sequence numbers and timestamps; their checksums are right', async (t) => {
  await prepareCodec('zstd')
  for (const codec of codecNames) {
    const { partitionDir, manager, log } = await compactionBench(t)
    const records = ['a=1', 'b=1', 'c=1', 'b=2'].map((text, index) => recordOf(text, startMs + 10 * index))
    const first = await appendBatch(log, buildBatch(records, { codec, producerId: 7, producerEpoch: 2, baseSequence: 40 }))
    await append(log, ['c=2'])
    await log.roll()
    await append(log, ['x=1'])
    await manager.cleanLogs()
    const [batch] = await batchesIn(log)
    assert.ok(batch?.isCrcValid)
    assert.deepEqual(textOf(batch), ['0 a=1', '3 b=2'], codec)
    const { baseOffset, lastOffset, codecId, producerId, producerEpoch, baseSequence, lastSequence, maxTimestamp, recordsCount } = batch
    assert.deepEqual(
      { baseOffset, lastOffset, codecId, producerId, producerEpoch, baseSequence, lastSequence, maxTimestamp, recordsCount },
      {
        baseOffset: first,
        lastOffset: 3,
        codecId: codecNames.indexOf(codec),
        producerId: 7,
        producerEpoch: 2,
        baseSequence: 40,
        lastSequence: 43,
        maxTimestamp: startMs + 30,
        recordsCount: 2,
      },
    )
    await manager.close()
    assert.deepEqual((await verifyPartition(partitionDir)).problems, [])
  }
})

test('a tombstone stays until delete.retention.ms after the first cleaning that met it, then goes', async (t) => {
  const { manager, log, clock } = await compactionBench(t, { config: { 'delete.retention.ms': '60000' } })
  const closeAndClean = async (text: string): Promise<void> => {
    await append(log, [text])
    await log.roll()
    await manager.cleanLogs()
  }
  await append(log, ['a=1', 'b=1'])
  await append(log, ['a=', 'c=1'])
  await closeAndClean('x=1')
  assert.deepEqual(await recordsIn(log), ['1 b=1', '2 a=', '3 c=1', '4 x=1'])
  const [, marked] = await batchesIn(log)
  assert.equal(marked?.deleteHorizonMs, startMs + 60_000)
  assert.equal(marked.maxTimestamp, startMs, 'records keep their timestamps')
  clock.advance(59_999)
  await closeAndClean('x=2')
  assert.ok((await recordsIn(log)).includes('2 a='), 'its horizon does not move')
  clock.advance(1)
  await closeAndClean('x=3')
  assert.deepEqual(await recordsIn(log), ['1 b=1', '3 c=1', '6 x=3'])
})

test('the last batch of a producer stays without records, and so does the last of what was cleaned', async (t) => {
  const { manager, log, partitionDir } = await compactionBench(t)
  for (let sequence = 0; sequence < 3; sequence++) {
    await append(log, [`a=${sequence}`], { producerId: 5, producerEpoch: 0, baseSequence: sequence })
  }
  await append(log, ['a=3'])
  await append(log, ['b=1'])
  await log.roll()
  await append(log, ['b=2'])
  await log.roll()
  await append(log, ['c=1'])
  await manager.cleanLogs()
  const shown = (await batchesIn(log)).map(({ baseOffset, lastOffset, recordsCount, producerId, lastSequence }) => ({
    offsets: [baseOffset, lastOffset],
    recordsCount,
    producerId,
    lastSequence,
  }))
  assert.deepEqual(shown, [
    { offsets: [2, 2], recordsCount: 0, producerId: 5, lastSequence: 2 },
    { offsets: [3, 3], recordsCount: 1, producerId: -1, lastSequence: -1 },
    { offsets: [5, 5], recordsCount: 1, producerId: -1, lastSequence: -1 },
    { offsets: [6, 6], recordsCount: 1, producerId: -1, lastSequence: -1 },
  ])
  await manager.close()
  assert.deepEqual((await verifyPartition(partitionDir)).problems, [])
})

test('records of an aborted transaction go, then its marker; they never hide an older record of their key', async (t) => {
  const { manager, log, clock, partitionDir } = await compactionBench(t, { config: { 'delete.retention.ms': '1000' } })
  const producer = { producerId: 9, producerEpoch: 1, isTransactional: true }
  const marker = (type: 'abort' | 'commit') => buildEndTxnMarker({ ...producer, type, coordinatorEpoch: 3, timestamp: startMs })
  await append(log, ['a=1', 'b=1'])
  await append(log, ['a=aborted'], { ...producer, baseSequence: 0 })
  await log.roll()
  await append(log, ['b=aborted'], { ...producer, baseSequence: 1 })
  await appendBatch(log, marker('abort'), 'coordinator')
  await append(log, ['b=committed'], { ...producer, baseSequence: 2 })
  await appendBatch(log, marker('commit'), 'coordinator')
  await log.roll()
  await append(log, ['y=1'])
  await manager.cleanLogs()
  assert.deepEqual(await recordsIn(log), ['0 a=1', '5 b=committed', '7 y=1'])
  const controls = async (): Promise<number[]> =>
    (await batchesIn(log)).filter(({ isControl }) => isControl).map(({ baseOffset }) => baseOffset)
  assert.deepEqual(await controls(), [4, 6])
  assert.ok((await filesIn(partitionDir)).includes('00000000000000000000.txnindex'))
  for (const advanceMs of [0, 1000]) {
    clock.advance(advanceMs)
    await log.roll()
    await append(log, ['y=2'])
    await manager.cleanLogs()
  }
  assert.deepEqual(await controls(), [6], 'nothing is left of the aborted transaction')
  await manager.close()
  assert.deepEqual((await verifyPartition(partitionDir)).problems, [])
})

test('a log that is larger than a turn of the event loop is compacted in a thread, which ends afterwards', async (t) => {
  const { manager, log, partitionDir, dir } = await compactionBench(t, { fs: nodeFileSystem })
  const value = 'x'.repeat(1000)
  for (let round = 0; round < 3; round++) {
    for (let key = 0; key < 500; key++) await append(log, [`key ${key}=${round} ${value}`])
    await log.roll()
  }
  await append(log, ['end=1'])
  const before = log.sizeBytes
  await manager.cleanLogs()
  assert.ok(log.sizeBytes < before / 2)
  const records = await recordsIn(log)
  assert.equal(records.length, 501)
  assert.ok(records.every((text, index) => index === 500 || text.startsWith(`${1000 + index} key ${index}=2 `)))
  assert.equal(await cleanerCheckpoint(dir), '0\n1\nt 0 1500\n')
  await manager.close()
  assert.deepEqual((await verifyPartition(partitionDir)).problems, [])
})
