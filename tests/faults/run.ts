/**
 * `npm run test:faults`: the rows of docs/faults.md that need another process, root, strace or many sockets.
 *
 *   npm run test:faults -- [--full] [--minutes N] [--seed N] [PART OF A NAME…]
 *
 * --full runs the counts that the rows print, which takes some minutes; --minutes is for the nemesis, which else takes one, or ten with --full, and
 * --seed chooses its faults. What this machine forbids is listed before the last line, which is 'N passed, N failed'.
 */
import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { run as runTests } from 'node:test'
import { spec } from 'node:test/reporters'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const { values, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: { full: { type: 'boolean', default: false }, minutes: { type: 'string' }, seed: { type: 'string' } },
})
const suiteTimeoutMs = (20 + Number(values.minutes ?? 10)) * 60_000
const here = fileURLToPath(new URL('.', import.meta.url))
// The suites are processes of their own; this is how they are told.
process.env.TIDELOG_FULL_FAULTS = values.full ? '1' : ''
if (values.minutes !== undefined) process.env.TIDELOG_NEMESIS_MINUTES = values.minutes
if (values.seed !== undefined) process.env.SEED = values.seed
const files = [here, join(here, '..', 'nemesis')]
  .flatMap((dir) => readdirSync(dir).map((name) => join(dir, name)))
  .filter((path) => path.endsWith('.fault.js') && (wanted.length === 0 || wanted.some((part) => basename(path).includes(part))))
  .sort()

let passed = 0
let failed = 0
const forbidden: string[] = []
const stream = runTests({ files, concurrency: 1, timeout: suiteTimeoutMs })
stream.on('test:pass', ({ name, skip, details }) => {
  if (details.type === 'suite') return
  if (skip === undefined) passed++
  else forbidden.push(`${name}: ${skip}`)
})
stream.on('test:fail', () => {
  failed++
})
const report = stream.compose(new spec())
report.pipe(process.stdout, { end: false })
report.on('end', () => {
  for (const line of forbidden) process.stdout.write(`not possible on this machine: ${line}\n`)
  process.stdout.write(`\n${passed} passed, ${failed} failed\n`)
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0
})
