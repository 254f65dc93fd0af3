/** What `npm test` runs; `npm run fuzz` takes other numbers. */
export const fuzzCases = 100_000
export const fuzzSeed = 20_261_121
