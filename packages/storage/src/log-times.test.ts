import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom, silentLogger } from '@tidelog/core'
import { buildBatch, iterateBatches, type KafkaError, readRecords } from '@tidelog/protocol'
import { ManualClock, SimDisk, temporaryLog } from '@tidelog/testkit'
import { type Log, LogManager, resolveLogConfig, verifyPartition } from './index.ts'

const DAY_MS = 86_400_000

async function append(log: Log, ...timestamps: number[]): Promise<void> {
  await log.append(buildBatch(timestamps.map((timestamp) => ({ value: Buffer.from('x'), timestamp }))), {
    leaderEpoch: 0,
    origin: 'client',
  })
  log.updateHighWatermark(log.logEndOffset)
}

const refused = (error: KafkaError): boolean => error.code === 32

test('X2: records with a negative time are kept as they are; their batch has none, is found by no time, and is as old as its file', async (t) => {
  const { log, clock, dir, reopen } = await temporaryLog(t, { 'retention.ms': String(DAY_MS), 'segment.ms': '10000' })
  const timestamps = [[-2], [-1, -5], [-(2 ** 53 - 1)], [-3, 7, -4]]
  for (const batch of timestamps) await append(log, ...batch)
  const { records } = await log.read({ startOffset: 0, maxBytes: 10_000, endOffset: log.logEndOffset, atLeastOneBatch: true })
  const batches = [...iterateBatches(records)]
  assert.deepEqual(
    batches.map(({ maxTimestamp, isCrcValid }) => [maxTimestamp, isCrcValid]),
    [-1, -1, -1, 7].map((maxTimestamp) => [maxTimestamp, true]),
  )
  const stored = batches.map((batch) => [...readRecords(batch, { maxOutputBytes: 10_000 })].map(({ timestamp }) => timestamp))
  assert.deepEqual(stored, timestamps)
  assert.deepEqual(await log.maxTimestampOffset(), { offset: 5, timestamp: 7, leaderEpoch: 0 })
  assert.equal((await log.offsetForTimestamp(0))?.offset, 5)
  await log.roll()

  await append(log, -8)
  clock.advance(10_000)
  await append(log, -8)
  assert.equal(log.segmentCount, 2)
  clock.advance(1) // the segment waits by the wall clock
  await append(log, -8)
  assert.equal(log.segmentCount, 3)
  await log.close()
  assert.deepEqual((await verifyPartition(dir)).problems, [])

  const again = await reopen({ cleanShutdown: true })
  again.updateHighWatermark(again.logEndOffset)
  assert.equal((await again.offsetForTimestamp(7))?.offset, 5)
  assert.equal(await again.offsetForTimestamp(8), undefined)
})

test('X2: a segment of records with negative times goes by when its file was written last', async (t) => {
  const { log, clock } = await temporaryLog(t, { 'retention.ms': String(DAY_MS) })
  await append(log, -2)
  await log.roll()
  clock.advance(DAY_MS)
  assert.equal(await log.applyRetention(), 0)
  clock.advance(1)
  assert.equal(await log.applyRetention(), 1)
})

test('message.timestamp.before.max.ms and after.max.ms are kept to the millisecond; no time at all is always let in, and any under LogAppendTime', async (t) => {
  const limits = { 'message.timestamp.before.max.ms': '5000', 'message.timestamp.after.max.ms': '1000' }
  const { log, clock } = await temporaryLog(t, limits)
  for (const allowed of [-5000, 0, 1000]) await append(log, clock.now() + allowed)
  await append(log, -1)
  for (const beyond of [clock.now() - 5001, clock.now() + 1001, -2, 0, 2 ** 53, -(2 ** 53)]) {
    await assert.rejects(append(log, clock.now(), beyond), refused, `${beyond}`)
  }
  assert.equal(log.logEndOffset, 4)
  log.updateConfig({ ...log.config, 'message.timestamp.type': 'LogAppendTime' })
  for (const any of [-2, 0, clock.now() + 10 * DAY_MS]) await append(log, any)
  assert.equal((await log.maxTimestampOffset())?.timestamp, clock.now() + 1000)

  const byDefault = await temporaryLog(t)
  for (const allowed of [0, -(2 ** 53 - 1), byDefault.clock.now() + 3_600_000]) await append(byDefault.log, allowed)
  for (const beyond of [byDefault.clock.now() + 3_600_001, -(2 ** 63)]) await assert.rejects(append(byDefault.log, beyond), refused)
})

