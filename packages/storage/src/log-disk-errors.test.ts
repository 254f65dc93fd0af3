import assert from 'node:assert/strict'
import { test } from 'node:test'
import { randomUuid, seededRandom, silentLogger } from '@tidelog/core'
import { buildBatch, type KafkaError } from '@tidelog/protocol'
import { type DiskChange, ManualClock, SimDisk, valuesIn } from '@tidelog/testkit'
import { type FileSystem, type Log, LogManager, type LogManagerOptions, resolveLogConfig, verifyPartition } from './index.ts'
import { TailCache } from './tail-cache.ts'

const nowMs = 1_700_000_000_000
const names = ['a', 'b'] as const

interface Opened {
  readonly manager: LogManager
  readonly failures: { dir: string; isLast: boolean }[]
}

async function openManager(
  fs: FileSystem,
  config: Record<string, string> = {},
  dirs = ['/data'],
  options: Partial<LogManagerOptions> = {},
): Promise<Opened> {
  const resolved = resolveLogConfig(new Map(Object.entries({ 'segment.index.bytes': '400', 'index.interval.bytes': '200', ...config })))
  const failures: Opened['failures'] = []
  const manager = await LogManager.open({
    dirs,
    clock: new ManualClock(nowMs),
    random: seededRandom(3),
    logger: silentLogger,
    fs,
    configOf: () => resolved,
    tailCache: new TailCache(0), // what is read comes from the disk
    onDirFailure: (dir, _error, isLast) => failures.push({ dir, isLast }),
    ...options,
  })
  return { manager, failures }
}

const valueFor = (number: number): string => `value-${number}-${'x'.repeat(100)}`

function append(log: Log, number: number): Promise<unknown> {
  const record = { value: Buffer.from(valueFor(number)), timestamp: nowMs }
  return log.append(buildBatch([record], { producerId: 1, producerEpoch: 0, baseSequence: number }), { leaderEpoch: 0, origin: 'client' })
}

/** Lets everything that is under way in memory come to its end. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await new Promise(setImmediate)
}

/** Two logs under load with everything that writes or forces: appends, rolls, flushes, checkpoints, DeleteRecords. Errors are looked at by the caller. */
async function work({ manager }: Opened, onAck: (name: string, number: number) => void): Promise<void> {
  const tolerating = (work: Promise<unknown>): Promise<void> =>
    work.then(
      () => {},
      (error: KafkaError) => assert.equal(error.code, 56, `${error}`),
    )
  for (const name of names) await tolerating(manager.createLog(name, 0, randomUuid(seededRandom(1))))
  for (let number = 0; number < 8; number++) {
    for (const name of names) {
      const log = manager.getLog(name, 0)
      if (log === undefined) continue
      await tolerating(append(log, number).then(() => onAck(name, number)))
      log.updateHighWatermark(log.logEndOffset)
      if (number % 3 === 2) await tolerating(log.roll())
      if (number === 4) await tolerating(log.flush())
      if (number === 6) await tolerating(log.deleteRecords(Math.min(4, log.highWatermark)))
    }
    if (number === 5) await manager.checkpointRecoveryPoints()
    if (number === 5) await manager.checkpointHighWatermarks()
  }
  await settled()
}

async function assertAcked(disk: SimDisk, acked: ReadonlyMap<string, number>): Promise<void> {
  const { manager } = await openManager(disk.fs)
  assert.deepEqual(manager.broken, [])
  for (const [name, count] of acked) {
    const log = manager.getLog(name, 0)!
    const values = await valuesIn(log)
    const expected = Array.from({ length: log.logEndOffset - log.logStartOffset }, (_, index) => valueFor(log.logStartOffset + index))
    assert.deepEqual(values, expected)
    assert.ok(log.logEndOffset >= count, `${name} ends at ${log.logEndOffset}, ${count} were acked`)
  }
  await manager.close()
  for (const name of acked.keys()) assert.deepEqual((await verifyPartition(`/data/${name}-0`, disk.fs)).problems, [])
}

