import { MalformedError, randomUuid } from '@tidelog/core'
import {
  CONSUMER_PROTOCOL_TYPE,
  type ErrorName,
  type HeartbeatRequest,
  type JoinGroupRequest,
  type JoinGroupResponse,
  KafkaError,
  type LeaveGroupRequest,
  type LeaveGroupResponse,
  type SyncGroupRequest,
} from '@tidelog/protocol'
import { appendErrorToReply } from '../../steps/append-error.ts'
import type { Instant, Ticket } from '../../steps/step.ts'
import { ownBytes } from '../group-record.ts'
import { type Caller, joinError, syncError } from '../group-replies.ts'
import type { GroupStepBuilder } from '../group-step.ts'
import type { ConsumerGroup } from './consumer-group.ts'
import { type ConsumerMember, newConsumerMember, sameSet, toTopicPartitions } from './consumer-member.ts'
import type { ConsumerRecord } from './consumer-record.ts'
import type { ConsumerRoom } from './consumer-room.ts'
import type { Departures } from './departures.ts'
import { knownInstance, knownMember, takeOver } from './member-lookup.ts'
import { type ClassicSubscription, type Migration, readSubscription, writeAssignment } from './migration.ts'
import type { Rebalancing } from './rebalancing.ts'
import { memberRecord } from './records.ts'
import type { RegularExpressions } from './regular-expressions.ts'

/**
 * Members of consumer groups that still use the classic protocol: the coordinator assigns to them as to the others, and tells them by
 * REBALANCE_IN_PROGRESS to fetch it with JoinGroup and SyncGroup. Nobody waits for anybody. Source: KIP-848, its migration.
 */
export class ClassicMembers {
  readonly #room: ConsumerRoom
  readonly #rebalancing: Rebalancing
  readonly #regexes: RegularExpressions
  readonly #departures: Departures
  readonly #migration: Migration

  constructor(
    room: ConsumerRoom,
    options: { rebalancing: Rebalancing; regexes: RegularExpressions; departures: Departures; migration: Migration },
  ) {
    this.#room = room
    this.#rebalancing = options.rebalancing
    this.#regexes = options.regexes
    this.#departures = options.departures
    this.#migration = options.migration
  }

  /** Reply: JoinGroupResponse, whose generation is the member's epoch; only SyncGroup tells the partitions. */
  join(step: GroupStepBuilder, group: ConsumerGroup, request: JoinGroupRequest, caller: Caller, ticket: Ticket): void {
    try {
      this.#join(step, group, request, caller, ticket)
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      step.reply(ticket, joinError(request.memberId, error.errorName))
    }
  }

  #join(step: GroupStepBuilder, group: ConsumerGroup, request: JoinGroupRequest, caller: Caller, ticket: Ticket): void {
    const { groupInstanceId: instanceId, protocolType, protocols } = request
    const memberId = request.memberId === '' ? randomUuid(this.#room.random) : request.memberId
    const { maxSize } = this.#room.config.consumer
    if (group.members.size >= maxSize && !group.members.has(memberId)) throw new KafkaError('GROUP_MAX_SIZE_REACHED')
    if (!group.supportsClassic(protocolType, protocols)) throw new KafkaError('INCONSISTENT_GROUP_PROTOCOL')
    if (request.memberId === '' && instanceId === null && caller.apiVersion >= 4) {
      step.reply(ticket, joinError(memberId, 'MEMBER_ID_REQUIRED'))
      return
    }
    const records: ConsumerRecord[] = []
    const replaced = group.staticMember(instanceId)
    const member = this.#memberOf(group, memberId, request, records)
    const subscription = subscriptionOf(request)
    const joining = joiningMember(member, request, caller, subscription)
    const namesChanged = !sameSet(joining.subscribedTopicNames, member.subscribedTopicNames)
    if (!sameMetadata(joining, member)) records.push(memberRecord(group.id, joining))
    const change = { member, updated: joining, records, mayDescribe: () => true }
    const subscriptionChanged = this.#regexes.update(step, group, change) !== 'none' || namesChanged
    const { epoch, subscriptionType } = this.#rebalancing.updateEpoch(group, member, joining, { isChanged: subscriptionChanged, records })
    const reported = this.#byId(subscription.ownedPartitions)
    const toTarget = { subscriptionChanged, reported, records }

    if (replaced !== undefined && this.#migration.goesBackReplacing(group, replaced)) {
      const rebalances = group.target.epoch < epoch
      const target = { targetEpoch: group.target.epoch, target: group.targetOfInstance(joining) }
      const updated = rebalances ? joining : this.#rebalancing.reconcile(group, joining, { ...target, ...toTarget })
      const downgrade = { joining: updated, replaced, records, rebalances }
      this.#migration.downgrade(step, group, downgrade, (later, failure) => later.reply(ticket, joinReply(updated, request, failure)))
      return
    }
    const target = this.#rebalancing.updateTarget(step, group, member, joining, { epoch, subscriptionType, records })
    const updated = this.#rebalancing.reconcile(group, joining, { ...target, ...toTarget })
    const { changes, clocks } = this.#room
    changes.apply(step, group, { records }, (later, failure) => {
      if (failure === undefined && group.members.has(memberId)) {
        clocks.keepAlive(later.now, group, memberId)
        clocks.expectSync(later.now, group, updated)
      }
      later.reply(ticket, joinReply(updated, request, failure))
    })
    clocks.mindRevocation(step.now, group, updated)
  }

