import { cpSync, createReadStream, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { seededRandom } from '@tidelog/core'
import { verifyPartition } from '@tidelog/storage'
import type { Anomaly } from './anomalies.ts'
import { type BatteredBroker, delay, until } from './battered-broker.ts'
import type { Verdict } from './checker.ts'
import { Excerpt } from './excerpt.ts'
import { type FaultKind, faultKinds, partitionDirs } from './faults.ts'
import { type Ground, prepareGround } from './ground.ts'
import { parseEvent } from './history.ts'
import { buildDriver, Driver, Recorder } from './load.ts'

export interface NemesisOptions {
  readonly seconds: number
  readonly seed: number
  /** Records a second. */
  readonly rate?: number
  /** Gets a line whenever there is something to tell. */
  readonly say: (line: string) => void
}

/** Between two faults the broker must have acked so many records. */
const PROGRESS_RECORDS = 100
const PROGRESS_LIMIT_MS = 120_000
const MAX_EXCERPTS = 6

/**
 * A broker under load and faults, one after the other, and a verdict on the history: no acked record lost, doubled or moved, no committed offset gone
 * back. It leaves no process and no mount behind; after a failure, the history, the broker's log and the data.
 * @returns The summary. @throws Error with the anomalies and their part of the history.
 */
export async function runNemesis({ seconds, seed, rate = 600, say }: NemesisOptions): Promise<string[]> {
  say(`nemesis: seed ${seed}, ${seconds} s`)
  const driverPath = await buildDriver()
  const work = mkdtempSync(join(tmpdir(), 'tidelog-nemesis-'))
  const ground = await prepareGround(work, { seconds, random: seededRandom(seed) })
  const { broker, dataDir } = ground
  const recorder = new Recorder(join(work, 'history.jsonl'))
  let driver: Driver | undefined
  try {
    await broker.start()
    driver = new Driver(driverPath, { port: broker.port, rate, seed }, recorder)
    const acts = await strike(ground, driver, recorder, seconds, say)
    await driver.finish()
    broker.signal('SIGTERM')
    const { code, signal } = await broker.ended()
    const verdict = await recorder.finish()
    const summary = [
      `seed ${seed}, ${seconds} s`,
      ...table(verdict, acts, broker),
      ...ground.forbidden.map((line) => `not possible on this machine: ${line}`),
    ]
    const problems = [...(code === 0 ? [] : [`SIGTERM ended the broker with ${code ?? signal}`]), ...vacuities(verdict)]
    problems.push(...(await diskProblems(dataDir)))
    if (problems.length > 0 || verdict.anomalies.length > 0) {
      throw new Error([...problems, ...(await describe(verdict, recorder.path)), ...summary].join('\n'))
    }
    rmSync(work, { recursive: true, force: true })
    return summary
  } catch (error) {
    await broker.kill()
    await recorder.finish()
    if (ground.disk !== undefined) cpSync(dataDir, join(work, 'data-after'), { recursive: true })
    throw new Error(`seed ${seed}: history, log and data are in ${work}\n${error instanceof Error ? error.message : error}`, {
      cause: error,
    })
  } finally {
    await driver?.kill()
    await ground.close()
  }
}

// --- faults ----------------------------------------------------------------------------------------------------------------------

interface Act {
  readonly name: string
  /** From the end of the fault, when the broker serves, to the next ack. */
  readonly ackedAgainMs: number
}

/** Every fault that this machine allows, in random order, again and again, with progress in between. */
async function strike(ground: Ground, driver: Driver, recorder: Recorder, seconds: number, say: (line: string) => void): Promise<Act[]> {
  const { random } = ground
  const kinds = Object.entries<FaultKind>(faultKinds).filter(([, { needs }]) => needs === undefined || ground[needs] !== undefined)
  const acts: Act[] = []
  const startedMs = performance.now()
  const moreAcks = (count: number): Promise<void> => {
    const goal = recorder.acked + count
    const holds = () => {
      driver.check()
      return recorder.acked >= goal
    }
    return until(holds, PROGRESS_LIMIT_MS, `${count} more records were acked`)
  }
  await moreAcks(PROGRESS_RECORDS)
  let round: typeof kinds = []
  while (performance.now() - startedMs < seconds * 1000 || acts.length < kinds.length) {
    if (round.length === 0) round = shuffled(kinds, (end) => random.int(end))
    const [name, kind] = round.pop()!
    const atS = ((performance.now() - startedMs) / 1000).toFixed(1)
    recorder.fault('invoke', name)
    await kind.act(ground)
    recorder.fault('ok', name)
    const servesMs = performance.now()
    await moreAcks(1)
    const ackedAgainMs = performance.now() - servesMs
    acts.push({ name, ackedAgainMs })
    say(`${atS} s: ${name}; acked again ${Math.round(ackedAgainMs)} ms after it served; ${recorder.acked} acked`)
    await moreAcks(PROGRESS_RECORDS)
    await delay(random.int(2500))
  }
  return acts
}

function shuffled<T>(items: readonly T[], int: (end: number) => number): T[] {
  const left = [...items]
  return items.map(() => left.splice(int(left.length), 1)[0]!)
}

// --- the verdict -----------------------------------------------------------------------------------------------------------------

/** A run in which nothing happened shows nothing. */
function vacuities({ events }: Verdict): string[] {
  const expected = [
    'send ok',
    'send fail',
    'read',
    'commit ok',
    'committed ok',
    'list_offsets ok',
    'crash_client info',
    'assigned ok',
    'txn ok',
  ]
  return expected.filter((what) => (events.get(what) ?? 0) === 0).map((what) => `nothing of '${what}' happened`)
}

/** What the files say when nobody writes to them. */
async function diskProblems(dataDir: string): Promise<string[]> {
  const problems: string[] = []
  for (const dir of partitionDirs(dataDir)) problems.push(...(await verifyPartition(dir)).problems)
  return problems
}

async function describe({ anomalies, counts }: Verdict, historyPath: string): Promise<string[]> {
  const lines = [...counts].map(([kind, count]) => `${kind}: ${count}`)
  const firsts = [...counts.keys()].slice(0, MAX_EXCERPTS).map((kind) => anomalies.find((anomaly) => anomaly.kind === kind) as Anomaly)
  const excerpts = firsts.map((anomaly) => ({ anomaly, excerpt: new Excerpt(anomaly) }))
  for await (const line of createInterface({ input: createReadStream(historyPath) })) {
    const event = parseEvent(line)
    for (const { excerpt } of excerpts) excerpt.add(event)
  }
  for (const { anomaly, excerpt } of excerpts) {
    lines.push('', `${anomaly.kind}, ${anomaly.place}: ${anomaly.detail}`, ...excerpt.lines.map((line) => `  ${line}`))
  }
  return lines
}

function table({ events }: Verdict, acts: readonly Act[], broker: BatteredBroker): string[] {
  const count = (what: string) => events.get(what) ?? 0
  const kinds = [...new Set(acts.map(({ name }) => name))].map((kind) => {
    const waits = acts.filter(({ name }) => name === kind).map(({ ackedAgainMs }) => ackedAgainMs)
    return `| ${kind} | ${waits.length} | ${spread(waits)} |`
  })
  return [
    `sent ${count('send invoke')}, acked ${count('send ok')}, refused ${count('send fail')}, of unknown fate ${count('send info')}; read ${count('read')}`,
    `commits ${count('commit ok')} and ${count('commit info')} of unknown fate, committed offsets asked for ${count('committed ok')}, ends ${count('list_offsets ok')}, client crashes ${count('crash_client info')}, rebalances ${count('assigned ok')}`,
    `ends of transactions ${count('txn ok')} with ${count('copy')} copies, ${count('txn fail')} aborted against their will and ${count('txn info')} of unknown fate`,
    `the broker started ${broker.startMs.length} times, in ${spread(broker.startMs)} ms (median, longest)`,
    '| fault | times | next ack after it served, ms (median, longest) |',
    '| --- | --- | --- |',
    ...kinds,
  ]
}

function spread(values: readonly number[]): string {
  const sorted = values.map(Math.round).sort((a, b) => a - b)
  return `${sorted[sorted.length >> 1]}, ${sorted.at(-1)}`
}
