import { ByteReader, ByteWriter } from '@tidelog/core'
import { groupByTopic, PartitionMap, type TopicPartition } from '../../topic-partition.ts'
import type { GroupMember, ImmediateAssignor } from './assignor.ts'
import { assignEvenly } from './sticky-even.ts'
import { type OwnedBefore, StickyInput } from './sticky-input.ts'
import { assignUnevenly } from './sticky-uneven.ts'

const NO_GENERATION = -1

/**
 * Balanced first, then as few moves as possible (KIP-54, KIP-341), then near replicas (KIP-881). Members with the same topics are the easy
 * case. Equal to Java's sticky assignors, which have two algorithms for the two cases too.
 */
function assignSticky(
  members: readonly GroupMember[],
  partitionCounts: ReadonlyMap<string, number>,
  replicaRacks: PartitionMap<ReadonlySet<string>>,
  ownedBefore: (member: GroupMember) => OwnedBefore,
): { assignment: Map<string, TopicPartition[]>; moved: PartitionMap<true> | undefined } {
  const input = new StickyInput(members, partitionCounts, replicaRacks, ownedBefore)
  if (!input.haveSameTopics()) return { assignment: assignUnevenly(input), moved: undefined }
  return assignEvenly(input)
}

/** Sticky with eager rebalancing. What members had travels in their user data, in the layout of Java's StickyAssignor. */
export const stickyAssignor: ImmediateAssignor = {
  name: 'sticky',
  supportedProtocols: ['eager'],
  assign: (members, partitionCounts, replicaRacks = new PartitionMap()) =>
    assignSticky(members, partitionCounts, replicaRacks, ({ userData }) => readStickyUserData(userData)).assignment,
  subscriptionUserData(owned, generationId) {
    if (generationId < 0 && owned.length === 0) return null
    const writer = new ByteWriter()
    const byTopic = groupByTopic(owned)
    writer.int32(byTopic.size)
    for (const [topic, partitions] of byTopic) {
      writer.int16(Buffer.byteLength(topic))
      writer.string(topic)
      writer.int32(partitions.length)
      for (const { partition } of partitions) writer.int32(partition)
    }
    writer.int32(generationId)
    return writer.toBuffer()
  },
}

/** Another member's bytes, of version 0 without a generation: whatever does not decode counts as owning nothing. */
function readStickyUserData(userData: Buffer | null): OwnedBefore {
  if (userData === null || userData.length === 0) return { partitions: [], generationId: undefined }
  try {
    const reader = new ByteReader(userData)
    const partitions: TopicPartition[] = []
    for (let topics = reader.int32(); topics > 0; topics--) {
      const topic = reader.string(reader.int16())
      for (let count = reader.int32(); count > 0; count--) partitions.push({ topic, partition: reader.int32() })
    }
    return { partitions, generationId: reader.remaining >= 4 ? reader.int32() : undefined }
  } catch {
    return { partitions: [], generationId: NO_GENERATION }
  }
}

/**
 * Sticky with cooperative rebalancing: a partition that moves is assigned to nobody in this round, so that its owner gives it up first;
 * the next round, which that owner asks for, hands it to the new one. KIP-429.
 */
export const cooperativeStickyAssignor: ImmediateAssignor = {
  name: 'cooperative-sticky',
  supportedProtocols: ['cooperative', 'eager'],
  assign(members, partitionCounts, replicaRacks = new PartitionMap()) {
    const { assignment, moved } = assignSticky(members, partitionCounts, replicaRacks, (member) => ({
      partitions: member.ownedPartitions,
      generationId: generationOf(member),
    }))
    const onTheWay = moved ?? givenAndTaken(members, assignment)
    for (const [memberId, partitions] of assignment) {
      const owned = new PartitionMap(members.find((member) => member.memberId === memberId)!.ownedPartitions.map((one) => [one, true]))
      assignment.set(
        memberId,
        partitions.filter((partition) => !onTheWay.has(partition) || (moved === undefined && owned.has(partition))),
      )
    }
    return assignment
  },
  subscriptionUserData(_owned, generationId) {
    const userData = Buffer.allocUnsafe(4)
    userData.writeInt32BE(generationId)
    return userData
  },
}

/** Members of before Kafka 3.2 say their generation in the user data. */
function generationOf({ generationId, userData }: GroupMember): number | undefined {
  if (generationId >= 0) return generationId
  if (userData === null) return undefined
  return userData.length < 4 ? NO_GENERATION : userData.readInt32BE(0)
}

/** Partitions that one member gets and another one, as it said, has to give up for it. */
function givenAndTaken(members: readonly GroupMember[], assignment: ReadonlyMap<string, readonly TopicPartition[]>): PartitionMap<true> {
  const taken = new PartitionMap<true>()
  const given = new PartitionMap<true>()
  for (const { memberId, ownedPartitions } of members) {
    const before = new PartitionMap<true>(ownedPartitions.map((partition) => [partition, true]))
    const after = new PartitionMap<true>((assignment.get(memberId) ?? []).map((partition) => [partition, true]))
    for (const partition of before.keys()) if (!after.has(partition)) taken.set(partition, true)
    for (const partition of after.keys()) if (!before.has(partition)) given.set(partition, true)
  }
  return new PartitionMap<true>([...given.keys()].filter((partition) => taken.has(partition)).map((partition) => [partition, true]))
}
