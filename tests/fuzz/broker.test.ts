import test from 'node:test'
import { fuzzCases, fuzzSeed } from './defaults.ts'
import { fuzzBroker } from './fuzz-broker.ts'

test(`P8: a broker under ${fuzzCases} broken requests of every API it serves (seed ${fuzzSeed}) goes on serving others`, async () => {
  await fuzzBroker({ cases: fuzzCases, seed: fuzzSeed })
})
