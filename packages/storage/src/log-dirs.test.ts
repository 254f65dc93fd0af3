import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { seededRandom, silentLogger } from '@tidelog/core'
import { buildBatch, type KafkaError } from '@tidelog/protocol'
import { killedFileSystem, ManualClock, temporaryDirectory, trackedPaths, unsyncedFileSystem } from '@tidelog/testkit'
import { type FileSystem, type Log, LogDirs, LogManager, resolveLogConfig } from './index.ts'
import { readOffsetCheckpoint, writeOffsetCheckpoint } from './offset-checkpoint.ts'

const random = seededRandom(7)

test('L22: a directory that another process works in is refused; kill -9 frees it though .lock stays', async (t) => {
  const dir = await temporaryDirectory(t)
  const options = { dirs: [dir], clock: new ManualClock(), random, logger: silentLogger }
  const holder = `
    import { LogDirs } from ${JSON.stringify(new URL('./index.js', import.meta.url).href)}
    await LogDirs.open({ dirs: [${JSON.stringify(dir)}], clock: { now: Date.now }, random: undefined, logger: undefined })
    console.log('held')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', holder], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  await assert.rejects(LogDirs.open(options), /is in use: another broker/)
  child.kill('SIGKILL')
  await once(child, 'exit')
  assert.equal((await readFile(join(dir, '.lock'))).length, 0)
  const dirs = await LogDirs.open(options)
  dirs.close()
})

test('a directory whose disk fails goes offline with all its logs; the other one serves on; without any left the broker is told so', async (t) => {
  const dirs = [await temporaryDirectory(t), await temporaryDirectory(t)]
  const broken = new Set<string>()
  const tracked = trackedPaths(unsyncedFileSystem)
  const fs: FileSystem = {
    ...tracked.fs,
    async write(fd, bytes, position) {
      const path = tracked.pathOf(fd)
      if ([...broken].some((dir) => path.startsWith(dir))) throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })
      return unsyncedFileSystem.write(fd, bytes, position)
    },
  }
  const failures: [string, boolean][] = []
  const manager = await LogManager.open({
    dirs,
    fs,
    clock: new ManualClock(),
    random,
    logger: silentLogger,
    configOf: () => resolveLogConfig(new Map()),
    onDirFailure: (dir, _error, isLast) => failures.push([dir, isLast]),
  })
  const logs: Log[] = []
  for (let partition = 0; partition < 4; partition++) logs.push(await manager.createLog('t', partition, 'IWDGM3MXGj4XlcG1EmWZ4w'))
  const append = (index: number) =>
    logs[index]!.append(buildBatch([{ value: Buffer.from('x'), timestamp: 1_700_000_000_000 }]), { leaderEpoch: 0, origin: 'client' })
  for (let index = 0; index < 4; index++) await append(index)
  const isStorageError = (error: KafkaError): boolean => error.code === 56

  broken.add(logs[0]!.logDir)
  await assert.rejects(append(0), isStorageError)
  for (const [index, log] of logs.entries()) {
    if (log.logDir === logs[0]!.logDir) await assert.rejects(append(index), isStorageError)
    else await append(index)
  }
  assert.deepEqual(failures, [[logs[0]!.logDir, false]])
  const fresh = await manager.createLog('u', 0, 'IWDGM3MXGj4XlcG1EmWZ4w')
  assert.notEqual(fresh.logDir, logs[0]!.logDir)

  broken.add(fresh.logDir)
  const doomed = await manager.createLog('v', 0, 'IWDGM3MXGj4XlcG1EmWZ4w') // its files are yet to be made
  await assert.rejects(doomed.make(), isStorageError)
  assert.deepEqual(failures[1], [fresh.logDir, true])
  await assert.rejects(manager.createLog('w', 0, 'IWDGM3MXGj4XlcG1EmWZ4w'), isStorageError)
  await manager.close()
  for (const dir of dirs) await assert.rejects(readFile(join(dir, '.kafka_cleanshutdown')), { code: 'ENOENT' })
})

test('a checkpoint that is killed while it is written is the old or the new one', async (t) => {
  const before = [{ topic: 'a', partition: 0, offset: 1 }]
  const after = [...before, { topic: 'b-c', partition: 12, offset: Number.MAX_SAFE_INTEGER }]
  for (let changes = 1; ; changes++) {
    const dir = await temporaryDirectory(t)
    await writeOffsetCheckpoint(unsyncedFileSystem, dir, 'recovery-point', before)
    const { fs, changesDone } = killedFileSystem(changes)
    await writeOffsetCheckpoint(fs, dir, 'recovery-point', after).catch(() => {})
    const found = await readOffsetCheckpoint(unsyncedFileSystem, dir, 'recovery-point', silentLogger)
    const entries = [...found!.values()]
    assert.deepEqual(entries, changesDone() < changes ? after : before)
    if (changesDone() < changes) break
  }
})

test('partitions that are in two directories are refused, for which one is right must not be guessed', async (t) => {
  const dirs = [await temporaryDirectory(t), await temporaryDirectory(t)]
  const options = { clock: new ManualClock(), random, logger: silentLogger, configOf: () => resolveLogConfig(new Map()) }
  for (const dir of dirs) {
    const manager = await LogManager.open({ ...options, dirs: [dir] })
    await manager.createLog('t', 0, 'IWDGM3MXGj4XlcG1EmWZ4w')
    await manager.close()
  }
  await assert.rejects(LogManager.open({ ...options, dirs }), /t-0 is in both/)
})
