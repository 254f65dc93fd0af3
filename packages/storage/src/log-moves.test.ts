import assert from 'node:assert/strict'
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Logger, seededRandom, silentLogger } from '@tidelog/core'
import { buildBatch, type KafkaError } from '@tidelog/protocol'
import { killedFileSystem, ManualClock, temporaryDirectory, trackedPaths, unsyncedFileSystem, valuesIn } from '@tidelog/testkit'
import { type FileSystem, type Log, LogManager, type LogManagerOptions, resolveLogConfig, verifyPartition } from './index.ts'

const topicId = 'IWDGM3MXGj4XlcG1EmWZ4w'
const nowMs = 1_700_000_000_000
const config = resolveLogConfig(new Map([['segment.bytes', '1048576']]))

async function twoDirs(t: TestContext): Promise<[string, string]> {
  const base = await temporaryDirectory(t)
  const dirs: [string, string] = [join(base, 'one'), join(base, 'two')]
  for (const dir of dirs) await mkdir(dir)
  return dirs
}

async function open(t: TestContext, dirs: readonly string[], options: Partial<LogManagerOptions> = {}): Promise<LogManager> {
  const manager = await LogManager.open({
    dirs,
    clock: new ManualClock(nowMs),
    random: seededRandom(5),
    logger: silentLogger,
    fs: unsyncedFileSystem,
    configOf: () => config,
    finishDeletions: true,
    ...options,
  })
  t.after(() => manager.abandon())
  return manager
}

