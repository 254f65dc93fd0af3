/** Partitions by topic id. */
export type Assignment = ReadonlyMap<string, ReadonlySet<number>>

/** What a member has: by topic id and partition, the epoch in which it got it. */
export type OwnedPartitions = ReadonlyMap<string, ReadonlyMap<number, number>>

export const noAssignment: Assignment = new Map()
export const nothingOwned: OwnedPartitions = new Map()

/** Where a member stands between the target assignment and what it has. */
export type MemberState =
  /** It has what its target says. */
  | 'STABLE'
  /** It has not yet given up what it must, and gets nothing before. */
  | 'UNREVOKED_PARTITIONS'
  /** It waits for partitions that others still have. */
  | 'UNRELEASED_PARTITIONS'
  /** A state that a later version of Kafka may have written. */
  | 'UNKNOWN'

/** Of a member that uses the classic protocol. */
export interface ClassicMemberMetadata {
  readonly sessionTimeoutMs: number
  /** In the member's order of preference. */
  readonly supportedProtocols: readonly { readonly name: string; readonly metadata: Uint8Array }[]
}

/** A member of a consumer group at one moment: a change makes a new one. */
export interface ConsumerMember {
  readonly memberId: string
  /** Of the target assignment that it has been moved to; 0 before any, −1 once it has left, −2 for a static member that will come back. */
  readonly memberEpoch: number
  readonly previousMemberEpoch: number
  readonly instanceId: string | null
  readonly rackId: string | null
  readonly rebalanceTimeoutMs: number
  readonly clientId: string
  readonly clientHost: string
  readonly subscribedTopicNames: ReadonlySet<string>
  /** Empty or null without one. */
  readonly subscribedTopicRegex: string | null
  readonly serverAssignor: string | null
  readonly classic: ClassicMemberMetadata | null
  readonly state: MemberState
  readonly assigned: OwnedPartitions
  readonly pendingRevocation: OwnedPartitions
}

export const newConsumerMember = (memberId: string): ConsumerMember => ({
  memberId,
  memberEpoch: 0,
  previousMemberEpoch: -1,
  instanceId: null,
  rackId: null,
  rebalanceTimeoutMs: -1,
  clientId: '',
  clientHost: '',
  subscribedTopicNames: new Set(),
  subscribedTopicRegex: '',
  serverAssignor: null,
  classic: null,
  state: 'STABLE',
  assigned: nothingOwned,
  pendingRevocation: nothingOwned,
})

export const isReconciledTo = (member: ConsumerMember, targetEpoch: number): boolean =>
  member.state === 'STABLE' && member.memberEpoch === targetEpoch

export const regexOf = ({ subscribedTopicRegex }: ConsumerMember): string | undefined => subscribedTopicRegex || undefined

export const sameSet = <T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean => a.size === b.size && [...a].every((each) => b.has(each))

export function sameAssignment(a: Assignment, b: Assignment): boolean {
  if (a.size !== b.size) return false
  for (const [topicId, partitions] of a) {
    const others = b.get(topicId)
    if (others === undefined || !sameSet(partitions, others)) return false
  }
  return true
}

export function sameOwned(a: OwnedPartitions, b: OwnedPartitions): boolean {
  if (a === b) return true
  if (a.size !== b.size) return false
  for (const [topicId, partitions] of a) {
    const others = b.get(topicId)
    if (others === undefined || others.size !== partitions.size) return false
    for (const [partition, epoch] of partitions) if (others.get(partition) !== epoch) return false
  }
  return true
}

/** Does a member's part differ in what its record holds? */
export const sameCurrentState = (a: ConsumerMember, b: ConsumerMember): boolean =>
  a.memberEpoch === b.memberEpoch &&
  a.previousMemberEpoch === b.previousMemberEpoch &&
  a.state === b.state &&
  sameOwned(a.assigned, b.assigned) &&
  sameOwned(a.pendingRevocation, b.pendingRevocation)

/** As messages and records carry it: topics and partitions in ascending order. */
export const toTopicPartitions = (owned: OwnedPartitions | Assignment): { topicId: string; partitions: number[] }[] =>
  [...owned].map(([topicId, partitions]) => ({ topicId, partitions: [...partitions.keys()].sort((a, b) => a - b) }))