test('segment.jitter.ms: each segment rolls earlier than segment.ms by a part of the jitter of its own, which is never more than segment.ms', async (t) => {
  const livesOf = async (config: Record<string, string>, seed: number): Promise<number[]> => {
    const { log } = await temporaryLog(
      t,
      { 'segment.ms': '1000', 'message.timestamp.after.max.ms': '9223372036854775807', ...config },
      { random: seededRandom(seed) },
    )
    const lives: number[] = []
    let beganMs = 0
    for (let timestamp = 0, segments = 1; lives.length < 5; timestamp += 10) {
      await append(log, timestamp)
      if (log.segmentCount === segments) continue
      segments = log.segmentCount
      lives.push(timestamp - beganMs)
      beganMs = timestamp
    }
    return lives
  }
  assert.deepEqual(await livesOf({}, 1), [1010, 1010, 1010, 1010, 1010])
  const lives = await livesOf({ 'segment.jitter.ms': '500' }, 1)
  assert.ok(
    lives.every((life) => life > 490 && life <= 1010),
    `${lives}`,
  )
  assert.ok(new Set(lives).size > 2, `${lives}`)
  assert.notDeepEqual(await livesOf({ 'segment.jitter.ms': '500' }, 2), lives)
  const wild = await livesOf({ 'segment.jitter.ms': '9223372036854775807' }, 3)
  assert.ok(
    wild.every((life) => life > 0 && life <= 1010),
    `${wild}`,
  )
})

test('segment.index.bytes: a full index rolls its segment; a change of it counts from the next one on', async (t) => {
  const { log } = await temporaryLog(t, { 'segment.index.bytes': '48', 'index.interval.bytes': '0' })
  const lengths = async (count: number): Promise<number[]> => {
    for (let index = 0; index < count; index++) await append(log, 1_700_000_000_000 + index)
    const starts = (await log.segmentTimes()).map(({ baseOffset }) => baseOffset)
    return starts.slice(1).map((start, index) => start - starts[index]!)
  }
  // 48 bytes are four entries of the time index, the last of which waits for the segment's end; the first batch needs none.
  assert.deepEqual(await lengths(9), [4, 4])
  log.updateConfig({ ...log.config, 'segment.index.bytes': 96 })
  await log.roll()
  assert.deepEqual((await lengths(9)).slice(3), [8])
})

test('log.retention.check.interval.ms: retention is looked after half a minute from the start, then in this interval; local.retention.* has no part in it', async () => {
  const disk = new SimDisk({ seed: 1 }) // in memory: what the clock sets off is done some turns later
  await disk.fs.makeDirectory('/data')
  const clock = new ManualClock()
  const config = resolveLogConfig(
    new Map([
      ['retention.ms', '60000'],
      ['local.retention.ms', '1'],
      ['local.retention.bytes', '1'],
      ['file.delete.delay.ms', '1000'],
    ]),
  )
  const manager = await LogManager.open({
    dirs: ['/data'],
    clock,
    random: seededRandom(1),
    logger: silentLogger,
    fs: disk.fs,
    configOf: () => config,
    settings: () => ({ retentionCheckIntervalMs: 20_000 }),
  })
  const log = await manager.createLog('t', 0, 'IWDGM3MXGj4XlcG1EmWZ4w')
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 1000) {
      clock.advance(1000)
      for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate)
    }
  }
  await append(log, clock.now() - 40_000)
  await log.roll()
  await append(log, clock.now())
  await pass(29_000)
  assert.equal(log.logStartOffset, 0)
  await pass(1000)
  assert.equal(log.logStartOffset, 1, 'the first check finds a record of 70 s')
  const deleted = async () => (await disk.fs.list(log.dir)).filter(({ name }) => name.endsWith('.deleted')).length
  assert.ok((await deleted()) > 0)
  await pass(1000)
  assert.equal(await deleted(), 0)
  await log.roll()
  await pass(38_000)
  assert.equal(log.logStartOffset, 1, 'the other is older than a minute since 9 s, and nobody looks')
  await pass(1000)
  assert.equal(log.logStartOffset, 2)
  await manager.close()
})
