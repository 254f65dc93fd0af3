import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '@tidelog/core'
import { PartitionMap, type TopicPartition } from '../../topic-partition.ts'
import type { GroupMember, ImmediateAssignor } from './assignor.ts'
import { rangeAssignor } from './range-assignor.ts'
import { roundRobinAssignor } from './round-robin-assignor.ts'
import { cooperativeStickyAssignor, stickyAssignor } from './sticky-assignor.ts'

const member = (memberId: string, topics: readonly string[], owned: readonly TopicPartition[] = [], generationId = -1): GroupMember => ({
  memberId,
  groupInstanceId: null,
  topics,
  ownedPartitions: owned,
  generationId,
  // As the sticky assignor has it: it says there what it had.
  userData: stickyAssignor.subscriptionUserData!(owned, generationId),
  rackId: null,
})
const counts = (entries: Record<string, number>) => new Map(Object.entries(entries))
const text = (assignment: ReadonlyMap<string, readonly TopicPartition[]>) =>
  Object.fromEntries(
    [...assignment].map(([id, partitions]) => [id, partitions.map(({ topic, partition }) => `${topic}${partition}`).join(' ')]),
  )

test('range gives consecutive partitions of each topic, the first members one more', () => {
  const members = [member('b', ['s', 't']), member('a', ['s', 't'])]
  assert.deepEqual(text(rangeAssignor.assign(members, counts({ s: 3, t: 3 }))), { b: 's2 t2', a: 's0 s1 t0 t1' })
})

test('round-robin deals all partitions in turn and passes over members that do not subscribe', () => {
  const same = [member('a', ['s', 't']), member('b', ['s', 't'])]
  assert.deepEqual(text(roundRobinAssignor.assign(same, counts({ s: 3, t: 3 }))), { a: 's0 s2 t1', b: 's1 t0 t2' })
  const uneven = [member('a', ['s']), member('b', ['s', 't']), member('c', ['t'])]
  assert.deepEqual(text(roundRobinAssignor.assign(uneven, counts({ s: 2, t: 2 }))), { a: 's0', b: 's1 t1', c: 't0' })
})

test('sticky: a member that joins takes as few partitions as balance needs', () => {
  const first = stickyAssignor.assign([member('a', ['t']), member('b', ['t'])], counts({ t: 9 }))
  const second = stickyAssignor.assign(
    [member('a', ['t'], first.get('a'), 1), member('b', ['t'], first.get('b'), 1), member('c', ['t'])],
    counts({ t: 9 }),
  )
  assert.deepEqual([...second.values()].map((partitions) => partitions.length).sort(), [3, 3, 3])
  for (const id of ['a', 'b'])
    for (const kept of second.get(id)!) assert.ok(first.get(id)!.some(({ partition }) => partition === kept.partition))
})

test('sticky: of two members that claim a partition, the later generation keeps it', () => {
  const t0 = { topic: 't', partition: 0 }
  const assignment = stickyAssignor.assign([member('a', ['t'], [t0], 3), member('b', ['t'], [t0], 4)], counts({ t: 1 }))
  assert.deepEqual(text(assignment), { a: '', b: 't0' })
})

test('sticky user data carries what a member owned, and rubbish in it counts as nothing', () => {
  const owned = [
    { topic: 't', partition: 1 },
    { topic: 'ü', partition: 0 },
  ]
  const userData = stickyAssignor.subscriptionUserData!(owned, 7)
  const joined = [{ ...member('a', ['t', 'ü']) }, { ...member('b', ['t', 'ü']), userData }]
  const assignment = stickyAssignor.assign(joined, counts({ t: 2, ü: 2 }))
  assert.deepEqual(text(assignment).b!.split(' ').sort(), ['t1', 'ü0'])
  const rubbish = [{ ...member('a', ['t']), userData: Buffer.from([127, 255, 255, 255, 0]) }]
  assert.deepEqual(text(stickyAssignor.assign(rubbish, counts({ t: 2 }))), { a: 't0 t1' })
})