test('L18: an fsync that fails once takes its directory offline for good: none is tried again there, nothing is acked any more, what was acked is on disk', async () => {
  let failures = 0
  for (let failing = 1; ; failing++) {
    let syncs = 0
    let failedAt: DiskChange | undefined
    let isArmed = false
    const disk = new SimDisk({
      seed: failing,
      onChange(change) {
        if (!isArmed || (change.kind !== 'sync' && change.kind !== 'syncDirectory')) return
        assert.equal(failedAt, undefined, `${change.kind} of ${change.path} after that of ${failedAt?.path} failed`)
        if (++syncs !== failing) return
        failedAt = change
        throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' })
      },
    })
    await disk.fs.makeDirectory('/data')
    await disk.fs.syncDirectory('/')
    const opened = await openManager(disk.fs, { 'flush.messages': '1' })
    isArmed = true
    const acked = new Map<string, number>()
    await work(opened, (name, number) => {
      assert.equal(failedAt, undefined, `acked after fsync of ${failedAt?.path} failed`)
      acked.set(name, number + 1)
    })
    if (failedAt === undefined) break
    failures++
    const what = `${failedAt.kind} of ${failedAt.path}, the ${failing}th`
    assert.deepEqual(opened.failures, [{ dir: '/data', isLast: true }], what)
    assert.deepEqual(opened.manager.offlineDirs, ['/data'], what)
    await opened.manager.close()
    assert.equal(await disk.fs.stat('/data/.kafka_cleanshutdown'), undefined, `${what}: closed as if all were well`)
    // What the failed fsync was to save is dropped by the kernel: it is not on the disk that is read next.
    await assertAcked(disk.powerCut({ seed: failing }), acked)
  }
  assert.ok(failures > 30, `only ${failures} failures`)
})

test('L18: of two directories only the one whose fsync failed goes offline; the other is served', async () => {
  let isFailing = false
  const disk = new SimDisk({
    seed: 1,
    onChange({ kind, path }) {
      if (isFailing && kind === 'sync' && path.startsWith('/one/')) throw Object.assign(new Error('EIO'), { code: 'EIO' })
    },
  })
  for (const dir of ['/one', '/two']) await disk.fs.makeDirectory(dir)
  const { manager, failures } = await openManager(disk.fs, { 'flush.messages': '1' }, ['/one', '/two'])
  const logs = []
  for (const name of ['a', 'b', 'c', 'd']) logs.push(await manager.createLog(name, 0, randomUuid(seededRandom(1))))
  const [failed, alsoThere] = logs.filter(({ logDir }) => logDir === '/one')
  const [elsewhere] = logs.filter(({ logDir }) => logDir === '/two')
  isFailing = true
  await assert.rejects(append(failed!, 0), { code: 56 })
  isFailing = false
  await assert.rejects(append(failed!, 0), { code: 56 })
  await assert.rejects(append(alsoThere!, 0), { code: 56 })
  await append(elsewhere!, 0)
  assert.deepEqual(failures, [{ dir: '/one', isLast: false }])
  const { logDir } = await manager.createLog('e', 0, randomUuid(seededRandom(1)))
  assert.equal(logDir, '/two')
  await manager.close()
  assert.equal(await disk.fs.stat('/one/.kafka_cleanshutdown'), undefined)
  assert.notEqual(await disk.fs.stat('/two/.kafka_cleanshutdown'), undefined)
})

/** A disk that has no room any more from its n-th growth on; the write that finds that out is done in half. */
function filling(disk: SimDisk, room: number): { fs: FileSystem; growths: () => number } {
  let growths = 0
  const grow = (): void => {
    if (++growths > room) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
  }
  const fs: FileSystem = {
    ...disk.fs,
    async open(path, mode) {
      if (mode !== 'read' && (await disk.fs.stat(path)) === undefined) grow()
      return disk.fs.open(path, mode)
    },
    async write(fd, bytes, position) {
      if (growths === room && bytes.length > 1) {
        growths++
        return disk.fs.write(fd, bytes.subarray(0, bytes.length >> 1), position)
      }
      grow()
      return disk.fs.write(fd, bytes, position)
    },
    async makeDirectory(path) {
      if ((await disk.fs.stat(path)) === undefined) grow()
      return disk.fs.makeDirectory(path)
    },
  }
  return { fs, growths: () => growths }
}

