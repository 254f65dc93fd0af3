import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { libuvOffload, silentLogger } from '@tidelog/core'
import { buildBatch, downConvert, type OldMagic } from '@tidelog/protocol'
import { nodeFileSystem, verifyPartition } from '../index.ts'
import {
  append,
  appendBatch,
  cleanerCheckpoint,
  compactionBench,
  filesIn,
  recordOf,
  recordsIn,
  startMs,
} from './compaction-harness.test.ts'

test('nothing beyond the high watermark or inside of an open transaction is compacted', async (t) => {
  const { manager, log, dir } = await compactionBench(t)
  await append(log, ['a=1'])
  await log.roll()
  await append(log, ['a=2'], { producerId: 3, producerEpoch: 0, baseSequence: 0, isTransactional: true })
  await log.roll()
  await append(log, ['a=3'])
  await log.roll()
  await append(log, ['a=4'])
  assert.equal(log.lastStableOffset, 1)
  await manager.cleanLogs()
  assert.equal(await cleanerCheckpoint(dir), '0\n1\nt 0 1\n')
  assert.deepEqual(await recordsIn(log), ['0 a=1', '1 a=2', '2 a=3', '3 a=4'])
})

test('min.cleanable.dirty.ratio: a log waits until enough of it is dirty; max.compaction.lag.ms: but no longer than that', async (t) => {
  const config = { 'min.cleanable.dirty.ratio': '0.5', 'max.compaction.lag.ms': '60000' }
  const { manager, log, clock } = await compactionBench(t, { config })
  const filler = 'x'.repeat(1000)
  await append(log, [`a=${filler}`, `b=${filler}`, `c=${filler}`])
  await log.roll()
  await append(log, [`a=${filler}`])
  await log.roll()
  await append(log, ['z=1'])
  assert.equal(await manager.cleanLogs(), 1, 'all of it is dirty')
  await append(log, [`b=${filler}`])
  await log.roll()
  await append(log, ['z=1'])
  assert.equal(await manager.cleanLogs(), 0)
  clock.advance(60_000)
  assert.equal(await manager.cleanLogs(), 0)
  clock.advance(1)
  assert.equal(await manager.cleanLogs(), 1)
})

test('max.compaction.lag.ms closes the active segment of a compacted log, which would never be compacted else', async (t) => {
  const { log } = await compactionBench(t, { config: { 'max.compaction.lag.ms': '60000' } })
  const at = (timestamp: number) => appendBatch(log, buildBatch([recordOf('a=1', timestamp)]))
  await at(startMs)
  await at(startMs + 60_000)
  assert.equal(log.segmentCount, 1)
  await at(startMs + 60_001)
  assert.equal(log.segmentCount, 2)
})

test('min.compaction.lag.ms: what is younger stays, with every value', async (t) => {
  const { manager, log, clock } = await compactionBench(t, { config: { 'min.compaction.lag.ms': '60000' } })
  const at = (text: string, timestamp: number) => appendBatch(log, buildBatch([recordOf(text, timestamp)]))
  await at('a=1', startMs)
  await log.roll()
  await at('a=2', startMs + 1000)
  await log.roll()
  await at('a=3', startMs + 1000)
  await log.roll()
  await at('z=1', startMs + 1000)
  clock.advance(60_000)
  await manager.cleanLogs()
  assert.deepEqual(await recordsIn(log), ['0 a=1', '1 a=2', '2 a=3', '3 z=1'], 'only the first segment is old enough')
  clock.advance(1000)
  await manager.cleanLogs()
  assert.deepEqual(await recordsIn(log), ['2 a=3', '3 z=1'])
})

test('compact,delete and delete,compact: retention removes old segments as well', async (t) => {
  for (const policy of ['compact,delete', 'delete,compact']) {
    const { manager, log, clock, dir } = await compactionBench(t, { config: { 'cleanup.policy': policy, 'retention.ms': '60000' } })
    const at = (text: string, timestamp: number) => appendBatch(log, buildBatch([recordOf(text, timestamp)]))
    await at('a=1', startMs)
    await at('b=1', startMs)
    await log.roll()
    await at('a=2', startMs + 50_000)
    await log.roll()
    await at('z=1', startMs + 50_000)
    await manager.cleanLogs()
    assert.deepEqual(await recordsIn(log), ['1 b=1', '2 a=2', '3 z=1'], policy)
    clock.advance(110_001)
    await at('y=1', startMs + 110_001)
    await log.roll()
    await at('x=1', startMs + 110_001)
    await manager.applyRetention()
    assert.deepEqual(await recordsIn(log), ['4 y=1', '5 x=1'], policy)
    await manager.cleanLogs()
    assert.equal(await cleanerCheckpoint(dir), '0\n1\nt 0 5\n', policy)
  }
})

