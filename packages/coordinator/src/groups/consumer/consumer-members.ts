import { randomUuid } from '@tidelog/core'
import { type ConsumerGroupHeartbeatRequest, type ConsumerGroupHeartbeatResponse, type ErrorName, KafkaError } from '@tidelog/protocol'
import { appendErrorToReply } from '../../steps/append-error.ts'
import type { Ticket } from '../../steps/step.ts'
import type { GroupRecord } from '../group-record.ts'
import type { GroupStepBuilder } from '../group-step.ts'
import { ConsumerGroup, type MemberTimers, newMemberTimers, type SubscriptionType, subscriptionTypeOf } from './consumer-group.ts'
import {
  type Assignment,
  type ConsumerMember,
  isReconciledTo,
  newConsumerMember,
  regexOf,
  sameCurrentState,
  sameOwned,
  sameSet,
  toTopicPartitions,
} from './consumer-member.ts'
import type { ConsumerRecord } from './consumer-record.ts'
import type { ConsumerCaller, ConsumerRoom } from './consumer-room.ts'
import { checkHeartbeat, JOIN_EPOCH, LEAVE_STATIC_EPOCH, withRequest } from './heartbeat-request.ts'
import { isPartOf, type ReportedPartitions, reconcile } from './reconciliation.ts'
import { RegularExpressions } from './regular-expressions.ts'
import { computeTarget, subscribedNames } from './target-assignment.ts'

/** A group that a request works on, and what has to happen for it to be there. */
interface OpenedGroup {
  readonly group: ConsumerGroup
  /** Records of what it takes the place of. */
  readonly before: readonly GroupRecord[]
  /** Puts it in its place. @returns What takes that back. */
  readonly install: (() => () => void) | undefined
}

const failed = (error: KafkaError): ConsumerGroupHeartbeatResponse => ({
  throttleTimeMs: 0,
  errorCode: error.code,
  errorMessage: error.message,
  memberId: null,
  memberEpoch: 0,
  heartbeatIntervalMs: 0,
  assignment: null,
})

/**
 * Members of consumer groups: their heartbeats, which bring subscriptions, ask for assignments and report what has been given up; their
 * leaving, and their end when they are not heard of. Source: KIP-848.
 */
export class ConsumerMembers {
  readonly #room: ConsumerRoom
  readonly #regexes: RegularExpressions

  constructor(room: ConsumerRoom) {
    this.#room = room
    this.#regexes = new RegularExpressions(room)
  }

  // --- heartbeats ------------------------------------------------------------------------------------------------------------------

