import assert from 'node:assert/strict'
import { test } from 'node:test'
import { libuvOffload, silentLogger, type ThreadOffload } from '@tidelog/core'
import { buildBatch } from '@tidelog/protocol'
import { BLOCKED_MS, watchProcess } from '@tidelog/testkit'
import { nodeFileSystem, verifyPartition } from '../index.ts'
import { append, appendBatch, type CompactionOptions, compactionBench, filesIn, recordsIn, startMs } from './compaction-harness.test.ts'

/** Counts the threads that are there. */
function countedOffload(): { offload: ThreadOffload; started: () => number; living: () => number } {
  const threads = libuvOffload()
  let started = 0
  let living = 0
  const offload: ThreadOffload = {
    ...threads,
    startThread(entry) {
      const thread = threads.startThread(entry)
      started++
      living++
      let isEnded = false
      return {
        ...thread,
        async end() {
          if (!isEnded) living--
          isEnded = true
          await thread.end()
        },
      }
    },
  }
  return { offload, started: () => started, living: () => living }
}

async function largeLog(t: Parameters<typeof compactionBench>[0], options: CompactionOptions) {
  const bench = await compactionBench(t, { fs: nodeFileSystem, ...options })
  const value = 'x'.repeat(10_000)
  for (let round = 0; round < 2; round++) {
    for (let key = 0; key < 80; key++) await append(bench.log, [`${key}=${value}`])
    await bench.log.roll()
  }
  await append(bench.log, ['end=1'])
  return bench
}

test('small logs start no thread; a large one starts one, which serves the next log too and ends when there is no more to do', async (t) => {
  const { offload, started, living } = countedOffload()
  const small = await compactionBench(t, { fs: nodeFileSystem, offload })
  await append(small.log, ['a=1', 'a=2'])
  await small.log.roll()
  await append(small.log, ['end=1'])
  assert.equal(await small.manager.cleanLogs(), 1)
  assert.equal(started(), 0)

  const { manager, log } = await largeLog(t, { offload })
  const other = await manager.createLog('t', 1, '00000000-0000-0000-0000-000000000000')
  const value = 'y'.repeat(700_000)
  for (let round = 0; round < 2; round++) {
    await append(other, [`a=${value}`])
    await other.roll()
  }
  await append(other, ['end=1'])
  assert.equal(await manager.cleanLogs(), 2)
  assert.equal(started(), 1)
  assert.equal(living(), 0)
  assert.equal((await recordsIn(log)).length, 81)
  assert.equal((await recordsIn(other)).length, 2)
})

test('a compaction in a thread ends at once when the broker closes or its log is deleted, and leaves nothing behind', async (t) => {
  for (const how of ['close', 'delete'] as const) {
    const { offload, started, living } = countedOffload()
    // At this rate it would take an hour.
    const { manager, partitionDir } = await largeLog(t, { offload, settings: { maxBytesPerSecond: 500 } })
    const cleaning = manager.cleanLogs()
    while (started() === 0) await new Promise((resolve) => setImmediate(resolve))
    if (how === 'close') await manager.close()
    else await manager.deleteLogs([{ topic: 't', partition: 0 }])
    assert.equal(await cleaning, 0, how)
    assert.equal(living(), 0, how)
    if (how === 'delete') continue
    assert.ok(!(await filesIn(partitionDir)).some((name) => /(cleaned|swap)$/.test(name)))
    assert.deepEqual((await verifyPartition(partitionDir)).problems, [])
  }
})

test('a thread that dies takes its log out of the cleaning, not the broker', async (t) => {
  const threads = libuvOffload()
  const offload: ThreadOffload = { ...threads, startThread: () => threads.startThread(new URL('./no-such-worker.js', import.meta.url)) }
  const lines: string[] = []
  const logger = { ...silentLogger, error: (message: string) => lines.push(message) }
  const { manager, log } = await largeLog(t, { offload, logger })
  assert.equal(await manager.cleanLogs(), 0)
  assert.deepEqual(lines, ['A log cannot be compacted; it is left as it is until the next start'])
  await append(log, ['still=here'])
  assert.equal((await recordsIn(log)).length, 162)
})

test('the event loop goes on beside the compaction of a large log, and memory stays as it was', async (t) => {
  const { manager, log } = await compactionBench(t, { fs: nodeFileSystem, settings: { dedupeBufferBytes: 1 << 24 } })
  const value = Buffer.alloc(100, 'x')
  for (let round = 0; round < 2; round++) {
    for (let from = 0; from < 100_000; from += 5000) {
      const records = Array.from({ length: 5000 }, (_, index) => ({ key: Buffer.from(`key ${from + index}`), value, timestamp: startMs }))
      await appendBatch(log, buildBatch(records, { codec: 'lz4' }))
    }
    await log.roll()
  }
  await append(log, ['end=1'])
  const { result, longestTurnMs, rssGrowthBytes } = await watchProcess(() => manager.cleanLogs())
  assert.equal(result, 1)
  assert.ok(longestTurnMs < BLOCKED_MS, `a turn of ${longestTurnMs} ms`)
  assert.ok(rssGrowthBytes < 128 * 1024 * 1024, `${rssGrowthBytes} bytes`)
})
