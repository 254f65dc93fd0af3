import type { ConsumerGroupDescribeResponse, ErrorName } from '@tidelog/protocol'
import type { Membership } from '../classic/membership.ts'
import type { Caller } from '../group-replies.ts'
import type { GroupStepBuilder } from '../group-step.ts'
import type { CommitOffsetsRequest, FetchOffsetsRequest } from '../offsets/group-offsets.ts'
import { ClassicMembers } from './classic-members.ts'
import { ConsumerGroup } from './consumer-group.ts'
import { type Assignment, type ConsumerMember, type OwnedPartitions, toTopicPartitions } from './consumer-member.ts'
import { ConsumerMembers } from './consumer-members.ts'
import type { ConsumerRecord } from './consumer-record.ts'
import type { ConsumerRoom } from './consumer-room.ts'
import { Departures } from './departures.ts'
import { GroupChanges, readCommitted } from './group-changes.ts'
import { MemberClocks } from './member-clocks.ts'
import { Migration } from './migration.ts'
import { Rebalancing } from './rebalancing.ts'
import { RegularExpressions } from './regular-expressions.ts'
import { TopicHashes } from './topics.ts'

export type DescribedConsumerGroup = ConsumerGroupDescribeResponse['groups'][number]
type DescribedMember = DescribedConsumerGroup['members'][number]

/** The consumer groups of one coordinator partition: what the log says of them, their members, and what others may know of them. */
export class ConsumerGroups {
  readonly #room: ConsumerRoom
  readonly #clocks: MemberClocks
  /** Those that speak the consumer protocol. */
  readonly members: ConsumerMembers
  /** Those that still speak the classic one. */
  readonly classicMembers: ClassicMembers

  constructor({ membership, ...options }: Omit<ConsumerRoom, 'hashes' | 'changes' | 'clocks' | 'isCurrent'> & { membership: Membership }) {
    const isCurrent = (group: ConsumerGroup) => options.groups.get(group.id) === group
    const clocks = new MemberClocks({
      ...options,
      onEnd: (step, group, member) => {
        if (isCurrent(group)) departures.remove(step, group, [member], () => {})
      },
    })
    const changes = new GroupChanges((step, group) => {
      if (isCurrent(group)) clocks.watch(step.now, group)
      else clocks.dissolve(group)
    })
    const room: ConsumerRoom = { ...options, hashes: new TopicHashes(options.topics), changes, clocks, isCurrent }
    const migration = new Migration(room, membership)
    const departures = new Departures(room, migration)
    const parts = { departures, migration, rebalancing: new Rebalancing(room), regexes: new RegularExpressions(room) }
    this.#room = room
    this.#clocks = clocks
    this.members = new ConsumerMembers(room, parts)
    this.classicMembers = new ClassicMembers(room, parts)
  }

  /** The log has been replayed: members have one session timeout to show up. */
  loaded(step: GroupStepBuilder, group: ConsumerGroup): void {
    this.#clocks.watch(step.now, group)
  }

  /** The group is no longer kept here. */
  dissolve(group: ConsumerGroup): void {
    this.#clocks.dissolve(group)
  }

  // --- the log ---------------------------------------------------------------------------------------------------------------------

  replay(record: ConsumerRecord): void {
    const { groups } = this.#room
    const existing = groups.get(record.group)
    if (existing?.type === 'consumer') {
      existing.apply(record)
      if (record.kind === 'consumer-group' && record.value === null) groups.delete(record.group)
      return
    }
    // A tombstone of what is not there; or of a group that has become a classic one since.
    if (record.value === null) return
    const group = new ConsumerGroup(record.group)
    group.isCommitted = true
    group.apply(record)
    groups.set(group.id, group)
  }

  /** Deletes a group that has no members: behind `step`, nothing of it is left. */
  delete(step: GroupStepBuilder, group: ConsumerGroup, settled: (step: GroupStepBuilder, failure: ErrorName | undefined) => void): void {
    const { groups, changes } = this.#room
    groups.delete(group.id)
    const onUndo = () => {
      if (!groups.has(group.id)) groups.set(group.id, group)
    }
    changes.apply(step, group, { records: group.tombstones(), onUndo }, settled)
  }

  // --- topics ----------------------------------------------------------------------------------------------------------------------

