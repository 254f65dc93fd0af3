/**
 * `npm test`: every *.test.ts of the rooms and of tests/, one process a file, a bounded number of them at a time.
 *
 *   npm test -- [--packages] [--concurrency N] [PART OF A PATH…]
 *
 * --packages leaves tests/ out. The last line is always 'N passed, N failed'; the exit code is 1 when anything failed or nothing ran.
 */
import { existsSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative, sep } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('../..', import.meta.url))
/** A file that takes longer hangs: the whole run has five minutes. */
const fileTimeoutMs = 150_000
/** What needs foreign clients or root has commands of its own: test:interop, test:faults. */
const notHere = ['tests/interop/', 'tests/faults/']

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { packages: { type: 'boolean', default: false }, concurrency: { type: 'string' } },
})

/** The compiled tests below `dir` whose source still exists: a deleted test leaves its output behind. */
function testFiles(dir: string, sourceDir: string): string[] {
  const dist = join(dir, 'dist')
  if (!existsSync(dist)) return []
  return readdirSync(dist, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.test.js') && existsSync(join(sourceDir, path.replace(/\.js$/, '.ts'))))
    .map((path) => join(dist, path))
}

const rooms = readdirSync(join(root, 'packages')).sort()
const files = [
  ...rooms.flatMap((room) => testFiles(join(root, 'packages', room), join(root, 'packages', room, 'src'))),
  ...(values.packages ? [] : testFiles(join(root, 'tests'), join(root, 'tests'))),
].filter((path) => {
  const shown = relative(root, path).split(sep).join('/').replace('/dist/', '/')
  return (
    !notHere.some((prefix) => shown.startsWith(prefix)) && (positionals.length === 0 || positionals.some((part) => shown.includes(part)))
  )
})

const concurrency = Number(values.concurrency ?? Math.max(1, Math.min(4, availableParallelism())))
let passed = 0
let failed = 0
let skipped = 0
const started = performance.now()
const stream = run({ files, concurrency, timeout: fileTimeoutMs })
stream.on('test:pass', ({ skip, todo, details }) => {
  if (details.type === 'suite') return
  if (skip !== undefined || todo !== undefined) skipped++
  else passed++
})
stream.on('test:fail', ({ todo }) => {
  if (todo === undefined) failed++
  else skipped++
})
const report = stream.compose(new spec())
report.pipe(process.stdout, { end: false })
report.on('end', () => {
  if (files.length === 0) process.stdout.write('no test matches\n')
  process.stdout.write(`\n${files.length} files, ${skipped} skipped, ${((performance.now() - started) / 1000).toFixed(1)} s\n`)
  process.stdout.write(`${passed} passed, ${failed} failed\n`)
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0
})
