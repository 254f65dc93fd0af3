/**
 * How long does a broker with many partitions take to start, after a clean stop and after kill -9? Time to its first answer, and to the first
 * record that it has acknowledged.
 *
 *   npm run bench -- recovery [--runs 3] [--only clean-1000,killed-1000,clean-10000] [--cold] [--keep]
 *
 * --cold drops the page cache before each start, where that is allowed (root on Linux). --keep leaves the directories, for a profiler. Closed segments are hard links to the same few files, so that
 * ten gigabytes are made in a moment: a start reads none of them.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { copyFileSync, linkSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startBroker } from '@tidelog/broker'
import { Admin, Producer } from '@tidelog/client'
import { silentLogger, systemClock, systemRandom } from '@tidelog/core'
import { buildBatch } from '@tidelog/protocol'
import { Log, resolveLogConfig } from '@tidelog/storage'
import { root } from './support/kbench.ts'
import { answers, cpuSeconds, endProcess, mustSucceed, peakRssMiB } from './support/processes.ts'

const SEGMENT_BYTES = 1024 * 1024
const PARTITIONS_OF_A_TOPIC = 100
const PORT = 27_090

interface Scenario {
  readonly partitions: number
  readonly segments: number
  readonly batches: number
  /** kill -9 before each start: everything but the last segment of every partition had been forced to disk. */
  readonly killed: boolean
}

const scenarios: Record<string, Scenario> = {
  'clean-1000': { partitions: 1000, segments: 10, batches: 64, killed: false },
  'killed-1000': { partitions: 1000, segments: 10, batches: 64, killed: true },
  'clean-10000': { partitions: 10_000, segments: 1, batches: 1, killed: false },
}

const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    cold: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
})

const names = options.only === '' ? Object.keys(scenarios) : options.only.split(',')
console.log(
  '| scenario | first answer s | first record acked s | CPU s | peak RSS MiB | open files | stop s |\n|---|---|---|---|---|---|---|',
)
for (const name of names) {
  const scenario = scenarios[name]
  if (scenario === undefined) throw new Error(`no scenario ${name}; there are ${Object.keys(scenarios).join(', ')}`)
  const dir = mkdtempSync(join(tmpdir(), 'bench-recovery-'))
  try {
    await makeDirectory(dir, scenario)
    const runs: number[][] = []
    for (let run = 0; run < Number(options.runs); run++) {
      if (options.cold) mustSucceed('sh', ['-c', 'sync; echo 3 > /proc/sys/vm/drop_caches'])
      runs.push(await measure(dir, scenario))
    }
    const medians = runs[0]!.map((_value, column) => median(runs.map((row) => row[column]!)))
    console.log(`| ${name} | ${medians.map((value) => (Number.isNaN(value) ? '–' : value.toPrecision(3))).join(' | ')} |`)
  } finally {
    if (options.keep) console.error(`${name} is in ${dir}`)
    else rmSync(dir, { recursive: true, force: true })
  }
}

async function measure(dir: string, { killed }: Scenario): Promise<number[]> {
  const startedAt = performance.now()
  const seconds = () => (performance.now() - startedAt) / 1000
  const overrides = [`listeners=PLAINTEXT://127.0.0.1:${PORT}`, `log.dirs=${dir}`].flatMap((override) => ['--override', override])
  const broker = spawn(join(root, 'bin', 'tidelog'), ['start', ...overrides], { stdio: 'ignore' })
  const pid = broker.pid!
  try {
    while (!(await answers(PORT))) {
      if (broker.exitCode !== null) throw new Error('the broker ended before it answered')
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    const answered = seconds()
    const producer = new Producer({ bootstrapServers: `127.0.0.1:${PORT}` })
    await producer.send({ topic: 'many-0', partition: PARTITIONS_OF_A_TOPIC - 1, value: 'x' })
    const acked = seconds()
    await producer.close()
    const used = [cpuSeconds(pid), peakRssMiB(pid), readdirSync(`/proc/${pid}/fd`).length]
    const stopping = performance.now()
    if (killed) await killHard(broker)
    else await endProcess(broker)
    return [answered, acked, ...used, killed ? Number.NaN : (performance.now() - stopping) / 1000]
  } finally {
    await killHard(broker)
  }
}

async function killHard(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}

/** A log dir whose topics a broker has made, with the same segments in every partition. */
async function makeDirectory(dir: string, scenario: Scenario): Promise<void> {
  const { partitions, segments, killed } = scenario
  const broker = await startBroker({ config: { listeners: 'PLAINTEXT://127.0.0.1:0', 'log.dirs': dir }, logger: silentLogger })
  const admin = new Admin({ bootstrapServers: broker.bootstrapServers })
  const topics = Array.from({ length: partitions / PARTITIONS_OF_A_TOPIC }, (_none, index) => `many-${index}`)
  await admin.createTopics(topics.map((topic) => ({ topic, numPartitions: PARTITIONS_OF_A_TOPIC })))
  await admin.close()
  await broker.close()

  const template = mkdtempSync(join(tmpdir(), 'bench-recovery-log-'))
  try {
    const { recoveryPoint, logEndOffset } = await makeLog(join(template, 't-0'), scenario)
    const files = readdirSync(join(template, 't-0'))
    const active = files.filter((name) => name.endsWith('.log')).sort()[segments - 1]!
    const lines: { recovery: string[]; replication: string[] } = { recovery: [], replication: [] }
    for (const topic of topics) {
      for (let partition = 0; partition < PARTITIONS_OF_A_TOPIC; partition++) {
        const folder = join(dir, `${topic}-${partition}`)
        for (const name of readdirSync(folder)) if (name !== 'partition.metadata') rmSync(join(folder, name))
        for (const name of files) {
          const isShared = name.endsWith('.log') && name !== active
          const make = isShared ? linkSync : copyFileSync
          make(join(template, 't-0', name), join(folder, name))
        }
        lines.recovery.push(`${topic} ${partition} ${recoveryPoint}\n`)
        lines.replication.push(`${topic} ${partition} ${logEndOffset}\n`)
      }
    }
    for (const [name, entries] of Object.entries({ 'recovery-point': lines.recovery, replication: lines.replication })) {
      writeFileSync(join(dir, `${name}-offset-checkpoint`), `0\n${entries.length}\n${entries.join('')}`)
    }
    if (killed) rmSync(join(dir, '.kafka_cleanshutdown'))
  } finally {
    rmSync(template, { recursive: true, force: true })
  }
}

async function makeLog(dir: string, { segments, batches, killed }: Scenario): Promise<{ recoveryPoint: number; logEndOffset: number }> {
  const config = resolveLogConfig(new Map())
  const common = { topic: 't', partition: 0, config, clock: systemClock, random: systemRandom, logger: silentLogger }
  const log = await Log.open({ ...common, dir })
  const value = Buffer.alloc(1000, 'x')
  const perBatch = Math.floor(SEGMENT_BYTES / batches / 1012)
  const count = Math.max(1, segments === 1 ? 1 : perBatch)
  for (let segment = 0; segment < segments; segment++) {
    if (segment > 0) await log.roll()
    for (let batch = 0; batch < batches; batch++) {
      const records = Array.from({ length: count }, () => ({ value, timestamp: Date.now() }))
      await log.append(buildBatch(records), { leaderEpoch: 0, origin: 'client' })
    }
  }
  const { logEndOffset } = log
  const lastBase = logEndOffset - batches * count
  if (killed) await log.abandon()
  else await log.close()
  return { recoveryPoint: killed ? lastBase : logEndOffset, logEndOffset }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)]!
}
