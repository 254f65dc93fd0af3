/**
 * `npm run test:faults`: the rows of docs/faults.md that need another process, root, strace or many sockets.
 *
 *   npm run test:faults -- [--full] [PART OF A NAME…]
 *
 * --full runs the counts that the rows print, which takes some minutes. What this machine forbids is listed before the last line, which is
 * 'N passed, N failed'.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { run as runTests } from 'node:test'
import { spec } from 'node:test/reporters'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const suiteTimeoutMs = 20 * 60_000
const here = fileURLToPath(new URL('.', import.meta.url))
const { values, positionals: wanted } = parseArgs({ allowPositionals: true, options: { full: { type: 'boolean', default: false } } })
// The suites are processes of their own; this is how they are told.
process.env.TIDELOG_FULL_FAULTS = values.full ? '1' : ''
const files = readdirSync(here)
  .filter((name) => name.endsWith('.fault.js') && (wanted.length === 0 || wanted.some((part) => name.includes(part))))
  .sort()
  .map((name) => join(here, name))

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
