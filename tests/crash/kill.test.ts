import test from 'node:test'
import { seededRandom } from '@tidelog/core'
import { killRounds } from './kill-rounds.ts'

const seed = Number(process.env.SEED ?? 4)
const rounds = Number(process.env.ROUNDS ?? 2)

test(`L1: kill -9 under acks=all load, ${rounds} rounds (SEED=${seed}): no acked record is lost, none is doubled`, async (t) => {
  const { ackedRecords, readyMs } = await killRounds({ rounds, random: seededRandom(seed) })
  t.diagnostic(`${ackedRecords} records acked; ready again after ${readyMs.map(Math.round).join(', ')} ms`)
})
