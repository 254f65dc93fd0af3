import assert from 'node:assert/strict'
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { seededRandom } from '@tidelog/core'
import { buildBatch, iterateBatches } from '@tidelog/protocol'
import { type TemporaryLog, temporaryLog } from '@tidelog/testkit'
import { type Log, verifyPartition } from './index.ts'
import { append, batchOf, nowMs, record } from './log-harness.test.ts'

test('segments roll by size, by time and when the index is full; active indexes are preallocated and trimmed', async (t) => {
  const { log, dir, clock } = await temporaryLog(t, {
    'segment.bytes': '1048576',
    'segment.ms': '10000',
    'segment.index.bytes': '40',
    'index.interval.bytes': '0',
  })
  await append(log, buildBatch([record('x', { timestamp: nowMs })]))
  assert.deepEqual(await readdir(dir), ['00000000000000000000.log']) // the others come with the first entry
  for (let index = 1; index < 3; index++) await append(log, buildBatch([record('x', { timestamp: nowMs + index })]))
  assert.equal((await stat(join(dir, '00000000000000000000.index'))).size, 40)
  assert.equal((await stat(join(dir, '00000000000000000000.timeindex'))).size, 36)
  await append(log, buildBatch([record('x', { timestamp: nowMs + 3 })]))
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
async function hillyLog(t: TestContext): Promise<TemporaryLog & { records: { offset: number; timestamp: number }[] }> {
  const opened = await temporaryLog(t, { 'segment.bytes': '1048576', 'index.interval.bytes': '400' })
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
  const { log, reopen, dir } = await temporaryLog(t)
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
  const { log } = await temporaryLog(t)
  await append(log, batchOf(['a', 'b']), 2)
  await append(log, batchOf(['c']), 5)
  assert.deepEqual(log.endOffsetForEpoch(5), { epoch: 5, endOffset: 3 })
  assert.deepEqual(log.endOffsetForEpoch(4), { epoch: 2, endOffset: 2 })
  assert.deepEqual(log.endOffsetForEpoch(1), { epoch: 1, endOffset: 0 })
  assert.deepEqual(log.endOffsetForEpoch(6), { epoch: -1, endOffset: -1 })
  assert.deepEqual(log.endOffsetForEpoch(-1), { epoch: -1, endOffset: -1 })
})

test('a log that never held a record is closed and opened again as one; an epoch that nothing was appended in is forgotten', async (t) => {
  const opened = await temporaryLog(t)
  await opened.log.assignLeaderEpoch(3)
  assert.equal(opened.log.latestEpoch, 3)
  await opened.log.close()
  assert.deepEqual((await verifyPartition(opened.dir)).problems, [])
  const log = await opened.reopen({ cleanShutdown: true })
  assert.equal(log.logEndOffset, 0)
  assert.equal(log.latestEpoch, -1)
  await log.assignLeaderEpoch(4)
  await append(log, buildBatch([record('x')]), 4)
  await log.close()
  const again = await opened.reopen({ cleanShutdown: true })
  assert.deepEqual(again.leaderEpochs, [{ epoch: 4, startOffset: 0 }])
  await again.assignLeaderEpoch(5)
  assert.equal(again.latestEpoch, 5)
  await again.close()
  assert.equal((await opened.reopen({ cleanShutdown: true })).latestEpoch, 4)
})
