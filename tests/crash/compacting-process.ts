/**
 * A process to be killed: writes every key of a compacted log again and again, a segment a round, while the log is compacted in a thread beside it.
 * It tells `begun N` ahead of round N and `acked N` behind it. Its argument is the log dir.
 */
import { seededRandom, silentLogger, systemClock, ZERO_UUID } from '@tidelog/core'
import { buildBatch } from '@tidelog/protocol'
import { LogManager, resolveLogConfig } from '@tidelog/storage'

export const keys = 60
const valueBytes = 10_000

const config = resolveLogConfig(
  new Map(Object.entries({ 'cleanup.policy': 'compact', 'min.cleanable.dirty.ratio': '0', 'segment.bytes': '2097152' })),
)

export function openCompacted(dir: string, backoffMs: number): Promise<LogManager> {
  return LogManager.open({
    dirs: [dir],
    clock: systemClock,
    random: seededRandom(process.pid),
    logger: silentLogger,
    configOf: () => config,
    cleaner: () => ({
      threads: 1,
      dedupeBufferBytes: 2 ** 21,
      loadFactor: 0.9,
      ioBufferBytes: 65_536,
      maxBytesPerSecond: Number.POSITIVE_INFINITY,
      backoffMs,
    }),
  })
}

async function work(dir: string): Promise<void> {
  const manager = await openCompacted(dir, 1)
  const log = await manager.createLog('t', 0, ZERO_UUID)
  log.updateHighWatermark(log.logEndOffset)
  const filler = 'x'.repeat(valueBytes)
  const first = Math.ceil(log.logEndOffset / keys)
  for (let round = first; ; round++) {
    process.stdout.write(`begun ${round}\n`)
    for (let key = 0; key < keys; key++) {
      const record = { key: Buffer.from(`key ${key}`), value: Buffer.from(`${round} ${filler}`), timestamp: Date.now() }
      await log.append(buildBatch([record]), { leaderEpoch: 0, origin: 'client' })
    }
    log.updateHighWatermark(log.logEndOffset)
    await log.roll()
    process.stdout.write(`acked ${round}\n`)
  }
}

const [, script, dir] = process.argv
if (dir !== undefined && script?.endsWith('compacting-process.js') === true) await work(dir)
