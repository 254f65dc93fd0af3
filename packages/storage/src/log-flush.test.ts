import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildBatch } from '@tidelog/protocol'
import { temporaryLog, unsyncedFileSystem } from '@tidelog/testkit'
import type { AppendResult, FileSystem, Log } from './index.ts'

const append = (log: Log, value: string): Promise<AppendResult> =>
  log.append(buildBatch([{ value: Buffer.from(value), timestamp: 1_700_000_000_000 }]), { leaderEpoch: 0, origin: 'client' })

/** A disk whose syncs of one kind can be held up. */
function slowFileSystem(kind: 'sync' | 'syncDirectory') {
  const held: (() => void)[] = []
  let isHolding = false
  const wait = (): Promise<void> => (isHolding ? new Promise((resolve) => held.push(resolve)) : Promise.resolve())
  const fs: FileSystem = { ...unsyncedFileSystem, [kind]: wait }
  return {
    fs,
    hold: () => {
      isHolding = true
    },
    async reached() {
      while (held.length === 0) await new Promise(setImmediate)
    },
    release() {
      isHolding = false
      for (const resolve of held.splice(0)) resolve()
    },
  }
}

test('with flush.messages=1 no append is answered before the name of its new segment is on disk, whoever forces it there', async (t) => {
  const disk = slowFileSystem('syncDirectory')
  const { log } = await temporaryLog(t, { 'flush.messages': '1' }, { fs: disk.fs })
  await append(log, 'a')
  disk.hold()
  await log.roll()
  await disk.reached() // the closed segment is on disk, and its flush sees to the names
  let isAnswered = false
  const answered = append(log, 'b').then(() => {
    isAnswered = true
  })
  while (log.logEndOffset < 2) await new Promise(setImmediate)
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
  assert.equal(isAnswered, false)
  disk.release()
  await answered
  assert.equal(log.recoveryPoint, 2)
})

test('appends that come during an fsync share the next one, and are answered behind it', async (t) => {
  let syncs = 0
  const disk = slowFileSystem('sync')
  const fs: FileSystem = { ...disk.fs, sync: (fd) => disk.fs.sync(fd).then(() => void syncs++) }
  const { log } = await temporaryLog(t, { 'flush.messages': '1' }, { fs })
  await append(log, 'a')
  const before = syncs
  disk.hold()
  const first = append(log, 'b')
  await disk.reached()
  const recoveryPoints: number[] = []
  const rest = Array.from({ length: 64 }, async (_, index) => {
    await append(log, `value ${index}`)
    recoveryPoints.push(log.recoveryPoint)
  })
  disk.release()
  await Promise.all([first, ...rest])
  assert.equal(syncs - before, 2)
  assert.deepEqual(new Set(recoveryPoints), new Set([66]))
})

test('more than one write is made of what waits, and one fsync serves them all', async (t) => {
  let syncs = 0
  const fs: FileSystem = { ...unsyncedFileSystem, sync: async () => void syncs++ }
  const { log } = await temporaryLog(t, { 'flush.messages': '1', 'max.message.bytes': '2000000' }, { fs })
  const value = 'x'.repeat(1_500_000)
  await Promise.all(Array.from({ length: 6 }, () => append(log, value))) // 4 MiB go into one write
  assert.deepEqual([syncs, log.recoveryPoint], [1, 6])
})

test('with flush.messages=N the log is forced to disk by every N-th record; with flush.ms when the oldest of the others is as old', async (t) => {
  let syncs = 0
  const fs: FileSystem = { ...unsyncedFileSystem, sync: async () => void syncs++ }
  const { log, clock } = await temporaryLog(t, { 'flush.messages': '3', 'flush.ms': '1000' }, { fs })
  const seen: number[] = []
  for (let record = 0; record < 7; record++) {
    await append(log, `value ${record}`)
    seen.push(log.recoveryPoint)
  }
  assert.deepEqual(seen, [0, 0, 3, 3, 3, 6, 6])
  const before = syncs
  clock.advance(999)
  await new Promise(setImmediate)
  assert.equal(syncs, before)
  clock.advance(1)
  while (log.recoveryPoint < 7) await new Promise(setImmediate)
  assert.equal(syncs, before + 1)
  clock.advance(5000)
  await new Promise(setImmediate)
  assert.equal(syncs, before + 1, 'nothing is left to force')
})

test('a log whose flush.ms is the default, never, holds no timer once it is written to', async (t) => {
  const { log, clock } = await temporaryLog(t)
  await append(log, 'value')
  assert.equal(clock.pendingTimers, 0)
})

test('what is written after a truncation does not count as flushed by a flush that began before it', async (t) => {
  const disk = slowFileSystem('sync')
  const { log } = await temporaryLog(t, {}, { fs: disk.fs })
  for (const value of ['a', 'b', 'c']) await append(log, value)
  disk.hold()
  await log.roll()
  await disk.reached()
  const truncated = log.truncateTo(1)
  for (const value of ['B', 'C', 'D']) void append(log, value)
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
  disk.release()
  await truncated
  await append(log, 'E')
  await new Promise(setImmediate)
  assert.equal(log.recoveryPoint, 1)
  assert.equal(log.logEndOffset, 5)
})

test('L18: after an unclean stop, what lies behind the recovery point is written again and forced, where acks wait for fsync; else it is left', async (t) => {
  for (const [config, isWrittenAgain] of [
    [{ 'flush.messages': '1' }, true],
    [{ 'flush.ms': '60000' }, true],
    [{}, false],
  ] as const) {
    const { log, reopen } = await temporaryLog(t, config)
    await append(log, 'a')
    const position = log.sizeBytes
    await append(log, 'b')
    await log.roll()
    await append(log, 'c')
    const bytes = [log.sizeBytes - 2 * position, position]
    await log.abandon()
    const written: [position: number, bytes: number][] = []
    let synced = 0
    const logs = new Set<number>()
    const fs: FileSystem = {
      ...unsyncedFileSystem,
      async open(path, mode) {
        const fd = await unsyncedFileSystem.open(path, mode)
        if (path.endsWith('.log')) logs.add(fd)
        else logs.delete(fd)
        return fd
      },
      async write(fd, chunk, at) {
        if (logs.has(fd)) written.push([at, chunk.length])
        return unsyncedFileSystem.write(fd, chunk, at)
      },
      async sync(fd) {
        if (logs.has(fd)) synced = written.length
      },
    }
    const again = await reopen({ fs, recoveryPoint: 1 })
    assert.equal(again.logEndOffset, 3)
    const expected = [
      [position, bytes[0]],
      [0, bytes[1]],
    ]
    assert.deepEqual(written, isWrittenAgain ? expected : [])
    assert.equal(synced, written.length)
    await again.abandon()
  }
})

test('a truncation into a batch takes the recovery point back to where that began, for it goes as a whole', async (t) => {
  const { log } = await temporaryLog(t)
  await append(log, 'a')
  const two = ['b', 'c'].map((value) => ({ value: Buffer.from(value), timestamp: 1_700_000_000_000 }))
  await log.append(buildBatch(two), { leaderEpoch: 0, origin: 'client' })
  await log.flush()
  await log.truncateTo(2)
  assert.deepEqual([log.logEndOffset, log.recoveryPoint], [1, 1])
})
