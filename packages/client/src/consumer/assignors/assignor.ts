import type { PartitionMap, TopicPartition } from '../../topic-partition.ts'

/** One member as the group's leader sees it when it assigns. */
export interface GroupMember {
  readonly memberId: string
  /** null: no static member. */
  readonly groupInstanceId: string | null
  /** What it has subscribed to. */
  readonly topics: readonly string[]
  /** What the member owns, as it said when it joined; empty for members that do not say. */
  readonly ownedPartitions: readonly TopicPartition[]
  /** The generation in which it came to own them; -1 when unknown. */
  readonly generationId: number
  /** Of its assignor's subscriptionUserData(). */
  readonly userData: Buffer | null
  /** Its `client.rack`; null when it has none. KIP-881. */
  readonly rackId: string | null
}

/** What one member gets, with bytes for its onAssignment. */
export interface MemberAssignment {
  readonly partitions: readonly TopicPartition[]
  readonly userData?: Buffer | null
}

/** eager: members give everything up before they join; cooperative: they keep what they own until it is assigned to another (KIP-429). */
export type RebalanceProtocol = 'eager' | 'cooperative'

/** By member id. */
export type GroupAssignment = ReadonlyMap<string, readonly TopicPartition[] | MemberAssignment>

/**
 * Divides the partitions of a group among its members. Runs in the member that the coordinator has made leader; all members of a group need
 * an assignor of the same name. `partitionAssignmentStrategy` takes objects of this shape beside names.
 */
export interface Assignor {
  /** Travels in JoinGroup; the coordinator picks one that all members have. */
  readonly name: string
  /** What it works with; an assignor that supports cooperative rebalancing supports eager too. */
  readonly supportedProtocols: readonly RebalanceProtocol[]
  /**
   * @param members In no particular order, at least one.
   * @param partitionCounts Of every topic that a member has subscribed to and that exists.
   * @param replicaRacks Racks of the brokers that have replicas of each of their partitions.
   * @returns By member id; a member without entry gets none. The group waits for a promise.
   */
  assign(
    members: readonly GroupMember[],
    partitionCounts: ReadonlyMap<string, number>,
    replicaRacks?: PartitionMap<ReadonlySet<string>>,
  ): GroupAssignment | Promise<GroupAssignment>
  /** Extra bytes of this member's subscription, for the leader's eyes. Asked for whenever the member joins. */
  subscriptionUserData?(owned: readonly TopicPartition[], generationId: number): Buffer | null
  /** Told of what this member got, before its listener. */
  onAssignment?(partitions: readonly TopicPartition[], userData: Buffer | null, generationId: number): void
}

export const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Static members sort by their instance id, so that a restart, which changes the member id, does not move partitions. */
export function compareMembers(a: GroupMember, b: GroupMember): number {
  if (a.groupInstanceId !== null && b.groupInstanceId !== null) return byText(a.groupInstanceId, b.groupInstanceId)
  if (a.groupInstanceId !== null) return -1
  if (b.groupInstanceId !== null) return 1
  return byText(a.memberId, b.memberId)
}

/** Topics in order, each with the members that subscribe to it, in order. Topics that do not exist are left out. */
export function subscribersByTopic(
  members: readonly GroupMember[],
  partitionCounts: ReadonlyMap<string, number>,
): Map<string, GroupMember[]> {
  const byTopic = new Map<string, GroupMember[]>()
  for (const topic of [...partitionCounts.keys()].sort(byText)) byTopic.set(topic, [])
  for (const member of [...members].sort(compareMembers)) {
    for (const topic of new Set(member.topics)) byTopic.get(topic)?.push(member)
  }
  return byTopic
}

export const emptyAssignment = (members: readonly GroupMember[]): Map<string, TopicPartition[]> =>
  new Map(members.map(({ memberId }) => [memberId, []]))

/** An assignor that waits for nothing and needs no user data beside assignments. */
export interface ImmediateAssignor extends Assignor {
  assign(
    members: readonly GroupMember[],
    partitionCounts: ReadonlyMap<string, number>,
    replicaRacks?: PartitionMap<ReadonlySet<string>>,
  ): Map<string, TopicPartition[]>
}

/**
 * Whether racks are worth a thought (KIP-881): some member has the rack of some replica, and not every partition has replicas in all racks
 * that there are. Without replicas in it, a rack makes no difference.
 */
export function racksMatter(memberRacks: ReadonlySet<string>, replicaRacks: Iterable<ReadonlySet<string>>): boolean {
  const perPartition = [...replicaRacks]
  const all = new Set(perPartition.flatMap((racks) => [...racks]))
  if (![...memberRacks].some((rack) => all.has(rack))) return false
  return perPartition.some((racks) => racks.size !== all.size)
}