test('L17: whatever finds the disk full, an append, a roll, an index, a checkpoint, a snapshot: 56, no torn batch stays, reads go on, a restart loses nothing', async () => {
  let fills = 0
  for (let room = 0; ; room += 2) {
    const disk = new SimDisk({ seed: room })
    await disk.fs.makeDirectory('/data')
    await openManager(disk.fs).then(({ manager }) => manager.close())
    const { fs, growths } = filling(disk, room)
    const acked = new Map<string, number>()
    const opened = await openManager(fs).catch((error: unknown) => {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC')
    })
    if (opened !== undefined) {
      await work(opened, (name, number) => acked.set(name, number + 1))
      if (growths() <= room) break
      fills++
      assert.deepEqual(opened.manager.offlineDirs, ['/data'])
      for (const [name, count] of acked) {
        const log: Log = opened.manager.getLog(name, 0)!
        await assert.rejects(append(log, count), { code: 56 })
        assert.equal((await valuesIn(log, log.logStartOffset, count)).length, count - log.logStartOffset, 'reads go on')
        for (const { name: file } of await fs.list(`/data/${name}-0`)) {
          if (file.endsWith('.log')) await assertWholeBatches(fs, `/data/${name}-0/${file}`)
        }
      }
      await opened.manager.close()
    }
    // Started on the full disk: it may not come up whole, but takes nothing away.
    const full = filling(disk, 0).fs
    const again = await openManager(full).catch(() => undefined)
    await again?.manager.close()
    await assertAcked(disk.kill(), acked)
  }
  assert.ok(fills > 30, `full only ${fills} times`)
})

async function assertWholeBatches(fs: FileSystem, path: string): Promise<void> {
  const bytes = await fs.readFile(path)
  let at = 0
  while (at < bytes.length) at += 12 + bytes.readInt32BE(at + 8)
  assert.equal(at, bytes.length, `${path} ends inside a batch`)
}

/** `/one` and `/two`, each with two logs of three segments, some of it not forced to disk. */
async function twoDirsStopped(): Promise<{ disk: SimDisk; inOne: string[] }> {
  const disk = new SimDisk({ seed: 1 })
  for (const dir of ['/one', '/two']) await disk.fs.makeDirectory(dir)
  const { manager } = await openManager(disk.fs, { 'flush.messages': '3' }, ['/one', '/two'])
  const inOne: string[] = []
  for (const name of ['a', 'b', 'c', 'd']) {
    const log = await manager.createLog(name, 0, randomUuid(seededRandom(1)))
    if (log.logDir === '/one') inOne.push(name)
    for (let number = 0; number < 8; number++) {
      await append(log, number)
      if (number % 3 === 2) await log.roll()
    }
  }
  await settled()
  return { disk: disk.kill(), inOne }
}

test('L17, L18: whatever the disk refuses while a log is opened takes its whole directory offline, the other one is served; repaired, it has lost nothing', async () => {
  let failures = 0
  for (let failing = 1; ; failing++) {
    const { disk: before, inOne } = await twoDirsStopped()
    let changes = 0
    let isArmed = true
    const disk = before.kill({
      onChange({ path }) {
        if (!isArmed || !path.startsWith('/one') || ++changes < failing) return
        const code = failing % 2 === 0 ? 'ENOSPC' : 'EIO'
        throw Object.assign(new Error(code), { code })
      },
    })
    const { manager, failures: reported } = await openManager(disk.fs, { 'flush.messages': '3' }, ['/one', '/two'], {
      finishDeletions: true,
    })
    if (changes < failing) {
      await manager.abandon()
      break
    }
    failures++
    assert.deepEqual([manager.offlineDirs, manager.broken, reported], [['/one'], [], []], `change ${failing}`)
    assert.deepEqual(
      [...manager.logs()].map(({ name }) => name).sort(),
      ['a', 'b', 'c', 'd'].filter((name) => !inOne.includes(name)).map((name) => `${name}-0`),
    )
    for (const log of manager.logs()) {
      await append(log, 8)
      assert.equal((await valuesIn(log)).length, 9)
    }
    await assert.rejects(manager.createLog(inOne[0]!, 0, randomUuid(seededRandom(1)), { isNew: false }), { code: 56 })
    assert.equal((await manager.createLog('e', 0, randomUuid(seededRandom(2)))).logDir, '/two')
    await manager.close()
    assert.equal(await disk.fs.stat('/one/.kafka_cleanshutdown'), undefined)

    isArmed = false
    const { manager: again } = await openManager(disk.kill().fs, {}, ['/one', '/two'])
    assert.deepEqual([again.offlineDirs, again.broken], [[], []])
    for (const log of again.logs()) {
      const expected = log.topic === 'e' ? 0 : inOne.includes(log.topic) ? 8 : 9
      assert.equal((await valuesIn(log)).length, expected, `${log.name} after change ${failing}`)
    }
    await again.close()
  }
  assert.ok(failures > 15, `only ${failures} failures`)
})

