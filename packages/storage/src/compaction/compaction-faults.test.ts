import assert from 'node:assert/strict'
import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { silentLogger } from '@tidelog/core'
import { buildEndTxnMarker } from '@tidelog/protocol'
import { crashAtEveryStep, SimDisk, unsyncedFileSystem } from '@tidelog/testkit'
import { type FileSystem, nodeFileSystem, verifyPartition, writeFileAtomically } from '../index.ts'
import {
  append,
  appendBatch,
  batchesIn,
  type CompactionBench,
  cleanerCheckpoint,
  compactionBench,
  filesIn,
  recordsIn,
  startMs,
} from './compaction-harness.test.ts'

const seeds = (process.env.SEEDS ?? '1').split(',').map(Number)
const config = { 'delete.retention.ms': '1000' }
const producer = { producerId: 9, producerEpoch: 1, isTransactional: true }
/** Two of them do not fit into one segment, so the first cleaning makes two groups. */
const filler = 'x'.repeat(3000)
const options = { config, segmentBytes: 5000 }

/** A stopped directory: keys written again and again, deleted, or aborted, over segments that become two groups. */
async function writtenDir(t: TestContext, on: { dir?: string; fs?: FileSystem } = {}): Promise<string> {
  const { dir, manager, log } = await compactionBench(t, { ...options, ...on })
  await append(log, ['deleted=1', 'a=1', `filler=${filler}`])
  await append(log, ['b=aborted'], { ...producer, baseSequence: 0 })
  await log.roll()
  await append(log, ['deleted=2', 'a=2', `filler=${filler}`])
  await appendBatch(log, buildEndTxnMarker({ ...producer, type: 'abort', coordinatorEpoch: 0, timestamp: startMs }), 'coordinator')
  await log.roll()
  await append(log, ['deleted=', 'b=2'])
  await append(log, ['a=3', 'c=1'], { producerId: 5, producerEpoch: 0, baseSequence: 0 })
  await log.roll()
  await append(log, ['c=2'])
  await log.roll()
  await append(log, ['d=1'])
  await manager.close()
  return dir
}

/** Copies a directory from one disk to another, forced to it. */
async function copyTree(from: FileSystem, to: FileSystem, path: string): Promise<void> {
  await to.makeDirectory(path)
  for (const { name, isDirectory } of await from.list(path)) {
    if (isDirectory) await copyTree(from, to, join(path, name))
    else await writeFileAtomically(to, join(path, name), await from.readFile(join(path, name)))
  }
  await to.syncDirectory(path)
}

const newest = ['6 filler', '9 b=2', '10 a=3', '12 c=2', '13 d=1']
const shown = (records: readonly string[]): string[] => records.map((text) => text.replace(`=${filler}`, ''))

/** The first cleaning marks the tombstone, the second, after its horizon, drops it. */
async function cleanTwice({ manager, log, clock }: CompactionBench): Promise<void> {
  await manager.cleanLogs()
  clock.advance(1000)
  await append(log, ['d=2'])
  await log.roll()
  await append(log, ['d=3'])
  await manager.cleanLogs()
}

