/**
 * What does it cost when there is more of it: partitions, connections, bytes a record, bytes in the log?
 *
 *   npm run bench -- scale [--only partitions,connections,record-size,log-size] [--svg DIR] [--part 1]
 *
 * Needs Go (builds kbench) and, for the largest log, 21 GB of free disk. `--part 0.1` does a tenth of everything, to try it out. Each point has a broker
 * of its own but those of the growing log. Prints Markdown tables; `--svg` draws them, scale-NAME.svg each. p99 is that of an acknowledgement while
 * the producer sends as fast as it can, so it is mostly the time that a record waits for those before it.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { chart } from './support/chart.ts'
import { buildKbench, root, runKbench } from './support/kbench.ts'
import { answers, cpuSeconds, endProcess, peakRssMiB } from './support/processes.ts'

const { values: options } = parseArgs({
  options: { only: { type: 'string', default: '' }, svg: { type: 'string', default: '' }, part: { type: 'string', default: '1' } },
})
const part = Number(options.part)
const kbench = buildKbench()
let port = 27_400

/** Figures of one point, by name and unit. */
type Point = Record<string, number>

interface Broker {
  readonly pid: number
  kbench(mode: string, ...args: string[]): Promise<Record<string, unknown>>
}

interface Dimension {
  readonly title: string
  readonly unit: string
  readonly points: readonly number[]
  /** All points, smallest first. */
  measure(points: readonly number[]): Promise<Point[]>
  readonly panels: readonly string[]
}

const produced = ['MB/s', 'ack p99 ms', 'broker CPU s/GB', 'peak RSS MiB']

const dimensions: Record<string, Dimension> = {
  partitions: {
    title: 'Producing 1 KiB records to one topic, by its partitions',
    unit: 'partitions',
    points: [1, 10, 100, 1000, 10_000],
    measure: eachAlone((broker, partitions) => producing(broker, { records: 500_000, size: 1024 }, '-partitions', String(partitions))),
    panels: produced,
  },
  connections: {
    title: 'Producing 100 B records, by clients at the same time',
    unit: 'clients',
    points: [1, 10, 100, 500, 2000],
    measure: eachAlone((broker, clients) => producing(broker, { records: 2_000_000, size: 100 }, '-clients', String(clients))),
    panels: produced,
  },
  'record-size': {
    title: 'Producing 500 MB, by the bytes of a record',
    unit: 'bytes a record',
    points: [100, 1000, 10_000, 100_000, 1_000_000],
    measure: eachAlone((broker, size) => producing(broker, { records: Math.round(500_000_000 / size), size })),
    panels: produced,
  },
  'log-size': {
    title: 'Producing to and reading the first 500 MB of a topic, by its size',
    unit: 'GB in the log',
    points: [1, 5, 10, 20],
    measure: inTheSameLog,
    panels: ['MB/s', 'ack p99 ms', 'read MB/s', 'peak RSS MiB'],
  },
}

const names = options.only === '' ? Object.keys(dimensions) : options.only.split(',')
for (const name of names) {
  const dimension = dimensions[name]
  if (dimension === undefined) throw new Error(`no dimension ${name}; there are ${Object.keys(dimensions).join(', ')}`)
  const { title, unit, points, panels } = dimension
  const measured = await dimension.measure(points)
  console.log(`\n${title}:\n\n| ${unit} | ${panels.join(' | ')} |\n|${'---|'.repeat(panels.length + 1)}`)
  for (const [index, point] of measured.entries()) {
    console.log(`| ${points[index]!.toLocaleString('en')} | ${panels.map((panel) => point[panel]!.toPrecision(3)).join(' | ')} |`)
  }
  if (options.svg === '') continue
  const drawn = panels.slice(0, 3).map((panel) => ({ title: panel, values: measured.map((point) => point[panel]!) }))
  const labels = points.map((point) => point.toLocaleString('en'))
  writeFileSync(join(options.svg, `scale-${name}.svg`), chart(title, unit, labels, drawn))
}

function eachAlone(measure: (broker: Broker, point: number) => Promise<Point>): Dimension['measure'] {
  return async (points) => {
    const measured: Point[] = []
    for (const point of points) measured.push(await withBroker((broker) => measure(broker, point)))
    return measured
  }
}

function inTheSameLog(sizes: readonly number[]): Promise<Point[]> {
  const recordBytes = 1024
  const readRecords = String(Math.round((part * 500e6) / recordBytes))
  return withBroker(async (broker) => {
    const measured: Point[] = []
    let gigabytes = 0
    for (const size of sizes) {
      // The last half a gigabyte of each step is what is measured.
      const ahead = (size - gigabytes - 0.5) * 1e9
      await broker.kbench('produce', '-n', String(Math.round((part * ahead) / recordBytes)), '-size', String(recordBytes))
      const written = await producing(broker, { records: Math.round(500e6 / recordBytes), size: recordBytes })
      const read = await broker.kbench('consume', '-n', readRecords, '-size', String(recordBytes))
      measured.push({ ...written, 'read MB/s': Number(read.mb_per_s) })
      gigabytes = size
    }
    return measured
  })
}

async function producing(broker: Broker, { records, size }: { records: number; size: number }, ...more: string[]): Promise<Point> {
  const count = Math.max(1, Math.round(records * part))
  const before = cpuSeconds(broker.pid)
  const printed = await broker.kbench('produce', '-n', String(count), '-size', String(size), ...more)
  const { p99_ms } = printed.latency as { p99_ms: number }
  return {
    'MB/s': Number(printed.mb_per_s),
    'ack p99 ms': p99_ms,
    'broker CPU s/GB': (cpuSeconds(broker.pid) - before) / ((count * size) / 1e9),
    'peak RSS MiB': peakRssMiB(broker.pid),
  }
}

async function withBroker<T>(work: (broker: Broker) => Promise<T>): Promise<T> {
  port += 1
  const dir = mkdtempSync(join(tmpdir(), 'bench-scale-'))
  const overrides = [`listeners=PLAINTEXT://127.0.0.1:${port}`, `log.dirs=${dir}`].flatMap((override) => ['--override', override])
  const child = spawn(join(root, 'bin', 'tidelog'), ['start', ...overrides], { stdio: 'ignore' })
  const run = (mode: string, ...args: string[]) =>
    runKbench(kbench, ['-brokers', `127.0.0.1:${port}`, '-topic', 'bench', '-mode', mode, ...args])
  try {
    while (!(await answers(port))) {
      if (child.exitCode !== null) throw new Error('the broker ended before it answered')
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await run('produce', '-topic', 'warm-up', '-n', '200000', '-size', '1024')
    return await work({ pid: child.pid!, kbench: run })
  } finally {
    await endProcess(child)
    rmSync(dir, { recursive: true, force: true })
  }
}
