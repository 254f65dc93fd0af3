import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { seededRandom, silentLogger } from '@tidelog/core'
import {
  type BatchOptions,
  batchHeader,
  buildBatch,
  buildEndTxnMarker,
  iterateBatches,
  KafkaError,
  type NewRecord,
  readRecords,
} from '@tidelog/protocol'
import { ManualClock } from '@tidelog/testkit'
import { type AppendResult, type FileSystem, Log, type LogOptions, nodeFileSystem, resolveLogConfig, verifyPartition } from './index.ts'

const nowMs = 1_700_000_000_000

/** Closing and opening needs no power cut, so these tests do not wait for the disk. */
const unsynced: FileSystem = { ...nodeFileSystem, sync: async () => {}, syncDirectory: async () => {} }

interface Opened {
  readonly log: Log
  readonly clock: ManualClock
  readonly dir: string
  reopen(options?: Partial<LogOptions>): Promise<Log>
}

async function openLog(t: TestContext, config: Record<string, string> = {}, options: Partial<LogOptions> = {}): Promise<Opened> {
  const parent = await mkdtemp(join(tmpdir(), 'tidelog-log-'))
  const dir = join(parent, 't-0')
  const clock = new ManualClock(nowMs)
  const opened: Log[] = []
  const open = async (more: Partial<LogOptions> = {}): Promise<Log> => {
    const resolved = resolveLogConfig(new Map(Object.entries(config)))
    const log = await Log.open({
      dir,
      topic: 't',
      partition: 0,
      config: resolved,
      clock,
      random: seededRandom(3),
      logger: silentLogger,
      fs: unsynced,
      ...options,
      ...more,
    })
    opened.push(log)
    return log
  }
  t.after(async () => {
    for (const log of opened) await log.abandon()
    await rm(parent, { recursive: true, force: true })
  })
  return { log: await open(), clock, dir, reopen: open }
}

const record = (value: string, more: Partial<NewRecord> = {}): NewRecord => ({ value: Buffer.from(value), timestamp: nowMs, ...more })
const batchOf = (values: readonly string[], options: BatchOptions = {}): Buffer =>
  buildBatch(
    values.map((value) => record(value)),
    options,
  )
const append = (log: Log, batch: Buffer, leaderEpoch = 0): Promise<AppendResult> => log.append(batch, { leaderEpoch, origin: 'client' })

async function valuesIn(log: Log, startOffset = log.logStartOffset, endOffset = log.logEndOffset): Promise<string[]> {
  const values: string[] = []
  for (let next = startOffset; next < endOffset; ) {
    const { records } = await log.read({ startOffset: next, maxBytes: 500, endOffset, atLeastOneBatch: true })
    if (records.length === 0) break
    for (const batch of iterateBatches(records)) {
      next = batch.lastOffset + 1
      for (const { offset, value } of readRecords(batch, { maxOutputBytes: 1 << 20 })) if (offset >= startOffset) values.push(String(value))
    }
  }
  return values
}

const refusedWith = (code: number) => (error: unknown) => error instanceof KafkaError && error.code === code

test('appends get their offsets in order of the calls and are read back as they were sent', async (t) => {
  const { log, dir, reopen } = await openLog(t)
  const results = await Promise.all([
    append(log, batchOf(['a', 'b']), 5),
    append(log, batchOf(['c']), 5),
    append(log, batchOf(['d', 'e', 'f']), 6),
  ])
  assert.deepEqual(results[1], { firstOffset: 2, lastOffset: 2, logAppendTimeMs: -1, logStartOffset: 0, duplicate: false })
  assert.deepEqual(
    results.map(({ firstOffset, lastOffset }) => [firstOffset, lastOffset]),
    [
      [0, 1],
      [2, 2],
      [3, 5],
    ],
  )
  const { records } = await log.read({ startOffset: 0, maxBytes: 10_000, endOffset: 6, atLeastOneBatch: false })
  assert.deepEqual(
    [...iterateBatches(records)].map((batch) => [batch.baseOffset, batch.partitionLeaderEpoch, batch.isCrcValid]),
    [
      [0, 5, true],
      [2, 5, true],
      [3, 6, true],
    ],
  )
  assert.deepEqual(log.leaderEpochs, [
    { epoch: 5, startOffset: 0 },
    { epoch: 6, startOffset: 3 },
  ])
  await log.close()
  assert.deepEqual((await readFile(join(dir, '00000000000000000000.log'))).equals(records), true)
  const again = await reopen({ cleanShutdown: true })
  assert.deepEqual(await valuesIn(again), ['a', 'b', 'c', 'd', 'e', 'f'])
  assert.deepEqual((await verifyPartition(dir)).problems, [])
})

