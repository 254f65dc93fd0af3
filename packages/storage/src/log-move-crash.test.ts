import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom, silentLogger } from '@tidelog/core'
import { buildBatch } from '@tidelog/protocol'
import { crashAtEveryStep, ManualClock, type SimDisk, valuesIn } from '@tidelog/testkit'
import { type FileSystem, type Log, LogManager, resolveLogConfig, verifyPartition } from './index.ts'
import { TailCache } from './tail-cache.ts'

const topicId = 'IWDGM3MXGj4XlcG1EmWZ4w'
const nowMs = 1_700_000_000_000
const dirs = ['/one', '/two']
const seeds = (process.env.SEEDS ?? '1').split(',').map(Number)

function open(fs: FileSystem, config: Record<string, string>): Promise<LogManager> {
  const resolved = resolveLogConfig(new Map(Object.entries({ 'segment.index.bytes': '400', ...config })))
  return LogManager.open({
    dirs,
    clock: new ManualClock(nowMs),
    random: seededRandom(5),
    logger: silentLogger,
    fs,
    configOf: () => resolved,
    finishDeletions: true,
    tailCache: new TailCache(0), // what is read comes from the disk
  })
}

async function append(log: Log, sequence: number): Promise<number> {
  const batch = buildBatch([{ value: Buffer.from(`${sequence}`), timestamp: nowMs }], {
    producerId: 7,
    producerEpoch: 0,
    baseSequence: sequence,
  })
  const { firstOffset } = await log.append(batch, { leaderEpoch: 0, origin: 'client' })
  log.updateHighWatermark(log.logEndOffset)
  return firstOffset
}

/** Until the disk dies or the move is over. */
async function untilMoved(manager: LogManager, disk: SimDisk): Promise<void> {
  for (let turn = 0; manager.futures().length > 0 && !disk.isDead; turn++) {
    assert.ok(turn < 100_000, 'the move ends')
    await new Promise(setImmediate)
  }
}

async function foldersOn(disk: SimDisk): Promise<string[]> {
  const found: string[] = []
  for (const dir of dirs)
    for (const { name, isDirectory } of await disk.fs.list(dir)) if (isDirectory) found.push(name.replace(/\.[0-9a-f]{32}/, ''))
  return found
}

for (const [flushing, config] of [
  ['with flush.messages=1 every acked record is there', { 'flush.messages': '1' }],
  ['without, every record that was flushed', {}],
] as const) {
  test(`L25: killed or cut off at any change while a partition moves to another log dir: ${flushing}, once, and nothing that was deleted`, async (t) => {
    const isAckDurable = 'flush.messages' in config
    let moved = 0
    const crashes = await crashAtEveryStep(
      async (before) => {
        for (const dir of dirs) await before.fs.makeDirectory(dir)
        await before.fs.syncDirectory('/')
        const writer = await open(before.fs, config)
        const first = await writer.createLog('t', 0, topicId)
        for (let sequence = 0; sequence < 6; sequence++) {
          await append(first, sequence)
          if (sequence === 2) await first.roll()
        }
        await writer.close()
        let acked = 6
        let flushed = 6
        let deletedTo = 0
        let mayBeDeletedTo = 0
        return {
          async work(disk) {
            const manager = await open(disk.fs, config)
            const log = manager.getLog('t', 0)!
            log.updateHighWatermark(log.logEndOffset)
            await append(log, acked)
            acked++
            await manager.moveLog('t', 0, '/two')
            await append(log, acked)
            acked++
            mayBeDeletedTo = 2
            await log.deleteRecords(2)
            deletedTo = 2
            await log.flush()
            flushed = acked
            await append(log, acked)
            acked++
            await untilMoved(manager, disk)
            await append(log, acked)
            acked++
            await log.flush()
            flushed = acked
            await manager.close()
          },
          async check(disk, { kind }) {
            const sure = kind === 'kill' || isAckDurable ? acked : flushed
            const manager = await open(disk.fs, config)
            assert.deepEqual([manager.broken, manager.offlineDirs], [[], []])
            const log = manager.getLog('t', 0)
            assert.ok(log !== undefined, 'the partition is there')
            log.updateHighWatermark(log.logEndOffset)
            await untilMoved(manager, disk)
            if (log.logDir === '/two') moved++
            assert.equal(log.topicId, topicId)
            assert.ok(log.logStartOffset >= deletedTo && log.logStartOffset <= mayBeDeletedTo, `starts at ${log.logStartOffset}`)
            const { logEndOffset } = log
            assert.ok(logEndOffset >= sure && logEndOffset <= acked + 1, `ends at ${logEndOffset}, ${sure} are sure, ${acked} were acked`)
            const expected = Array.from({ length: logEndOffset - log.logStartOffset }, (_, index) => `${log.logStartOffset + index}`)
            assert.deepEqual(await valuesIn(log), expected)
            assert.equal(await append(log, logEndOffset - 1), logEndOffset - 1, 'sent again, stored once')
            assert.equal(await append(log, logEndOffset), logEndOffset)
            await manager.close()
            assert.deepEqual((await verifyPartition(log.dir, disk.fs)).problems, [])
            assert.deepEqual(await foldersOn(disk), ['t-0'])
          },
        }
      },
      { seeds },
    )
    t.diagnostic(`${crashes} crashes, ${moved} ended in the other directory`)
    assert.ok(crashes > 100 && moved > 30)
  })
}