test('L4, L25: killed or cut off at any step of compaction, a log has the newest record of every key, nothing deleted or aborted returns, offsets stay', async (t) => {
  const left = new Set<string>()
  const template = new SimDisk({ seed: 1 })
  await template.fs.makeDirectory('/data')
  await writtenDir(t, { dir: '/data', fs: template.fs })
  const crashes = await crashAtEveryStep(
    async (before) => {
      await copyTree(template.fs, before.fs, '/data')
      await before.fs.syncDirectory('/')
      return {
        async work({ fs }) {
          await cleanTwice(await compactionBench(t, { dir: '/data', fs, ...options }))
        },
        async check({ fs }, { change }) {
          for (const { name } of await fs.list('/data/t-0')) {
            if (/(cleaned|swap)$/.test(name)) left.add(name.replace(/^\d+/, ''))
          }
          const { log, manager, clock } = await compactionBench(t, { dir: '/data', fs, ...options })
          const found = shown(await recordsIn(log))
          for (const text of newest.slice(0, -1)) assert.ok(found.includes(text), `${text} is not among ${found}`)
          // What is left of the deleted key lies before its tombstone.
          const ofDeleted = found.filter((text) => text.includes('deleted'))
          assert.ok(ofDeleted.length === 0 || ofDeleted.at(-1) === '8 deleted=', `${ofDeleted}`)
          // Going on comes to the same end as if nothing had happened.
          for (const text of change % 4 === 0 ? ['d=4', 'd=5', 'd=6'] : []) {
            await append(log, [text])
            await log.roll()
            await manager.cleanLogs()
            clock.advance(1000)
          }
          if (change % 4 === 0) {
            const end = shown(await recordsIn(log)).filter((text) => !text.includes(' d='))
            assert.deepEqual(end, newest.slice(0, 4))
          }
          await manager.close()
          const names = (await fs.list('/data/t-0')).map(({ name }) => name)
          assert.ok(!names.some((name) => /(cleaned|swap)$/.test(name)), `${names}`)
          assert.deepEqual((await verifyPartition('/data/t-0', fs)).problems, [])
        },
      }
    },
    { seeds },
  )
  assert.ok(crashes > 200, `only ${crashes} crashes`)
  for (const name of ['.log.cleaned', '.index.cleaned', '.txnindex.cleaned', '.log.swap', '.timeindex.swap', '.txnindex.swap']) {
    assert.ok(left.has(name), `no crash left a ${name}: ${[...left]}`)
  }
})

test('L17: a disk that is full leaves the log as it is, without what was begun; when there is room again it is compacted', async (t) => {
  const dir = await writtenDir(t)
  let isFull = true
  const fs: FileSystem = {
    ...unsyncedFileSystem,
    async write(fd, bytes, position) {
      if (isFull) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
      return nodeFileSystem.write(fd, bytes, position)
    },
  }
  const { manager, log } = await compactionBench(t, { dir, ...options, fs })
  assert.equal(await manager.cleanLogs(), 0)
  assert.equal(log.isFailed, false)
  assert.ok(!(await filesIn(join(dir, 't-0'))).some((name) => name.endsWith('.cleaned')))
  isFull = false
  assert.equal(await manager.cleanLogs(), 1)
  assert.ok(shown(await recordsIn(log)).includes('10 a=3'))
})

test('L18: an fsync of a compacted segment that fails takes its directory offline; the old segments are still read', async (t) => {
  const dir = await writtenDir(t)
  const failed: string[] = []
  const fs: FileSystem = {
    ...unsyncedFileSystem,
    async sync() {
      throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })
    },
  }
  const { manager, log } = await compactionBench(t, {
    dir,
    config,
    fs,
    logger: { ...silentLogger, error: (message) => failed.push(message) },
  })
  const before = await recordsIn(log)
  assert.equal(await manager.cleanLogs(), 0)
  assert.ok(log.isFailed)
  assert.deepEqual(manager.offlineDirs, [dir])
  assert.deepEqual(await recordsIn(log), before)
})

test('L11: a damaged batch in an old segment is never written anew: the log is set aside with a line, and nothing of it is lost', async (t) => {
  const dir = await writtenDir(t)
  const path = join(dir, 't-0', '00000000000000000000.log')
  const bytes = await readFile(path)
  bytes.writeUInt8(bytes[2000]! ^ 1, 2000)
  await writeFile(path, bytes)
  const lines: string[] = []
  const { manager, log } = await compactionBench(t, {
    dir,
    ...options,
    logger: { ...silentLogger, error: (message) => lines.push(message) },
  })
  assert.equal(await manager.cleanLogs(), 0)
  assert.equal(await manager.cleanLogs(), 0)
  assert.deepEqual(lines, ['A log cannot be compacted; it is left as it is until the next start'])
  assert.equal(log.isFailed, false)
  assert.ok((await readFile(path)).equals(bytes))
  await append(log, ['e=1'])
})

