import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Random, seededRandom } from '@tidelog/core'
import { assignReplicas } from './replica-assignment.ts'

const zero: Random = { int: () => 0, bytes: (length) => new Uint8Array(length) }

test("replicas are laid out as in the example of Kafka's own documentation", () => {
  const assignments = assignReplicas({ brokerIds: [0, 1, 2, 3, 4], partitions: 10, replicationFactor: 3, random: zero })
  assert.deepEqual(assignments, [
    [0, 1, 2],
    [1, 2, 3],
    [2, 3, 4],
    [3, 4, 0],
    [4, 0, 1],
    [0, 2, 3],
    [1, 3, 4],
    [2, 4, 0],
    [3, 0, 1],
    [4, 1, 2],
  ])
})

test('replicas of a partition lie on different brokers, and leaders are spread evenly', () => {
  for (let seed = 0; seed < 50; seed++) {
    const random = seededRandom(seed)
    const brokers = 1 + random.int(7)
    const replicationFactor = 1 + random.int(brokers)
    const brokerIds = Array.from({ length: brokers }, (_, index) => index * 10)
    const assignments = assignReplicas({ brokerIds, partitions: brokers * 3, replicationFactor, firstPartition: random.int(20), random })
    const leaders = new Map<number, number>()
    for (const replicas of assignments) {
      assert.equal(new Set(replicas).size, replicationFactor, `seed ${seed}`)
      leaders.set(replicas[0]!, (leaders.get(replicas[0]!) ?? 0) + 1)
    }
    assert.deepEqual(new Set(leaders.values()), new Set([3]), `seed ${seed}`)
  }
})