  #memberOf(group: ConsumerGroup, memberId: string, request: JoinGroupRequest, records: ConsumerRecord[]): ConsumerMember {
    const { groupInstanceId: instanceId } = request
    if (instanceId !== null && request.memberId !== '') return knownInstance(group, memberId, instanceId)
    const existing = group.staticMember(instanceId)
    if (existing !== undefined) return takeOver(group, existing, memberId, records)
    return group.members.get(memberId) ?? newConsumerMember(memberId)
  }

  #byId(partitions: ClassicSubscription['ownedPartitions']): { topicId: string; partitions: readonly number[] }[] {
    return partitions.flatMap(({ topic, partitions: owned }) => {
      const topicId = this.#room.topics.byName(topic)?.topicId
      return topicId === undefined ? [] : [{ topicId, partitions: owned }]
    })
  }

  /** Reply: SyncGroupResponse with what the member has. */
  sync(step: GroupStepBuilder, group: ConsumerGroup, request: SyncGroupRequest, ticket: Ticket): void {
    const { memberId, groupInstanceId, generationId, protocolType, protocolName } = request
    const { changes, clocks, topics } = this.#room
    try {
      const member = classicMember(group, memberId, groupInstanceId, generationId)
      const { name, metadata } = member.classic.supportedProtocols[0]!
      if ((protocolType ?? CONSUMER_PROTOCOL_TYPE) !== CONSUMER_PROTOCOL_TYPE || (protocolName ?? name) !== name) {
        throw new KafkaError('INCONSISTENT_GROUP_PROTOCOL')
      }
      if (group.target.epoch > member.memberEpoch && member.state !== 'UNREVOKED_PARTITIONS') {
        clocks.expectJoin(step.now, group, member)
        throw new KafkaError('REBALANCE_IN_PROGRESS')
      }
      const assignment = writeAssignment(toTopicPartitions(member.assigned), metadata, topics)
      const done = (later: GroupStepBuilder, failure: ErrorName | undefined) => {
        if (failure !== undefined) return later.reply(ticket, syncError(appendErrorToReply(failure)))
        clocks.synced(group, memberId)
        clocks.keepAlive(later.now, group, memberId)
        later.reply(ticket, { throttleTimeMs: 0, errorCode: 0, protocolType, protocolName, assignment })
      }
      if (group.unsettled.length === 0) done(step, undefined)
      else changes.apply(step, group, { records: [] }, done)
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      step.reply(ticket, syncError(error.errorName))
    }
  }

  /** @returns REBALANCE_IN_PROGRESS when the member is to join again: for another epoch, to give something up, or to get what is free now. */
  heartbeatError(now: Instant, group: ConsumerGroup, request: HeartbeatRequest): ErrorName | undefined {
    const { memberId, groupInstanceId, generationId } = request
    try {
      const member = classicMember(group, memberId, groupInstanceId, generationId)
      this.#room.clocks.keepAlive(now, group, memberId)
      const isBehind =
        member.memberEpoch < group.target.epoch ||
        member.state === 'UNREVOKED_PARTITIONS' ||
        (member.state === 'UNRELEASED_PARTITIONS' && !waitsForOthers(group, member))
      if (!isBehind) return undefined
      this.#room.clocks.expectJoin(now, group, member)
      return 'REBALANCE_IN_PROGRESS'
    } catch (error) {
      if (error instanceof KafkaError) return error.errorName
      throw error
    }
  }

  /** Reply: LeaveGroupResponse with a row for every member of the request; members of either protocol can be removed. */
  leave(step: GroupStepBuilder, group: ConsumerGroup, request: Pick<LeaveGroupRequest, 'members'>, ticket: Ticket): void {
    const leaving = new Map<string, ConsumerMember>()
    const members = request.members.map(({ memberId, groupInstanceId }) => {
      try {
        // An administrator removes static members by their instance id alone.
        const named = memberId === '' ? (group.staticMember(groupInstanceId)?.memberId ?? '') : memberId
        const member = knownMember(group, named, groupInstanceId)
        leaving.set(member.memberId, member)
        return { memberId, groupInstanceId, errorCode: 0 }
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error
        return { memberId, groupInstanceId, errorCode: error.code }
      }
    })
    const reply = (later: GroupStepBuilder, failure: ErrorName | undefined) => {
      const response: LeaveGroupResponse = { throttleTimeMs: 0, errorCode: 0, members }
      const failed = () => ({ throttleTimeMs: 0, errorCode: new KafkaError(appendErrorToReply(failure!)).code, members: [] })
      later.reply(ticket, failure === undefined ? response : failed())
    }
    if (leaving.size === 0) reply(step, undefined)
    else this.#departures.remove(step, group, [...leaving.values()], reply)
  }
}

