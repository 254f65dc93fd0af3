import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Logger, silentLogger } from '@tidelog/core'
import { buildBatch } from '@tidelog/protocol'
import { type ManualClock, temporaryLog } from '@tidelog/testkit'
import { type Log, verifyPartition } from './index.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** Kafka's default, which lets 168 checks of retention go by in a week. */
const CHECK_MS = 5 * 60_000
const year9999Ms = 253_402_300_799_000

async function append(log: Log, timestamp: number): Promise<void> {
  await log.append(buildBatch([{ value: Buffer.from('x'), timestamp }]), { leaderEpoch: 0, origin: 'client' })
  log.updateHighWatermark(log.logEndOffset)
}

/** Three segments of one record each, just written. */
async function freshLog(t: Parameters<typeof temporaryLog>[0], warnings: string[] = []): Promise<{ log: Log; clock: ManualClock }> {
  const logger: Logger = { ...silentLogger, warn: (message) => void warnings.push(message), child: () => logger }
  const { log, clock } = await temporaryLog(t, { 'retention.ms': String(DAY_MS) }, { logger })
  for (let count = 0; count < 3; count++) {
    await append(log, clock.now())
    await log.roll()
  }
  return { log, clock }
}

test('X1: a wall clock that jumps ahead by two days is warned of and deletes nothing for an hour; one that stays there is believed', async (t) => {
  const warnings: string[] = []
  const { log, clock } = await freshLog(t, warnings)
  clock.setWallTime(clock.now() + 2 * DAY_MS)
  for (let passedMs = 0; passedMs < HOUR_MS; passedMs += CHECK_MS) {
    assert.equal(await log.applyRetention(), 0)
    clock.advance(CHECK_MS)
  }
  assert.equal(warnings.filter((message) => message.includes('jumped ahead')).length, 1)
  assert.equal(await log.applyRetention(), 3)
})

test('X1: a wall clock that is set right within the hour, or strobes, has deleted nothing; time that passes deletes as ever', async (t) => {
  const { log, clock } = await freshLog(t)
  for (let round = 0; round < 30; round++) {
    clock.setWallTime(clock.now() + 2 * DAY_MS)
    assert.equal(await log.applyRetention(), 0)
    clock.advance(CHECK_MS)
    clock.setWallTime(clock.now() - 2 * DAY_MS)
    assert.equal(await log.applyRetention(), 0)
    clock.setWallTime(clock.now() - HOUR_MS)
    assert.equal(await log.applyRetention(), 0)
    clock.setWallTime(clock.now() + HOUR_MS)
    clock.advance(CHECK_MS)
  }
  clock.advance(DAY_MS)
  for (let passedMs = 0; passedMs <= HOUR_MS; passedMs += CHECK_MS) {
    await log.applyRetention()
    clock.advance(CHECK_MS)
  }
  assert.equal(log.logStartOffset, 3)
})

test('X2: a record of the year 9999 keeps its segment from retention by age, but not by size; one without a time goes by its file', async (t) => {
  const future = { 'retention.ms': String(DAY_MS), 'message.timestamp.after.max.ms': '9223372036854775807' }
  const { log, clock, dir } = await temporaryLog(t, future)
  await append(log, year9999Ms)
  await append(log, clock.now())
  await append(log, -1)
  await log.roll()
  await append(log, -1)
  await log.roll()
  assert.deepEqual(await log.maxTimestampOffset(), { offset: 0, timestamp: year9999Ms, leaderEpoch: 0 })
  assert.equal((await log.offsetForTimestamp(clock.now() + 1))?.offset, 0)
  for (let day = 0; day < 400; day++) {
    clock.advance(DAY_MS)
    assert.equal(await log.applyRetention(), 0, 'the oldest segment is young for ever, and none behind it goes before it')
  }
  log.updateConfig({ ...log.config, 'retention.bytes': 0 })
  assert.ok((await log.applyRetention()) > 0)
  await log.close()
  assert.deepEqual((await verifyPartition(dir)).problems, [])
})

test('X2: a segment of records without a time goes by when its file was written last', async (t) => {
  const { log, clock } = await temporaryLog(t, { 'retention.ms': String(DAY_MS) })
  await append(log, -1)
  await log.roll()
  assert.equal(await log.applyRetention(), 0)
  clock.advance(DAY_MS + 1)
  assert.equal(await log.applyRetention(), 1)
})