test('a compaction that is under way ends when its log is closed, deleted or truncated, and leaves nothing behind', async (t) => {
  for (const how of ['close', 'deleteLogs', 'truncate'] as const) {
    const dir = await writtenDir(t)
    let reached: (() => void) | undefined
    const isWriting = new Promise<void>((resolve) => {
      reached = resolve
    })
    let release: (() => void) | undefined
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    const fs: FileSystem = {
      ...unsyncedFileSystem,
      async setModified(path, modifiedMs) {
        reached?.()
        await gate
        await nodeFileSystem.setModified(path, modifiedMs)
      },
    }
    const { manager, log } = await compactionBench(t, { dir, ...options, fs })
    const cleaning = manager.cleanLogs()
    await isWriting
    const ending =
      how === 'close' ? manager.close() : how === 'deleteLogs' ? manager.deleteLogs([{ topic: 't', partition: 0 }]) : log.truncateTo(9)
    release?.()
    await ending
    assert.equal(await cleaning, 0, how)
    if (how === 'deleteLogs') continue
    assert.ok(!(await filesIn(join(dir, 't-0'))).some((name) => /(cleaned|swap)$/.test(name)), how)
    if (how === 'truncate') {
      assert.equal(log.logEndOffset, 8)
      await manager.close()
    }
    assert.deepEqual((await verifyPartition(join(dir, 't-0'))).problems, [], how)
  }
})

test('what was compacted is compacted anew from where a truncation cut it', async (t) => {
  const { dir, manager, log } = await compactionBench(t)
  await append(log, ['a=1'])
  await log.roll()
  await append(log, ['b=1'])
  await log.roll()
  await append(log, ['c=1'])
  await manager.cleanLogs()
  assert.equal(await cleanerCheckpoint(dir), '0\n1\nt 0 2\n')
  await log.truncateTo(1)
  assert.equal(await cleanerCheckpoint(dir), '0\n1\nt 0 0\n', 'the segment that was cut is dirty')
  await append(log, ['a=2'])
  await log.roll()
  await append(log, ['c=1'])
  await manager.cleanLogs()
  assert.deepEqual(await recordsIn(log), ['1 a=2', '2 c=1'])
})

test('a log whose checkpoint lies beyond its end is compacted from its beginning', async (t) => {
  const dir = await writtenDir(t)
  await writeFile(join(dir, 'cleaner-offset-checkpoint'), '0\n1\nt 0 900\n')
  const warnings: string[] = []
  const logger = { ...silentLogger, warn: (message: string) => warnings.push(message) }
  const { manager, log } = await compactionBench(t, { dir, ...options, logger })
  assert.equal(await manager.cleanLogs(), 1)
  assert.deepEqual(warnings, ['The cleaner checkpoint is no offset of the log; all of it is cleaned anew'])
  assert.deepEqual(shown(await recordsIn(log)), ['6 filler', '8 deleted=', ...newest.slice(1)])
  assert.equal(await cleanerCheckpoint(dir), '0\n1\nt 0 13\n')
})

test('a compacted segment keeps the time of its last write, which stands in for the time of records that have none', async (t) => {
  const dir = await writtenDir(t)
  const paths = [0, 4, 8, 12].map((offset) => join(dir, 't-0', `${String(offset).padStart(20, '0')}.log`))
  for (const [index, path] of paths.entries()) await nodeFileSystem.setModified(path, startMs - 100_000 + index * 1000)
  const { manager, log } = await compactionBench(t, { dir, ...options })
  await manager.cleanLogs()
  const { mtimeMs } = await stat(join(dir, 't-0', '00000000000000000004.log'))
  assert.equal(mtimeMs, startMs - 97_000)
  assert.equal((await batchesIn(log)).length > 0, true)
})

test('L12: a transaction index that is lost, or damaged, is made anew from the batches; compaction drops what was aborted and nothing else', async (t) => {
  for (const damage of [undefined, '', 'garbage']) {
    const dir = await writtenDir(t)
    const path = join(dir, 't-0', '00000000000000000004.txnindex')
    const whole = await readFile(path)
    if (damage === undefined) await rm(path)
    else await writeFile(path, damage)
    const warnings: string[] = []
    const logger = { ...silentLogger, warn: (message: string) => void warnings.push(message) }
    const { manager, log, partitionDir } = await compactionBench(t, { dir, ...options, logger })
    if (damage === 'garbage') assert.deepEqual(await readFile(path), whole)
    assert.equal(await manager.cleanLogs(), 1, `${damage}`)
    assert.equal(warnings.filter((message) => /Rebuilding .*transaction index/.test(message)).length, 1)
    assert.deepEqual(shown(await recordsIn(log)), ['6 filler', '8 deleted=', ...newest.slice(1)])
    await manager.close()
    assert.deepEqual((await verifyPartition(partitionDir)).problems, [])
  }
})
