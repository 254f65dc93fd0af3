import { javaHashOrder } from '@tidelog/core'
import { PartitionMap, type TopicPartition } from '../../topic-partition.ts'
import { byText, type GroupMember, racksMatter } from './assignor.ts'

/** What a member had, as it says; generationId is undefined when it does not say. */
export interface OwnedBefore {
  readonly partitions: readonly TopicPartition[]
  readonly generationId: number | undefined
}

const NO_GENERATION = -1

/** What the sticky assignors start from: members, in the order of Java's hash maps, which decides between equals, and what each may keep. */
export class StickyInput {
  readonly memberIds: readonly string[]
  readonly members: ReadonlyMap<string, GroupMember>
  readonly partitionCounts: ReadonlyMap<string, number>
  readonly racks: Racks
  readonly ownedBefore: ReadonlyMap<string, OwnedBefore>
  /** What each member had and nobody with a better right claims. */
  readonly kept: ReadonlyMap<string, readonly TopicPartition[]>
  /** Claimed by two members of one generation, so by neither. */
  readonly disputed = new PartitionMap<true>()
  readonly newestGeneration: number

  constructor(
    members: readonly GroupMember[],
    partitionCounts: ReadonlyMap<string, number>,
    replicaRacks: PartitionMap<ReadonlySet<string>>,
    ownedBefore: (member: GroupMember) => OwnedBefore,
  ) {
    const byId = new Map(members.map((member) => [member.memberId, member]))
    this.members = byId
    this.memberIds = javaHashOrder([...byId.keys()])
    const wanted = new Set(members.flatMap(({ topics }) => topics))
    this.partitionCounts = new Map([...partitionCounts].filter(([topic]) => wanted.has(topic)))
    this.racks = new Racks(members, this.partitionCounts, replicaRacks)
    this.ownedBefore = new Map(this.memberIds.map((memberId) => [memberId, ownedBefore(byId.get(memberId)!)]))
    this.newestGeneration = Math.max(
      NO_GENERATION,
      ...[...this.ownedBefore.values()].map(({ generationId }) => generationId ?? NO_GENERATION),
    )
    this.kept = this.#settleClaims()
  }

  get partitionCount(): number {
    let sum = 0
    for (const count of this.partitionCounts.values()) sum += count
    return sum
  }

  haveSameTopics(): boolean {
    const [first, ...others] = [...this.members.values()].map(({ topics }) => new Set(topics))
    return others.every((topics) => topics.size === first!.size && [...topics].every((topic) => first!.has(topic)))
  }

  /** Every partition of these topics, in their order. */
  partitionsOf(topics: Iterable<string>): TopicPartition[] {
    const partitions: TopicPartition[] = []
    for (const topic of topics) {
      for (let partition = 0; partition < this.partitionCounts.get(topic)!; partition++) partitions.push({ topic, partition })
    }
    return partitions
  }

  sortedTopics(): string[] {
    return [...this.partitionCounts.keys()].sort(byText)
  }

  /** Of two claims that of the later generation holds; of one generation, neither. */
  #settleClaims(): Map<string, TopicPartition[]> {
    const kept = new Map<string, TopicPartition[]>(this.memberIds.map((memberId) => [memberId, []]))
    const claimants = new PartitionMap<string>()
    for (const [memberId, { partitions, generationId = NO_GENERATION }] of this.ownedBefore) {
      for (const partition of partitions) {
        if (!(partition.partition >= 0 && partition.partition < (this.partitionCounts.get(partition.topic) ?? 0))) continue
        const other = claimants.get(partition)
        if (other === undefined) {
          kept.get(memberId)!.push(partition)
          claimants.set(partition, memberId)
          continue
        }
        const otherGeneration = Math.max(NO_GENERATION, this.members.get(other)!.generationId)
        if (generationId < otherGeneration) continue
        kept.set(other, without(kept.get(other)!, partition))
        claimants.set(partition, memberId)
        if (generationId > otherGeneration) kept.get(memberId)!.push(partition)
        else this.disputed.set(partition, true)
      }
    }
    return kept
  }
}

export const isSame = (a: TopicPartition, b: TopicPartition): boolean => a.partition === b.partition && a.topic === b.topic

export const without = (partitions: readonly TopicPartition[], gone: TopicPartition): TopicPartition[] =>
  partitions.filter((one) => !isSame(one, gone))

/** Racks of members and of replicas, as far as they matter. KIP-881. */
class Racks {
  readonly matter: boolean
  readonly #ofMember = new Map<string, string>()
  readonly #ofPartition = new PartitionMap<ReadonlySet<string>>()
  /** How many members have a replica in their rack. */
  readonly #nearMembers = new PartitionMap<number>()

  constructor(
    members: readonly GroupMember[],
    partitionCounts: ReadonlyMap<string, number>,
    replicaRacks: PartitionMap<ReadonlySet<string>>,
  ) {
    const membersIn = new Map<string, number>()
    for (const { memberId, rackId } of members) {
      if (!rackId) continue
      this.#ofMember.set(memberId, rackId)
      membersIn.set(rackId, (membersIn.get(rackId) ?? 0) + 1)
    }
    if (membersIn.size > 0) {
      for (const [topic, count] of partitionCounts) {
        for (let partition = 0; partition < count; partition++) {
          const racks = replicaRacks.get({ topic, partition }) ?? new Set()
          this.#ofPartition.set({ topic, partition }, racks)
          let near = 0
          for (const rack of racks) near += membersIn.get(rack) ?? 0
          this.#nearMembers.set({ topic, partition }, near)
        }
      }
    }
    this.matter = racksMatter(new Set(membersIn.keys()), this.#ofPartition.values())
  }

  /** The member has a rack, and no replica is there. */
  areFar(memberId: string, partition: TopicPartition): boolean {
    return this.matter && this.#ofMember.has(memberId) && !this.areNear(memberId, partition)
  }

  /** The member has a rack, and a replica is there. */
  areNear(memberId: string, partition: TopicPartition): boolean {
    const rack = this.#ofMember.get(memberId)
    return this.matter && rack !== undefined && (this.#ofPartition.get(partition)?.has(rack) ?? false)
  }

  /** Those first that few members are near to. */
  sort(partitions: readonly TopicPartition[]): TopicPartition[] {
    if (this.#nearMembers.size === 0) return [...partitions]
    return [...partitions].sort((a, b) => (this.#nearMembers.get(a) ?? 0) - (this.#nearMembers.get(b) ?? 0))
  }

  /** Index of the first member from `start` on, going round, that is near; -1: none. */
  firstNear(partition: TopicPartition, memberIds: readonly string[], start: number): number {
    for (let i = 0; i < memberIds.length; i++) {
      const index = (start + i) % memberIds.length
      if (this.areNear(memberIds[index]!, partition)) return index
    }
    return -1
  }
}