test('a read gives whole batches, none that reaches its end offset, and one that is too large only when asked', async (t) => {
  for (const from of ['memory', 'disk']) {
    const { log, reopen } = await openLog(t)
    for (const value of ['a', 'b', 'c']) await append(log, batchOf([value, value.repeat(200)]))
    await log.close()
    const reader = await reopen({ cleanShutdown: true })
    if (from === 'memory') await append(reader, batchOf(['d', 'd']))
    const first = from === 'memory' ? 6 : 0
    const end = first + 2
    const read = async (startOffset: number, maxBytes: number, endOffset: number, atLeastOneBatch: boolean) =>
      [...iterateBatches((await reader.read({ startOffset, maxBytes, endOffset, atLeastOneBatch })).records)].map(
        ({ baseOffset }) => baseOffset,
      )
    assert.deepEqual(await read(first, 10_000, end, false), [first], from)
    assert.deepEqual(await read(first + 1, 10_000, end, false), [first], from)
    assert.deepEqual(await read(first, 10_000, end - 1, true), [], from)
    assert.deepEqual(await read(first, 10, end, false), [], from)
    assert.deepEqual(await read(first, 10, end, true), [first], from)
    assert.deepEqual(await read(reader.logEndOffset, 10_000, 100, true), [], from)
    await assert.rejects(read(reader.logEndOffset + 1, 10_000, 100, true), refusedWith(1))
    await assert.rejects(read(-1, 10_000, 100, true), refusedWith(1))
    await assert.rejects(read(Number.NaN, 10_000, 100, true), refusedWith(1))
  }
})

test("what a log refuses has Kafka's error code, and nothing of it is appended", async (t) => {
  const { log } = await openLog(t, { 'max.message.bytes': '2000', 'segment.bytes': '1048576', 'cleanup.policy': 'compact' })
  const good = buildBatch([record('v', { key: Buffer.from('k') })])
  const changed = (change: (batch: Buffer) => void): Buffer => {
    const batch = Buffer.from(good)
    change(batch)
    return batch
  }
  const timed = (timestamp: number): Buffer => buildBatch([record('v', { key: Buffer.from('k'), timestamp })])
  const marker = buildEndTxnMarker({ type: 'commit', coordinatorEpoch: 0, producerId: 1, producerEpoch: 0, timestamp: nowMs })
  for (const [what, code, batch] of [
    ['a bad CRC', 2, changed((bytes) => bytes.writeUInt8(bytes.at(-1)! ^ 1, bytes.length - 1))],
    ['a length below the overhead', 2, changed((bytes) => bytes.writeInt32BE(10, 8))],
    ['a length beyond the data', 87, changed((bytes) => bytes.writeInt32BE(5000, 8))],
    ['no bytes at all', 87, Buffer.alloc(0)],
    ['a batch over max.message.bytes', 10, buildBatch([record('v'.repeat(3000), { key: Buffer.from('k') })])],
    ['a record without a key on a compacted topic', 87, batchOf(['v'])],
    ['a control batch from a client', 87, marker],
    ['a base offset', 87, changed((bytes) => batchHeader.setBaseOffset(bytes, 0, 7))],
    ['a timestamp too far ahead', 32, timed(nowMs + 3_600_001)],
    ['a timestamp beyond 2^53', 32, timed(2 ** 60)],
  ] as const) {
    await assert.rejects(append(log, batch), refusedWith(code), what)
  }
  assert.equal(log.logEndOffset, 0)
  assert.equal((await append(log, good)).firstOffset, 0)
})

test('appends larger than a segment are refused with RECORD_LIST_TOO_LARGE', async (t) => {
  const { log } = await openLog(t, { 'max.message.bytes': '9000000', 'segment.bytes': '1048576' })
  await assert.rejects(append(log, batchOf(['v'.repeat(1_100_000)])), refusedWith(18))
})

