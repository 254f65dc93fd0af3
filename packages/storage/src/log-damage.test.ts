import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Logger, randomUuid, seededRandom, silentLogger } from '@tidelog/core'
import { buildBatch, iterateBatches } from '@tidelog/protocol'
import { ManualClock, SimDisk, valuesIn } from '@tidelog/testkit'
import { writeFileAtomically } from './file-system.ts'
import { type FileSystem, type Log, LogManager, resolveLogConfig, verifyPartition } from './index.ts'
import { TailCache } from './tail-cache.ts'

const nowMs = 1_700_000_000_000

function openManager(fs: FileSystem, { dirs = ['/data'], logger = silentLogger }: { dirs?: string[]; logger?: Logger } = {}) {
  const resolved = resolveLogConfig(new Map(Object.entries({ 'segment.index.bytes': '400', 'index.interval.bytes': '200' })))
  const options = { dirs, clock: new ManualClock(nowMs), random: seededRandom(3), logger, fs, tailCache: new TailCache(0) }
  return LogManager.open({ ...options, configOf: () => resolved })
}

const append = (log: Log, value: string) =>
  log.append(buildBatch([{ value: Buffer.from(value), timestamp: nowMs }]), { leaderEpoch: 0, origin: 'client' })

/** A disk with t-0: the values 0 to 8 in three segments of three, closed in order when asked. */
async function written({ close = true } = {}): Promise<SimDisk> {
  const disk = new SimDisk({ seed: 1 })
  await disk.fs.makeDirectory('/data')
  const manager = await openManager(disk.fs)
  const log = await manager.createLog('t', 0, randomUuid(seededRandom(1)))
  for (let number = 0; number < 9; number++) {
    await append(log, `value ${number}`)
    if (number % 3 === 2 && number < 8) await log.roll()
  }
  if (close) await manager.close()
  return disk
}

const values = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, index) => `value ${from + index}`)
const segmentPath = (baseOffset: number): string => `/data/t-0/${String(baseOffset).padStart(20, '0')}.log`

async function overwrite(fs: FileSystem, path: string, change: (bytes: Buffer) => Buffer): Promise<void> {
  const bytes = change(await fs.readFile(path))
  const fd = await fs.open(path, 'replace')
  await fs.write(fd, bytes, 0)
  await fs.close(fd)
}

/** Flips one bit, counted in bytes from the end when negative. */
const flip =
  (at: number) =>
  (bytes: Buffer): Buffer => {
    const place = at < 0 ? bytes.length + at : at
    bytes.writeUInt8(bytes.readUInt8(place) ^ 4, place)
    return bytes
  }

test('L9: the mark of a clean stop is gone before anything is written, so that an unclean stop behind it is not taken for a clean one', async () => {
  const disk = await written()
  assert.notEqual(await disk.fs.stat('/data/.kafka_cleanshutdown'), undefined)
  const manager = await openManager(disk.fs)
  assert.equal(await disk.fs.stat('/data/.kafka_cleanshutdown'), undefined)
  await append(manager.getLog('t', 0)!, 'value 9')
  // Cut off right here, with a torn tail: without the mark, and only so, the log is checked.
  const { fs } = disk.kill()
  await overwrite(fs, segmentPath(6), (bytes) => bytes.subarray(0, bytes.length - 5))
  const again = await openManager(fs)
  assert.deepEqual(await valuesIn(again.getLog('t', 0)!), values(0, 9))
  await again.close()
  assert.deepEqual((await verifyPartition('/data/t-0', fs)).problems, [])
})

test('L10: behind missing offsets everything goes, unless compaction left them out, under whichever policy the topic is now', async () => {
  for (const [cleaned, expected] of [
    [undefined, values(0, 3)],
    [6, [...values(0, 3), ...values(6, 9)]],
    [3, values(0, 3)],
  ] as const) {
    const { fs } = (await written({ close: false })).kill()
    await overwrite(fs, segmentPath(3), () => Buffer.alloc(0))
    await writeFileAtomically(fs, '/data/recovery-point-offset-checkpoint', '0\n1\nt 0 0\n')
    if (cleaned !== undefined) await writeFileAtomically(fs, '/data/cleaner-offset-checkpoint', `0\n1\nt 0 ${cleaned}\n`)
    const manager = await openManager(fs)
    assert.deepEqual(await valuesIn(manager.getLog('t', 0)!), expected, `compacted up to ${cleaned}`)
    const lastBytes = (await (await written()).fs.stat(segmentPath(6)))!.sizeBytes
    const isLost = expected.length === 3
    assert.deepEqual(manager.recoveryCuts, { logs: isLost ? 1 : 0, bytes: isLost ? lastBytes : 0 }, `compacted up to ${cleaned}`)
    await manager.close()
  }
})