test('a map that cannot take every key ends the round early; the next rounds come to the same end', async (t) => {
  const { manager, log, dir } = await compactionBench(t, { settings: { dedupeBufferBytes: 24 * 20, loadFactor: 0.5 } })
  for (let round = 0; round < 3; round++) {
    await append(
      log,
      Array.from({ length: 35 }, (_, key) => `k${key}=${round}`),
    )
    await log.roll()
  }
  await append(log, ['z=1'])
  const rounds = await manager.cleanLogs()
  assert.ok(rounds > 3, `${rounds} rounds`)
  assert.equal(await cleanerCheckpoint(dir), '0\n1\nt 0 105\n')
  assert.deepEqual(await recordsIn(log), [...Array.from({ length: 35 }, (_, key) => `${70 + key} k${key}=2`), '105 z=1'])
})

test('a map without room for one key is said so, and the log left alone', async (t) => {
  const lines: string[] = []
  const logger = { ...silentLogger, error: (message: string) => lines.push(message) }
  const { manager, log } = await compactionBench(t, { settings: { dedupeBufferBytes: 24, loadFactor: 0.5 }, logger })
  await append(log, ['a=1', 'a=2'])
  await log.roll()
  await append(log, ['z=1'])
  assert.equal(await manager.cleanLogs(), 0)
  assert.equal(lines.length, 1)
  assert.deepEqual(await recordsIn(log), ['0 a=1', '1 a=2', '2 z=1'])
})

test('the dirtiest log comes first; the others follow, up to log.cleaner.threads at a time, after log.cleaner.backoff.ms', async (t) => {
  const cleaned: unknown[] = []
  let notify: (() => void) | undefined
  const logger = {
    ...silentLogger,
    info(message: string, fields?: Record<string, unknown>) {
      if (message !== 'Compacted a log') return
      cleaned.push(fields?.partition)
      if (cleaned.length === 3) notify?.()
    },
  }
  const { manager, log, clock } = await compactionBench(t, { logger, settings: { threads: 2, backoffMs: 15_000 } })
  await append(log, ['z=1'])
  for (const [partition, rounds] of [
    [1, 2],
    [2, 3],
    [3, 1],
  ] as const) {
    const other = await manager.createLog('t', partition, '00000000-0000-0000-0000-000000000000')
    for (let round = 0; round < rounds; round++) {
      await append(other, [`a=${round}`])
      await other.roll()
    }
    await append(other, ['z=1'])
  }
  const done = new Promise<void>((resolve) => {
    notify = resolve
  })
  clock.advance(14_999)
  assert.deepEqual(cleaned, [])
  clock.advance(1)
  await done
  assert.deepEqual([...cleaned].sort(), ['t-1', 't-2', 't-3'])
})

