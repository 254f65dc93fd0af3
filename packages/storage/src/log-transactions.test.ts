import assert from 'node:assert/strict'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { randomUuid, seededRandom, silentLogger } from '@tidelog/core'
import { buildBatch, buildEndTxnMarker } from '@tidelog/protocol'
import { crashAtEveryStep, ManualClock, temporaryLog } from '@tidelog/testkit'
import { type AppendResult, type FileSystem, type Log, LogManager, resolveLogConfig, verifyPartition } from './index.ts'

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
    log.producers.activeProducers().map(({ lastTimestamp }) => lastTimestamp),
    [clock.now(), clock.now()],
  )
  const appendedMs = clock.now()
  clock.advance(10)
  assert.equal((await write(log, 2, 0, 0)).duplicate, true)
  assert.equal((await write(log, 2, 0, 0)).logAppendTimeMs, appendedMs)
})

/** Three segments: a transaction that is aborted in the next one, one within a segment, and one that is committed. */
async function writeTransactions(log: Log): Promise<void> {
  await write(log, 1, 0)
  await write(log, 2, 0)
  await end(log, 2, 'abort')
  await log.roll()
  await write(log, 3, 0)
  await end(log, 1, 'abort')
  await write(log, 4, 0)
  await end(log, 3, 'abort')
  await log.roll()
  await end(log, 4, 'commit')
  await write(log, 5, 0)
  await end(log, 5, 'abort')
}

const path = (baseOffset: number, suffix: string): string => `${String(baseOffset).padStart(20, '0')}${suffix}`
const entry = (bytes: Buffer, number: number): Buffer => bytes.subarray(number * 34, (number + 1) * 34)

test('L12: transaction indexes that are garbage, oversized, cut, backward or of another segment are made anew from the batches, with or without snapshots', async (t) => {
  const damages: ((whole: Buffer, other: Buffer) => Buffer)[] = [
    () => Buffer.from('garbage'),
    () => Buffer.alloc(34 * 3, 0xff),
    (whole) => Buffer.concat([whole, Buffer.alloc(34)]),
    (whole) => whole.subarray(0, whole.length - 1),
    (whole) => Buffer.concat([entry(whole, whole.length / 34 - 1), whole]),
    (_whole, other) => other,
  ]
  for (const damage of damages) {
    for (const cleanShutdown of [true, false]) {
      for (const keepsSnapshots of [true, false]) {
        const { log, dir, reopen } = await temporaryLog(t)
        await writeTransactions(log)
        await log.close()
        const names = (await readdir(dir)).filter((name) => name.endsWith('.txnindex')).sort()
        assert.deepEqual(
          names,
          [0, 3, 7].map((base) => path(base, '.txnindex')),
        )
        const whole = await Promise.all(names.map((name) => readFile(join(dir, name))))
        for (const [index, name] of names.entries()) await writeFile(join(dir, name), damage(whole[index]!, whole[(index + 1) % 3]!))
        if (!keepsSnapshots) {
          for (const name of await readdir(dir)) if (name.endsWith('.snapshot')) await rm(join(dir, name))
        }
        const again = await reopen({ cleanShutdown, recoveryPoint: 8 })
        assert.deepEqual(await Promise.all(names.map((name) => readFile(join(dir, name)))), whole)
        again.updateHighWatermark(again.logEndOffset)
        const { abortedTransactions } = await again.read({
          startOffset: 0,
          maxBytes: 10_000,
          endOffset: again.logEndOffset,
          atLeastOneBatch: true,
          withAborted: true,
        })
        assert.deepEqual(abortedTransactions!.map(({ producerId }) => producerId).slice(0, 2), [2, 1])
        await again.close()
        assert.deepEqual((await verifyPartition(dir)).problems, [])
      }
    }
  }
})

test('L12: a transaction index of a segment with a batch that cannot be read has the transactions before it; nothing is deleted', async (t) => {
  const { log, dir, reopen } = await temporaryLog(t)
  await writeTransactions(log)
  await log.close()
  const logPath = join(dir, path(3, '.log'))
  const bytes = await readFile(logPath)
  const lastBatchAt = batchEnds(bytes).at(-2)!
  bytes.writeInt32BE(-5, lastBatchAt + 8)
  await writeFile(logPath, bytes)
  await writeFile(join(dir, path(3, '.txnindex')), 'garbage')
  const errors: string[] = []
  const again = await reopen({ cleanShutdown: true, logger: { ...silentLogger, error: (message) => void errors.push(message) } })
  assert.deepEqual(errors, ['A transaction index is made from what can be read'])
  assert.equal((await readFile(join(dir, path(3, '.txnindex')))).length, 34)
  assert.deepEqual(await readFile(logPath), bytes)
  await again.close()
})

function batchEnds(bytes: Buffer): number[] {
  const ends: number[] = []
  for (let at = 0; at < bytes.length; ) {
    at += 12 + bytes.readInt32BE(at + 8)
    ends.push(at)
  }
  return ends
}

test('L12, L25: killed or cut off at any change, every transaction whose abort is in the log is in a transaction index', async () => {
  const open = (fs: FileSystem) =>
    LogManager.open({
      dirs: ['/data'],
      clock: new ManualClock(nowMs),
      random: seededRandom(3),
      logger: silentLogger,
      fs,
      configOf: () => resolveLogConfig(new Map([['segment.index.bytes', '400']])),
    })
  const crashes = await crashAtEveryStep(
    async (before) => {
      await before.fs.makeDirectory('/data')
      await before.fs.syncDirectory('/')
      return {
        async work({ fs }) {
          const manager = await open(fs)
          await writeTransactions(await manager.createLog('t', 0, randomUuid(seededRandom(1))))
          await manager.checkpointRecoveryPoints()
          await manager.close()
        },
        async check(disk) {
          const manager = await open(disk.fs)
          await manager.close()
          if (manager.getLog('t', 0) === undefined) return
          assert.deepEqual((await verifyPartition('/data/t-0', disk.fs)).problems, [])
        },
      }
    },
    { seeds: [1, 2, 3] },
  )
  assert.ok(crashes > 100, `only ${crashes} crashes`)
})