  /** Topics have come, gone or grown: groups that subscribe to them look again with the next heartbeat. */
  topicsChanged(names: ReadonlySet<string>): void {
    for (const name of names) this.#room.hashes.forget(name)
    for (const group of this.#room.groups.values()) {
      if (group.type !== 'consumer') continue
      for (const name of names) {
        if (!group.isSubscribedTo(name)) continue
        group.requestMetadataRefresh()
        break
      }
    }
  }

  // --- offsets ---------------------------------------------------------------------------------------------------------------------

  /**
   * Why a commit is refused as a whole. A member may commit in its own epoch, or what it has got in no later epoch than the one that it
   * names. Sources: KIP-848, KIP-1251.
   */
  commitError(group: ConsumerGroup, request: CommitOffsetsRequest, { apiVersion }: Pick<Caller, 'apiVersion'>): ErrorName | undefined {
    const { memberId, generationIdOrMemberEpoch: epoch, topics } = request
    if (epoch < 0 && group.isEmpty) return undefined
    const member = group.members.get(memberId)
    if (member === undefined) return 'UNKNOWN_MEMBER_ID'
    if (member.classic === null && apiVersion < 9) return 'UNSUPPORTED_VERSION'
    if (epoch === member.memberEpoch) return undefined
    const stale = member.classic === null ? 'STALE_MEMBER_EPOCH' : 'ILLEGAL_GENERATION'
    if (epoch > member.memberEpoch) return stale
    for (const { name, partitions } of topics) {
      const topicId = this.#room.topics.byName(name)?.topicId ?? ''
      for (const { partitionIndex } of partitions) {
        const since = member.assigned.get(topicId)?.get(partitionIndex) ?? member.pendingRevocation.get(topicId)?.get(partitionIndex)
        if (since === undefined || epoch < since) return stale
      }
    }
    return undefined
  }

  /** @param memberId null, with a negative epoch, from whoever only wants to know. */
  fetchError(
    group: ConsumerGroup,
    { memberId = null, memberEpoch = -1 }: Pick<FetchOffsetsRequest, 'memberId' | 'memberEpoch'>,
  ): ErrorName | undefined {
    if (memberId === null && memberEpoch < 0) return undefined
    const member = memberId === null ? undefined : group.members.get(memberId)
    if (member === undefined) return 'UNKNOWN_MEMBER_ID'
    if (member.memberEpoch === memberEpoch) return undefined
    return member.classic === null ? 'STALE_MEMBER_EPOCH' : 'ILLEGAL_GENERATION'
  }

  // --- what there is ---------------------------------------------------------------------------------------------------------------

  describe(group: ConsumerGroup): DescribedConsumerGroup {
    return readCommitted(group, () => ({
      errorCode: 0,
      errorMessage: null,
      groupId: group.id,
      groupState: group.state,
      groupEpoch: group.epoch,
      assignmentEpoch: group.target.epoch,
      assignorName: group.preferredAssignor ?? this.#room.config.consumer.assignors[0]!,
      members: Array.from(group.members.values(), (member) => this.#describeMember(group, member)),
      authorizedOperations: -2147483648,
    }))
  }

  #describeMember(group: ConsumerGroup, member: ConsumerMember): DescribedMember {
    const { memberId, instanceId, rackId, memberEpoch, clientId, clientHost, subscribedTopicNames, subscribedTopicRegex } = member
    const owned: Map<string, ReadonlyMap<number, number>> = new Map(member.assigned)
    for (const [topicId, partitions] of member.pendingRevocation) {
      owned.set(topicId, new Map([...(owned.get(topicId) ?? []), ...partitions]))
    }
    return {
      memberId,
      instanceId,
      rackId,
      memberEpoch,
      clientId,
      clientHost,
      subscribedTopicNames: [...subscribedTopicNames],
      subscribedTopicRegex,
      assignment: this.#withNames(owned),
      targetAssignment: this.#withNames(group.targetOf(memberId)),
      memberType: member.classic === null ? 1 : 0,
    }
  }

  /** Topics that are gone have no name to show. */
  #withNames(partitions: OwnedPartitions | Assignment): DescribedMember['assignment'] {
    return {
      topicPartitions: toTopicPartitions(partitions).flatMap((row) => {
        const topicName = this.#room.topics.byId(row.topicId)?.name
        return topicName === undefined ? [] : [{ ...row, topicName }]
      }),
    }
  }
}
