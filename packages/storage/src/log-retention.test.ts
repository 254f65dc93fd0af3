import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { test } from 'node:test'
import { buildBatch } from '@tidelog/protocol'
import { temporaryLog, valuesIn } from '@tidelog/testkit'
import { verifyPartition } from './index.ts'
import { append, batchOf, nowMs, record, refusedWith } from './log-harness.test.ts'

test('retention.bytes and retention.ms delete the oldest segments below the high watermark, whose files go after file.delete.delay.ms', async (t) => {
  const { log, clock, dir } = await temporaryLog(t, { 'retention.ms': '5000', 'retention.bytes': '600', 'file.delete.delay.ms': '100' })
  for (let index = 0; index < 4; index++) {
    await append(log, buildBatch([record('x'.repeat(230), { timestamp: nowMs + index * 1000 })]))
    await log.roll()
  }
  assert.equal(await log.applyRetention(), 0) // the high watermark is 0
  log.updateHighWatermark(4)
  assert.equal(await log.applyRetention(), 2)
  assert.equal(log.logStartOffset, 2)
  assert.equal((await readdir(dir)).filter((name) => name.endsWith('.log.deleted')).length, 2)
  clock.advance(100)
  clock.advance(6900)
  await assert.rejects(log.read({ startOffset: 1, maxBytes: 100, endOffset: 4, atLeastOneBatch: true }), refusedWith(1))
  assert.equal(await log.applyRetention(), 0) // the next is 5000 ms old, not older
  clock.advance(1)
  assert.equal(await log.applyRetention(), 1)
  assert.equal(log.logStartOffset, 3)
  await log.close()
  assert.deepEqual(
    (await readdir(dir)).filter((name) => name.endsWith('.log') || name.endsWith('.deleted')),
    ['00000000000000000003.log', '00000000000000000004.log'],
  )
})

test('DeleteRecords moves the log start, within a segment and across, and outlives a restart by its checkpoint', async (t) => {
  let checkpoints = 0
  const { log, reopen } = await temporaryLog(t, {}, { onLogStartChanged: async () => void checkpoints++ })
  for (const value of ['a', 'b', 'c', 'd']) {
    await append(log, batchOf([value, value]))
    if (value === 'b') await log.roll()
  }
  log.updateHighWatermark(7)
  await assert.rejects(log.deleteRecords(8), refusedWith(1))
  await assert.rejects(log.deleteRecords(-2), refusedWith(1))
  await assert.rejects(log.deleteRecords(2 ** 60), refusedWith(1))
  assert.equal(await log.deleteRecords(1), 1)
  assert.equal(log.segmentCount, 2)
  assert.deepEqual(await valuesIn(log), ['a', 'b', 'b', 'c', 'c', 'd', 'd'])
  assert.equal(await log.deleteRecords(5), 5)
  assert.equal(log.segmentCount, 1)
  assert.equal(await log.deleteRecords(-1), 7)
  assert.equal(checkpoints, 3)
  await log.close()
  const again = await reopen({ cleanShutdown: true, logStartOffset: 7 })
  assert.deepEqual([again.logStartOffset, again.logEndOffset], [7, 8])
  assert.deepEqual(await valuesIn(again), ['d'])
})

test('DeleteRecords removes what it was asked to, not what retention.ms would remove besides', async (t) => {
  const { log } = await temporaryLog(t)
  await append(log, buildBatch(['a', 'b', 'c'].map((value) => record(value, { timestamp: 1000 })))) // long past the retention time
  log.updateHighWatermark(3)
  assert.equal(await log.deleteRecords(2), 2)
  assert.equal(await log.applyRetention(), 1)
})

test('a log start beyond the end of what is left is kept: no offset is given out twice', async (t) => {
  const { log, reopen } = await temporaryLog(t)
  await append(log, batchOf(['a', 'b']))
  await log.close()
  const again = await reopen({ logStartOffset: 9 })
  assert.deepEqual([again.logStartOffset, again.logEndOffset], [9, 9])
  assert.equal((await append(again, batchOf(['next']))).firstOffset, 9)
})

test('truncation removes whole batches from the offset on, with epochs and producers', async (t) => {
  const { log, dir, reopen } = await temporaryLog(t)
  const sent = (value: string, baseSequence: number): Buffer => batchOf([value, value], { producerId: 1, producerEpoch: 0, baseSequence })
  for (const [index, value] of ['a', 'b', 'c', 'd', 'e'].entries()) {
    await append(log, sent(value, index * 2), index)
    if (value === 'c') await log.roll()
  }
  await log.truncateTo(9)
  assert.equal(log.logEndOffset, 8)
  await log.truncateTo(4)
  assert.equal(log.logEndOffset, 4)
  assert.equal(log.latestEpoch, 1)
  assert.deepEqual(await valuesIn(log), ['a', 'a', 'b', 'b'])
  await assert.rejects(append(log, sent('x', 8), 9), refusedWith(45))
  assert.equal((await append(log, sent('C', 4), 9)).firstOffset, 4)
  await log.close()
  assert.deepEqual((await verifyPartition(dir)).problems, [])
  const again = await reopen({ cleanShutdown: true })
  assert.deepEqual(await valuesIn(again), ['a', 'a', 'b', 'b', 'C', 'C'])
  await again.truncateFullyAndStartAt(100)
  assert.deepEqual([again.logStartOffset, again.logEndOffset], [100, 100])
  assert.equal((await append(again, sent('z', 77), 9)).firstOffset, 100)
})

test("a follower's append keeps the leader's offsets and epochs", async (t) => {
  const leader = await temporaryLog(t)
  for (const value of ['a', 'b', 'c']) await append(leader.log, batchOf([value]), 4)
  const { records } = await leader.log.read({ startOffset: 1, maxBytes: 1000, endOffset: 3, atLeastOneBatch: true })
  const follower = await temporaryLog(t)
  await follower.log.truncateFullyAndStartAt(1)
  await follower.log.append(records, { leaderEpoch: 9, origin: 'replication' })
  assert.deepEqual([follower.log.logEndOffset, follower.log.latestEpoch], [3, 4])
  const copy = await follower.log.read({ startOffset: 1, maxBytes: 1000, endOffset: 3, atLeastOneBatch: true })
  assert.ok(copy.records.equals(records))
  await assert.rejects(follower.log.append(records, { leaderEpoch: 9, origin: 'replication' }), refusedWith(1))
})

test('flush.messages forces the log before the append is answered, once for all that wait', async (t) => {
  const { log } = await temporaryLog(t, { 'flush.messages': '1' })
  await Promise.all(['a', 'b', 'c'].map((value) => append(log, batchOf([value]))))
  assert.equal(log.recoveryPoint, 3)
})
