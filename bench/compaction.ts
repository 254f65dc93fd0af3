/** How fast is a log compacted, and what does it cost the event loop beside it? */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { seededRandom, silentLogger, systemClock, systemRandom, ZERO_UUID } from '@tidelog/core'
import { buildBatch, type CodecName, prepareCodec } from '@tidelog/protocol'
import { type CleanerSettings, LogManager, resolveLogConfig } from '@tidelog/storage'

const MEGABYTE = 1_000_000
const TOTAL_BYTES = 400 * MEGABYTE
const RECORDS_IN_BATCH = 100

const settings: CleanerSettings = {
  threads: 1,
  dedupeBufferBytes: 134_217_728,
  loadFactor: 0.9,
  ioBufferBytes: 524_288,
  maxBytesPerSecond: Number.POSITIVE_INFINITY,
  backoffMs: 3_600_000,
}

interface Workload {
  readonly name: string
  readonly valueBytes: number
  readonly keys: number
  readonly codec: CodecName
}

async function compaction({ name, valueBytes, keys, codec }: Workload): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'tidelog-bench-'))
  const config = resolveLogConfig(new Map(Object.entries({ 'cleanup.policy': 'compact', 'segment.bytes': '134217728' })))
  const manager = await LogManager.open({
    dirs: [dir],
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    configOf: () => config,
    cleaner: () => settings,
  })
  try {
    const log = await manager.createLog('bench', 0, ZERO_UUID)
    const random = seededRandom(1)
    const text = Buffer.from(Buffer.from(random.bytes(100_000)).toString('base64'))
    const anyValue = (): Buffer => {
      const at = random.int(text.length - valueBytes)
      return text.subarray(at, at + valueBytes)
    }
    const records = Math.floor(TOTAL_BYTES / (valueBytes + 30))
    for (let made = 0; made < records; made += RECORDS_IN_BATCH) {
      const batch = buildBatch(
        Array.from({ length: RECORDS_IN_BATCH }, () => ({
          key: Buffer.from(`customer-${random.int(keys)}`),
          value: anyValue(),
          timestamp: Date.now(),
        })),
        { codec },
      )
      await log.append(batch, { leaderEpoch: 0, origin: 'client' })
    }
    await log.roll()
    log.updateHighWatermark(log.logEndOffset)
    const before = log.sizeBytes
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    const cpuBefore = process.cpuUsage()
    const start = performance.now()
    await manager.cleanLogs()
    const ms = performance.now() - start
    const cpu = process.cpuUsage(cpuBefore)
    delay.disable()
    const figures = [
      `${(before / MEGABYTE).toFixed(0)} MB`,
      `${(log.sizeBytes / MEGABYTE).toFixed(0)} MB`,
      `${(before / 1000 / ms).toFixed(0)} MB/s`,
      `${(records / ms / 1000).toFixed(2)} M rec/s`,
      `${((cpu.user + cpu.system) / 1000 / (before / MEGABYTE)).toFixed(1)} ms CPU a MB`,
      `loop ${(delay.max / MEGABYTE).toFixed(0)} ms at most`,
    ]
    process.stdout.write(`${name.padEnd(44)}${figures.map((figure) => figure.padStart(20)).join('')}\n`)
  } finally {
    await manager.abandon()
    await rm(dir, { recursive: true, force: true })
  }
}

await prepareCodec('zstd')
process.stdout.write(
  `${'a log of one partition'.padEnd(44)}${['before', 'after', 'read', '', '', ''].map((title) => title.padStart(20)).join('')}\n`,
)
await compaction({ name: '1 KB, 10 of a key', valueBytes: 1000, keys: 40_000, codec: 'none' })
await compaction({ name: '1 KB, keys of their own', valueBytes: 1000, keys: 1_000_000_000, codec: 'none' })
await compaction({ name: '100 B, 10 of a key', valueBytes: 100, keys: 300_000, codec: 'none' })
await compaction({ name: '100 B, 1,000 keys', valueBytes: 100, keys: 1000, codec: 'none' })
await compaction({ name: '1 KB in lz4, 10 of a key', valueBytes: 1000, keys: 40_000, codec: 'lz4' })
await compaction({ name: '1 KB in zstd, 10 of a key', valueBytes: 1000, keys: 40_000, codec: 'zstd' })