test('log.cleaner.io.max.bytes.per.second: reading and writing take their time', async (t) => {
  const { manager, log, clock } = await compactionBench(t, { settings: { maxBytesPerSecond: 1000 } })
  await append(log, [`a=${'x'.repeat(3000)}`])
  await log.roll()
  await append(log, [`b=${'x'.repeat(3000)}`])
  await log.roll()
  await append(log, ['z=1'])
  let isDone = false
  const cleaning = manager.cleanLogs().then(() => {
    isDone = true
  })
  let waitedMs = 0
  for (; !isDone; waitedMs += 100) {
    clock.advance(100)
    for (let turn = 0; turn < 20 && !isDone; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  await cleaning
  // The map reads 6 KB, the cleaning again.
  assert.ok(waitedMs >= 11_000, `${waitedMs} ms`)
})

test('records of the formats v0 and v1 are compacted too, as they lie in a directory of an old Kafka', async (t) => {
  for (const magic of [0, 1] as OldMagic[]) {
    for (const codec of ['none', 'gzip'] as const) {
      const { manager, log, dir, clock } = await compactionBench(t)
      await append(log, ['p=1', 'q=1', 'r=1'])
      await log.roll()
      await append(log, ['a=3'])
      await log.roll()
      await append(log, ['z=1'])
      await manager.close()
      const batch = buildBatch(
        ['a=1', 'b=1', 'a=2'].map((text) => recordOf(text)),
        { codec },
      )
      const limits = { toMagic: magic, firstOffset: 0, maxOutputBytes: 1 << 20 }
      const old = Buffer.concat(await downConvert(batch, limits, libuvOffload()))
      const path = join(dir, 't-0', '00000000000000000000.log')
      await writeFile(path, old)
      await writeFile(path.replace('.log', '.index'), '')
      await writeFile(path.replace('.log', '.timeindex'), '')
      const again = await compactionBench(t, { dir, clock })
      assert.deepEqual(await recordsIn(again.log), ['0 a=1', '1 b=1', '2 a=2', '3 a=3', '4 z=1'])
      await again.manager.cleanLogs()
      assert.deepEqual(await recordsIn(again.log), ['1 b=1', '3 a=3', '4 z=1'], `v${magic}, ${codec}`)
      await again.manager.close()
      assert.deepEqual((await verifyPartition(again.partitionDir)).problems, [])
    }
  }
})

test('a segment that comes out as it went in is left alone, file and all', async (t) => {
  const { manager, log, partitionDir } = await compactionBench(t, { segmentBytes: 200 })
  await append(log, ['a=1', `b=${'x'.repeat(100)}`])
  await log.roll()
  await append(log, ['c=1', `d=${'x'.repeat(100)}`])
  await log.roll()
  await append(log, ['z=1'])
  const path = join(partitionDir, '00000000000000000000.log')
  const before = await nodeFileSystem.stat(path)
  const bytes = await readFile(path)
  assert.equal(await manager.cleanLogs(), 1)
  assert.deepEqual(await nodeFileSystem.stat(path), before)
  assert.ok((await readFile(path)).equals(bytes))
  assert.ok(!(await filesIn(partitionDir)).some((name) => /(deleted|cleaned|swap)$/.test(name)))
})

test('compressed batches that hold much are decompressed in a thread, however small they are', async (t) => {
  const { manager, log } = await compactionBench(t, { fs: nodeFileSystem })
  for (let round = 0; round < 2; round++) {
    const records = ['a', 'b', 'c'].map((key) => ({ ...recordOf(`${key}${round}=1`), value: Buffer.alloc(1_000_000, 'x') }))
    await appendBatch(log, buildBatch([...records, recordOf(`last=${round}`)], { codec: 'gzip' }))
    await log.roll()
  }
  await append(log, ['z=1'])
  assert.ok(log.sizeBytes < 20_000)
  assert.equal(await manager.cleanLogs(), 1)
  const keys = (await recordsIn(log)).map((text) => text.slice(0, text.indexOf('=')))
  assert.deepEqual(keys, ['0 a0', '1 b0', '2 c0', '4 a1', '5 b1', '6 c1', '7 last', '8 z'])
})

test('a segment of which nothing stays is empty, and read past', async (t) => {
  const { manager, log, dir, clock, partitionDir } = await compactionBench(t, { segmentBytes: 200 })
  const filler = 'x'.repeat(60)
  await append(log, [`a=${filler}`])
  await log.roll()
  await append(log, [`a=${filler}`, 'b=1'])
  await log.roll()
  await append(log, ['end=1'])
  await manager.cleanLogs()
  assert.deepEqual(await recordsIn(log), [`1 a=${filler}`, '2 b=1', '3 end=1'])
  assert.equal((await nodeFileSystem.stat(join(partitionDir, '00000000000000000000.log')))?.sizeBytes, 0)
  await manager.close()
  assert.deepEqual((await verifyPartition(partitionDir)).problems, [])
  const again = await compactionBench(t, { dir, clock, segmentBytes: 200 })
  assert.deepEqual(await recordsIn(again.log), [`1 a=${filler}`, '2 b=1', '3 end=1'])
  assert.equal(again.log.logStartOffset, 0)
})
