import assert from 'node:assert/strict'
import { test } from 'node:test'
import { randomUuid, seededRandom, silentLogger } from '@tidelog/core'
import { buildBatch } from '@tidelog/protocol'
import { type Crash, crashAtEveryStep, ManualClock, type SimDisk, valuesIn } from '@tidelog/testkit'
import { type FileSystem, type Log, LogManager, resolveLogConfig, verifyPartition } from './index.ts'
import { TailCache } from './tail-cache.ts'

const nowMs = 1_700_000_000_000
const topicId = randomUuid(seededRandom(1))
const seeds = (process.env.SEEDS ?? '1').split(',').map(Number)

interface Opened {
  readonly manager: LogManager
  readonly clock: ManualClock
}

async function openManager(fs: FileSystem, config: Record<string, string> = {}): Promise<Opened> {
  const clock = new ManualClock(nowMs)
  const resolved = resolveLogConfig(new Map(Object.entries({ 'segment.index.bytes': '400', 'index.interval.bytes': '200', ...config })))
  const options = {
    dirs: ['/data'],
    clock,
    random: seededRandom(3),
    logger: silentLogger,
    fs,
    finishDeletions: true,
    tailCache: new TailCache(0),
  }
  return { manager: await LogManager.open({ ...options, configOf: () => resolved }), clock }
}

/** A disk with the directory of a broker that has been here before. */
async function formatted(disk: SimDisk): Promise<void> {
  await disk.fs.makeDirectory('/data')
  await disk.fs.syncDirectory('/')
}

const valueFor = (number: number): string => `value-${number}-${'x'.repeat(100)}`

function append(log: Log, number: number): Promise<unknown> {
  const record = { value: Buffer.from(valueFor(number)), timestamp: nowMs }
  return log.append(buildBatch([record], { producerId: 1, producerEpoch: 0, baseSequence: number }), { leaderEpoch: 0, origin: 'client' })
}

async function appendAll(log: Log, from: number, to: number): Promise<void> {
  for (let number = from; number < to; number++) await append(log, number)
  log.updateHighWatermark(to)
}

/**
 * The log of t-0 after a crash: it opens, holds `values 0 to n` with `atLeast <= n <= atMost` from its start on, takes the next record, and is found sound
 * after a clean stop. Undefined when there is no such log, which only nothing to lose excuses.
 */
async function assertSound(
  fs: FileSystem,
  { atLeast, atMost, config = {} }: { atLeast: number; atMost: number; config?: Record<string, string> },
): Promise<{ logStartOffset: number; logEndOffset: number } | undefined> {
  const { manager } = await openManager(fs, config)
  assert.deepEqual(manager.broken, [])
  const log = manager.getLog('t', 0)
  if (log === undefined) {
    assert.equal(atLeast, 0, 'the log is gone')
    return undefined
  }
  const { logStartOffset, logEndOffset } = log
  assert.ok(logEndOffset >= atLeast && logEndOffset <= atMost, `ends at ${logEndOffset}, not within ${atLeast} and ${atMost}`)
  assert.deepEqual(
    await valuesIn(log),
    Array.from({ length: logEndOffset - logStartOffset }, (_, index) => valueFor(logStartOffset + index)),
  )
  await append(log, logEndOffset) // the next in the producer's order: it is known how far that producer came
  await manager.close()
  assert.deepEqual((await verifyPartition('/data/t-0', fs)).problems, [])
  const again = await openManager(fs, config)
  assert.equal(again.manager.getLog('t', 0)!.logEndOffset, logEndOffset + 1)
  assert.equal(again.manager.getLog('t', 0)!.logStartOffset, logStartOffset)
  await again.manager.close()
  return { logStartOffset, logEndOffset }
}

test('L1, L3: killed or cut off at any change of appends and rolls, a log has what was acked, or forced to disk, and ends behind a whole batch', async () => {
  const crashes = await crashAtEveryStep(
    async (disk) => {
      await formatted(disk)
      let acked = 0
      let flushed = 0
      return {
        async work(dying) {
          const { manager } = await openManager(dying.fs)
          const log = await manager.createLog('t', 0, topicId)
          for (let number = 0; number < 12; number++) {
            await append(log, number)
            acked = number + 1
            if (number % 4 === 3) await log.roll()
            if (number === 5) await log.assignLeaderEpoch(3)
            if (number % 5 === 4) {
              await log.flush()
              flushed = acked
            }
          }
          await manager.close()
          if (!dying.isDead) flushed = acked
        },
        check: async ({ fs }, { kind }: Crash) => {
          await assertSound(fs, { atLeast: kind === 'kill' ? acked : flushed, atMost: acked + 1 })
        },
      }
    },
    { seeds },
  )
  assert.ok(crashes > 100, `${crashes} crashes`)
})