test('LogAppendTime stamps every batch with the time of its append', async (t) => {
  const { log, clock } = await openLog(t, { 'message.timestamp.type': 'LogAppendTime' })
  clock.advance(5)
  const { logAppendTimeMs } = await append(log, buildBatch([record('a', { timestamp: 1 }), record('b', { timestamp: 2 ** 52 })]))
  assert.equal(logAppendTimeMs, nowMs + 5)
  const { records } = await log.read({ startOffset: 0, maxBytes: 1000, endOffset: 2, atLeastOneBatch: true })
  const [batch] = [...iterateBatches(records)]
  assert.equal(batch!.isCrcValid, true)
  assert.deepEqual(
    [...readRecords(batch!, { maxOutputBytes: 1000 })].map(({ timestamp }) => timestamp),
    [nowMs + 5, nowMs + 5],
  )
})

test("compression.type other than producer stores every batch in the topic's codec", async (t) => {
  const { log } = await openLog(t, { 'compression.type': 'gzip' })
  await append(log, batchOf(['a', 'b']))
  await append(log, batchOf(['c'], { codec: 'snappy', producerId: 4, producerEpoch: 1, baseSequence: 0 }))
  const { records } = await log.read({ startOffset: 0, maxBytes: 1000, endOffset: 3, atLeastOneBatch: true })
  assert.deepEqual(
    [...iterateBatches(records)].map((batch) => [batch.codecId, batch.producerId, batch.isCrcValid]),
    [
      [1, -1, true],
      [1, 4, true],
    ],
  )
  assert.deepEqual(await valuesIn(log), ['a', 'b', 'c'])
})

test('an append that has to be decompressed aside keeps its place', async (t) => {
  const { log } = await openLog(t)
  const incompressible = seededRandom(5).bytes(60_000)
  const large = buildBatch([{ value: incompressible, timestamp: nowMs }], {
    codec: 'gzip',
    producerId: 9,
    producerEpoch: 0,
    baseSequence: 0,
  })
  const small = batchOf(['next'], { producerId: 9, producerEpoch: 0, baseSequence: 1 })
  const [first, second] = await Promise.all([append(log, large), append(log, small)])
  assert.deepEqual([first.firstOffset, second.firstOffset], [0, 1])
})

test('a batch that is sent again is stored once and answered with its first offsets, up to the fifth last', async (t) => {
  const { log } = await openLog(t)
  const sent = (sequence: number): Buffer =>
    batchOf([`${sequence}`, `${sequence + 1}`], { producerId: 7, producerEpoch: 0, baseSequence: sequence })
  const together = await Promise.all([append(log, sent(0)), append(log, sent(0)), append(log, sent(2))])
  assert.deepEqual(
    together.map(({ firstOffset, duplicate }) => [firstOffset, duplicate]),
    [
      [0, false],
      [0, true],
      [2, false],
    ],
  )
  for (let sequence = 4; sequence < 12; sequence += 2) await append(log, sent(sequence))
  assert.equal(log.logEndOffset, 12)
  assert.deepEqual(await append(log, sent(2)), {
    firstOffset: 2,
    lastOffset: 3,
    logAppendTimeMs: nowMs,
    logStartOffset: 0,
    duplicate: true,
  })
  await assert.rejects(append(log, sent(0)), refusedWith(45)) // older than the last five
  await assert.rejects(append(log, sent(14)), refusedWith(45)) // a gap
  assert.equal(log.logEndOffset, 12)
})

test('producers: epochs, wrap of the sequence, unknown ones, open transactions', async (t) => {
  const { log } = await openLog(t)
  const sent = (baseSequence: number, options: BatchOptions = {}): Buffer =>
    batchOf(['x'], { producerId: 7, producerEpoch: 1, baseSequence, ...options })
  await append(log, sent(0x7fffffff)) // nothing is known of the producer: any sequence will do
  await append(log, sent(0))
  await append(log, sent(1))
  await assert.rejects(append(log, sent(0, { producerEpoch: 0 })), refusedWith(47))
  await assert.rejects(append(log, sent(5, { producerEpoch: 2 })), refusedWith(45))
  await append(log, sent(0, { producerEpoch: 2, isTransactional: true }))
  log.updateHighWatermark(4)
  assert.equal(log.lastStableOffset, 3)
  await assert.rejects(append(log, sent(1, { producerEpoch: 2 })), refusedWith(48))
  const marker = buildEndTxnMarker({ type: 'abort', coordinatorEpoch: 3, producerId: 7, producerEpoch: 2, timestamp: nowMs })
  await log.append(marker, { leaderEpoch: 0, origin: 'coordinator' })
  assert.equal(log.lastStableOffset, 3)
  log.updateHighWatermark(5)
  assert.equal(log.lastStableOffset, 5)
  const zombie = buildEndTxnMarker({ type: 'abort', coordinatorEpoch: 2, producerId: 7, producerEpoch: 2, timestamp: nowMs })
  await assert.rejects(log.append(zombie, { leaderEpoch: 0, origin: 'coordinator' }), refusedWith(52))
})

