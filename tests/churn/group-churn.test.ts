import test from 'node:test'
import { seededRandom } from '@tidelog/core'
import { churn } from './group-churn.ts'

const seed = Number(process.env.SEED ?? 1)
const shape = { members: 20, partitions: 24, changes: 12 }

test(`G1, G5: 20 members of the client come, go and are cut off (classic, SEED=${seed}): no partition has two owners, each record is read`, async (t) => {
  t.diagnostic(await churn(t, { ...shape, random: seededRandom(seed), options: { partitionAssignmentStrategy: 'cooperative-sticky' } }))
})

test(`G1, G5: 20 members of the client come, go and are cut off (KIP-848, SEED=${seed}): no partition has two owners, each record is read`, async (t) => {
  t.diagnostic(await churn(t, { ...shape, random: seededRandom(seed), options: { groupProtocol: 'consumer' } }))
})