test('L1, L25: with flush.messages=1 a power cut takes no record that was acked', async () => {
  const config = { 'flush.messages': '1' }
  await crashAtEveryStep(
    async (disk) => {
      await formatted(disk)
      let acked = 0
      return {
        async work({ fs }) {
          const { manager } = await openManager(fs, config)
          const log = await manager.createLog('t', 0, topicId)
          for (let round = 0; round < 5; round++) {
            await Promise.all(
              [0, 1, 2].map(async (index) => {
                await append(log, round * 3 + index)
                acked++
              }),
            )
            if (round % 2 === 1) await log.roll()
          }
        },
        check: async ({ fs }) => {
          await assertSound(fs, { atLeast: acked, atMost: acked + 3, config })
        },
      }
    },
    { seeds },
  )
})

test('L6: records that DeleteRecords has removed do not come back after any crash, and none behind them is lost', async () => {
  await crashAtEveryStep(
    async (disk) => {
      await formatted(disk)
      const { manager } = await openManager(disk.fs)
      const log = await manager.createLog('t', 0, topicId)
      for (let number = 0; number < 12; number += 3) {
        await appendAll(log, number, number + 3)
        await log.roll()
      }
      await log.flush()
      let deletedTo = 0
      return {
        async work({ fs }) {
          const opened = await openManager(fs)
          const log = opened.manager.getLog('t', 0)!
          log.updateHighWatermark(12)
          for (const offset of [4, 6, 11]) {
            await log.deleteRecords(offset)
            deletedTo = offset
            opened.clock.advance(60_000) // the deleted files go, and checkpoints are written
            for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
          }
        },
        check: async ({ fs }) => {
          const found = await assertSound(fs, { atLeast: 12, atMost: 12 })
          assert.ok(found!.logStartOffset >= deletedTo, `starts at ${found!.logStartOffset}, deleted up to ${deletedTo}`)
        },
      }
    },
    { seeds },
  )
})

test('L6: segments that retention has removed do not come back after any crash, and the records it keeps stay', async () => {
  const config = { 'retention.bytes': '700' }
  await crashAtEveryStep(
    async (disk) => {
      await formatted(disk)
      const { manager } = await openManager(disk.fs, config)
      const log = await manager.createLog('t', 0, topicId)
      for (let number = 0; number < 15; number += 3) {
        await appendAll(log, number, number + 3)
        await log.roll()
      }
      await log.flush()
      let removedTo = 0
      return {
        async work(dying) {
          const { manager, clock } = await openManager(dying.fs, config)
          const log = manager.getLog('t', 0)!
          log.updateHighWatermark(15)
          await manager.applyRetention()
          if (dying.isDead) return
          removedTo = log.logStartOffset
          assert.ok(removedTo > 3 && removedTo < 15)
          await manager.checkpointLogStarts()
          clock.advance(60_000)
          for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
        },
        check: async ({ fs }) => {
          const found = await assertSound(fs, { atLeast: 15, atMost: 15, config: { 'retention.bytes': '-1' } })
          assert.ok(
            found!.logStartOffset >= removedTo && found!.logStartOffset < 15,
            `starts at ${found!.logStartOffset}, not ${removedTo}`,
          )
        },
      }
    },
    { seeds },
  )
})

test('L6: a topic that was deleted stays so after any crash, its folder is removed by the next start, a new one of its name begins empty', async () => {
  await crashAtEveryStep(
    async (disk) => {
      await formatted(disk)
      const { manager } = await openManager(disk.fs)
      const log = await manager.createLog('t', 0, topicId)
      await appendAll(log, 0, 6)
      await log.deleteRecords(2)
      await manager.close()
      let isDeleted = false
      let remade = 0
      return {
        async work({ fs }) {
          const { manager, clock } = await openManager(fs)
          for (const error of (await manager.deleteLogs([{ topic: 't', partition: 0 }])).values()) throw error
          isDeleted = true
          const log = await manager.createLog('t', 0, randomUuid(seededRandom(9)))
          assert.equal(log.logEndOffset, 0)
          await append(log, 0)
          await log.flush()
          remade = 1
          clock.advance(60_000)
          for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
        },
        check: async ({ fs }) => {
          const { manager, clock } = await openManager(fs)
          const log = manager.getLog('t', 0)
          const expected = !isDeleted ? ['2 to 6', 'no log'] : remade === 1 ? ['0 to 1'] : ['0 to 0', '0 to 1', 'no log']
          const found = log === undefined ? 'no log' : `${log.logStartOffset} to ${log.logEndOffset}`
          assert.ok(expected.includes(found), `found ${found}, not ${expected.join(' or ')}`)
          clock.advance(1)
          for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
          await manager.close()
          const left = (await fs.list('/data')).filter(({ name }) => name.endsWith('-delete'))
          assert.deepEqual(left, [])
        },
      }
    },
    { seeds },
  )
})