test('cooperative-sticky leaves a partition that moves unassigned for one round', () => {
  const all = [0, 1, 2, 3].map((partition) => ({ topic: 't', partition }))
  const first = cooperativeStickyAssignor.assign([member('a', ['t'], all, 1), member('b', ['t'])], counts({ t: 4 }))
  assert.deepEqual(text(first), { a: 't0 t1', b: '' })
  const second = cooperativeStickyAssignor.assign([member('a', ['t'], first.get('a'), 2), member('b', ['t'])], counts({ t: 4 }))
  assert.deepEqual(text(second), { a: 't0 t1', b: 't2 t3' })
})

/** Partition i of each topic has its replicas in these racks. */
const racked = (partitionCounts: ReadonlyMap<string, number>, racks: readonly (readonly string[])[]) =>
  new PartitionMap<ReadonlySet<string>>(
    [...partitionCounts].flatMap(([topic, count]) =>
      Array.from({ length: count }, (_, partition) => [{ topic, partition }, new Set(racks[partition])] as const),
    ),
  )

test('members with a rack get the partitions that have a replica there, as far as balance allows (KIP-881)', () => {
  const inRack = (memberId: string, rackId: string): GroupMember => ({ ...member(memberId, ['t']), rackId })
  const members = [inRack('a', 'r2'), inRack('b', 'r1')]
  const partitionCounts = counts({ t: 4 })
  const racks = racked(partitionCounts, [['r1'], ['r1'], ['r1'], ['r2']])
  assert.deepEqual(text(rangeAssignor.assign(members, partitionCounts, racks)), { a: 't2 t3', b: 't0 t1' })
  assert.deepEqual(text(stickyAssignor.assign(members, partitionCounts, racks)), { a: 't3 t2', b: 't0 t1' })
  // All replicas everywhere: racks make no difference.
  const everywhere = racked(partitionCounts, Array(4).fill(['r1', 'r2']))
  assert.deepEqual(text(rangeAssignor.assign(members, partitionCounts, everywhere)), { a: 't0 t1', b: 't2 t3' })
})

test('range keeps topics of one partition count together, near to the member in all of them', () => {
  const members: GroupMember[] = ['a', 'b'].map((memberId, index) => ({ ...member(memberId, ['s', 't']), rackId: `r${index}` }))
  const partitionCounts = counts({ s: 2, t: 2 })
  const racks = racked(partitionCounts, [['r1'], ['r0']])
  assert.deepEqual(text(rangeAssignor.assign(members, partitionCounts, racks)), { a: 's1 t1', b: 's0 t0' })
})

test('every assignor gives each partition to at most one subscriber, none is left out, and sticky ones are balanced', () => {
  const random = seededRandom(4)
  const assignors: readonly ImmediateAssignor[] = [rangeAssignor, roundRobinAssignor, stickyAssignor]
  for (let round = 0; round < 200; round++) {
    const topics = Array.from({ length: 1 + random.int(4) }, (_, i) => `t${i}`)
    const partitionCounts = new Map(topics.map((topic) => [topic, 1 + random.int(6)]))
    const uniform = random.int(2) === 0
    let members = Array.from({ length: 1 + random.int(5) }, (_, i) =>
      member(`m${i}`, uniform ? topics : topics.filter(() => random.int(2) === 0)),
    )
    for (const assignor of assignors) {
      for (let generation = 0; generation < 3; generation++) {
        const assignment = assignor.assign(members, partitionCounts)
        const seen = new Map<string, string>()
        for (const [id, partitions] of assignment) {
          for (const { topic, partition } of partitions) {
            assert.ok(members.find(({ memberId }) => memberId === id)!.topics.includes(topic))
            assert.ok(!seen.has(`${topic}${partition}`))
            seen.set(`${topic}${partition}`, id)
          }
        }
        const reachable = topics.filter((topic) => members.some((m) => m.topics.includes(topic)))
        assert.equal(
          seen.size,
          reachable.reduce((sum, topic) => sum + partitionCounts.get(topic)!, 0),
        )
        const loads = [...assignment.values()].map((partitions) => partitions.length)
        if (assignor === stickyAssignor && uniform) assert.ok(Math.max(...loads) - Math.min(...loads) <= 1)
        members = members.map((m) => member(m.memberId, m.topics, assignment.get(m.memberId)!, generation))
        if (random.int(2) === 0 && members.length > 1) members = members.slice(1)
      }
    }
  }
})
