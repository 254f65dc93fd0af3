/**
 * One Node client library under load; prints one line of JSON. `npm run bench -- clients` starts it, each time in a process of its own and in
 * the folder where the peers are installed.
 *
 *   driver.js CLIENT MODE BOOTSTRAP TOPIC RECORDS BYTES
 *
 * MODE: `produce`, five calls of 1,000 records in flight; `singles`, a call a record, as fast as the client takes them; `awaited`, a call a record,
 * each awaited; `consume` and `consume-batches`, from the earliest offset on, where a record counts when its value has been decoded and touched.
 */
import { performance } from 'node:perf_hooks'
import { type Adapter, adapterOf } from './adapters.ts'

const IN_FLIGHT_CALLS = 5
const RECORDS_A_CALL = 1000
const SINGLES_A_TURN = 2000

const [client = '', mode = '', bootstrap = '', topic = '', count = '', bytes = ''] = process.argv.slice(2)
const total = Number(count)
const value = Buffer.alloc(Number(bytes), 'x')
const adapter = await adapterOf(client)
const target = { bootstrap, topic }

interface Measured {
  readonly records: number
  readonly latenciesMs?: readonly number[]
}

let startedAt = 0
let cpuBefore = process.cpuUsage()
const start = () => {
  startedAt = performance.now()
  cpuBefore = process.cpuUsage()
}

const modes: Record<string, (adapter: Adapter) => Promise<Measured>> = { produce, singles, awaited, consume, 'consume-batches': consume }
const run = modes[mode]
if (run === undefined) throw new Error(`no mode ${mode}; there are ${Object.keys(modes).join(', ')}`)
const { records, latenciesMs = [] } = await run(adapter)
const seconds = (performance.now() - startedAt) / 1000
const { user, system } = process.cpuUsage(cpuBefore)
const sorted = latenciesMs.toSorted((a, b) => a - b)
const percentile = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]
const figures = {
  records,
  recordsPerSecond: records / seconds,
  cpuSecondsPerMillion: (user + system) / records,
  peakRssMiB: process.resourceUsage().maxRSS / 1024,
  ...(sorted.length === 0 ? {} : { p50Ms: percentile(0.5), p99Ms: percentile(0.99) }),
}
process.stdout.write(`${JSON.stringify(figures)}\n`, () => process.exit(0))

async function produce(adapter: Adapter): Promise<Measured> {
  const producer = await adapter.producer(target)
  start()
  let left = total
  const calls = async () => {
    while (left > 0) {
      const length = Math.min(RECORDS_A_CALL, left)
      left -= length
      await producer.send(Array.from({ length }, () => value))
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT_CALLS }, calls))
  return { records: total }
}

async function singles(adapter: Adapter): Promise<Measured> {
  const producer = await adapter.single(target)
  await producer.send(value)
  start()
  await new Promise<void>((resolve, reject) => {
    let sent = 0
    let done = 0
    const onDone = () => {
      if (++done === total) resolve()
    }
    const pump = () => {
      for (let count = 0; count < SINGLES_A_TURN && sent < total; count++, sent++) producer.send(value).then(onDone, reject)
      if (sent < total) setImmediate(pump)
    }
    pump()
  })
  return { records: total }
}

async function awaited(adapter: Adapter): Promise<Measured> {
  const producer = await adapter.single(target)
  await producer.send(value)
  start()
  const latenciesMs: number[] = []
  for (let index = 0; index < total; index++) {
    const begunAt = performance.now()
    await producer.send(value)
    latenciesMs.push(performance.now() - begunAt)
  }
  return { records: total, latenciesMs }
}

/** The time runs from the first record on: joining a group is not what is measured. */
async function consume(adapter: Adapter): Promise<Measured> {
  let touched = 0
  const seen = (more: number): boolean => {
    if (more === 0) return false
    if (touched === 0) start()
    touched += more
    return touched >= total * value.length
  }
  const read = mode === 'consume' ? adapter.consume : (adapter.consumeBatches ?? adapter.consume)
  await read(target, seen)
  return { records: Math.floor(touched / value.length) }
}
