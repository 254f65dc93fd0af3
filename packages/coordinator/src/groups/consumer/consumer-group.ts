import { javaStringHash } from '@tidelog/core'
import { newDeadline } from '../../steps/deadline-heap.ts'
import type { GroupDeadline, GroupStepBuilder } from '../group-step.ts'
import type { Change, Undo } from './change.ts'
import {
  type Assignment,
  type ConsumerMember,
  isReconciledTo,
  newConsumerMember,
  noAssignment,
  nothingOwned,
  type OwnedPartitions,
  regexOf,
} from './consumer-member.ts'
import type { ConsumerRecord, MemberMetadata, ResolvedRegex, TargetEpoch } from './consumer-record.ts'
import { inBuckets, mapCopyCapacity, timelineOrder } from './java-order.ts'

/** Names as clients see them in ListGroups and ConsumerGroupDescribe. */
export type ConsumerGroupState = 'Empty' | 'Assigning' | 'Reconciling' | 'Stable'

/** How many members name a topic, and how many regular expressions stand for it. */
export interface SubscriptionCount {
  readonly byName: number
  readonly byRegex: number
}

/** Do all members subscribe to the same topics? Assignors have it easier then. */
export type SubscriptionType = 'homogeneous' | 'heterogeneous'

/** What falls due for one member. */
export interface MemberTimers {
  /** Moves with every heartbeat; passing it ends the member. */
  readonly session: GroupDeadline
  /** By then it must have given up what it was told to. */
  readonly rebalance: GroupDeadline
  /** Of a member that uses the classic protocol: by then it must have sent JoinGroup, and SyncGroup. */
  readonly join: GroupDeadline
  readonly sync: GroupDeadline
}

/**
 * The state of one group of the consumer protocol, as its records describe it: `apply` is the only way to change it. What follows from
 * them (who owns a partition, how many subscribe to a topic) is kept beside them, so that a heartbeat finds all it needs at once.
 * Source: KIP-848.
 */
export class ConsumerGroup {
  readonly type = 'consumer'
  readonly protocolType = 'consumer'
  readonly id: string
  /** A record of it lies below the high watermark, so others may see it. */
  isCommitted = false
  epoch = 1
  metadataHash = 0n
  target: TargetEpoch = { epoch: 1, timestampMs: 0 }
  /** Kafka before 4.1 left a record of the topics, which the next change of the subscription deletes. */
  hasTopicsRecord = false
  /** From then on (monotonic ms) topics are to be looked at again; 0 for at once. */
  #refreshMetadataMs = 0
  #refreshedForEpoch = 0

  readonly #members = new Map<string, ConsumerMember>()
  /** The most members that there have been since the group was loaded. */
  peakSize = 0
  readonly #targets = new Map<string, Assignment>()
  readonly #resolvedRegexes = new Map<string, ResolvedRegex>()

  // What follows from the records.
  readonly #memberIdsByInstance = new Map<string, string>()
  readonly #subscriptions = new Map<string, SubscriptionCount>()
  readonly #regexSubscribers = new Map<string, number>()
  readonly #assignors = new Map<string, number>()
  #classicMembersCount = 0
  readonly #classicProtocols = new Map<string, number>()
  /** By topic id and partition: the epoch of the member that has it. */
  readonly #owners = new Map<string, Map<number, number>>()
  /** By topic id and partition: whose it is in the target assignment. */
  readonly #targetOwners = new Map<string, Map<number, string>>()

  /** Applied ahead of their append, oldest first. */
  readonly unsettled: Change[] = []
  /** Its regular expressions are being matched. */
  isResolvingRegexes = false
  /** By member id; no part of what the records say. */
  readonly timers = new Map<string, MemberTimers>()

  constructor(id: string) {
    this.id = id
  }

  // --- what there is ---------------------------------------------------------------------------------------------------------------

  get members(): ReadonlyMap<string, ConsumerMember> {
    return this.#members
  }

