/**
 * What do Node's Kafka clients cost, ours among them? Each under the same load, against the same broker, in one run; only the ratios mean anything.
 *
 *   npm run bench -- clients [--only produce-100b,…] [--clients ours,kafkajs,…] [--brokers ours,kafka] [--runs 3] [--part 1] [--json FILE]
 *
 * Needs a C++ compiler once, for node-rdkafka; Java 17 and Maven for Apache Kafka. `--part 0.1` sends a tenth of the records, to try it out.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Admin, Producer } from '@tidelog/client'
import { clientNames } from './clients/adapters.ts'
import { withBroker } from './support/brokers.ts'
import { cacheDir } from './support/kbench.ts'
import { mustSucceed } from './support/processes.ts'

interface Workload {
  readonly mode: string
  readonly bytes: number
  readonly records: number
  /** For those that do not get far: as many as they manage in a bearable time. */
  readonly recordsOf?: Readonly<Record<string, number>>
  readonly clients?: readonly string[]
}

const readers = ['ours', 'kafkajs', 'platformatic', 'node-rdkafka']

const workloads: Record<string, Workload> = {
  'produce-100b': { mode: 'produce', bytes: 100, records: 2_000_000 },
  'produce-1k': { mode: 'produce', bytes: 1024, records: 2_000_000, clients: ['ours', 'ours-defaults', 'kafkajs', 'platformatic'] },
  // The two that make a request of each call hold up to a gigabyte of them.
  singles: { mode: 'singles', bytes: 100, records: 2_000_000, recordsOf: { kafkajs: 20_000, platformatic: 50_000 } },
  // Waits for 5 ms of linger each time.
  awaited: { mode: 'awaited', bytes: 100, records: 10_000, recordsOf: { 'node-rdkafka': 500 } },
  'consume-100b': { mode: 'consume', bytes: 100, records: 2_000_000, clients: readers },
  'consume-100b-batches': { mode: 'consume-batches', bytes: 100, records: 2_000_000, clients: ['ours', 'kafkajs'] },
  'consume-1k': { mode: 'consume', bytes: 1024, records: 2_000_000, clients: readers },
}

const PEERS = { kafkajs: '2.2.4', '@platformatic/kafka': '1.35.0', 'node-rdkafka': '3.6.1' } as const
const RUN_TIMEOUT_MS = 180_000
const PARTITIONS = 6
/** Sent before anything is measured: a JVM that has just started is several times slower than one at work. */
const WARM_UP_RECORDS = 2_000_000
const driver = fileURLToPath(new URL('clients/driver.js', import.meta.url))

type Figures = Record<string, number>

const shownFigures = [
  { figure: 'recordsPerSecond', label: 'records/s', better: 'higher' },
  { figure: 'p50Ms', label: 'p50 ms', better: 'lower' },
  { figure: 'p99Ms', label: 'p99 ms', better: 'lower' },
  { figure: 'cpuSecondsPerMillion', label: 'CPU s per million', better: 'lower' },
  { figure: 'peakRssMiB', label: 'peak RSS MiB', better: 'lower' },
] as const

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: Object.keys(workloads).join(',') },
    clients: { type: 'string', default: clientNames.join(',') },
    brokers: { type: 'string', default: 'ours,kafka' },
    runs: { type: 'string', default: '3' },
    part: { type: 'string', default: '1' },
    json: { type: 'string' },
  },
})
const part = Number(options.part)
const chosen = options.clients.split(',')
const peersDir = chosen.some(isPeer) ? installPeers() : process.cwd()
interface Sample {
  readonly broker: string
  readonly workload: string
  readonly client: string
  readonly figures: Figures
}
const samples: Sample[] = []
let port = 27_900

for (let run = 0; run < Number(options.runs); run++) {
  for (const broker of options.brokers.split(',')) {
    port += 10
    // Whoever comes first warms the broker up for the others: each has its turn.
    const inTurn = chosen.map((_, index) => chosen[(index + run) % chosen.length]!)
    await withBroker(broker, { port, overrides: { 'group.initial.rebalance.delay.ms': '0' } }, () => measureAll(broker, inTurn))
  }
}
printTables()
if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(samples, null, 1))

