import type { Random } from '@tidelog/core'
import {
  type ConsumerGroupHeartbeatRequest,
  type DescribeGroupsResponse,
  type ErrorName,
  type HeartbeatRequest,
  type HeartbeatResponse,
  type JoinGroupRequest,
  KafkaError,
  type LeaveGroupRequest,
  type LeaveGroupResponse,
  type ListGroupsResponse,
  type OffsetDeleteRequest,
  type OffsetDeleteResponse,
  type SyncGroupRequest,
} from '@tidelog/protocol'
import { appendErrorToReply } from '../steps/append-error.ts'
import type { Coordinator } from '../steps/coordinator.ts'
import { DeadlineHeap, newDeadline } from '../steps/deadline-heap.ts'
import type { Instant, MarkerOfTransaction, Ticket, TransactionOfWrite } from '../steps/step.ts'
import { ClassicGroup, type GroupMember } from './classic/classic-group.ts'
import { Membership } from './classic/membership.ts'
import { CommitChecks } from './commit-checks.ts'
import { ConsumerGroups, type DescribedConsumerGroup } from './consumer/consumer-groups.ts'
import type { ConsumerCaller } from './consumer/consumer-room.ts'
import { readCommitted } from './consumer/group-changes.ts'
import type { TopicsView } from './consumer/topics.ts'
import type { Group, Groups } from './group.ts'
import type { GroupCoordinatorConfig } from './group-config.ts'
import type { GroupRecord, OffsetRecord } from './group-record.ts'
import { type Caller, codeOf, joinError, syncError } from './group-replies.ts'
import { type GroupStep, GroupStepBuilder } from './group-step.ts'
import { type CommitOffsetsRequest, type FetchOffsetsRequest, GroupOffsets, type OffsetsOfTopic } from './offsets/group-offsets.ts'

export type DescribedGroup = DescribeGroupsResponse['groups'][number]
export type ListedGroup = ListGroupsResponse['groups'][number]

/** Records of one write when there may be more than fit into a batch; tombstones need not be appended all at once. */
const tombstonesPerWrite = 1000

/**
 * The group coordinator of one partition of __consumer_offsets, as pure steps: a request, a deadline or the outcome of an append goes in with
 * the time, and out come replies and records to append. No clock, no disk, no promise; whoever runs it keeps these rules:
 * - first `replay` (and `endTransaction`) for every record of the log in order, then `loaded`, then requests;
 * - the writes of all steps are appended in the order they were made, and each is settled, in that order;
 * - `advance` is called when `nextDeadlineMs` has come.
 */
export class GroupCoordinator implements Coordinator<GroupRecord> {
  readonly #config: GroupCoordinatorConfig
  readonly #groups: Groups = new Map()
  readonly #deadlines = new DeadlineHeap<GroupStepBuilder>()
  readonly #membership: Membership
  readonly #consumers: ConsumerGroups
  readonly #commitChecks: CommitChecks
  readonly #offsets: GroupOffsets
  readonly #retentionCheck = newDeadline<GroupStepBuilder>((step) => this.#expire(step))

