import { KafkaError } from '@tidelog/protocol'
import { type Assignment, type ConsumerMember, nothingOwned, type OwnedPartitions } from './consumer-member.ts'

/** Partitions by topic, as a heartbeat or a JoinGroup names them; null when it does not tell. */
export type ReportedPartitions = readonly { readonly topicId: string; readonly partitions: readonly number[] }[] | null

export interface ReconcileInput {
  readonly targetEpoch: number
  readonly target: Assignment
  readonly subscriptionChanged: boolean
  /** Ids of the topics that the member subscribes to. */
  readonly subscribed: { readonly size: number; has(topicId: string): boolean }
  /** The epoch of the member that has a partition, −1 when nobody has it. */
  ownerEpoch(topicId: string, partition: number): number
  /** What the member says it has. */
  readonly reported: ReportedPartitions
}

type MutableOwned = Map<string, Map<number, number>>

/**
 * The next state of a member on its way to the target: first it gives up what is not its own any more, then it moves to the target's
 * epoch with those of its partitions that are free, and gets the rest as others release them.
 * @returns `member` itself when it can go no further.
 * @throws KafkaError FENCED_MEMBER_EPOCH for a member in a state that is not known here. Source: KIP-848.
 */
export function reconcile(member: ConsumerMember, input: ReconcileInput): ConsumerMember {
  const { targetEpoch, subscriptionChanged, reported } = input
  switch (member.state) {
    case 'STABLE':
      if (member.memberEpoch !== targetEpoch) return nextAssignment(member, member.memberEpoch, input)
      return subscriptionChanged ? withoutUnsubscribed(member, input) : member
    case 'UNREVOKED_PARTITIONS':
      if (!stillHasAny(reported, member.pendingRevocation)) return nextAssignment(member, member.memberEpoch, input)
      return subscriptionChanged ? withoutUnsubscribed(member, input) : member
    case 'UNRELEASED_PARTITIONS':
      return nextAssignment(member, member.memberEpoch, input)
    case 'UNKNOWN':
      if (reported === null || reported.length > 0) {
        throw new KafkaError(
          'FENCED_MEMBER_EPOCH',
          'The consumer group member is in a unknown state. The member must abandon all its partitions and rejoin.',
        )
      }
      return nextAssignment(member, targetEpoch, input)
  }
}

/** A member that does not tell what it has may still have all of it. */
function stillHasAny(reported: ReportedPartitions, revoked: OwnedPartitions): boolean {
  if (reported === null) return true
  return reported.some(({ topicId, partitions }) => {
    const those = revoked.get(topicId)
    return those !== undefined && partitions.some((partition) => those.has(partition))
  })
}

const moved = (member: ConsumerMember, memberEpoch: number, change: Partial<ConsumerMember>): ConsumerMember => ({
  ...member,
  memberEpoch,
  previousMemberEpoch: member.memberEpoch,
  ...change,
})

/** It keeps its epoch, and is to give up topics that it does not subscribe to any more. */
function withoutUnsubscribed(member: ConsumerMember, { subscribed, reported }: ReconcileInput): ConsumerMember {
  const assigned: Map<string, ReadonlyMap<number, number>> = new Map(member.assigned)
  const revoked: Map<string, ReadonlyMap<number, number>> = new Map(member.pendingRevocation)
  const keepsNone = subscribed.size === 0 && member.pendingRevocation.size === 0
  for (const [topicId, partitions] of member.assigned) {
    if (!keepsNone && subscribed.has(topicId)) continue
    assigned.delete(topicId)
    revoked.set(topicId, new Map([...(revoked.get(topicId) ?? []), ...partitions]))
  }
  if (assigned.size === member.assigned.size) return member
  if (stillHasAny(reported, revoked)) {
    return moved(member, member.memberEpoch, { state: 'UNREVOKED_PARTITIONS', assigned, pendingRevocation: revoked })
  }
  return moved(member, member.memberEpoch, { assigned })
}

function nextAssignment(member: ConsumerMember, memberEpoch: number, input: ReconcileInput): ConsumerMember {
  const { targetEpoch, target, subscribed, reported } = input
  const assigned: MutableOwned = new Map()
  const revoked: MutableOwned = new Map()
  const toAssign: MutableOwned = new Map()
  let isWaiting = false
  for (const topicId of new Set([...target.keys(), ...member.assigned.keys()])) {
    const wanted = subscribed.has(topicId) ? (target.get(topicId) ?? noPartitions) : noPartitions
    const current = member.assigned.get(topicId)
    for (const [partition, epoch] of current ?? []) add(wanted.has(partition) ? assigned : revoked, topicId, partition, epoch)
    for (const partition of wanted) {
      if (current?.has(partition)) continue
      // Its own that it is just giving up counts as free.
      const isTaken = input.ownerEpoch(topicId, partition) !== -1 && !member.pendingRevocation.get(topicId)?.has(partition)
      if (isTaken) isWaiting = true
      else add(toAssign, topicId, partition, targetEpoch)
    }
  }
  if (revoked.size > 0 && stillHasAny(reported, revoked)) {
    return moved(member, memberEpoch, { state: 'UNREVOKED_PARTITIONS', assigned, pendingRevocation: revoked })
  }
  for (const [topicId, partitions] of toAssign) for (const [partition, epoch] of partitions) add(assigned, topicId, partition, epoch)
  const state = isWaiting ? 'UNRELEASED_PARTITIONS' : 'STABLE'
  return moved(member, targetEpoch, { state, assigned, pendingRevocation: nothingOwned })
}

const noPartitions: ReadonlySet<number> = new Set()

function add(owned: MutableOwned, topicId: string, partition: number, epoch: number): void {
  const partitions = owned.get(topicId)
  if (partitions === undefined) owned.set(topicId, new Map([[partition, epoch]]))
  else partitions.set(partition, epoch)
}

/** Is everything that a member reports among `owned`? Not when it does not tell. */
export function isPartOf(reported: ReportedPartitions, owned: OwnedPartitions): boolean {
  if (reported === null) return false
  return reported.every(({ topicId, partitions }) => {
    const those = owned.get(topicId)
    return those !== undefined && partitions.every((partition) => those.has(partition))
  })
}
