import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import {
  cooperativeStickyAssignor,
  type GroupMember,
  PartitionMap,
  rangeAssignor,
  roundRobinAssignor,
  stickyAssignor,
  type TopicPartition,
} from '@tidelog/client'
import { type Random, seededRandom } from '@tidelog/core'
import { BackgroundProcess } from './background.ts'
import { compatDir, javaArgs, kafkaJars } from './harness.ts'

const ROUNDS = 600
const assignors = [rangeAssignor, roundRobinAssignor, stickyAssignor, cooperativeStickyAssignor]
type BuiltIn = (typeof assignors)[number]

interface Input {
  readonly members: readonly GroupMember[]
  readonly partitionCounts: ReadonlyMap<string, number>
  readonly replicaRacks: PartitionMap<ReadonlySet<string>>
}

const byCodeUnit = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
const nameOf = ({ topic, partition }: TopicPartition): string => `${topic}:${partition}`

/** Topics, and members that subscribe to all or to some of them, some with racks and instance ids; nobody has anything yet. */
function beginning(random: Random): Input {
  const topics = Array.from({ length: 1 + random.int(6) }, (_, index) => `topic-${'abcdef'[random.int(6)]}${index}`)
  const partitionCounts = new Map(topics.map((topic) => [topic, 1 + random.int(random.int(4) === 0 ? 40 : 9)]))
  const racks = random.int(2) === 0 ? [] : Array.from({ length: 1 + random.int(4) }, (_, index) => `rack-${index}`)
  const replicaRacks = new PartitionMap<ReadonlySet<string>>()
  const replicas = 1 + random.int(3)
  for (const [topic, count] of partitionCounts) {
    for (let partition = 0; partition < count; partition++) {
      const some = racks.length === 0 ? [] : Array.from({ length: replicas }, () => racks[random.int(racks.length)]!)
      replicaRacks.set({ topic, partition }, new Set(some))
    }
  }
  const isUniform = random.int(2) === 0
  const members = Array.from({ length: 1 + random.int(random.int(4) === 0 ? 30 : 7) }, () => newMember(random, topics, racks, isUniform))
  return { members, partitionCounts, replicaRacks }
}

function newMember(random: Random, topics: readonly string[], racks: readonly string[], isUniform: boolean): GroupMember {
  const name = Buffer.from(random.bytes(6)).toString('hex')
  const some = topics.filter(() => random.int(3) > 0)
  return {
    memberId: `consumer-${name}`,
    groupInstanceId: random.int(4) === 0 ? `instance-${name.slice(3)}` : null,
    topics: isUniform || some.length === 0 ? topics : some,
    ownedPartitions: [],
    generationId: -1,
    userData: null,
    rackId: racks.length > 0 && random.int(4) > 0 ? racks[random.int(racks.length)]! : null,
  }
}

/** What a member has, and since when. */
interface Held {
  readonly partitions: readonly TopicPartition[]
  readonly generationId: number
}

/** What the group looks like a rebalance later: members have what they got, some missed it, some go, some come. */
function later(random: Random, assignor: BuiltIn, input: Input, held: Map<string, Held>, generationId: number): Input {
  const assignment = assignor.assign(input.members, input.partitionCounts, input.replicaRacks)
  for (const [memberId, partitions] of assignment) if (random.int(8) > 0) held.set(memberId, { partitions, generationId })
  const [one, other] = input.members
  if (random.int(6) === 0 && one !== undefined && other !== undefined) {
    // One claims what the other has, as who was away for a while does.
    const mine = held.get(one.memberId)?.partitions ?? []
    const theirs = (held.get(other.memberId)?.partitions ?? []).filter(({ topic }) => one.topics.includes(topic))
    held.set(one.memberId, { partitions: [...new Map([...mine, ...theirs].map((each) => [nameOf(each), each])).values()], generationId })
  }
  const topics = [...input.partitionCounts.keys()]
  const isUniform = input.members.every((member) => member.topics.length === topics.length)
  const racks = [...new Set([...input.replicaRacks.values()].flatMap((set) => [...set]))].sort()
  const isAnyLeaving = random.int(2) === 0
  const members = input.members.filter(() => !isAnyLeaving || random.int(4) > 0)
  for (let joining = random.int(3); joining > 0 || members.length === 0; joining--)
    members.push(newMember(random, topics, racks, isUniform))
  if (!isUniform && random.int(4) === 0) {
    const some = topics.filter((_, index) => index === 0 || random.int(3) > 0)
    const { memberId } = members[0]!
    members[0] = { ...members[0]!, topics: some }
    // What it had of the others it does not claim: Java would give it back to who does not want it any more, and we do not.
    const before = held.get(memberId)
    if (before !== undefined) held.set(memberId, { ...before, partitions: before.partitions.filter(({ topic }) => some.includes(topic)) })
  }
  return { ...input, members: members.map((member) => telling(assignor, member, held.get(member.memberId))) }
}