  /** Reply: ConsumerGroupHeartbeatResponse, once what it tells lies in the log. */
  heartbeat(step: GroupStepBuilder, request: ConsumerGroupHeartbeatRequest, caller: ConsumerCaller, ticket: Ticket): void {
    try {
      checkHeartbeat(request, caller.apiVersion, this.#room.config.consumer.assignors)
      if (request.memberEpoch < JOIN_EPOCH) this.#leave(step, request, ticket)
      else this.#heartbeat(step, request, caller, ticket)
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      step.reply(ticket, failed(error))
    }
  }

  #heartbeat(step: GroupStepBuilder, request: ConsumerGroupHeartbeatRequest, caller: ConsumerCaller, ticket: Ticket): void {
    const { groupId, instanceId, memberEpoch, topicPartitions: reported } = request
    const joins = memberEpoch === JOIN_EPOCH
    const opened = this.#open(groupId, joins)
    const { group } = opened
    if (group.members.size >= this.#room.config.consumer.maxSize && !group.members.has(request.memberId)) {
      const limit = this.#room.config.consumer.maxSize
      throw new KafkaError('GROUP_MAX_SIZE_REACHED', `The consumer group has reached its maximum capacity of ${limit} members.`)
    }
    const memberId = request.memberId === '' ? randomUuid(this.#room.random) : request.memberId
    const records: ConsumerRecord[] = []
    const member =
      instanceId === null
        ? this.#dynamicMember(group, memberId, memberEpoch, reported)
        : this.#staticMember(group, { memberId, memberEpoch, instanceId, reported, records })

    const subscribing = withRequest(member, request, caller)
    const namesChanged = !sameSet(subscribing.subscribedTopicNames, member.subscribedTopicNames)
    if (subscribing !== member) records.push(memberRecord(group, subscribing))
    const regexChange = this.#regexes.update(step, group, { member, updated: subscribing, records, mayDescribe: caller.mayDescribe })
    const { epoch, subscriptionType } = this.#updateEpoch(group, member, subscribing, {
      isChanged: namesChanged || regexChange === 'changed to a known one',
      records,
    })
    const target = this.#updateTarget(step, group, member, subscribing, { epoch, subscriptionType, records })
    const updated = this.#reconcile(step, group, subscribing, {
      ...target,
      subscriptionChanged: namesChanged || regexChange !== 'none',
      reported,
      records,
    })

    const isFull =
      request.rebalanceTimeoutMs !== -1 &&
      (request.subscribedTopicNames !== null || request.subscribedTopicRegex !== null) &&
      reported !== null
    const response: ConsumerGroupHeartbeatResponse = {
      throttleTimeMs: 0,
      errorCode: 0,
      errorMessage: null,
      memberId,
      memberEpoch: updated.memberEpoch,
      heartbeatIntervalMs: this.#room.config.consumer.settingsOf(groupId).heartbeatIntervalMs,
      assignment:
        joins || isFull || !sameOwned(member.assigned, updated.assigned) ? { topicPartitions: toTopicPartitions(updated.assigned) } : null,
    }
    this.#answer(step, opened, records, ticket, response)
    this.keepAlive(step, group, memberId)
  }

  /** Appends the records and answers when they lie in the log, or at once when nothing is to be waited for. */
  #answer(
    step: GroupStepBuilder,
    { group, before, install }: OpenedGroup,
    records: readonly ConsumerRecord[],
    ticket: Ticket,
    response: ConsumerGroupHeartbeatResponse,
  ): void {
    if (records.length === 0 && before.length === 0 && group.unsettled.length === 0) {
      step.reply(ticket, response)
      return
    }
    const onUndo = install?.()
    this.#room.changes.apply(step, group, { before, records, ...(onUndo && { onUndo }) }, (settled, failure) =>
      settled.reply(ticket, failure === undefined ? response : failed(new KafkaError(appendErrorToReply(failure)))),
    )
  }

  // --- who it is -------------------------------------------------------------------------------------------------------------------

  #open(groupId: string, create: boolean): OpenedGroup {
    const { groups } = this.#room
    const existing = groups.get(groupId)
    if (existing?.type === 'consumer') return { group: existing, before: [], install: undefined }
    if (!create) {
      const message = existing === undefined ? `Consumer group ${groupId} not found.` : `Group ${groupId} is not a consumer group.`
      throw new KafkaError('GROUP_ID_NOT_FOUND', message)
    }
    const group = new ConsumerGroup(groupId)
    const install = () => {
      groups.set(groupId, group)
      return () => {
        if (groups.get(groupId) !== group) return
        if (existing === undefined) groups.delete(groupId)
        else groups.set(groupId, existing)
      }
    }
    if (existing === undefined) return { group, before: [], install }
    if (existing.state !== 'Empty') throw new KafkaError('GROUP_ID_NOT_FOUND', `Group ${groupId} is not a consumer group.`)
    return { group, before: [{ kind: 'group', group: groupId, value: null }], install }
  }

  #dynamicMember(group: ConsumerGroup, memberId: string, memberEpoch: number, reported: ReportedPartitions): ConsumerMember {
    const member = group.members.get(memberId)
    if (member === undefined) {
      if (memberEpoch === JOIN_EPOCH) return newConsumerMember(memberId)
      throw unknownMember(group, memberId)
    }
    checkEpoch(member, memberEpoch, reported)
    return member
  }

  #staticMember(
    group: ConsumerGroup,
    request: { memberId: string; memberEpoch: number; instanceId: string; reported: ReportedPartitions; records: ConsumerRecord[] },
  ): ConsumerMember {
    const { memberId, memberEpoch, instanceId, reported, records } = request
    const existing = group.staticMember(instanceId)
    if (memberEpoch === JOIN_EPOCH) {
      if (existing === undefined) return group.members.get(memberId) ?? newConsumerMember(memberId)
      if (existing.classic === null && existing.memberEpoch !== LEAVE_STATIC_EPOCH) {
        throw new KafkaError(
          'UNRELEASED_INSTANCE_ID',
          `Static member ${memberId} with instance id ${instanceId} cannot join the group because the instance id is owned by ${existing.memberId} member.`,
        )
      }
      return this.#replace(group, existing, memberId, records)
    }
    const member = knownInstance(group, memberId, instanceId)
    checkEpoch(member, memberEpoch, reported)
    return member
  }

  /** A static member has come back, under another id or its own: it takes over what it had. */
  #replace(group: ConsumerGroup, existing: ConsumerMember, memberId: string, records: ConsumerRecord[]): ConsumerMember {
    const member: ConsumerMember = { ...existing, memberId, memberEpoch: 0, previousMemberEpoch: 0 }
    records.push(
      ...memberTombstones(group, existing.memberId),
      memberRecord(group, member),
      { kind: 'consumer-target-member', group: group.id, memberId, value: group.targetOf(existing.memberId) },
      currentRecord(group, member),
    )
    return member
  }

  // --- epochs and assignments ------------------------------------------------------------------------------------------------------

  /** Another subscription, or other topics under it, make a new epoch of the group. */
  #updateEpoch(
    group: ConsumerGroup,
    member: ConsumerMember,
    updated: ConsumerMember,
    { isChanged, records }: { isChanged: boolean; records: ConsumerRecord[] },
  ): { epoch: number; subscriptionType: SubscriptionType | undefined } {
    if (!isChanged && !group.needsMetadataRefresh()) return { epoch: group.epoch, subscriptionType: undefined }
    const subscriptions = group.subscriptionsWith(member, updated)
    const metadataHash = this.#room.hashes.ofSubscription(subscriptions.keys())
    const isNew = !group.members.has(updated.memberId) && group.staticMember(updated.instanceId) === undefined
    const subscriptionType = subscriptionTypeOf(
      group.regexSubscribersWith(member, updated),
      subscriptions,
      group.members.size + (isNew ? 1 : 0),
    )
    let { epoch } = group
    if (isChanged || metadataHash !== group.metadataHash) {
      epoch++
      records.push({ kind: 'consumer-group', group: group.id, value: { epoch, metadataHash } })
    }
    group.metadataRefreshed(epoch)
    if (group.hasTopicsRecord) records.push({ kind: 'consumer-topics', group: group.id, value: null })
    return { epoch, subscriptionType }
  }

  /** Assigns anew when the group has a newer epoch, but not more often than its assignment interval allows. KIP-1263. */
  #updateTarget(
    step: GroupStepBuilder,
    group: ConsumerGroup,
    member: ConsumerMember,
    updated: ConsumerMember,
    change: { epoch: number; subscriptionType: SubscriptionType | undefined; records: ConsumerRecord[] },
  ): { targetEpoch: number; target: Assignment } {
    const { epoch, records } = change
    const last = { targetEpoch: group.target.epoch, target: group.targetOfInstance(updated) }
    if (group.target.epoch >= epoch) return last
    const { consumer } = this.#room.config
    const { assignmentIntervalMs } = consumer.settingsOf(group.id)
    const { timestampMs } = group.target
    if (timestampMs !== 0 && assignmentIntervalMs !== 0 && step.now.wallMs < timestampMs + assignmentIntervalMs) return last
    const assignor = group.preferredAssignorWith(member, updated) ?? consumer.assignors[0]!
    const { topics } = this.#room
    const subscriptionType = change.subscriptionType ?? group.subscriptionType
    const computed = computeTarget(group, updated, { epoch, nowMs: step.now.wallMs, assignor, subscriptionType, topics })
    records.push(...computed.records)
    return { targetEpoch: epoch, target: computed.own }
  }

  #reconcile(
    step: GroupStepBuilder,
    group: ConsumerGroup,
    member: ConsumerMember,
    input: {
      targetEpoch: number
      target: Assignment
      subscriptionChanged: boolean
      reported: ReportedPartitions
      records: ConsumerRecord[]
    },
  ): ConsumerMember {
    if (!input.subscriptionChanged && isReconciledTo(member, input.targetEpoch)) return member
    const names = subscribedNames(group, member)
    const { topics, deadlines } = this.#room
    const subscribed = {
      size: names.size,
      has: (topicId: string) => {
        const name = topics.byId(topicId)?.name
        return name !== undefined && names.has(name)
      },
    }
    const ownerEpoch = (topicId: string, partition: number) => group.ownerEpoch(topicId, partition)
    const updated = reconcile(member, { ...input, subscribed, ownerEpoch })
    if (sameCurrentState(member, updated)) return member
    input.records.push(currentRecord(group, updated))
    if (updated.classic === null) {
      const { rebalance } = this.#timersOf(group, updated.memberId)
      if (updated.state === 'UNREVOKED_PARTITIONS') deadlines.set(rebalance, step.now.monotonicMs + updated.rebalanceTimeoutMs)
      else deadlines.cancel(rebalance)
    }
    return updated
  }

  // --- leaving ---------------------------------------------------------------------------------------------------------------------

  #leave(step: GroupStepBuilder, request: ConsumerGroupHeartbeatRequest, ticket: Ticket): void {
    const { groupId, memberId, instanceId, memberEpoch } = request
    const group = this.#room.groups.get(groupId)
    if (group === undefined) throw new KafkaError('GROUP_ID_NOT_FOUND', `Group ${groupId} not found.`)
    if (group.type !== 'consumer') throw new KafkaError('GROUP_ID_NOT_FOUND', `Group ${groupId} is not a consumer group.`)
    const member = instanceId === null ? group.members.get(memberId) : knownInstance(group, memberId, instanceId)
    if (member === undefined) throw unknownMember(group, memberId)
    const reply = (settled: GroupStepBuilder, failure: ErrorName | undefined) => {
      const left = { throttleTimeMs: 0, errorCode: 0, errorMessage: null, memberId, memberEpoch, heartbeatIntervalMs: 0, assignment: null }
      settled.reply(ticket, failure === undefined ? left : failed(new KafkaError(appendErrorToReply(failure))))
    }
    if (instanceId !== null && memberEpoch === LEAVE_STATIC_EPOCH) {
      // Its session goes on: when it does not come back in time, it is out.
      const record = currentRecord(group, awaitingReturn(member))
      this.#room.changes.apply(step, group, { records: [record] }, reply)
    } else this.remove(step, group, [member], reply)
  }

  /** Takes members out; what they had is free for the others from the next assignment on. */
  remove(
    step: GroupStepBuilder,
    group: ConsumerGroup,
    members: readonly ConsumerMember[],
    settled: (step: GroupStepBuilder, failure: ErrorName | undefined) => void,
  ): void {
    const records = members.flatMap(({ memberId }) => memberTombstones(group, memberId))
    const regexes = abandonedRegexes(group, members)
    records.push(...regexes.map((regex): ConsumerRecord => ({ kind: 'consumer-regex', group: group.id, regex, value: null })))
    const metadataHash = this.#room.hashes.ofSubscription(group.subscriptionsWithout(members, regexes).keys())
    records.push({ kind: 'consumer-group', group: group.id, value: { epoch: group.epoch + 1, metadataHash } })
    for (const { memberId } of members) this.forgetTimers(group, memberId)
    this.#room.changes.apply(step, group, { records }, settled)
  }

  // --- time ------------------------------------------------------------------------------------------------------------------------

  /** A sign of life. */
  keepAlive(step: GroupStepBuilder, group: ConsumerGroup, memberId: string): void {
    const { sessionTimeoutMs } = this.#room.config.consumer.settingsOf(group.id)
    this.#room.deadlines.set(this.#timersOf(group, memberId).session, step.now.monotonicMs + sessionTimeoutMs)
  }

  /** Members that a log or a failed append has brought back have one session timeout to show up. */
  watch(step: GroupStepBuilder, group: ConsumerGroup): void {
    for (const memberId of [...group.timers.keys()]) if (!group.members.has(memberId)) this.forgetTimers(group, memberId)
    for (const member of group.members.values()) {
      const isWatched = group.timers.has(member.memberId)
      const { rebalance } = this.#timersOf(group, member.memberId)
      if (!isWatched) this.keepAlive(step, group, member.memberId)
      if (member.state === 'UNREVOKED_PARTITIONS' && member.classic === null) {
        this.#room.deadlines.set(rebalance, step.now.monotonicMs + member.rebalanceTimeoutMs)
      } else this.#room.deadlines.cancel(rebalance)
    }
  }

  /** The group is no longer kept here. */
  dissolve(group: ConsumerGroup): void {
    for (const memberId of [...group.timers.keys()]) this.forgetTimers(group, memberId)
  }

  #timersOf(group: ConsumerGroup, memberId: string): MemberTimers {
    let timers = group.timers.get(memberId)
    if (timers === undefined) {
      const end = (step: GroupStepBuilder) => {
        const member = group.members.get(memberId)
        if (member !== undefined && this.#room.isCurrent(group)) this.remove(step, group, [member], () => {})
      }
      timers = newMemberTimers({ session: end, rebalance: end, join: end, sync: end })
      group.timers.set(memberId, timers)
    }
    return timers
  }

  forgetTimers(group: ConsumerGroup, memberId: string): void {
    const timers = group.timers.get(memberId)
    if (timers === undefined) return
    for (const deadline of Object.values(timers)) this.#room.deadlines.cancel(deadline)
    group.timers.delete(memberId)
  }
}