test('producers and open transactions survive a clean stop, a crash, and the loss of every snapshot (L8)', async (t) => {
  for (const how of ['clean', 'crash', 'no snapshot', 'garbage snapshot']) {
    const { log, dir, reopen } = await openLog(t, { 'segment.bytes': '1048576' })
    const sent = (baseSequence: number): Buffer => batchOf([`${baseSequence}`], { producerId: 7, producerEpoch: 3, baseSequence })
    await append(log, sent(0))
    await log.roll()
    await append(log, sent(1))
    await append(log, batchOf(['open'], { producerId: 8, producerEpoch: 0, baseSequence: 0, isTransactional: true }))
    if (how === 'clean') await log.close()
    else await log.abandon()
    for (const name of await readdir(dir)) {
      if (!name.endsWith('.snapshot')) continue
      if (how === 'no snapshot') await rm(join(dir, name))
      if (how === 'garbage snapshot') await writeFile(join(dir, name), 'garbage')
    }
    const again = await reopen({ cleanShutdown: how !== 'crash' })
    assert.equal((await append(again, sent(1))).duplicate, true, how)
    await assert.rejects(append(again, sent(3)), refusedWith(45), how)
    assert.equal((await append(again, sent(2))).firstOffset, 3, how)
    again.updateHighWatermark(4)
    assert.equal(again.lastStableOffset, 2, how)
  }
})

test('a producer that was silent for producer.id.expiration.ms is forgotten', async (t) => {
  const { log, clock } = await openLog(t, {}, { producerIdExpirationMs: 1000 })
  await append(log, batchOf(['x'], { producerId: 7, producerEpoch: 0, baseSequence: 0 }))
  clock.advance(999)
  log.removeExpiredProducers()
  assert.equal(log.activeProducers().length, 1)
  clock.advance(1)
  log.removeExpiredProducers()
  assert.equal(log.activeProducers().length, 0)
  assert.equal((await append(log, batchOf(['y'], { producerId: 7, producerEpoch: 0, baseSequence: 55 }))).firstOffset, 1)
})

test('segments roll by size, by time and when the index is full; active indexes are preallocated and trimmed', async (t) => {
  const { log, dir, clock } = await openLog(t, {
    'segment.bytes': '1048576',
    'segment.ms': '10000',
    'segment.index.bytes': '40',
    'index.interval.bytes': '0',
  })
  assert.equal((await stat(join(dir, '00000000000000000000.index'))).size, 40)
  assert.equal((await stat(join(dir, '00000000000000000000.timeindex'))).size, 36)
  for (let index = 0; index < 4; index++) await append(log, buildBatch([record('x', { timestamp: nowMs + index })]))
  assert.equal(log.segmentCount, 2) // the time index keeps its last place for the end: 2 entries fill it
  assert.equal((await stat(join(dir, '00000000000000000000.index'))).size, 16)
  await append(log, buildBatch([record('x', { timestamp: nowMs + 10_003 })]))
  assert.equal(log.segmentCount, 2)
  await append(log, buildBatch([record('x', { timestamp: nowMs + 10_004 })]))
  assert.equal(log.segmentCount, 3)
  clock.advance(100_000) // the wall clock does not matter where records have timestamps
  await append(log, buildBatch([record('x', { timestamp: nowMs + 10_005 })]))
  assert.equal(log.segmentCount, 3)
  await log.close()
  assert.deepEqual((await verifyPartition(dir)).problems, [])
})