/** With what it says of itself when it joins. */
function telling(assignor: BuiltIn, member: GroupMember, held: Held = { partitions: [], generationId: -1 }): GroupMember {
  const { partitions, generationId } = held
  const ownedPartitions = assignor.supportedProtocols.includes('cooperative') ? partitions : []
  return { ...member, generationId, ownedPartitions, userData: assignor.subscriptionUserData?.(partitions, generationId) ?? null }
}

function asText(assignor: BuiltIn, { members, partitionCounts, replicaRacks }: Input): string {
  const lines = [`assignor ${assignor.name}`]
  for (const [topic, count] of partitionCounts) {
    const racks = Array.from({ length: count }, (_, partition) => [...replicaRacks.get({ topic, partition })!].join(',') || '-')
    lines.push(['topic', topic, ...racks].join(' '))
  }
  for (const { memberId, groupInstanceId, rackId, generationId, userData, topics, ownedPartitions } of members) {
    const words = [
      memberId,
      groupInstanceId ?? '-',
      rackId ?? '-',
      generationId,
      userData?.toString('base64') || '-',
      topics.join(',') || '-',
    ]
    lines.push(['member', ...words, ...ownedPartitions.map(nameOf)].join(' '))
  }
  return `${lines.join('\n')}\n\n`
}

const ours = (assignor: BuiltIn, { members, partitionCounts, replicaRacks }: Input): string =>
  [...assignor.assign(members, partitionCounts, replicaRacks)]
    .sort(([a], [b]) => byCodeUnit(a, b))
    .map(([memberId, partitions]) => `${memberId}=${partitions.map(nameOf).sort(byCodeUnit)}`)
    .join(' ')

test(`every assignor gives what Java's gives, over ${ROUNDS} random groups and what becomes of them`, async (t) => {
  const seed = Number(process.env.SEED ?? 1)
  t.diagnostic(`SEED=${seed}`)
  const java = new BackgroundProcess(t, 'java', [
    ...javaArgs,
    '-Xmx256M',
    '-cp',
    await kafkaJars('4.3.0'),
    join(compatDir, 'java', 'Assign.java'),
  ])
  const random = seededRandom(seed)
  const asked: { readonly assignor: BuiltIn; readonly input: Input }[] = []
  for (let round = 0; round < ROUNDS / assignors.length; round++) {
    for (const assignor of assignors) {
      let input = beginning(random)
      const held = new Map<string, Held>()
      for (let generation = 1; generation <= 4; generation++) {
        asked.push({ assignor, input })
        java.write(asText(assignor, input))
        input = later(random, assignor, input, held, generation)
      }
    }
  }
  await java.until('an answer to each', () => java.lines.length >= asked.length, 120_000)
  for (const [index, { assignor, input }] of asked.entries()) {
    if (java.lines[index] === 'endless') continue
    assert.equal(ours(assignor, input), java.lines[index], `SEED=${seed}, input ${index}:\n${asText(assignor, input)}`)
  }
})
