import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { buildBatch, buildEndTxnMarker } from '@tidelog/protocol'
import { temporaryLog } from '@tidelog/testkit'
import type { AppendResult, Log } from './index.ts'

const nowMs = 1_700_000_000_000

const write = (log: Log, producerId: number, baseSequence: number, timestamp = nowMs): Promise<AppendResult> =>
  log.append(buildBatch([{ value: Buffer.from('x'), timestamp }], { producerId, producerEpoch: 0, baseSequence, isTransactional: true }), {
    leaderEpoch: 0,
    origin: 'client',
  })
const end = (log: Log, producerId: number, type: 'abort' | 'commit'): Promise<AppendResult> =>
  log.append(buildEndTxnMarker({ type, coordinatorEpoch: 0, producerId, producerEpoch: 0, timestamp: nowMs }), {
    leaderEpoch: 0,
    origin: 'coordinator',
  })

test('the transaction index has the last stable offset as it was at each marker, also when one write holds what comes after it', async (t) => {
  const { log, dir } = await temporaryLog(t)
  await Promise.all([write(log, 2, 0), write(log, 1, 0), end(log, 1, 'abort'), end(log, 2, 'abort'), write(log, 3, 0)])
  const index = await readFile(join(dir, '00000000000000000000.txnindex'))
  const entries: [number, number][] = []
  for (let at = 0; at < index.length; at += 34) entries.push([Number(index.readBigInt64BE(at + 2)), Number(index.readBigInt64BE(at + 26))])
  assert.deepEqual(entries, [
    [1, 0], // producer 2 began at 0 and was still open
    [2, 4],
  ])
})

test('a transaction stays open when DeleteRecords removes all that it has written so far: what it adds is not stable', async (t) => {
  const { log } = await temporaryLog(t)
  await write(log, 1, 0)
  log.updateHighWatermark(1)
  await log.deleteRecords(-1)
  await write(log, 1, 1)
  log.updateHighWatermark(2)
  assert.equal(log.lastStableOffset, 1)
  await end(log, 1, 'commit')
  log.updateHighWatermark(3)
  assert.equal(log.lastStableOffset, 3)
})

test('under LogAppendTime a producer is as old as its last append, whatever time its records have', async (t) => {
  const { log, clock } = await temporaryLog(t, { 'message.timestamp.type': 'LogAppendTime' }, { producerIdExpirationMs: 1000 })
  await write(log, 1, 0, 0)
  await end(log, 1, 'commit')
  await write(log, 2, 0, 0)
  await end(log, 2, 'commit')
  log.removeExpiredProducers()
  assert.deepEqual(
    log.activeProducers().map(({ lastTimestamp }) => lastTimestamp),
    [clock.now(), clock.now()],
  )
  const appendedMs = clock.now()
  clock.advance(10)
  assert.equal((await write(log, 2, 0, 0)).duplicate, true)
  assert.equal((await write(log, 2, 0, 0)).logAppendTimeMs, appendedMs)
})
