import assert from 'node:assert/strict'
import test from 'node:test'
import { fuzzCases, fuzzSeed } from './defaults.ts'
import { claimLengthsEverywhere, fuzzCodec } from './fuzz-codec.ts'

test(`P8: ${fuzzCases} broken request bodies (seed ${fuzzSeed}) decode, or fail as MalformedError, and never allocate beyond their size`, () => {
  fuzzCodec({ cases: fuzzCases, seed: fuzzSeed })
})

test('P8: a length that claims too much, at any place of any version of any request, is refused or means something else', () => {
  assert.ok(claimLengthsEverywhere(fuzzSeed) > 100_000)
})
