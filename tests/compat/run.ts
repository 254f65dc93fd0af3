/**
 * `npm run test:interop`: the suites of foreign clients, each against a broker of its own, one after the other, the quick ones first.
 *
 *   npm run test:interop -- [PART OF A NAME…]
 *   AGAINST=kafka npm run test:interop        the same suites against Apache Kafka 4.3, to judge the suites
 *
 * Installs what is missing. The last line is 'N passed, N failed'.
 */
import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { run as runTests } from 'node:test'
import { spec } from 'node:test/reporters'
import { fileURLToPath } from 'node:url'

const suiteTimeoutMs = 15 * 60_000
/** By how long installing and running takes; what is not named comes last. */
const quickFirst = ['kcat', 'kafka-python', 'confluent-kafka', 'serdes', 'franz-go', 'java-clients', 'tool-parity', 'java-tools']
const rank = (path: string): number => {
  const index = quickFirst.indexOf(basename(path, '.compat.js'))
  return index < 0 ? quickFirst.length : index
}
const here = fileURLToPath(new URL('.', import.meta.url))
const wanted = process.argv.slice(2)
const files = [here, join(here, '..', 'nemesis')]
  .flatMap((dir) => readdirSync(dir).map((name) => join(dir, name)))
  .filter((path) => path.endsWith('.compat.js') && (wanted.length === 0 || wanted.some((part) => basename(path).includes(part))))
  .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b))

let passed = 0
let failed = 0
const stream = runTests({ files, concurrency: 1, timeout: suiteTimeoutMs })
stream.on('test:pass', ({ details }) => {
  if (details.type !== 'suite') passed++
})
stream.on('test:fail', () => {
  failed++
})
const report = stream.compose(new spec())
report.pipe(process.stdout, { end: false })
report.on('end', () => {
  process.stdout.write(`\n${passed} passed, ${failed} failed\n`)
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0
})