test('L17, L18: no start comes of a log whose opening fails in the only directory, nor in one that is being taken over', async () => {
  for (const [dirs, options] of [
    [['/one'], { finishDeletions: true }],
    [['/one', '/two'], { finishDeletions: false }],
  ] as const) {
    const { disk: before } = await twoDirsStopped()
    const disk = before.kill({
      onChange({ path }) {
        if (path.startsWith('/one/') && path.endsWith('index')) throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' })
      },
    })
    await assert.rejects(openManager(disk.fs, {}, [...dirs], options), /^LogDirRefusedError: \/one cannot be used as a log dir: ENOSPC/)
  }
})

test('L17: a partition whose folder cannot be made goes into the next directory, and the one that took none is offline', async () => {
  const disk = new SimDisk({
    seed: 1,
    onChange({ kind, path }) {
      if (kind === 'makeDirectory' && path.startsWith('/one/')) throw Object.assign(new Error('EROFS'), { code: 'EROFS' })
    },
  })
  for (const dir of ['/one', '/two']) await disk.fs.makeDirectory(dir)
  const { manager, failures } = await openManager(disk.fs, {}, ['/one', '/two'])
  const logs = await Promise.all(names.map((name) => manager.createLog(name, 0, randomUuid(seededRandom(1)), { makesFiles: true })))
  for (const [index, log] of logs.entries()) {
    assert.equal(log.logDir, '/two')
    assert.equal(manager.getLog(names[index]!, 0), log)
    await append(log, 0)
  }
  assert.deepEqual(failures, [{ dir: '/one', isLast: false }])
  await manager.close()
  assert.deepEqual(
    (await disk.fs.list('/one')).filter(({ isDirectory }) => isDirectory),
    [],
  )
})

test('L19: a segment that cannot be read is 56 for who reads there; its other segments, other partitions and appends are served', async () => {
  for (const code of ['EIO', 'EACCES'] as const) {
    const disk = new SimDisk({ seed: 1 })
    await disk.fs.makeDirectory('/data')
    const writer = await openManager(disk.fs)
    for (const name of names) {
      const log = await writer.manager.createLog(name, 0, randomUuid(seededRandom(1)))
      for (let number = 0; number < 6; number++) {
        await append(log, number)
        if (number % 2 === 1) await log.roll()
      }
    }
    await writer.manager.close()
    const failed = '/data/a-0/00000000000000000002.log'
    const unreadable = new Set<number>()
    const error = (): Error => Object.assign(new Error(`${code}: ${failed}`), { code })
    const fs: FileSystem = {
      ...disk.fs,
      async open(path, mode) {
        if (path === failed && code === 'EACCES') throw error()
        const fd = await disk.fs.open(path, mode)
        if (path === failed) unreadable.add(fd)
        return fd
      },
      async read(fd, into, position) {
        if (unreadable.has(fd)) throw error()
        return disk.fs.read(fd, into, position)
      },
    }
    const { manager, failures } = await openManager(fs)
    const [a, b] = names.map((name) => manager.getLog(name, 0)!)
    for (const log of [a!, b!]) log.updateHighWatermark(6)
    await assert.rejects(a!.read({ startOffset: 2, maxBytes: 1000, endOffset: 6, atLeastOneBatch: true }), { code: 56 })
    assert.deepEqual(await valuesIn(a!, 4), [4, 5].map(valueFor), code)
    assert.deepEqual(await valuesIn(a!, 0, 2), [0, 1].map(valueFor), code)
    assert.equal((await valuesIn(b!)).length, 6)
    await append(a!, 6)
    await append(b!, 6)
    assert.deepEqual(failures, [])
    await manager.close()
  }
})
