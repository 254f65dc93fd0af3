import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Random, randomUuid, seededRandom, silentLogger } from '@tidelog/core'
import { buildBatch } from '@tidelog/protocol'
import { ManualClock, SimDisk, valuesIn } from '@tidelog/testkit'
import { type FileSystem, type Log, LogManager, resolveLogConfig, verifyPartition } from './index.ts'
import { TailCache } from './tail-cache.ts'

const nowMs = 1_700_000_000_000
const firstSeed = Number(process.env.SEED ?? 1)
const rounds = Number(process.env.ROUNDS ?? 30)
const topicId = randomUuid(seededRandom(1))

/** What one partition may hold after a power cut, by what was done to it. */
class Expected {
  /** Records at every offset that was given out and not cut off, as they were sent. */
  readonly values: string[] = []
  /** Everything before it was forced to disk. */
  flushedTo = 0
  /** Everything before it was deleted, for good. */
  startsAt = 0
  /** The same if a deletion that was under way had come to its end. */
  mayStartAt = 0
  /** A truncation to this offset was under way; what was behind it may be there or not. */
  mayEndAt = Number.POSITIVE_INFINITY
}

class Round {
  readonly seed: number
  readonly #random: Random
  readonly #config: ReturnType<typeof resolveLogConfig>
  readonly #isFlushing: boolean
  readonly #clock = new ManualClock(nowMs)
  readonly expected = new Expected()
  #epoch = 0
  #sent = 0
  #disk: SimDisk
  cuts = 0

  constructor(seed: number) {
    this.seed = seed
    this.#random = seededRandom(seed)
    this.#isFlushing = this.#random.int(3) === 0
    const settings = { 'segment.index.bytes': '400', 'index.interval.bytes': '200', 'retention.bytes': '3000' }
    this.#config = resolveLogConfig(new Map(Object.entries(this.#isFlushing ? { ...settings, 'flush.messages': '1' } : settings)))
    this.#disk = new SimDisk({ seed })
  }

