/** How fast does one core append to logs and read them, and what does it cost to write on the event loop instead of aside? */

import { ftruncateSync, writeSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger, systemClock, systemRandom } from '@tidelog/core'
import { batchHeader, buildBatch } from '@tidelog/protocol'
import { type FileSystem, Log, nodeFileSystem, resolveLogConfig } from '@tidelog/storage'

const TOTAL_BYTES = 200_000_000
const LATENCY_ROUNDS = 3000

/** The same disk, written on the event loop. */
const synchronous: FileSystem = {
  ...nodeFileSystem,
  write: async (fd, bytes, position) => writeSync(fd, bytes, 0, bytes.length, position),
  truncate: async (fd, sizeBytes) => ftruncateSync(fd, sizeBytes),
}

const batchOf = (batchBytes: number): Buffer => {
  const value = Buffer.alloc(Math.min(1000, batchBytes - 70), 'x')
  const count = Math.max(1, Math.floor((batchBytes - 61) / (value.length + 10)))
  return buildBatch(Array.from({ length: count }, (_, index) => ({ value, timestamp: Date.now() + index })))
}

async function withLogs(fs: FileSystem, partitions: number, use: (logs: Log[]) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'tidelog-bench-'))
  try {
    const config = resolveLogConfig(new Map())
    const logs: Log[] = []
    for (let partition = 0; partition < partitions; partition++) {
      const options = { topic: 'bench', partition, config, clock: systemClock, random: systemRandom, logger: silentLogger, fs }
      logs.push(await Log.open({ ...options, dir: join(dir, `bench-${partition}`) }))
    }
    await use(logs)
    for (const log of logs) await log.abandon()
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

function line(what: string, ...figures: string[]): void {
  process.stdout.write(`${what.padEnd(62)}${figures.map((figure) => figure.padStart(16)).join('')}\n`)
}

async function throughput(how: string, fs: FileSystem, partitions: number, batchBytes: number, inFlight: number): Promise<void> {
  await withLogs(fs, partitions, async (logs) => {
    const batch = batchOf(batchBytes)
    const rounds = Math.min(100_000, Math.floor(TOTAL_BYTES / batch.length))
    let next = 0
    const cpuBefore = process.cpuUsage()
    const start = performance.now()
    const producer = async (): Promise<void> => {
      while (next < rounds) await logs[next++ % partitions]!.append(batch, { leaderEpoch: 0, origin: 'client' })
    }
    await Promise.all(Array.from({ length: inFlight }, producer))
    const ms = performance.now() - start
    const cpu = process.cpuUsage(cpuBefore)
    const records = rounds * batchHeader.recordsCount(batch, 0)
    line(
      `append ${how}, ${partitions} partitions, ${batch.length} B, ${inFlight} in flight`,
      `${((rounds * batch.length) / 1000 / ms).toFixed(0)} MB/s`,
      `${(rounds / ms).toFixed(1)} k batches/s`,
      `${(records / ms / 1000).toFixed(2)} M rec/s`,
      `${((cpu.user + cpu.system) / rounds).toFixed(1)} us cpu each`,
    )
  })
}

async function latency(how: string, fs: FileSystem, batchBytes: number): Promise<void> {
  await withLogs(fs, 1, async ([log]) => {
    const batch = batchOf(batchBytes)
    const times: number[] = []
    for (let round = 0; round < LATENCY_ROUNDS; round++) {
      const start = performance.now()
      await log!.append(batch, { leaderEpoch: 0, origin: 'client' })
      times.push((performance.now() - start) * 1000)
    }
    times.sort((first, second) => first - second)
    const at = (share: number): string => `${times[Math.floor(times.length * share)]!.toFixed(0)} us`
    line(`append ${how}, one at a time, ${batch.length} B`, `p50 ${at(0.5)}`, `p99 ${at(0.99)}`, `p99.9 ${at(0.999)}`)
  })
}

async function reads(batchBytes: number): Promise<void> {
  await withLogs(nodeFileSystem, 1, async ([log]) => {
    const batch = batchOf(batchBytes)
    for (let round = 0; round < 100_000_000 / batch.length; round++) {
      const appended = log!.append(batch, { leaderEpoch: 0, origin: 'client' })
      if (round % 32 === 0) await appended
    }
    await log!.flush()
    const start = performance.now()
    let bytes = 0
    let calls = 0
    for (let startOffset = 0; startOffset < log!.logEndOffset; calls++) {
      const { records } = await log!.read({ startOffset, maxBytes: 1_048_576, endOffset: log!.logEndOffset, atLeastOneBatch: true })
      bytes += records.length
      startOffset += (records.length / batch.length) * batchHeader.recordsCount(batch, 0)
    }
    const ms = performance.now() - start
    line(
      `read from the start, 1 MiB a call, ${batch.length} B`,
      `${(bytes / 1000 / ms).toFixed(0)} MB/s`,
      `${((ms * 1000) / calls).toFixed(0)} us a call`,
    )
  })
}

for (const [how, fs] of [
  ['aside', nodeFileSystem],
  ['on the loop', synchronous],
] as const) {
  await latency(how, fs, 1100)
  await latency(how, fs, 16_000)
  await throughput(how, fs, 1, 1100, 1000)
  await throughput(how, fs, 1, 16_000, 100)
  await throughput(how, fs, 10, 16_000, 100)
  await throughput(how, fs, 1, 900_000, 10)
}
await reads(16_000)