/** A log whose timestamps go up and down, with many index entries and segments. */
async function hillyLog(t: TestContext): Promise<Opened & { records: { offset: number; timestamp: number }[] }> {
  const opened = await openLog(t, { 'segment.bytes': '1048576', 'index.interval.bytes': '400' })
  const random = seededRandom(11)
  const records: { offset: number; timestamp: number }[] = []
  for (let batch = 0; batch < 300; batch++) {
    const timestamps = Array.from({ length: 1 + random.int(4) }, () => nowMs - 1_000_000 + batch * 1000 + random.int(20_000))
    for (const timestamp of timestamps) records.push({ offset: records.length, timestamp })
    await append(
      opened.log,
      buildBatch(
        timestamps.map((timestamp) => record('x'.repeat(random.int(300)), { timestamp })),
        batch % 3 === 0 ? { codec: 'lz4' } : {},
      ),
    )
    if (batch % 90 === 89) await opened.log.roll()
  }
  return { ...opened, records }
}

async function checkLookups(log: Log, records: readonly { offset: number; timestamp: number }[]): Promise<void> {
  for (let offset = 0; offset < records.length; offset += 7) {
    const { records: bytes } = await log.read({ startOffset: offset, maxBytes: 1, endOffset: log.logEndOffset, atLeastOneBatch: true })
    const [batch] = [...iterateBatches(bytes)]
    assert.ok(
      batch!.baseOffset <= offset && batch!.lastOffset >= offset,
      `read of ${offset} gave ${batch!.baseOffset}-${batch!.lastOffset}`,
    )
  }
  const times = records.map(({ timestamp }) => timestamp)
  for (let index = 0; index < records.length; index += 13) {
    const target = times[index]! + (index % 3) - 1
    const expected = records.find(({ timestamp }) => timestamp >= target)
    const found = await log.offsetForTimestamp(target)
    assert.deepEqual(found && { offset: found.offset, timestamp: found.timestamp }, expected, `timestamp ${target}`)
  }
  const largest = Math.max(...times)
  assert.equal(await log.offsetForTimestamp(largest + 1), undefined)
  const max = await log.maxTimestampOffset()
  assert.deepEqual([max!.offset, max!.timestamp], [times.indexOf(largest), largest])
}

test('lookups by offset and by time equal a full scan, before and after a restart', async (t) => {
  const { log, reopen, records, dir } = await hillyLog(t)
  await checkLookups(log, records)
  await log.close()
  assert.deepEqual((await verifyPartition(dir)).problems, [])
  await checkLookups(await reopen({ cleanShutdown: true }), records)
})

test('L12: indexes that are missing, garbage, oversized, cut, backward or of another segment are made anew; lookups equal a full scan', async (t) => {
  const { log, reopen, records, dir } = await hillyLog(t)
  await log.close()
  const indexes = (await readdir(dir)).filter((name) => name.endsWith('index'))
  const whole = new Map<string, Buffer>()
  for (const name of indexes) whole.set(name, await readFile(join(dir, name)))
  const damages: Record<string, (bytes: Buffer, name: string) => Buffer | undefined> = {
    missing: () => undefined,
    empty: () => Buffer.alloc(0),
    garbage: (bytes) => Buffer.from(seededRandom(2).bytes(bytes.length)),
    zeros: (bytes) => Buffer.alloc(bytes.length),
    oversized: (bytes) => Buffer.concat([bytes, Buffer.alloc(10_485_760 - bytes.length)]),
    'one byte short': (bytes) => bytes.subarray(0, bytes.length - 1),
    'cut to one entry': (bytes, name) => bytes.subarray(0, name.endsWith('.timeindex') ? 12 : 8),
    backward: (bytes, name) => {
      const size = name.endsWith('.timeindex') ? 12 : 8
      return Buffer.concat([bytes.subarray(size), bytes.subarray(0, size)])
    },
    'pointing beside its batches': (bytes, name) => {
      const shifted = Buffer.from(bytes)
      const size = name.endsWith('.timeindex') ? 12 : 8
      for (let at = 0; at < shifted.length; at += size) shifted.writeInt32BE(shifted.readInt32BE(at + 4) + 3, at + 4)
      return shifted
    },
  }
  for (const [what, damage] of Object.entries(damages)) {
    for (const cleanShutdown of [true, false]) {
      for (const [name, bytes] of whole) {
        const damaged = damage(bytes, name)
        if (damaged === undefined) await rm(join(dir, name))
        else await writeFile(join(dir, name), damaged)
      }
      const again = await reopen({ cleanShutdown })
      assert.equal(again.logEndOffset, records.length, what)
      await checkLookups(again, records)
      await again.close()
    }
  }
})

