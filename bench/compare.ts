/**
 * How does a broker compare with Apache Kafka 4.3 under a client that nobody here wrote (franz-go)? Both run in turn, in one go, so that a
 * noisy machine is as noisy for one as for the other; only the ratios mean anything.
 *
 *   npm run bench -- compare [--runs 3] [--only produce-1k,e2e] [--brokers kafka,ours] [--json FILE]
 *
 * Needs Go (builds kbench), Java 17 and Maven (fetches Kafka once). Prints a Markdown table of medians.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { withBroker } from './support/brokers.ts'
import { buildKbench, runKbench } from './support/kbench.ts'
import { cpuSeconds, peakRssMiB } from './support/processes.ts'

const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    brokers: { type: 'string', default: 'kafka,ours' },
    json: { type: 'string', default: '' },
  },
})

interface Figure {
  name: string
  /** Where kbench's JSON line has it. */
  path: string
  better: 'higher' | 'lower'
}
interface Workload {
  /** Arguments of kbench, in order: a later step may read what an earlier one wrote, and only the last one is measured. */
  steps: string[][]
  figures: Figure[]
}

const figure = (name: string, path: string, better: Figure['better']): Figure => ({ name, path, better })
const megabytes = figure('MB/s', 'mb_per_s', 'higher')
const records = figure('records/s', 'records_per_s', 'higher')
const produce = (n: number, size: number, ...more: string[]) => ['produce', '-n', String(n), '-size', String(size), ...more]
const consume = (n: number, size: number) => ['consume', '-n', String(n), '-size', String(size)]

const workloads: Record<string, Workload> = {
  'produce-1k': { steps: [produce(1_000_000, 1024)], figures: [megabytes, figure('ack p99 ms', 'latency.p99_ms', 'lower')] },
  'produce-100b': { steps: [produce(4_000_000, 100)], figures: [records] },
  'produce-1k-lz4': { steps: [produce(2_000_000, 1024, '-codec', 'lz4')], figures: [megabytes] },
  'produce-8-clients': { steps: [produce(2_000_000, 100, '-clients', '8')], figures: [records] },
  'consume-1k': { steps: [produce(1_000_000, 1024), consume(1_000_000, 1024)], figures: [megabytes] },
  'consume-100b': { steps: [produce(4_000_000, 100), consume(4_000_000, 100)], figures: [records] },
  e2e: {
    steps: [['e2e', '-rate', '1000', '-seconds', '10']],
    figures: ['p50', 'p99', 'p999'].map((p) => figure(`${p === 'p999' ? 'p99.9' : p} ms`, `latency.${p}_ms`, 'lower')),
  },
  connections: { steps: [['conns', '-conns', '5000']], figures: [figure('connections/s', 'conns_per_s', 'higher')] },
  partitions: {
    steps: [['topics', '-topics', '50', '-partitions', '100']],
    figures: [figure('create s', 'create_s', 'lower'), figure('one record in each s', 'one_record_each_s', 'lower')],
  },
}
const ofEveryWorkload = ['client CPU s', 'broker CPU s', 'peak RSS MiB', 'startup s'].map((name) => figure(name, '', 'lower'))

/** Both brokers get to warm up (a JVM needs it most) before anything is measured. */
const warmUp = ['produce', '-topic', 'warm-up', '-n', '300000', '-size', '1024']

type Results = Record<string, Record<string, Record<string, number[]>>>

const kbench = buildKbench()
const names = options.only === '' ? Object.keys(workloads) : options.only.split(',')
const brokers = options.brokers.split(',')

let port = 29_100
const results: Results = {}
for (const name of names) {
  const workload = workloads[name]
  if (workload === undefined) throw new Error(`no workload ${name}; there are ${Object.keys(workloads).join(', ')}`)
  for (let run = 0; run < Number(options.runs); run++) {
    for (const which of brokers) {
      port += 10
      const measured = await withBroker(which, { port }, (pid, startup) => measure(workload, pid, startup))
      for (const [key, value] of Object.entries(measured)) {
        results[name] ??= {}
        results[name][which] ??= {}
        results[name][which][key] = [...(results[name][which][key] ?? []), value]
      }
      process.stderr.write(`${name} ${which} run ${run + 1} ${JSON.stringify(measured)}\n`)
    }
  }
}
printTable()
if (options.json !== '') writeFileSync(options.json, JSON.stringify(results, null, 1))

async function measure({ steps, figures }: Workload, pid: number, startup: number): Promise<Record<string, number>> {
  let printed: Record<string, unknown> = {}
  let cpuBefore = 0
  for (const [mode = '', ...args] of [warmUp, ...steps]) {
    cpuBefore = cpuSeconds(pid)
    printed = await runKbench(kbench, ['-brokers', `127.0.0.1:${port}`, '-topic', 'bench', '-mode', mode, ...args])
  }
  const at = (path: string) => Number(path.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown>)?.[key], printed))
  return {
    ...Object.fromEntries(figures.map(({ name, path }) => [name, at(path)])),
    'client CPU s': Number(printed.client_cpu_s),
    'broker CPU s': cpuSeconds(pid) - cpuBefore,
    'peak RSS MiB': peakRssMiB(pid),
    'startup s': startup,
  }
}

// --- the table -------------------------------------------------------------------------------------------------------------------

function printTable(): void {
  const median = (values: number[]) => [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)]!
  const shown = (value: number | undefined) =>
    value === undefined ? '–' : value >= 1000 ? Math.round(value).toLocaleString('en') : value.toPrecision(3)
  console.log('| workload | figure | Apache Kafka 4.3 | ours | ours ÷ Kafka | better is |\n|---|---|---|---|---|---|')
  for (const workload of names) {
    for (const { name, better } of [...workloads[workload]!.figures, ...ofEveryWorkload]) {
      const [kafka, ours] = ['kafka', 'ours'].map((which) => {
        const values = results[workload]?.[which]?.[name]
        return values && median(values)
      })
      const ratio = kafka && ours ? `${(ours / kafka).toFixed(2)}×` : '–'
      console.log(`| ${workload} | ${name} | ${shown(kafka)} | ${shown(ours)} | ${ratio} | ${better} |`)
    }
  }
}
