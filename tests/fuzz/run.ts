/**
 * `npm run fuzz`: the schema fuzzer of `npm test` with other numbers.
 *
 *   npm run fuzz -- [--cases N] [--seed S] [--rounds N]
 *
 * Each round has a seed of its own, S, S+1 … (S: the time, when absent), and sends N broken bodies (a million) to the codecs, and a tenth of
 * them to a broker. The seed is printed first: it makes a round that fails fail again. The last line is 'N passed, N failed'.
 */
import { parseArgs } from 'node:util'
import { fuzzBroker } from './fuzz-broker.ts'
import { claimLengthsEverywhere, fuzzCodec } from './fuzz-codec.ts'

const { values } = parseArgs({ options: { cases: { type: 'string' }, seed: { type: 'string' }, rounds: { type: 'string' } } })
const cases = positive('cases', values.cases ?? '1000000')
const firstSeed = positive('seed', values.seed ?? String(Date.now() % 1_000_000_000))
const rounds = positive('rounds', values.rounds ?? '1')

function positive(name: string, text: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= 1) return value
  process.stderr.write(`--${name} must be a whole number from 1 on, not ${text}\n`)
  process.exit(1)
}

let passed = 0
let failed = 0
for (let seed = firstSeed; seed < firstSeed + rounds; seed++) {
  const parts: [string, () => unknown][] = [
    [`${cases} bodies`, () => fuzzCodec({ cases, seed })],
    ['claims at every place', () => claimLengthsEverywhere(seed)],
    [`${Math.ceil(cases / 10)} requests to a broker`, () => fuzzBroker({ cases: Math.ceil(cases / 10), seed })],
  ]
  for (const [what, part] of parts) {
    const startedMs = performance.now()
    process.stdout.write(`seed ${seed}: ${what} … `)
    try {
      await part()
      passed++
      process.stdout.write(`${((performance.now() - startedMs) / 1000).toFixed(1)} s\n`)
    } catch (error) {
      failed++
      process.stdout.write(`FAILED\n${error instanceof Error ? error.stack : error}\n`)
    }
  }
}
process.stdout.write(`${passed} passed, ${failed} failed\n`)
process.exitCode = failed > 0 ? 1 : 0
