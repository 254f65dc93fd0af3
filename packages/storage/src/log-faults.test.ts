import assert from 'node:assert/strict'
import { appendFile, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { seededRandom, silentLogger } from '@tidelog/core'
import { buildBatch, iterateBatches, type KafkaError } from '@tidelog/protocol'
import { killedFileSystem, ManualClock, temporaryDirectory, unsyncedFileSystem, valuesIn } from '@tidelog/testkit'
import { type FileSystem, Log, type LogOptions, nodeFileSystem, resolveLogConfig, verifyPartition } from './index.ts'
import { TailCache } from './tail-cache.ts'

const nowMs = 1_700_000_000_000

async function temporaryDir(t: TestContext): Promise<string> {
  const parent = await temporaryDirectory(t)
  return join(parent, 't-0')
}

function openLog(dir: string, options: Partial<LogOptions> = {}, config: Record<string, string> = {}): Promise<Log> {
  return Log.open({
    dir,
    topic: 't',
    partition: 0,
    config: resolveLogConfig(new Map(Object.entries({ 'segment.bytes': '1048576', 'index.interval.bytes': '200', ...config }))),
    clock: new ManualClock(nowMs),
    random: seededRandom(3),
    logger: silentLogger,
    fs: unsyncedFileSystem,
    ...options,
  })
}

const batchOf = (value: string, sequence = -1): Buffer =>
  buildBatch(
    [{ value: Buffer.from(value), timestamp: nowMs }],
    sequence < 0 ? {} : { producerId: 1, producerEpoch: 0, baseSequence: sequence },
  )
const append = (log: Log, value: string, sequence = -1) => log.append(batchOf(value, sequence), { leaderEpoch: 0, origin: 'client' })

test('L1, L3: killed at any change to the disk, in appends, rolls and snapshots, a log opens with every acked record, whole and once', async (t) => {
  let kills = 0
  for (let changes = 1; ; changes++) {
    const dir = await temporaryDir(t)
    const { fs, changesDone } = killedFileSystem(changes)
    const acked: string[] = []
    let log: Log | undefined
    try {
      log = await openLog(dir, { fs })
      for (let sequence = 0; sequence < 12; sequence++) {
        const value = `value-${sequence}-${'x'.repeat(150)}`
        await append(log, value, sequence)
        acked.push(value)
        if (sequence % 5 === 4) await log.roll()
        if (sequence === 7) await log.assignLeaderEpoch(3)
      }
      await log.close()
    } catch {
      kills++
    }
    await log?.abandon()
    if (changesDone() < changes) break
    const again = await openLog(dir)
    const values = await valuesIn(again)
    assert.deepEqual(values.slice(0, acked.length), acked, `killed at change ${changes}`)
    assert.ok(values.length <= acked.length + 1, `killed at change ${changes}: an unacked record is whole or absent`)
    const next = `value-${acked.length}-${'x'.repeat(150)}`
    const { firstOffset } = await append(again, next, acked.length) // the producer sends again what was not acked
    assert.equal(firstOffset, acked.length, `killed at change ${changes}: sent again, stored once`)
    await again.close()
    assert.deepEqual((await verifyPartition(dir)).problems, [], `killed at change ${changes}`)
  }
  assert.ok(kills > 25, `only ${kills} kills`)
})

test('L2: short writes are gone on with', async (t) => {
  const dir = await temporaryDir(t)
  const fs: FileSystem = { ...unsyncedFileSystem, write: (fd, bytes, position) => nodeFileSystem.write(fd, bytes.subarray(0, 7), position) }
  const log = await openLog(dir, { fs })
  for (const value of ['a', 'b', 'c']) await append(log, value.repeat(100))
  await log.close()
  assert.deepEqual((await verifyPartition(dir)).problems, [])
  const again = await openLog(dir, { cleanShutdown: true })
  assert.deepEqual(await valuesIn(again), ['a'.repeat(100), 'b'.repeat(100), 'c'.repeat(100)])
  await again.close()
})

test('L2: a write that fails halfway is cut back to the batch before, the log refuses with KAFKA_STORAGE_ERROR and still reads', async (t) => {
  for (const failure of ['error', 'nothing written']) {
    const dir = await temporaryDir(t)
    let broken = false
    const reported: unknown[] = []
    const fs: FileSystem = {
      ...unsyncedFileSystem,
      async write(fd, bytes, position) {
        if (!broken || bytes.length < 61) return nodeFileSystem.write(fd, bytes, position)
        if (bytes.length < 100) {
          if (failure === 'error') throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
          return 0
        }
        return nodeFileSystem.write(fd, bytes.subarray(0, bytes.length - 99), position)
      },
    }
    const log = await openLog(dir, { fs, onStorageError: (error) => reported.push(error) })
    await append(log, 'kept')
    const { size } = await stat(join(dir, '00000000000000000000.log'))
    broken = true
    const results = await Promise.allSettled([append(log, 'lost'.repeat(50)), append(log, 'lost too'.repeat(50))])
    for (const result of results) assert.ok(result.status === 'rejected' && (result.reason as KafkaError).code === 56, failure)
    await assert.rejects(append(log, 'later'), (error: KafkaError) => error.code === 56)
    assert.equal(reported.length, 1)
    assert.equal((await stat(join(dir, '00000000000000000000.log'))).size, size)
    assert.deepEqual(await valuesIn(log), ['kept'])
    await assert.rejects(log.close(), (error: KafkaError) => error.code === 56)
    broken = false
    const again = await openLog(dir)
    assert.deepEqual(await valuesIn(again), ['kept'])
    await again.close()
  }
})

async function writtenLog(dir: string): Promise<string[]> {
  const log = await openLog(dir)
  const values = Array.from({ length: 9 }, (_, index) => `value-${index}`)
  for (const [index, value] of values.entries()) {
    await append(log, value)
    if (index % 3 === 2) await log.roll()
  }
  await append(log, 'tail')
  await log.close()
  return [...values, 'tail']
}

test('L1: a torn tail is cut at the first bad batch, however it is torn', async (t) => {
  const tears: Record<string, (path: string, bytes: Buffer) => Promise<void>> = {
    'one byte short': (path, bytes) => truncate(path, bytes.length - 1),
    'only a header': (path, bytes) => writeFile(path, Buffer.concat([bytes, bytes.subarray(0, 61)])),
    'a piece of a header': (path, bytes) => writeFile(path, Buffer.concat([bytes, bytes.subarray(0, 9)])),
    zeros: (path) => appendFile(path, Buffer.alloc(4096)),
    garbage: (path) => appendFile(path, Buffer.from(seededRandom(5).bytes(3000))),
    'a batch with an offset that goes back': (path, bytes) => appendFile(path, bytes),
    'a batch with a wrong checksum': async (path, bytes) => {
      const log = batchOf('never')
      log.writeBigInt64BE(10n, 0)
      log.writeUInt8(log.at(-1)! ^ 1, log.length - 1)
      await writeFile(path, Buffer.concat([bytes, log]))
    },
  }
  for (const [what, tear] of Object.entries(tears)) {
    const dir = await temporaryDir(t)
    const values = await writtenLog(dir)
    const path = join(dir, '00000000000000000009.log')
    const bytes = await readFile(path)
    await tear(path, bytes)
    const log = await openLog(dir, { recoveryPoint: 9 })
    assert.deepEqual(await valuesIn(log), what === 'one byte short' ? values.slice(0, 9) : values, what)
    await append(log, 'after')
    await log.close()
    assert.deepEqual((await verifyPartition(dir)).problems, [], what)
  }
})

test('L10: behind a damaged unflushed batch, later segments are dropped, and said so', async (t) => {
  const dir = await temporaryDir(t)
  const values = await writtenLog(dir)
  const path = join(dir, '00000000000000000003.log')
  const bytes = await readFile(path)
  bytes.writeUInt8(bytes.at(-1)! ^ 1, bytes.length - 1)
  await writeFile(path, bytes)
  const errors: string[] = []
  const log = await openLog(dir, { logger: { ...silentLogger, error: (message) => errors.push(message) } })
  assert.deepEqual(await valuesIn(log), values.slice(0, 5))
  assert.equal(errors.filter((message) => message.includes('Dropping a segment')).length, 2)
  await append(log, 'next')
  await log.close()
  assert.deepEqual((await verifyPartition(dir)).problems, [])
  assert.deepEqual(
    (await readdir(dir)).filter((name) => name.endsWith('.log')),
    ['00000000000000000000.log', '00000000000000000003.log'],
  )
})

test('L11: damage before the recovery point is not looked for; a reader of it gets CORRUPT_MESSAGE, and nothing is deleted', async (t) => {
  const dir = await temporaryDir(t)
  const values = await writtenLog(dir)
  const path = join(dir, '00000000000000000003.log')
  const bytes = await readFile(path)
  bytes.writeInt32BE(-5, 8)
  await writeFile(path, bytes)
  const log = await openLog(dir, { recoveryPoint: 10 })
  assert.equal(log.logEndOffset, 10)
  await assert.rejects(
    log.read({ startOffset: 3, maxBytes: 100, endOffset: 10, atLeastOneBatch: true }),
    (error: KafkaError) => error.code === 2,
  )
  const { records } = await log.read({ startOffset: 6, maxBytes: 10_000, endOffset: 10, atLeastOneBatch: true })
  assert.equal([...iterateBatches(records)].length, 3)
  await log.close()
  assert.ok((await readFile(path)).equals(bytes))
  assert.equal(values.length, 10)
})

test('a stop amid compaction is finished by the names it left: .cleaned and .deleted go, .swap takes the place of what it covers', async (t) => {
  const dir = await temporaryDir(t)
  const values = await writtenLog(dir)
  const compacted = Buffer.concat([
    await readFile(join(dir, '00000000000000000000.log')),
    await readFile(join(dir, '00000000000000000003.log')),
  ])
  await writeFile(join(dir, '00000000000000000000.log.swap'), compacted)
  await writeFile(join(dir, '00000000000000000006.log.cleaned'), 'half')
  await writeFile(join(dir, '00000000000000000006.index.cleaned'), 'half')
  await rm(join(dir, '00000000000000000000.log'))
  await writeFile(join(dir, '00000000000000000000.log.deleted'), 'old')
  const log = await openLog(dir)
  assert.deepEqual(await valuesIn(log), values)
  await log.close()
  assert.deepEqual((await verifyPartition(dir)).problems, [])
  assert.deepEqual(
    (await readdir(dir)).filter((name) => name.includes('.log')),
    ['00000000000000000000.log', '00000000000000000006.log', '00000000000000000009.log'],
  )
})

test('an index that is found to be wrong is made anew beside readers and writers: none of them sees a shorter log', async (t) => {
  const dir = await temporaryDir(t)
  const log = await openLog(dir)
  const values = Array.from({ length: 60 }, (_, index) => `value ${index}`)
  for (const value of values) {
    if (value === 'value 40') await log.roll()
    await append(log, value)
  }
  await log.close()
  for (const name of ['00000000000000000000.index', '00000000000000000040.index']) {
    // The entries stay in order and inside of the log, but lead behind the batches that are looked for.
    const index = await readFile(join(dir, name))
    for (let at = 8; at < index.length; at += 8) index.writeInt32BE(index.readInt32BE(0) + at / 8, at)
    await writeFile(join(dir, name), index)
  }
  const reopened = await openLog(dir, { cleanShutdown: true, tailCache: new TailCache(0) })
  const firstFrom = async (startOffset: number): Promise<string> => {
    const { records } = await reopened.read({ startOffset, maxBytes: 1, endOffset: reopened.logEndOffset, atLeastOneBatch: true })
    const [batch] = [...iterateBatches(records)]
    return batch === undefined ? 'nothing' : `value ${batch.baseOffset}`
  }
  const offsets = [6, 7, 8, 20, 46, 47, 48, 58]
  const later = Array.from({ length: 10 }, (_, index) => `later ${index}`)
  const [found] = await Promise.all([Promise.all(offsets.map(firstFrom)), ...later.map((value) => append(reopened, value))])
  assert.deepEqual(
    found,
    offsets.map((offset) => `value ${offset}`),
  )
  assert.deepEqual(await valuesIn(reopened), [...values, ...later])
  await reopened.close()
  assert.deepEqual((await verifyPartition(dir)).problems, [])
})