  constructor({ config, random, topics }: { config: GroupCoordinatorConfig; random: Random; topics: TopicsView }) {
    this.#config = config
    const isCurrent = (group: ClassicGroup) => this.#groups.get(group.id) === group
    this.#membership = new Membership({ config, deadlines: this.#deadlines, random, isCurrent })
    this.#consumers = new ConsumerGroups({
      config,
      groups: this.#groups,
      deadlines: this.#deadlines,
      random,
      topics,
      membership: this.#membership,
    })
    this.#commitChecks = new CommitChecks({ membership: this.#membership, consumers: this.#consumers })
    this.#offsets = new GroupOffsets(config)
  }

  // --- the log ---------------------------------------------------------------------------------------------------------------------

  /** @param producerId Of the batch when it is transactional: its offsets count from the commit marker on. */
  replay(record: GroupRecord, producerId?: number): void {
    if (record.kind === 'offset') this.#replayOffset(record, producerId)
    else if (record.kind !== 'group') this.#consumers.replay(record)
    else if (record.value === null) {
      if (this.#groups.get(record.group)?.type === 'classic') this.#groups.delete(record.group)
    } else {
      const group: ClassicGroup = ClassicGroup.fromRecord(record.group, record.value, (fields) =>
        this.#membership.newMember(() => group, fields),
      )
      this.#groups.set(record.group, group)
    }
  }

  #replayOffset(record: OffsetRecord, producerId: number | undefined): void {
    this.#offsets.replay(record, producerId)
    if (record.value !== null && !this.#groups.has(record.group)) {
      const group = new ClassicGroup(record.group, undefined)
      group.isCommitted = true
      this.#groups.set(record.group, group)
    }
  }

  /** Replays a transaction's marker. */
  endTransaction(producerId: number, committed: boolean): void {
    this.#offsets.endTransaction(producerId, committed)
  }

  /** The log has been replayed: members have one session timeout to show up. */
  loaded(now: Instant): GroupStep {
    const step = new GroupStepBuilder(now)
    for (const group of this.#groups.values()) {
      if (group.type === 'consumer') {
        this.#consumers.loaded(step, group)
        continue
      }
      for (const member of group.members.values()) this.#membership.keepAlive(now, member)
      // The limit was lowered while this broker was away: a rebalance lets the surplus commit before it goes.
      if (group.members.size > this.#config.maxSize) this.#membership.prepareRebalance(step, group)
    }
    this.#deadlines.set(this.#retentionCheck, now.monotonicMs + this.#config.offsetsRetentionCheckIntervalMs)
    return step
  }

  /** Another broker takes over: everyone who waits is told to look for it. Writes under way are still to be settled, as failed. */
  unload(now: Instant): GroupStep {
    const step = new GroupStepBuilder(now)
    for (const group of this.#groups.values()) {
      if (group.type === 'consumer') this.#consumers.dissolve(group)
      else this.#membership.dissolve(step, group, 'NOT_COORDINATOR')
    }
    this.#groups.clear()
    this.#deadlines.cancel(this.#retentionCheck)
    return step
  }

  // --- time ------------------------------------------------------------------------------------------------------------------------

  /** Monotonic ms; Infinity without any. */
  get nextDeadlineMs(): number {
    return this.#deadlines.nextMs
  }

  /** What falls due up to `now`. */
  advance(now: Instant): GroupStep {
    const step = new GroupStepBuilder(now)
    for (let due = this.#deadlines.take(now.monotonicMs); due !== undefined; due = this.#deadlines.take(now.monotonicMs)) due.onDue(step)
    return step
  }

  // --- members ---------------------------------------------------------------------------------------------------------------------

  /** Reply: JoinGroupResponse, when the join phase ends. */
  joinGroup(request: JoinGroupRequest, caller: Caller, ticket: Ticket, now: Instant): GroupStep {
    const step = new GroupStepBuilder(now)
    const { groupId, memberId, sessionTimeoutMs } = request
    const refuse = (error: ErrorName) => step.reply(ticket, joinError(memberId, error))
    if (groupId === '') refuse('INVALID_GROUP_ID')
    else if (sessionTimeoutMs < this.#config.minSessionTimeoutMs || sessionTimeoutMs > this.#config.maxSessionTimeoutMs) {
      refuse('INVALID_SESSION_TIMEOUT')
    } else {
      const known = this.#groups.get(groupId)
      if (known?.type === 'consumer' && !known.isEmpty) this.#consumers.classicMembers.join(step, known, request, caller, ticket)
      else if (known?.type === 'classic') this.#membership.join(step, known, request, caller, ticket)
      else if (memberId !== '') refuse('UNKNOWN_MEMBER_ID')
      else this.#joinNewGroup(step, request, caller, ticket)
    }
    return step
  }

  #joinNewGroup(step: GroupStepBuilder, request: JoinGroupRequest, caller: Caller, ticket: Ticket): void {
    const empty = this.#groups.get(request.groupId)
    if (empty?.type === 'consumer') this.#consumers.delete(step, empty, () => {})
    const group = this.#create(request.groupId, step.now)
    const record = group.toNewRecord()
    this.#membership.join(step, group, request, caller, ticket)
    step.write([record], (settled, failure) => {
      if (failure === undefined) group.isCommitted = true
      else if (!group.isCommitted && this.#groups.get(group.id) === group) {
        this.#membership.dissolve(settled, group, appendErrorToReply(failure))
        if (empty === undefined) this.#groups.delete(group.id)
        else this.#groups.set(group.id, empty)
      }
    })
  }

  /** Reply: SyncGroupResponse, when the leader's assignment lies in the log. */
  syncGroup(request: SyncGroupRequest, ticket: Ticket, now: Instant): GroupStep {
    const step = new GroupStepBuilder(now)
    const { groupId, memberId, groupInstanceId, generationId, protocolType, protocolName, assignments } = request
    const refuse = (error: ErrorName) => step.reply(ticket, syncError(error))
    const group = this.#groups.get(groupId)
    if (groupId === '') refuse('INVALID_GROUP_ID')
    else if (group === undefined || group.state === 'Empty') refuse('UNKNOWN_MEMBER_ID')
    else if (group.type === 'consumer') this.#consumers.classicMembers.sync(step, group, request, ticket)
    else {
      const error = this.#membership.memberError(group, memberId, groupInstanceId)
      if (error !== undefined) refuse(error)
      else if (generationId !== group.generation) refuse('ILLEGAL_GENERATION')
      else if ((protocolType ?? group.protocolType) !== group.protocolType || (protocolName ?? group.protocolName) !== group.protocolName) {
        refuse('INCONSISTENT_GROUP_PROTOCOL')
      } else this.#membership.sync(step, group, group.members.get(memberId)!, assignments, ticket)
    }
    return step
  }

  /** Answers at once. */
  heartbeat(request: HeartbeatRequest, now: Instant): HeartbeatResponse {
    const error = this.#heartbeatError(request, now)
    return { throttleTimeMs: 0, errorCode: error === undefined ? 0 : codeOf(error) }
  }

  #heartbeatError(request: HeartbeatRequest, now: Instant): ErrorName | undefined {
    const { groupId, memberId, groupInstanceId, generationId } = request
    if (groupId === '') return 'INVALID_GROUP_ID'
    const group = this.#groups.get(groupId)
    if (group === undefined) return 'UNKNOWN_MEMBER_ID'
    if (group.type === 'consumer') return this.#consumers.classicMembers.heartbeatError(now, group, request)
    const error = this.#membership.memberError(group, memberId, groupInstanceId)
    if (error !== undefined) return error
    if (generationId !== group.generation) return 'ILLEGAL_GENERATION'
    this.#membership.keepAlive(now, group.members.get(memberId)!)
    return group.state === 'PreparingRebalance' ? 'REBALANCE_IN_PROGRESS' : undefined
  }

  /** Reply: LeaveGroupResponse with a row for every member of the request. */
  leaveGroup(request: Pick<LeaveGroupRequest, 'groupId' | 'members'>, ticket: Ticket, now: Instant): GroupStep {
    const step = new GroupStepBuilder(now)
    const { groupId } = request
    const group = this.#groups.get(groupId)
    if (group?.type === 'consumer') {
      this.#consumers.classicMembers.leave(step, group, request, ticket)
      return step
    }
    let anyoneLeft = false
    const members = request.members.map(({ memberId, groupInstanceId }) => {
      const error = group === undefined ? 'UNKNOWN_MEMBER_ID' : this.#leave(step, group, memberId, groupInstanceId)
      if (error === undefined) anyoneLeft = true
      return { memberId, groupInstanceId, errorCode: error === undefined ? 0 : codeOf(error) }
    })
    if (group !== undefined && anyoneLeft) this.#membership.afterLeave(step, group)
    const response: LeaveGroupResponse =
      groupId === ''
        ? { throttleTimeMs: 0, errorCode: codeOf('INVALID_GROUP_ID'), members: [] }
        : { throttleTimeMs: 0, errorCode: 0, members }
    if (step.writes.length === 0) step.reply(ticket, response)
    else step.write([], (settled) => settled.reply(ticket, response))
    return step
  }

  #leave(step: GroupStepBuilder, group: ClassicGroup, memberId: string, groupInstanceId: string | null): ErrorName | undefined {
    if (memberId !== '' && this.#membership.forgetPending(group, memberId)) return undefined
    // An administrator removes static members by their instance id alone.
    const named = memberId === '' && groupInstanceId !== null ? (group.memberIdOfInstance(groupInstanceId) ?? '') : memberId
    const error = this.#membership.memberError(group, named, groupInstanceId)
    if (error === undefined) this.#membership.expel(step, group, group.members.get(named)!)
    return error
  }

  /** Reply: ConsumerGroupHeartbeatResponse. Source: KIP-848. */
  consumerGroupHeartbeat(request: ConsumerGroupHeartbeatRequest, caller: ConsumerCaller, ticket: Ticket, now: Instant): GroupStep {
    const step = new GroupStepBuilder(now)
    this.#consumers.members.heartbeat(step, request, caller, ticket)
    return step
  }

  /** Topics have come, gone or grown. */
  topicsChanged(names: ReadonlySet<string>, now: Instant): GroupStep {
    this.#consumers.topicsChanged(names)
    return new GroupStepBuilder(now)
  }

  // --- offsets ---------------------------------------------------------------------------------------------------------------------

  /**
   * Reply: the topics of the request with an error code for each partition. Only partitions that exist are to be handed in.
   * Source: KIP-211 (retention), KIP-447 (member checks).
   */
  commitOffsets(request: CommitOffsetsRequest, caller: Pick<Caller, 'apiVersion'>, ticket: Ticket, now: Instant): GroupStep {
    const step = new GroupStepBuilder(now)
    const { groupId, memberId } = request
    let group = this.#groups.get(groupId)
    const error = this.#commitChecks.error(group, request, caller)
    if (error !== undefined) {
      step.reply(ticket, this.#offsets.refuse(request, error))
      return step
    }
    group ??= this.#create(groupId, now)
    if (group.type === 'classic') {
      const member = group.members.get(memberId)
      if (member !== undefined && group.isIn('Stable', 'PreparingRebalance')) this.#membership.keepAlive(now, member)
    }
    this.#offsets.commit(step, request, ticket, this.#committed(group))
    return step
  }

  /** Reply: as to `commitOffsets`. The offsets count once the producer's transaction is committed. Source: KIP-98, KIP-447. */
  commitOffsetsInTransaction(request: CommitOffsetsRequest, producer: TransactionOfWrite, ticket: Ticket, now: Instant): GroupStep {
    const step = new GroupStepBuilder(now)
    const group = this.#groups.get(request.groupId)
    const error = this.#commitChecks.errorInTransaction(group, request)
    if (error !== undefined) step.reply(ticket, this.#offsets.refuse(request, error))
    else {
      const committing = group ?? this.#create(request.groupId, now)
      this.#offsets.commitInTransaction(step, request, producer, ticket, this.#committed(committing))
    }
    return step
  }

  #committed(group: Group): (failure: ErrorName | undefined) => void {
    return (failure) => {
      if (group.type === 'consumer') return
      if (failure === undefined) group.isCommitted = true
      else this.#forgetIfVoid(group)
    }
  }

  /** Reply: undefined when the marker lies in the log and the offsets of the transaction count or are gone, else the error of the append. */
  writeMarker(marker: MarkerOfTransaction, ticket: Ticket, now: Instant): GroupStep {
    const step = new GroupStepBuilder(now)
    this.#offsets.writeMarker(step, marker, ticket)
    return step
  }

  /**
   * Reply: the topics with their offsets, -1 where none is committed.
   * @param topics null for all that the group has.
   * @param requireStable Waits for commits that are under way, and answers UNSTABLE_OFFSET_COMMIT where a transaction is open. KIP-447.
   * @param memberId Of a member of a consumer group, with its epoch; null from others.
   */
  fetchOffsets(request: FetchOffsetsRequest, ticket: Ticket, now: Instant): GroupStep {
    const step = new GroupStepBuilder(now)
    const group = this.#groups.get(request.groupId)
    const error = group?.type === 'consumer' ? this.#consumers.fetchError(group, request) : undefined
    if (error !== undefined) {
      step.reply(ticket, new KafkaError(error))
      return step
    }
    const read = (): OffsetsOfTopic[] => this.#offsets.fetch(request)
    if (request.requireStable)
      step.write([], (settled, failure) => settled.reply(ticket, failure === undefined ? read() : new KafkaError(failure)))
    else step.reply(ticket, read())
    return step
  }

  /** Reply: OffsetDeleteResponse. Source: KIP-496. */
  deleteOffsets(request: OffsetDeleteRequest, ticket: Ticket, now: Instant): GroupStep {
    const step = new GroupStepBuilder(now)
    const { groupId } = request
    const group = this.#groups.get(groupId)
    const answer = (errorCode: number, topics: OffsetDeleteResponse['topics'] = []) => ({ errorCode, throttleTimeMs: 0, topics })
    if (groupId === '') step.reply(ticket, answer(codeOf('INVALID_GROUP_ID')))
    else if (group === undefined) step.reply(ticket, answer(codeOf('GROUP_ID_NOT_FOUND')))
    else if (group.type === 'classic' && group.state !== 'Empty' && !group.usesConsumerProtocol)
      step.reply(ticket, answer(codeOf('NON_EMPTY_GROUP')))
    else {
      const tombstones: OffsetRecord[] = []
      const topics = request.topics.map(({ name: topic, partitions }) => {
        const errorCode = group.isSubscribedTo(topic) ? codeOf('GROUP_SUBSCRIBED_TO_TOPIC') : 0
        if (errorCode === 0) tombstones.push(...this.#offsets.tombstones(groupId, topic, partitions))
        return { name: topic, partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })) }
      })
      this.#remove(step, tombstones, undefined, (settled, failure) =>
        settled.reply(ticket, failure === undefined ? answer(0, topics) : answer(codeOf(appendErrorToReply(failure)))),
      )
    }
    return step
  }

  /** Reply: an error code; NONE when the group and its offsets are gone. Source: KIP-229. */
  deleteGroup(groupId: string, ticket: Ticket, now: Instant): GroupStep {
    const step = new GroupStepBuilder(now)
    const group = this.#groups.get(groupId)
    if (group === undefined || (group.type === 'classic' && group.state === 'Dead')) step.reply(ticket, codeOf('GROUP_ID_NOT_FOUND'))
    else if (group.state !== 'Empty') step.reply(ticket, codeOf('NON_EMPTY_GROUP'))
    else {
      this.#remove(step, this.#offsets.allTombstones(groupId), group, (settled, failure) =>
        settled.reply(ticket, failure === undefined ? 0 : codeOf(appendErrorToReply(failure))),
      )
    }
    return step
  }

  /** Topics are gone: so is what groups had consumed of them. */
  topicsDeleted(topics: ReadonlySet<string>, now: Instant): GroupStep {
    const step = new GroupStepBuilder(now)
    for (const groupId of this.#groups.keys()) this.#remove(step, this.#offsets.allTombstones(groupId, topics), undefined, () => {})
    return step
  }

  // --- what there is ---------------------------------------------------------------------------------------------------------------

  /** An unknown group is Dead; from version 6 on that is an error. Source: KIP-1043. */
  describeGroup(groupId: string, { apiVersion }: Pick<Caller, 'apiVersion'>): DescribedGroup {
    const common = { errorCode: 0, errorMessage: null, groupId, authorizedOperations: -2147483648 }
    const group = this.#groups.get(groupId)
    if (group === undefined || !group.isCommitted || group.type === 'consumer') {
      const unknown = { ...common, groupState: 'Dead', protocolType: '', protocolData: '', members: [] }
      if (apiVersion < 6) return unknown
      const what = group?.isCommitted ? 'is not a classic group' : 'not found'
      return { ...unknown, errorCode: codeOf('GROUP_ID_NOT_FOUND'), errorMessage: `Group ${groupId} ${what}.` }
    }
    const isStable = group.state === 'Stable'
    return {
      ...common,
      groupState: group.state,
      protocolType: group.protocolType ?? '',
      protocolData: isStable ? (group.protocolName ?? '') : '',
      members: Array.from(group.members.values(), (member) => this.#describeMember(group, member, isStable)),
    }
  }

  /** State, members and assignments of a group of the consumer protocol. @throws KafkaError GROUP_ID_NOT_FOUND */
  describeConsumerGroup(groupId: string): DescribedConsumerGroup {
    const group = this.#groups.get(groupId)
    if (group === undefined || !group.isCommitted) throw new KafkaError('GROUP_ID_NOT_FOUND', `Group ${groupId} not found.`)
    if (group.type !== 'consumer') throw new KafkaError('GROUP_ID_NOT_FOUND', `Group ${groupId} is not a consumer group.`)
    return this.#consumers.describe(group)
  }

  #describeMember(group: ClassicGroup, member: GroupMember, withMetadata: boolean): DescribedGroup['members'][number] {
    const { memberId, groupInstanceId, clientId, clientHost } = member
    return {
      memberId,
      groupInstanceId,
      clientId,
      clientHost,
      memberMetadata: (withMetadata ? group.metadataOf(member) : Buffer.alloc(0)) as Buffer,
      memberAssignment: member.assignment as Buffer,
    }
  }

  /** Empty filters let everything through; they do not mind upper and lower case. Sources: KIP-518, KIP-848. */
  listGroups({ states, types }: { states: ReadonlySet<string>; types: ReadonlySet<string> }): ListedGroup[] {
    const listed: ListedGroup[] = []
    for (const group of this.#groups.values()) {
      if (!group.isCommitted || (types.size > 0 && !types.has(group.type))) continue
      const groupState = group.type === 'consumer' ? readCommitted(group, ({ state }) => state) : group.state
      if (states.size > 0 && !states.has(groupState.toLowerCase())) continue
      listed.push({ groupId: group.id, protocolType: group.protocolType ?? '', groupState, groupType: group.type })
    }
    return listed
  }

  // --- coming and going of groups --------------------------------------------------------------------------------------------------

  #create(groupId: string, now: Instant): ClassicGroup {
    const group = new ClassicGroup(groupId, now.wallMs)
    this.#groups.set(groupId, group)
    return group
  }

  /** A group that a failed commit had made. */
  #forgetIfVoid(group: ClassicGroup): void {
    if (!group.isCommitted && group.isSimple && !this.#offsets.has(group.id)) this.#groups.delete(group.id)
  }

  /** Appends tombstones of offsets, in as many writes as they need, and behind them the one of `group`, which is gone at once. */
  #remove(
    step: GroupStepBuilder,
    tombstones: readonly OffsetRecord[],
    group: Group | undefined,
    done: (settled: GroupStepBuilder, failure: ErrorName | undefined) => void,
  ): void {
    let failed: ErrorName | undefined
    for (let start = 0; start < tombstones.length; start += tombstonesPerWrite) {
      this.#offsets.apply(step, tombstones.slice(start, start + tombstonesPerWrite), (_, failure) => {
        failed ??= failure
      })
    }
    if (group === undefined) {
      step.write([], (settled, failure) => done(settled, failed ?? failure))
      return
    }
    if (group.type === 'consumer') {
      this.#consumers.delete(step, group, (settled, failure) => done(settled, failed ?? failure))
      return
    }
    this.#groups.delete(group.id)
    for (const memberId of [...group.pendingJoins.keys()]) this.#membership.forgetPending(group, memberId)
    step.write([{ kind: 'group', group: group.id, value: null }], (settled, failure) => {
      if (failure !== undefined && !this.#groups.has(group.id)) this.#groups.set(group.id, group)
      done(settled, failed ?? failure)
    })
  }

  /** Drops offsets that nobody has used for the retention time, and empty groups that have none left. Source: KIP-211. */
  #expire(step: GroupStepBuilder): void {
    for (const group of [...this.#groups.values()]) {
      const { tombstones, all } = this.#offsets.expired(group, step.now.wallMs)
      const goes = all && group.state === 'Empty' && group.isCommitted
      if (tombstones.length > 0 || goes) this.#remove(step, tombstones, goes ? group : undefined, () => {})
    }
    this.#deadlines.set(this.#retentionCheck, step.now.monotonicMs + this.#config.offsetsRetentionCheckIntervalMs)
  }
}