  get isEmpty(): boolean {
    return this.#members.size === 0
  }

  get state(): ConsumerGroupState {
    if (this.isEmpty) return 'Empty'
    if (this.epoch > this.target.epoch) return 'Assigning'
    for (const member of this.#members.values()) if (!isReconciledTo(member, this.target.epoch)) return 'Reconciling'
    return 'Stable'
  }

  staticMember(instanceId: string | null): ConsumerMember | undefined {
    const memberId = instanceId === null ? undefined : this.#memberIdsByInstance.get(instanceId)
    return memberId === undefined ? undefined : this.#members.get(memberId)
  }

  targetOf(memberId: string): Assignment {
    return this.#targets.get(memberId) ?? noAssignment
  }

  /** Of a static member that comes back under a new id, it is what it had under the old one. */
  targetOfInstance({ memberId, instanceId }: Pick<ConsumerMember, 'memberId' | 'instanceId'>): Assignment {
    if (instanceId === null) return this.targetOf(memberId)
    const knownAs = this.#memberIdsByInstance.get(instanceId)
    return knownAs === undefined ? noAssignment : this.targetOf(knownAs)
  }

  get targets(): ReadonlyMap<string, Assignment> {
    return this.#targets
  }

  isTarget(topicId: string, partition: number): boolean {
    return this.#targetOwners.get(topicId)?.has(partition) ?? false
  }

  /** The epoch of the member that has the partition; −1 when nobody has it. */
  ownerEpoch(topicId: string, partition: number): number {
    return this.#owners.get(topicId)?.get(partition) ?? -1
  }

  /** Its members tell which topics it needs its offsets of. */
  get knowsSubscription(): boolean {
    return true
  }

  isSubscribedTo(topic: string): boolean {
    return this.#subscriptions.has(topic)
  }

  get subscriptions(): ReadonlyMap<string, SubscriptionCount> {
    return this.#subscriptions
  }

  get regexSubscribers(): ReadonlyMap<string, number> {
    return this.#regexSubscribers
  }

  get resolvedRegexes(): ReadonlyMap<string, ResolvedRegex> {
    return this.#resolvedRegexes
  }

  get classicMembersCount(): number {
    return this.#classicMembersCount
  }

  /** Have a newcomer's classic protocols one that all members of that kind have? */
  supportsClassic(protocolType: string, protocols: readonly { readonly name: string }[]): boolean {
    if (protocolType !== this.protocolType) return false
    if (this.isEmpty) return protocols.length > 0
    return protocols.some(({ name }) => (this.#classicProtocols.get(name) ?? 0) === this.#classicMembersCount)
  }

  /** What would be subscribed to if `updated` took the place of `member` (undefined: it goes) and nothing else changed. */
  subscriptionsWith(member: ConsumerMember | undefined, updated: ConsumerMember | undefined): Map<string, SubscriptionCount> {
    const counts = new Map(this.#subscriptions)
    if (member !== undefined) for (const topic of member.subscribedTopicNames) countName(counts, topic, -1)
    if (updated !== undefined) for (const topic of updated.subscribedTopicNames) countName(counts, topic, 1)
    const regex = member && regexOf(member)
    if (regex !== undefined && regex !== (updated && regexOf(updated)) && this.#regexSubscribers.get(regex) === 1) {
      for (const topic of this.#resolvedRegexes.get(regex)?.topics ?? []) countRegex(counts, topic, -1)
    }
    return counts
  }

  /** Of several members that go at once; `regexes` are those that nobody names any more. */
  subscriptionsWithout(members: readonly ConsumerMember[], regexes: readonly string[]): Map<string, SubscriptionCount> {
    const counts = new Map(this.#subscriptions)
    for (const member of members) for (const topic of member.subscribedTopicNames) countName(counts, topic, -1)
    for (const regex of regexes) for (const topic of this.#resolvedRegexes.get(regex)?.topics ?? []) countRegex(counts, topic, -1)
    return counts
  }

  regexSubscribersWith(member: ConsumerMember, updated: ConsumerMember): ReadonlyMap<string, number> {
    const [old, next] = [regexOf(member), regexOf(updated)]
    if (old === next) return this.#regexSubscribers
    const counts = new Map(this.#regexSubscribers)
    if (old !== undefined) count(counts, old, -1)
    if (next !== undefined) count(counts, next, 1)
    return counts
  }

  get subscriptionType(): SubscriptionType {
    return subscriptionTypeOf(this.#regexSubscribers, this.#subscriptions, this.#members.size)
  }

  /** The assignor that most members ask for; undefined when none does. */
  get preferredAssignor(): string | undefined {
    return mostOften(this.#assignors, timelineOrder([...this.#assignors.keys()], this.#assignors.size))
  }

  /** The same once `updated` has taken the place of `member`. */
  preferredAssignorWith(member: ConsumerMember, updated: ConsumerMember): string | undefined {
    const counts = new Map(this.#assignors)
    if (member.serverAssignor !== null) count(counts, member.serverAssignor, -1)
    const names = timelineOrder([...this.#assignors.keys()], this.#assignors.size).filter((name) => counts.has(name))
    if (updated.serverAssignor !== null) {
      // What HashMap.compute adds comes first in its bucket.
      if (!counts.has(updated.serverAssignor)) names.unshift(updated.serverAssignor)
      count(counts, updated.serverAssignor, 1)
    }
    return mostOften(counts, inBuckets(names, javaStringHash, mapCopyCapacity(this.#assignors.size, counts.size)))
  }

  // --- topics ----------------------------------------------------------------------------------------------------------------------

  /** Topics that members subscribe to have changed: the next heartbeat is to look. */
  requestMetadataRefresh(): void {
    this.#refreshMetadataMs = 0
  }

  /** The subscription has been compared with the topics that there are, and `epoch` is the group's since. */
  metadataRefreshed(epoch: number): void {
    this.#refreshMetadataMs = Infinity
    this.#refreshedForEpoch = epoch
  }

  /** Also when what the last look led to has been taken back. */
  needsMetadataRefresh(): boolean {
    return this.#refreshMetadataMs === 0 || this.epoch < this.#refreshedForEpoch
  }

  // --- records ---------------------------------------------------------------------------------------------------------------------

  /** Takes in a record. @returns What takes it back; to be called in reverse order. */
  apply(record: ConsumerRecord): Undo {
    switch (record.kind) {
      case 'consumer-group': {
        const { epoch, metadataHash } = this
        if (record.value !== null) Object.assign(this, record.value)
        return () => Object.assign(this, { epoch, metadataHash })
      }
      case 'consumer-topics': {
        const { hasTopicsRecord } = this
        this.hasTopicsRecord = record.value !== null
        return () => {
          this.hasTopicsRecord = hasTopicsRecord
        }
      }
      case 'consumer-target': {
        const { target } = this
        this.target = record.value ?? { epoch: -1, timestampMs: 0 }
        return () => {
          this.target = target
        }
      }
      case 'consumer-target-member':
        return this.#setTarget(record.memberId, record.value ?? undefined)
      case 'consumer-regex':
        return this.#setRegex(record.regex, record.value ?? undefined)
      case 'consumer-member':
        return this.#applyMember(record.memberId, record.value)
      case 'consumer-current': {
        const member = this.#members.get(record.memberId)
        if (record.value !== null)
          return this.#setMember(record.memberId, { ...(member ?? newConsumerMember(record.memberId)), ...record.value })
        if (member === undefined) return () => {}
        const gone = { memberEpoch: -1, previousMemberEpoch: -1, assigned: nothingOwned, pendingRevocation: nothingOwned }
        return this.#setMember(record.memberId, { ...member, ...gone })
      }
    }
  }

  #applyMember(memberId: string, value: MemberMetadata | null): Undo {
    const member = this.#members.get(memberId)
    if (value === null) return this.#setMember(memberId, undefined)
    return this.#setMember(memberId, { ...(member ?? newConsumerMember(memberId)), ...value })
  }

  #setMember(memberId: string, member: ConsumerMember | undefined): Undo {
    const old = this.#members.get(memberId)
    const instanceId = member?.instanceId ?? old?.instanceId ?? null
    const knownAs = instanceId === null ? undefined : this.#memberIdsByInstance.get(instanceId)
    this.#exchange(memberId, old, member)
    if (instanceId !== null) {
      if (member?.instanceId != null) this.#memberIdsByInstance.set(instanceId, memberId)
      else if (knownAs === memberId) this.#memberIdsByInstance.delete(instanceId)
    }
    return () => {
      this.#exchange(memberId, member, old)
      if (instanceId === null) return
      if (knownAs === undefined) this.#memberIdsByInstance.delete(instanceId)
      else this.#memberIdsByInstance.set(instanceId, knownAs)
    }
  }

  #exchange(memberId: string, old: ConsumerMember | undefined, member: ConsumerMember | undefined): void {
    if (old !== undefined) this.#tally(old, -1)
    if (member === undefined) this.#members.delete(memberId)
    else {
      this.#members.set(memberId, member)
      this.peakSize = Math.max(this.peakSize, this.#members.size)
      this.#tally(member, 1)
    }
  }

  #tally(member: ConsumerMember, by: 1 | -1): void {
    for (const topic of member.subscribedTopicNames) countName(this.#subscriptions, topic, by)
    const regex = regexOf(member)
    if (regex !== undefined) count(this.#regexSubscribers, regex, by)
    if (member.serverAssignor !== null) count(this.#assignors, member.serverAssignor, by)
    if (member.classic !== null) {
      this.#classicMembersCount += by
      for (const { name } of member.classic.supportedProtocols) count(this.#classicProtocols, name, by)
    }
    for (const owned of [member.assigned, member.pendingRevocation]) {
      if (by === 1) this.#own(owned, member.memberEpoch)
      else this.#disown(owned, member.memberEpoch)
    }
  }

  #own(owned: OwnedPartitions, epoch: number): void {
    for (const [topicId, partitions] of owned) {
      let owners = this.#owners.get(topicId)
      if (owners === undefined) {
        owners = new Map()
        this.#owners.set(topicId, owners)
      }
      for (const partition of partitions.keys()) owners.set(partition, epoch)
    }
  }

  #disown(owned: OwnedPartitions, epoch: number): void {
    for (const [topicId, partitions] of owned) {
      const owners = this.#owners.get(topicId)
      if (owners === undefined) continue
      for (const partition of partitions.keys()) if (owners.get(partition) === epoch) owners.delete(partition)
      if (owners.size === 0) this.#owners.delete(topicId)
    }
  }

  #setTarget(memberId: string, assignment: Assignment | undefined): Undo {
    const old = this.#targets.get(memberId)
    this.#exchangeTarget(memberId, old, assignment)
    return () => this.#exchangeTarget(memberId, assignment, old)
  }

  #exchangeTarget(memberId: string, old: Assignment | undefined, assignment: Assignment | undefined): void {
    for (const [topicId, partitions] of old ?? noAssignment) {
      const owners = this.#targetOwners.get(topicId)
      if (owners === undefined) continue
      for (const partition of partitions) if (owners.get(partition) === memberId) owners.delete(partition)
      if (owners.size === 0) this.#targetOwners.delete(topicId)
    }
    if (assignment === undefined) this.#targets.delete(memberId)
    else this.#targets.set(memberId, assignment)
    for (const [topicId, partitions] of assignment ?? noAssignment) {
      let owners = this.#targetOwners.get(topicId)
      if (owners === undefined) {
        owners = new Map()
        this.#targetOwners.set(topicId, owners)
      }
      for (const partition of partitions) owners.set(partition, memberId)
    }
  }

  #setRegex(regex: string, resolved: ResolvedRegex | undefined): Undo {
    const old = this.#resolvedRegexes.get(regex)
    this.#exchangeRegex(regex, old, resolved)
    return () => this.#exchangeRegex(regex, resolved, old)
  }

  #exchangeRegex(regex: string, old: ResolvedRegex | undefined, resolved: ResolvedRegex | undefined): void {
    for (const topic of old?.topics ?? []) countRegex(this.#subscriptions, topic, -1)
    if (resolved === undefined) this.#resolvedRegexes.delete(regex)
    else this.#resolvedRegexes.set(regex, resolved)
    for (const topic of resolved?.topics ?? []) countRegex(this.#subscriptions, topic, 1)
  }

  /** What deletes the group: nothing of it is left behind these. @param memberIds When they are not the ones of now. */
  tombstones(memberIds: readonly string[] = [...this.#members.keys()]): ConsumerRecord[] {
    const { id: group } = this
    return [
      ...memberIds.map((memberId): ConsumerRecord => ({ kind: 'consumer-current', group, memberId, value: null })),
      ...memberIds.map((memberId): ConsumerRecord => ({ kind: 'consumer-target-member', group, memberId, value: null })),
      { kind: 'consumer-target', group, value: null },
      ...memberIds.map((memberId): ConsumerRecord => ({ kind: 'consumer-member', group, memberId, value: null })),
      ...Array.from(this.#resolvedRegexes.keys(), (regex): ConsumerRecord => ({ kind: 'consumer-regex', group, regex, value: null })),
      { kind: 'consumer-topics', group, value: null },
      { kind: 'consumer-group', group, value: null },
    ]
  }
}

export function subscriptionTypeOf(
  regexSubscribers: ReadonlyMap<string, number>,
  subscriptions: ReadonlyMap<string, SubscriptionCount>,
  membersCount: number,
): SubscriptionType {
  const [firstRegex] = regexSubscribers.values()
  if (firstRegex !== undefined && firstRegex !== membersCount) return 'heterogeneous'
  for (const { byName, byRegex } of subscriptions.values()) {
    const isCommon = firstRegex === undefined ? byName === membersCount : byRegex === 1 && byName === 0
    if (!isCommon) return 'heterogeneous'
  }
  return 'homogeneous'
}

export const newMemberTimers = (ends: Record<keyof MemberTimers, (step: GroupStepBuilder) => void>): MemberTimers => ({
  session: newDeadline(ends.session),
  rebalance: newDeadline(ends.rebalance),
  join: newDeadline(ends.join),
  sync: newDeadline(ends.sync),
})

/** Of those that are counted most often, the first in `order`. */
function mostOften(counts: ReadonlyMap<string, number>, order: readonly string[]): string | undefined {
  let most: string | undefined
  for (const name of order) if (most === undefined || counts.get(name)! > counts.get(most)!) most = name
  return most
}

function count(counts: Map<string, number>, key: string, by: 1 | -1): void {
  const sum = (counts.get(key) ?? 0) + by
  if (sum === 0) counts.delete(key)
  else counts.set(key, sum)
}

function countName(counts: Map<string, SubscriptionCount>, topic: string, by: 1 | -1): void {
  const { byName = 0, byRegex = 0 } = counts.get(topic) ?? {}
  setCount(counts, topic, { byName: byName + by, byRegex })
}

function countRegex(counts: Map<string, SubscriptionCount>, topic: string, by: 1 | -1): void {
  const { byName = 0, byRegex = 0 } = counts.get(topic) ?? {}
  setCount(counts, topic, { byName, byRegex: byRegex + by })
}

function setCount(counts: Map<string, SubscriptionCount>, topic: string, sum: SubscriptionCount): void {
  if (sum.byName === 0 && sum.byRegex === 0) counts.delete(topic)
  else counts.set(topic, sum)
}