/** Appends as a partition's leader does: what is appended is committed. */
async function append(log: Log, value: string, sequence = -1): Promise<number> {
  const producer = sequence < 0 ? {} : { producerId: 7, producerEpoch: 0, baseSequence: sequence }
  const batch = buildBatch([{ value: Buffer.from(value), timestamp: nowMs }], producer)
  const { firstOffset } = await log.append(batch, { leaderEpoch: 0, origin: 'client' })
  log.updateHighWatermark(log.logEndOffset)
  return firstOffset
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let turn = 0; !condition(); turn++) {
    if (turn > 200_000) throw new Error(`never: ${what}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

const futureIn = (manager: LogManager | undefined): Log | undefined => manager?.futures()[0]

const folders = async (dir: string): Promise<string[]> =>
  (await readdir(dir, { withFileTypes: true })).filter((entry) => entry.isDirectory()).map(({ name }) => name)

test('a partition moves to another directory while it is written to and read; nothing of it stays behind', async (t) => {
  const dirs = await twoDirs(t)
  const clock = new ManualClock(nowMs)
  const manager = await open(t, dirs, { clock })
  const log = await manager.createLog('t', 0, topicId)
  assert.equal(log.logDir, dirs[0])
  const values: string[] = []
  const write = async () => {
    const value = `${values.length}-${'x'.repeat(9000)}`
    values.push(value)
    await append(log, value, values.length - 1)
  }
  for (let count = 0; count < 300; count++) await write()
  await log.assignLeaderEpoch(2)
  assert.equal(await manager.moveLog('t', 0, dirs[1]), true)
  const future = futureIn(manager)!
  assert.match(future.dir, /two\/t-0\.[0-9a-f]{32}-future$/)
  const reads: Promise<string[]>[] = []
  while (log.logDir === dirs[0]) {
    await Promise.all([write(), write()])
    if (reads.length < 20) reads.push(valuesIn(log, reads.length * 10, reads.length * 10 + 10))
  }
  for (let count = 0; count < 10; count++) await write()
  for (const [index, read] of reads.entries()) assert.deepEqual(await read, values.slice(index * 10, index * 10 + 10))
  assert.equal(futureIn(manager), undefined)
  assert.equal(manager.getLog('t', 0), log)
  assert.equal(log.dir, join(dirs[1], 't-0'))
  assert.deepEqual(await valuesIn(log), values)
  assert.equal(log.latestEpoch, 2)
  assert.equal(await append(log, values[values.length - 1]!, values.length - 1), values.length - 1, 'a batch that is sent again is known')
  assert.match((await folders(dirs[0])).join(), /^t-0\.[0-9a-f]{32}-delete$/)
  clock.advance(config['file.delete.delay.ms'])
  await manager.close()
  assert.deepEqual(await folders(dirs[0]), [])
  assert.deepEqual((await verifyPartition(join(dirs[1], 't-0'))).problems, [])
  const again = (await open(t, dirs)).getLog('t', 0)!
  assert.deepEqual(await valuesIn(again), values)
})

test('L1, L6: killed at any change to the disk while a partition moves, a start goes on with the move; what was acked is there, what was deleted is not', async (t) => {
  let kills = 0
  let resumed = 0
  let moved = 0
  for (let changes = 1; ; changes++) {
    const dirs = await twoDirs(t)
    const before = await open(t, dirs)
    const first = await before.createLog('t', 0, topicId)
    for (let sequence = 0; sequence < 6; sequence++) await append(first, `${sequence}`, sequence)
    await before.close()

    const { fs, changesDone } = killedFileSystem(changes)
    const acked = ['0', '1', '2', '3', '4', '5']
    let deleted = 0
    let manager: LogManager | undefined
    try {
      manager = await open(t, dirs, { fs })
      const log = manager.getLog('t', 0)!
      log.updateHighWatermark(log.logEndOffset)
      await manager.moveLog('t', 0, dirs[1])
      while (acked.length < 9) {
        await append(log, `${acked.length}`, acked.length)
        acked.push(`${acked.length}`)
        if (acked.length === 7) await log.deleteRecords(2).then(() => (deleted = 2))
      }
      await until(() => futureIn(manager) === undefined, 'the move ends')
      await append(log, `${acked.length}`, acked.length)
      acked.push(`${acked.length}`)
      await manager.close()
    } catch {
      kills++
    }
    await manager?.abandon()
    const isWhole = changesDone() < changes

    const again = await open(t, dirs)
    const log = again.getLog('t', 0)
    assert.ok(log !== undefined, `killed at change ${changes}: the partition is there`)
    log.updateHighWatermark(log.logEndOffset)
    if (futureIn(again) !== undefined) resumed++
    else if (log.logDir === dirs[1]) moved++
    await until(() => futureIn(again) === undefined, `killed at change ${changes}: the move ends`)
    const values = await valuesIn(log)
    assert.ok(log.logStartOffset >= deleted, `killed at change ${changes}: deleted records stay deleted`)
    assert.deepEqual(values.slice(0, acked.length - log.logStartOffset), acked.slice(log.logStartOffset), `killed at change ${changes}`)
    assert.equal(await append(log, `${acked.length}`, acked.length), acked.length, `killed at change ${changes}: sent again, stored once`)
    await again.close()
    assert.deepEqual((await verifyPartition(log.dir)).problems, [], `killed at change ${changes}`)
    const all = [...(await folders(dirs[0])), ...(await folders(dirs[1]))]
    assert.deepEqual(all, ['t-0'], `killed at change ${changes}: one folder is left`)
    if (isWhole) break
  }
  t.diagnostic(`${kills} kills, ${resumed} moves to go on with, ${moved} done`)
  assert.ok(kills > 20 && resumed > 20 && moved > 5)
})

test('asking for where a partition is ends its move, asking for a third place begins anew', async (t) => {
  const [one, two] = await twoDirs(t)
  const three = `${two}-three`
  await mkdir(three)
  const clock = new ManualClock(nowMs)
  const manager = await open(t, [one, two, three], { clock, moveBytesPerSecond: () => 1 })
  const log = await manager.createLog('t', 0, topicId)
  await append(log, 'a')
  await append(log, 'b')
  await manager.moveLog('t', 0, two)
  assert.equal(futureIn(manager)!.logDir, two)
  await manager.moveLog('t', 0, two)
  await manager.moveLog('t', 0, three)
  assert.equal(futureIn(manager)!.logDir, three)
  clock.advance(0)
  assert.deepEqual(
    (await folders(two)).filter((name) => !name.endsWith('-delete')),
    [],
  )
  await manager.moveLog('t', 0, one)
  assert.equal(futureIn(manager), undefined)
  assert.equal(log.logDir, one)
  assert.deepEqual(await valuesIn(log), ['a', 'b'])
  await manager.deleteLogs([{ topic: 't', partition: 0 }])
})

test('a move keeps to its rate, and a change of the rate holds at once', async (t) => {
  const dirs = await twoDirs(t)
  const clock = new ManualClock(nowMs)
  let rate = 1000
  const manager = await open(t, dirs, { clock, moveBytesPerSecond: () => rate })
  const log = await manager.createLog('t', 0, topicId)
  for (let count = 0; count < 20; count++) await append(log, 'x'.repeat(930)) // about 1000 bytes each
  await manager.moveLog('t', 0, dirs[1])
  const future = futureIn(manager)!
  for (let second = 1; second <= 5; second++) {
    await until(() => future.sizeBytes >= 990 * second, `second ${second} brings a batch`)
    for (let turn = 0; turn < 1000; turn++) await new Promise((resolve) => setImmediate(resolve))
    assert.ok(future.sizeBytes <= 1100 * second, `${future.sizeBytes} bytes in second ${second}`)
    clock.advance(1100)
  }
  rate = Number.POSITIVE_INFINITY
  clock.advance(1000)
  await until(() => log.logDir === dirs[1], 'the rest goes at once')
})

test('a partition that is not here yet is made where it was asked for; what cannot be is refused in Kafka’s codes', async (t) => {
  const dirs = await twoDirs(t)
  const manager = await open(t, dirs)
  assert.equal(await manager.moveLog('later', 0, dirs[1]), false)
  assert.equal((await manager.createLog('later', 0, topicId)).logDir, dirs[1])
  const withCode = (code: number) => (error: KafkaError) => error.code === code
  await assert.rejects(manager.moveLog('later', 0, '/nowhere'), withCode(57))
  await assert.rejects(manager.moveLog('later', 0, `${dirs[1]}/`), withCode(57))
  await assert.rejects(manager.moveLog('x'.repeat(249), 0, dirs[1]), withCode(17))
})

test('L20: when the directory of the copy fails the partition stays; when its own fails a start goes on with the move', async (t) => {
  for (const broken of ['one', 'two'] as const) {
    const dirs = await twoDirs(t)
    let failing = ''
    const tracked = trackedPaths(unsyncedFileSystem)
    const fs: FileSystem = {
      ...tracked.fs,
      async write(fd, bytes, position) {
        if (failing !== '' && tracked.pathOf(fd).includes(`/${failing}/`)) throw Object.assign(new Error('EROFS'), { code: 'EROFS' })
        return unsyncedFileSystem.write(fd, bytes, position)
      },
    }
    const failures: string[] = []
    const clock = new ManualClock(nowMs)
    const manager = await open(t, dirs, { fs, clock, moveBytesPerSecond: () => 1, onDirFailure: (dir) => failures.push(dir) })
    const log = await manager.createLog('t', 0, topicId)
    await append(log, 'a')
    await append(log, 'b')
    await manager.moveLog('t', 0, dirs[1])
    failing = broken
    if (broken === 'one') await assert.rejects(append(log, 'c'), (error: KafkaError) => error.code === 56)
    for (let second = 0; second < 300; second++) clock.advance(1000)
    await until(() => futureIn(manager) === undefined, 'the move ends')
    assert.deepEqual(failures, [dirs[broken === 'one' ? 0 : 1]])
    if (broken === 'two') assert.equal(await append(log, 'c'), 2)
    await assert.rejects(
      manager.moveLog('t', 0, dirs[broken === 'one' ? 1 : 0]).then(() => manager.moveLog('t', 0, dirs[1])),
      (error: KafkaError) => error.code === 56,
    )
    assert.deepEqual((await manager.createLog('u', 0, topicId)).logDir, dirs[broken === 'one' ? 1 : 0])
    await assert.rejects(manager.createLog('v', 0, topicId, { isNew: false }), (error: KafkaError) => error.code === 56)
    failing = ''
    await manager.close()

    const again = await open(t, dirs)
    await until(() => again.getLog('t', 0)!.logDir === dirs[1], 'the move goes on after a restart')
    assert.deepEqual(await valuesIn(again.getLog('t', 0)!), broken === 'two' ? ['a', 'b', 'c'] : ['a', 'b'])
    await again.close()
  }
})

test('copies that belong to nothing are left alone: of an unknown partition, of another topic of that name, beside another copy', async (t) => {
  const dirs = await twoDirs(t)
  const manager = await open(t, dirs)
  await append(await manager.createLog('t', 0, topicId), 'a')
  await manager.close()
  const unique = (digit: string) => digit.repeat(32)
  const copies = [`gone-0.${unique('a')}-future`, `t-0.${unique('b')}-future`]
  for (const name of copies) {
    await mkdir(join(dirs[1], name))
    await writeFile(join(dirs[1], name, 'partition.metadata'), 'version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ')
  }
  const warnings: unknown[] = []
  const logger: Logger = {
    ...silentLogger,
    warn: (_message, facts) => void warnings.push((facts as { path?: string }).path),
    child: () => logger,
  }
  const again = await open(t, dirs, { logger })
  assert.equal(futureIn(again), undefined)
  assert.deepEqual(
    again.leftAlone.map(({ folder }) => folder),
    copies,
  )
  for (const name of copies) assert.ok(warnings.includes(join(dirs[1], name)))
  await again.close()
  assert.deepEqual((await folders(dirs[1])).sort(), copies)
})

test('the copy of a log that lost its unflushed end is cut back to where they agree', async (t) => {
  const dirs = await twoDirs(t)
  const clock = new ManualClock(nowMs)
  const manager = await open(t, dirs, { clock, moveBytesPerSecond: () => 1 })
  const log = await manager.createLog('t', 0, topicId)
  for (const value of ['a', 'b', 'c']) await append(log, value)
  await manager.moveLog('t', 0, dirs[1])
  const future = futureIn(manager)!
  while (future.logEndOffset < 2) {
    clock.advance(1000)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await manager.abandon()
  // The log as it was before `b` and `c`.
  await mkdir(`${dirs[0]}-older`)
  const older = await open(t, [`${dirs[0]}-older`])
  await append(await older.createLog('t', 0, topicId), 'a')
  await older.close()
  await rm(join(dirs[0], 't-0'), { recursive: true })
  await rename(join(`${dirs[0]}-older`, 't-0'), join(dirs[0], 't-0'))

  const again = await open(t, dirs, { clock, moveBytesPerSecond: () => 1 })
  assert.equal(futureIn(again)!.logEndOffset, 1)
  await append(again.getLog('t', 0)!, 'other')
  while (again.getLog('t', 0)!.logDir === dirs[0]) {
    clock.advance(1000)
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.deepEqual(await valuesIn(again.getLog('t', 0)!), ['a', 'other'])
  await again.close()
})