test('L14: an empty, garbage or missing leader-epoch-checkpoint is made anew from the batches', async (t) => {
  const { log, reopen, dir } = await openLog(t)
  for (const [value, epoch] of [
    ['a', 0],
    ['b', 2],
    ['c', 2],
    ['d', 7],
  ] as const) {
    await append(log, batchOf([value]), epoch)
  }
  await log.close()
  const whole = await readFile(join(dir, 'leader-epoch-checkpoint'), 'utf8')
  assert.equal(whole, '0\n3\n0 0\n2 1\n7 3\n')
  for (const content of ['', 'garbage', '0\n2\n0 0\n', '0\n2\n5 0\n4 1\n', undefined]) {
    if (content === undefined) await rm(join(dir, 'leader-epoch-checkpoint'))
    else await writeFile(join(dir, 'leader-epoch-checkpoint'), content)
    const again = await reopen({ cleanShutdown: true })
    assert.deepEqual(again.endOffsetForEpoch(2), { epoch: 2, endOffset: 3 })
    await again.close()
    assert.equal(await readFile(join(dir, 'leader-epoch-checkpoint'), 'utf8'), whole)
  }
})

test('endOffsetForEpoch answers as KIP-101 says', async (t) => {
  const { log } = await openLog(t)
  await append(log, batchOf(['a', 'b']), 2)
  await append(log, batchOf(['c']), 5)
  assert.deepEqual(log.endOffsetForEpoch(5), { epoch: 5, endOffset: 3 })
  assert.deepEqual(log.endOffsetForEpoch(4), { epoch: 2, endOffset: 2 })
  assert.deepEqual(log.endOffsetForEpoch(1), { epoch: 1, endOffset: 0 })
  assert.deepEqual(log.endOffsetForEpoch(6), { epoch: -1, endOffset: -1 })
  assert.deepEqual(log.endOffsetForEpoch(-1), { epoch: -1, endOffset: -1 })
})

test('retention.bytes and retention.ms delete the oldest segments below the high watermark, whose files go after file.delete.delay.ms', async (t) => {
  const { log, clock, dir } = await openLog(t, { 'retention.ms': '5000', 'retention.bytes': '600', 'file.delete.delay.ms': '100' })
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
  const { log, reopen } = await openLog(t, {}, { onLogStartChanged: async () => void checkpoints++ })
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

test('a log start beyond the end of what is left is kept: no offset is given out twice', async (t) => {
  const { log, reopen } = await openLog(t)
  await append(log, batchOf(['a', 'b']))
  await log.close()
  const again = await reopen({ logStartOffset: 9 })
  assert.deepEqual([again.logStartOffset, again.logEndOffset], [9, 9])
  assert.equal((await append(again, batchOf(['next']))).firstOffset, 9)
})

test('truncation removes whole batches from the offset on, with epochs and producers', async (t) => {
  const { log, dir, reopen } = await openLog(t)
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
  const leader = await openLog(t)
  for (const value of ['a', 'b', 'c']) await append(leader.log, batchOf([value]), 4)
  const { records } = await leader.log.read({ startOffset: 1, maxBytes: 1000, endOffset: 3, atLeastOneBatch: true })
  const follower = await openLog(t)
  await follower.log.truncateFullyAndStartAt(1)
  await follower.log.append(records, { leaderEpoch: 9, origin: 'replication' })
  assert.deepEqual([follower.log.logEndOffset, follower.log.latestEpoch], [3, 4])
  const copy = await follower.log.read({ startOffset: 1, maxBytes: 1000, endOffset: 3, atLeastOneBatch: true })
  assert.ok(copy.records.equals(records))
  await assert.rejects(follower.log.append(records, { leaderEpoch: 9, origin: 'replication' }), refusedWith(1))
})

test('flush.messages forces the log before the append is answered, once for all that wait', async (t) => {
  const { log } = await openLog(t, { 'flush.messages': '1' })
  await Promise.all(['a', 'b', 'c'].map((value) => append(log, batchOf([value]))))
  assert.equal(log.recoveryPoint, 3)
})
