import test from 'node:test'
import { seededRandom } from '@tidelog/core'
import { churn } from '../churn/group-churn.ts'
import { counts } from './broker-process.ts'

const seed = Number(process.env.SEED ?? 1)
const shape = { members: 20, partitions: 60, changes: counts(60, 1500) }

for (const [name, options] of [
  ['range', { partitionAssignmentStrategy: 'range' }],
  ['sticky', { partitionAssignmentStrategy: 'sticky' }],
  ['cooperative-sticky', { partitionAssignmentStrategy: 'cooperative-sticky' }],
  ['KIP-848', { groupProtocol: 'consumer' }],
] as const) {
  test(`G1, G5: 20 members of the client come, go and are cut off for a while (${name}, SEED=${seed}): no partition has two owners, each record is read`, async (t) => {
    t.diagnostic(await churn(t, { ...shape, random: seededRandom(seed), options }))
  })
}