/** @throws KafkaError UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION */
function classicMember(
  group: ConsumerGroup,
  memberId: string,
  instanceId: string | null,
  generation: number,
): ConsumerMember & { readonly classic: NonNullable<ConsumerMember['classic']> } {
  const member = knownMember(group, memberId, instanceId)
  const { classic } = member
  if (classic === null) throw new KafkaError('UNKNOWN_MEMBER_ID')
  if (member.memberEpoch !== generation) throw new KafkaError('ILLEGAL_GENERATION')
  return { ...member, classic }
}

/** Is any of its partitions still another's? */
function waitsForOthers(group: ConsumerGroup, member: ConsumerMember): boolean {
  for (const [topicId, partitions] of group.targetOf(member.memberId)) {
    for (const partition of partitions) {
      if (!member.assigned.get(topicId)?.has(partition) && group.ownerEpoch(topicId, partition) !== -1) return true
    }
  }
  return false
}

/** @throws KafkaError UNKNOWN_SERVER_ERROR for metadata that is not a consumer's, as in Kafka */
function subscriptionOf({ protocols }: JoinGroupRequest): ClassicSubscription {
  try {
    return readSubscription(protocols[0]!.metadata)
  } catch (error) {
    if (error instanceof MalformedError) throw new KafkaError('UNKNOWN_SERVER_ERROR')
    throw error
  }
}

const joiningMember = (
  member: ConsumerMember,
  request: JoinGroupRequest,
  { clientId, clientHost }: Caller,
  { topics, rackId }: ClassicSubscription,
): ConsumerMember => ({
  ...member,
  instanceId: request.groupInstanceId ?? member.instanceId,
  rackId: rackId || member.rackId,
  rebalanceTimeoutMs: request.rebalanceTimeoutMs === -1 ? request.sessionTimeoutMs : request.rebalanceTimeoutMs,
  clientId,
  clientHost,
  subscribedTopicNames: new Set(topics),
  subscribedTopicRegex: '',
  classic: {
    sessionTimeoutMs: request.sessionTimeoutMs,
    supportedProtocols: request.protocols.map(({ name, metadata }) => ({ name, metadata: ownBytes(metadata) })),
  },
})

function sameMetadata(a: ConsumerMember, b: ConsumerMember): boolean {
  const [ofA, ofB] = [a.classic?.supportedProtocols ?? [], b.classic?.supportedProtocols ?? []]
  return (
    a.instanceId === b.instanceId &&
    a.rackId === b.rackId &&
    a.rebalanceTimeoutMs === b.rebalanceTimeoutMs &&
    a.clientId === b.clientId &&
    a.clientHost === b.clientHost &&
    a.subscribedTopicRegex === b.subscribedTopicRegex &&
    sameSet(a.subscribedTopicNames, b.subscribedTopicNames) &&
    a.classic?.sessionTimeoutMs === b.classic?.sessionTimeoutMs &&
    ofA.length === ofB.length &&
    ofA.every(({ name, metadata }, i) => name === ofB[i]!.name && Buffer.compare(metadata, ofB[i]!.metadata) === 0)
  )
}

function joinReply(member: ConsumerMember, request: JoinGroupRequest, failure: ErrorName | undefined): JoinGroupResponse {
  if (failure !== undefined) return joinError(request.memberId, appendErrorToReply(failure))
  const { memberId, memberEpoch: generationId, classic } = member
  return {
    throttleTimeMs: 0,
    errorCode: 0,
    generationId,
    protocolType: CONSUMER_PROTOCOL_TYPE,
    protocolName: classic!.supportedProtocols[0]!.name,
    leader: '',
    skipAssignment: false,
    memberId,
    members: [],
  }
}
