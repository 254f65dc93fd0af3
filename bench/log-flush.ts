/** What does it cost to have every append on disk before it is answered (flush.messages=1), and how much does group commit save? */

import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { silentLogger, systemClock, systemRandom } from '@tidelog/core'
import { buildBatch } from '@tidelog/protocol'
import { type FileSystem, Log, nodeFileSystem, resolveLogConfig } from '@tidelog/storage'

const SECONDS = Number(process.argv[2] ?? 3)
/** On a disk: /tmp may be memory. */
const parent = process.argv[3] ?? process.cwd()

async function measure(producers: number, config: Record<string, string>): Promise<void> {
  const dir = await mkdtemp(join(parent, '.bench-log-flush-'))
  let syncs = 0
  const fs: FileSystem = {
    ...nodeFileSystem,
    sync: (fd) => {
      syncs++
      return nodeFileSystem.sync(fd)
    },
  }
  const resolved = resolveLogConfig(new Map(Object.entries(config)))
  const options = { topic: 'bench', partition: 0, config: resolved, clock: systemClock, random: systemRandom, logger: silentLogger, fs }
  const log = await Log.open({ ...options, dir: join(dir, 'bench-0') })
  try {
    const batch = buildBatch([{ value: Buffer.alloc(1000, 'x'), timestamp: Date.now() }])
    const times: number[] = []
    const end = performance.now() + SECONDS * 1000
    const producer = async (): Promise<void> => {
      while (performance.now() < end) {
        const start = performance.now()
        await log.append(batch, { leaderEpoch: 0, origin: 'client' })
        times.push(performance.now() - start)
      }
    }
    syncs = 0
    await Promise.all(Array.from({ length: producers }, producer))
    times.sort((first, second) => first - second)
    const at = (share: number): string => `${times[Math.floor(times.length * share)]!.toFixed(2)} ms`
    const name = Object.entries(config).map(([key, value]) => `${key}=${value}`)
    process.stdout.write(
      `${[`${producers} producers`, ...name].join(', ').padEnd(40)}${(times.length / SECONDS).toFixed(0).padStart(8)} appends/s` +
        `${(syncs / SECONDS).toFixed(0).padStart(8)} fsyncs/s   p50 ${at(0.5)}   p99 ${at(0.99)}\n`,
    )
  } finally {
    await log.abandon()
    await rm(dir, { recursive: true, force: true })
  }
}

for (const config of [{ 'flush.messages': '1' }, {}] as Record<string, string>[]) {
  for (const producers of [1, 16, 64]) await measure(producers, config)
}