test('L9: a directory whose disk failed, or with a log that could not be closed, is not marked as cleanly stopped; the others are', async () => {
  const disk = new SimDisk({
    seed: 1,
    onChange({ kind, path }) {
      if (kind === 'write' && path.startsWith('/one/') && path.endsWith('.log')) throw Object.assign(new Error('EIO'), { code: 'EIO' })
    },
  })
  const dirs = ['/one', '/two']
  for (const dir of dirs) await disk.fs.makeDirectory(dir)
  const manager = await openManager(disk.fs, { dirs })
  for (const topic of ['a', 'b']) {
    const log = await manager.createLog(topic, 0, randomUuid(seededRandom(1)))
    await append(log, 'x').catch(() => {})
  }
  assert.deepEqual(manager.offlineDirs, ['/one'])
  await manager.close()
  assert.equal(await disk.fs.stat('/one/.kafka_cleanshutdown'), undefined)
  assert.notEqual(await disk.fs.stat('/two/.kafka_cleanshutdown'), undefined)
})

test('L10: a bit that flipped in the unflushed tail, or a part of it that is gone, cuts the log before its batch, with a line that counts the bytes', async () => {
  for (const [damage, kept] of [
    [flip(-1), 8],
    [flip(20), 6],
    [(bytes: Buffer) => bytes.subarray(0, bytes.length - 1), 8],
    [(bytes: Buffer) => bytes.subarray(0, 30), 6],
  ] as const) {
    const { fs } = (await written({ close: false })).kill()
    const sizeBytes = (await fs.stat(segmentPath(6)))!.sizeBytes
    await overwrite(fs, segmentPath(6), damage)
    const lines: Record<string, unknown>[] = []
    const logger: Logger = {
      ...silentLogger,
      warn: (message, fields = {}) => void (/Cut the damaged end/.test(message) && lines.push(fields)),
    }
    const manager = await openManager(fs, { logger })
    const log = manager.getLog('t', 0)!
    assert.deepEqual(await valuesIn(log), values(0, kept))
    assert.equal(lines.length, 1)
    assert.ok((lines[0]!.cutBytes as number) > 0 && (lines[0]!.cutBytes as number) <= sizeBytes)
    assert.deepEqual(manager.recoveryCuts, { logs: 1, bytes: lines[0]!.cutBytes })
    await append(log, `value ${kept}`)
    await manager.close()
    assert.deepEqual((await verifyPartition('/data/t-0', fs)).problems, [])
  }
})

test('L11: a bit that flipped in an old segment: in a header its reader gets CORRUPT_MESSAGE, in a value the batch with its checksum, which tells; the verifier finds both, nothing is deleted', async () => {
  for (const [at, isHeader] of [
    [10, true], // in the batch's length
    [-1, false],
  ] as const) {
    const { fs } = await written()
    await overwrite(fs, segmentPath(3), flip(at))
    const damaged = await fs.readFile(segmentPath(3))
    const manager = await openManager(fs)
    const log = manager.getLog('t', 0)!
    const read = (startOffset: number) => log.read({ startOffset, maxBytes: 10_000, endOffset: 9, atLeastOneBatch: true })
    if (isHeader) await assert.rejects(read(3), { code: 2 })
    else
      assert.deepEqual(
        [...iterateBatches((await read(3)).records)].map(({ isCrcValid }) => isCrcValid),
        [true, true, false],
      )
    assert.deepEqual(await valuesIn(log, 0, 3), values(0, 3))
    assert.deepEqual(await valuesIn(log, 6, 9), values(6, 9))
    await append(log, 'value 9')
    await manager.close()
    assert.deepEqual(await fs.readFile(segmentPath(3)), damaged)
    const { problems } = await verifyPartition('/data/t-0', fs)
    assert.ok(
      problems.some((problem) => problem.startsWith(segmentPath(3))),
      problems.join(', '),
    )
  }
})