async function measureAll(broker: string, clients: readonly string[]): Promise<void> {
  const bootstrap = `127.0.0.1:${port}`
  await using admin = new Admin({ bootstrapServers: bootstrap })
  await fill(bootstrap, admin, 'warm-up', { mode: 'produce', bytes: 100, records: WARM_UP_RECORDS })
  await admin.deleteTopics(['warm-up'])
  for (const name of options.only.split(',')) {
    const workload = workloads[name]
    if (workload === undefined) throw new Error(`no workload ${name}; there are ${Object.keys(workloads).join(', ')}`)
    const isReading = workload.mode.startsWith('consume')
    if (isReading) await fill(bootstrap, admin, name, workload)
    for (const client of clients) {
      if (workload.clients !== undefined && !workload.clients.includes(client)) continue
      const topic = isReading ? name : `${name}-${client}`
      if (!isReading) await admin.createTopics([{ topic, numPartitions: PARTITIONS, replicationFactor: 1 }])
      const records = Math.round((workload.recordsOf?.[client] ?? workload.records) * part)
      const args = [driver, client, workload.mode, bootstrap, topic, String(records), String(workload.bytes)]
      const { stdout, stderr, status } = spawnSync(process.execPath, args, { cwd: peersDir, encoding: 'utf8', timeout: RUN_TIMEOUT_MS })
      const line = stdout.trim().split('\n').at(-1) ?? ''
      process.stderr.write(`${broker} ${name} ${client} ${status === 0 ? line : `ended with ${status}: ${stderr.trim().slice(-500)}`}\n`)
      if (status === 0) samples.push({ broker, workload: name, client, figures: JSON.parse(line) as Figures })
      if (!isReading) await admin.deleteTopics([topic])
    }
    if (isReading) await admin.deleteTopics([name])
  }
}

async function fill(bootstrap: string, admin: Admin, topic: string, { bytes, records }: Workload): Promise<void> {
  await admin.createTopics([{ topic, numPartitions: PARTITIONS, replicationFactor: 1 }])
  await using producer = new Producer({ bootstrapServers: bootstrap })
  const batch = Array.from({ length: 1000 }, () => ({ topic, value: Buffer.alloc(bytes, 'x') }))
  for (let left = Math.round(records * part); left > 0; left -= batch.length) await producer.sendMany(batch.slice(0, left))
}

function installPeers(): string {
  const dir = join(cacheDir, 'node-clients')
  if (existsSync(join(dir, 'node_modules', 'node-rdkafka', 'build', 'Release', 'node-librdkafka.node'))) return dir
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'package.json'), JSON.stringify({ private: true, dependencies: PEERS }))
  mustSucceed('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund'], dir)
  mustSucceed('npm', ['rebuild', 'node-rdkafka'], dir)
  return dir
}

function printTables(): void {
  for (const broker of new Set(samples.map((sample) => sample.broker))) {
    console.log(`\nAgainst ${broker === 'kafka' ? 'Apache Kafka 4.3' : 'Tidelog'}:\n`)
    console.log(`| workload | figure | ${chosen.join(' | ')} | ours ÷ best peer |\n|---|---|${'---|'.repeat(chosen.length + 1)}`)
    const ofBroker = samples.filter((sample) => sample.broker === broker)
    for (const workload of new Set(ofBroker.map((sample) => sample.workload))) {
      const ofWorkload = ofBroker.filter((sample) => sample.workload === workload)
      for (const { figure, label, better } of shownFigures) printRow(ofWorkload, workload, figure, label, better)
    }
  }
}

function printRow(ofWorkload: readonly Sample[], workload: string, figure: string, label: string, better: 'higher' | 'lower'): void {
  const byClient = chosen.map((client) =>
    median(ofWorkload.filter((sample) => sample.client === client).flatMap(({ figures }) => figures[figure] ?? [])),
  )
  if (byClient.every((value) => value === undefined)) return
  const peers = byClient.filter((value, index) => value !== undefined && isPeer(chosen[index]!)) as number[]
  const best = better === 'higher' ? Math.max(...peers) : Math.min(...peers)
  const ours = byClient[chosen.indexOf('ours')]
  const ratio = ours === undefined || peers.length === 0 ? '–' : `${(ours / best).toFixed(2)}×`
  console.log(`| ${workload} | ${label} | ${byClient.map(shown).join(' | ')} | ${ratio} |`)
}

function isPeer(client: string): boolean {
  return !client.startsWith('ours')
}

function median(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)]
}

function shown(value: number | undefined): string {
  if (value === undefined) return '–'
  return value >= 1000 ? Math.round(value).toLocaleString('en') : value.toPrecision(3)
}