  /** Works on the log until the power fails in some change to the disk, looks at what is left, and goes on with that, a few times. */
  async run(): Promise<void> {
    await this.#disk.fs.makeDirectory('/data')
    await this.#disk.fs.syncDirectory('/')
    for (let cut = 0; cut < 3; cut++) {
      this.#disk = this.#disk.kill({ seed: this.seed * 10 + cut, diesAt: 1 + this.#random.int(120) })
      try {
        await this.#work()
      } catch (error) {
        if (!this.#disk.isDead) throw error
      }
      this.#disk = this.#disk.powerCut({ seed: this.seed * 10 + cut + 5 })
      this.cuts++
      await this.#check()
    }
  }

  #open(fs: FileSystem): Promise<LogManager> {
    const settings = () => ({ retentionCheckIntervalMs: Number.POSITIVE_INFINITY }) // it is one of the steps here
    const memory = { tailCache: new TailCache(0) }
    const options = {
      settings,
      dirs: ['/data'],
      clock: this.#clock,
      random: this.#random,
      logger: silentLogger,
      fs,
      finishDeletions: true,
      ...memory,
    }
    return LogManager.open({ ...options, configOf: () => this.#config })
  }

  async #work(): Promise<void> {
    const { expected } = this
    const manager = await this.#open(this.#disk.fs)
    const log = manager.getLog('t', 0) ?? (await manager.createLog('t', 0, topicId))
    log.updateHighWatermark(log.logEndOffset)
    for (let step = 0; step < 60; step++) {
      switch (this.#random.int(14)) {
        case 0:
          await log.roll()
          break
        case 1:
          await this.#flush(log)
          break
        case 2:
          await manager.checkpointRecoveryPoints()
          break
        case 3:
          await manager.checkpointLogStarts()
          await manager.checkpointHighWatermarks()
          break
        case 4:
          if (log.highWatermark > log.logStartOffset) {
            expected.mayStartAt = log.logStartOffset + this.#random.int(log.highWatermark - log.logStartOffset)
            await log.deleteRecords(expected.mayStartAt)
            expected.startsAt = log.logStartOffset
          }
          break
        case 5:
          expected.mayStartAt = log.logEndOffset
          await log.applyRetention()
          expected.startsAt = log.logStartOffset
          expected.mayStartAt = log.logStartOffset
          break
        case 6:
          if (this.#random.int(2) === 0 && log.logEndOffset > log.logStartOffset + 1) await this.#truncate(log)
          break
        case 7:
          await log.assignLeaderEpoch(++this.#epoch)
          break
        case 8:
          this.#clock.advance(30_000)
          break
        default:
          await this.#append(log, 1 + this.#random.int(3))
      }
    }
    await manager.close()
    if (!this.#disk.isDead) expected.flushedTo = expected.values.length
  }

  async #flush(log: Log): Promise<void> {
    await log.flush()
    this.expected.flushedTo = this.expected.values.length
  }

  async #append(log: Log, count: number): Promise<void> {
    const { values } = this.expected
    const appends = Array.from({ length: count }, () => {
      const records = Array.from({ length: 1 + this.#random.int(3) }, () => {
        const value = `${this.#sent++} ${'x'.repeat(this.#random.int(700))}`
        values.push(value)
        return { value: Buffer.from(value), timestamp: nowMs + this.#sent }
      })
      const end = values.length
      return log.append(buildBatch(records), { leaderEpoch: this.#epoch, origin: 'client' }).then(({ lastOffset }) => {
        assert.equal(lastOffset, end - 1)
        if (this.#isFlushing) this.expected.flushedTo = Math.max(this.expected.flushedTo, end)
      })
    })
    await Promise.all(appends)
    log.updateHighWatermark(log.logEndOffset)
  }

  async #truncate(log: Log): Promise<void> {
    const { expected } = this
    const offset = log.logStartOffset + 1 + this.#random.int(log.logEndOffset - log.logStartOffset - 1)
    expected.mayEndAt = offset
    await log.truncateTo(offset)
    expected.startsAt = Math.min(expected.startsAt, log.logStartOffset) // the batch that held it went as a whole
    expected.values.length = log.logEndOffset
    expected.flushedTo = Math.min(expected.flushedTo, log.logEndOffset)
    expected.mayEndAt = Number.POSITIVE_INFINITY
  }

  async #check(): Promise<void> {
    const { expected } = this
    const { fs } = this.#disk
    const manager = await this.#open(fs)
    assert.deepEqual(manager.broken, [])
    const log = manager.getLog('t', 0) ?? (await manager.createLog('t', 0, topicId))
    const { logStartOffset, logEndOffset } = log
    const range = `${logStartOffset} to ${logEndOffset}`
    // A truncation that was under way cuts whole batches: up to two records more.
    const mayEndAt = expected.mayEndAt - 2
    assert.ok(logEndOffset >= Math.min(expected.flushedTo, mayEndAt), `${range}, flushed to ${expected.flushedTo}`)
    assert.ok(logEndOffset <= Math.max(expected.values.length, logStartOffset), `${range}, only ${expected.values.length} were sent`)
    assert.ok(logStartOffset >= Math.min(expected.startsAt, mayEndAt), `${range}, deleted up to ${expected.startsAt}`)
    assert.ok(logStartOffset <= Math.max(expected.startsAt, expected.mayStartAt), `${range}, deleted only up to ${expected.mayStartAt}`)
    assert.deepEqual(await valuesIn(log), expected.values.slice(logStartOffset, logEndOffset))
    await manager.close()
    assert.deepEqual((await verifyPartition('/data/t-0', fs)).problems, [])
    // What is there now is what counts from here on, and was forced to disk by the close.
    expected.values.length = Math.min(expected.values.length, logEndOffset)
    while (expected.values.length < logEndOffset) expected.values.push('')
    expected.flushedTo = logEndOffset
    expected.startsAt = logStartOffset
    expected.mayStartAt = logStartOffset
    expected.mayEndAt = Number.POSITIVE_INFINITY
    this.#epoch = Math.max(this.#epoch, log.latestEpoch)
  }
}

test(`L25: whatever a power cut takes, what was forced to disk is there, in order, whole, and nothing else comes back (SEED=${firstSeed}, ROUNDS=${rounds})`, async (t) => {
  let cuts = 0
  for (let seed = firstSeed; seed < firstSeed + rounds; seed++) {
    const round = new Round(seed)
    try {
      await round.run()
    } catch (error) {
      throw new Error(`SEED=${seed} ROUNDS=1: ${error instanceof Error ? error.message : error}`, { cause: error })
    }
    cuts += round.cuts
  }
  t.diagnostic(`${cuts} power cuts`)
})