test('L7: a checkpoint is the old or the new one after a crash at any change of its writing', async () => {
  const names = ['recovery-point', 'replication', 'log-start'].map((name) => `${name}-offset-checkpoint`)
  await crashAtEveryStep(
    async (disk) => {
      await formatted(disk)
      const { manager } = await openManager(disk.fs)
      const log = await manager.createLog('t', 0, topicId)
      await appendAll(log, 0, 4)
      await log.deleteRecords(1)
      await manager.close()
      return {
        async work({ fs }) {
          const { manager } = await openManager(fs)
          const log = manager.getLog('t', 0)!
          await appendAll(log, 4, 8)
          await log.flush()
          await log.deleteRecords(6)
          await manager.checkpointRecoveryPoints()
          await manager.checkpointHighWatermarks()
          await manager.close()
        },
        check: async ({ fs }) => {
          const texts = await Promise.all(names.map(async (name) => String(await fs.readFile(`/data/${name}`))))
          assert.match(texts[0]!, /^0\n1\nt 0 [478]\n$/)
          assert.match(texts[1]!, /^0\n1\nt 0 [48]\n$/)
          assert.match(texts[2]!, /^0\n1\nt 0 [16]\n$/)
          if ((await fs.stat('/data/.kafka_cleanshutdown')) !== undefined) {
            assert.equal(String(await fs.readFile('/data/.kafka_cleanshutdown')), '{"version":0,"brokerEpoch":-1}')
          }
          await assertSound(fs, { atLeast: 4, atMost: 8 })
        },
      }
    },
    { seeds },
  )
})

test('a log that is cut stays cut after any crash: what is written behind the cut is never mixed with what was there', async () => {
  await crashAtEveryStep(
    async (disk) => {
      await formatted(disk)
      const { manager } = await openManager(disk.fs)
      const log = await manager.createLog('t', 0, topicId)
      const old = (number: number) =>
        log.append(buildBatch([{ value: Buffer.from(`old-${number}-${'x'.repeat(100)}`), timestamp: nowMs }]), {
          leaderEpoch: number < 6 ? 0 : 1,
          origin: 'client',
        })
      for (let number = 0; number < 12; number++) {
        await old(number)
        if (number % 4 === 3) await log.roll()
      }
      await log.flush()
      await manager.checkpointRecoveryPoints()
      let isCut = false
      let isFlushed = false
      return {
        async work({ fs }) {
          const { manager } = await openManager(fs)
          const log = manager.getLog('t', 0)!
          await log.truncateTo(5)
          isCut = true
          for (let number = 5; number < 10; number++) {
            const batch = buildBatch([{ value: Buffer.from(`new-${number}-${'x'.repeat(100)}`), timestamp: nowMs }])
            await log.append(batch, { leaderEpoch: 2, origin: 'client' })
            if (number === 7) await log.roll()
          }
          await log.flush()
          isFlushed = true
        },
        check: async ({ fs }) => {
          const { manager } = await openManager(fs)
          const log = manager.getLog('t', 0)!
          const values = (await valuesIn(log)).map((value) => value.slice(0, 3))
          const kinds = values.filter((value, index) => value !== values[index - 1]).join(' ')
          assert.match(kinds, isCut ? /^old( new)?$/ : /^old$/)
          if (isCut) assert.ok(values.filter((value) => value === 'old').length <= 5, values.join(' '))
          assert.ok(values.length >= (isFlushed ? 10 : 5), values.join(' '))
          if (values.includes('new')) assert.deepEqual(log.endOffsetForEpoch(1), { epoch: 0, endOffset: 5 })
          await manager.close()
          assert.deepEqual((await verifyPartition('/data/t-0', fs)).problems, [])
        },
      }
    },
    { seeds },
  )
})