// --- checks --------------------------------------------------------------------------------------------------------------------------

const unknownMember = (group: ConsumerGroup, memberId: string): KafkaError =>
  new KafkaError('UNKNOWN_MEMBER_ID', `Member ${memberId} is not a member of group ${group.id}.`)

/** The static member that a request speaks for. @throws KafkaError UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID */
export function knownInstance(group: ConsumerGroup, memberId: string, instanceId: string): ConsumerMember {
  const member = group.staticMember(instanceId)
  if (member === undefined) throw new KafkaError('UNKNOWN_MEMBER_ID', `Instance id ${instanceId} is unknown.`)
  if (member.memberId !== memberId) {
    throw new KafkaError(
      'FENCED_INSTANCE_ID',
      `Static member ${memberId} with instance id ${instanceId} was fenced by member ${member.memberId}.`,
    )
  }
  return member
}

/** One heartbeat's answer may be lost: its member may repeat the epoch before, as long as it has nothing that it should not have. */
function checkEpoch(member: ConsumerMember, epoch: number, reported: ReportedPartitions): void {
  if (epoch === JOIN_EPOCH || epoch === member.memberEpoch) return
  if (epoch < member.memberEpoch && epoch === member.previousMemberEpoch && isPartOf(reported, member.assigned)) return
  const word = epoch > member.memberEpoch ? 'greater' : 'smaller'
  throw new KafkaError(
    'FENCED_MEMBER_EPOCH',
    `The consumer group member has a ${word} member epoch (${epoch}) than the one known by the group coordinator (${member.memberEpoch}). ` +
      'The member must abandon all its partitions and rejoin.',
  )
}

// --- records -------------------------------------------------------------------------------------------------------------------------

export function memberRecord(group: ConsumerGroup, member: ConsumerMember): ConsumerRecord {
  const { memberId, instanceId, rackId, clientId, clientHost, subscribedTopicNames, subscribedTopicRegex } = member
  const { rebalanceTimeoutMs, serverAssignor, classic } = member
  const client = { instanceId, rackId, clientId, clientHost }
  const value = { ...client, subscribedTopicNames, subscribedTopicRegex, rebalanceTimeoutMs, serverAssignor, classic }
  return { kind: 'consumer-member', group: group.id, memberId, value }
}

export function currentRecord(group: ConsumerGroup, member: ConsumerMember): ConsumerRecord {
  const { memberId, memberEpoch, previousMemberEpoch, state, assigned, pendingRevocation } = member
  const value = { memberEpoch, previousMemberEpoch, state, assigned, pendingRevocation }
  return { kind: 'consumer-current', group: group.id, memberId, value }
}

const memberTombstones = ({ id: group }: ConsumerGroup, memberId: string): ConsumerRecord[] => [
  { kind: 'consumer-current', group, memberId, value: null },
  { kind: 'consumer-target-member', group, memberId, value: null },
  { kind: 'consumer-member', group, memberId, value: null },
]

/** A static member that means to come back keeps what it has, and may commit offsets of it in any epoch. */
const awaitingReturn = (member: ConsumerMember): ConsumerMember => ({
  ...member,
  memberEpoch: LEAVE_STATIC_EPOCH,
  pendingRevocation: new Map(),
  assigned: new Map(
    Array.from(member.assigned, ([topicId, partitions]) => [
      topicId,
      new Map(Array.from(partitions.keys(), (partition) => [partition, 0])),
    ]),
  ),
})

/** Expressions that only these members name. */
function abandonedRegexes(group: ConsumerGroup, members: readonly ConsumerMember[]): string[] {
  const counts = new Map<string, number>()
  for (const member of members) {
    const regex = regexOf(member)
    if (regex !== undefined) counts.set(regex, (counts.get(regex) ?? 0) + 1)
  }
  return [...counts].flatMap(([regex, count]) => (group.regexSubscribers.get(regex) === count ? [regex] : []))
}
