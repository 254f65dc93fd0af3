import { randomUuid } from '@tidelog/core'
import { type ConsumerGroupHeartbeatRequest, type ConsumerGroupHeartbeatResponse, type ErrorName, KafkaError } from '@tidelog/protocol'
import { appendErrorToReply } from '../../steps/append-error.ts'
import type { Ticket } from '../../steps/step.ts'
import type { GroupRecord } from '../group-record.ts'
import type { GroupStepBuilder } from '../group-step.ts'
import { ConsumerGroup } from './consumer-group.ts'
import { type ConsumerMember, newConsumerMember, sameOwned, sameSet, toTopicPartitions } from './consumer-member.ts'
import type { ConsumerRecord } from './consumer-record.ts'
import type { ConsumerCaller, ConsumerRoom } from './consumer-room.ts'
import type { Departures } from './departures.ts'
import { checkHeartbeat, JOIN_EPOCH, LEAVE_STATIC_EPOCH, withRequest } from './heartbeat-request.ts'
import { knownInstance, knownMember, takeOver, unknownMember } from './member-lookup.ts'
import type { Migration } from './migration.ts'
import type { Rebalancing } from './rebalancing.ts'
import { isPartOf, type ReportedPartitions } from './reconciliation.ts'
import { currentRecord, memberRecord } from './records.ts'
import type { RegularExpressions } from './regular-expressions.ts'

/** A group that a request works on, and what has to happen for it to be there. */
interface OpenedGroup {
  readonly group: ConsumerGroup
  /** Records of what it takes the place of. */
  readonly before: readonly GroupRecord[]
  /** Puts it in its place. @returns What takes that back. */
  readonly install: ((step: GroupStepBuilder) => (step: GroupStepBuilder) => void) | undefined
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
    if (subscribing !== member) records.push(memberRecord(group.id, subscribing))
    const regexChange = this.#regexes.update(step, group, { member, updated: subscribing, records, mayDescribe: caller.mayDescribe })
    const { epoch, subscriptionType } = this.#rebalancing.updateEpoch(group, member, subscribing, {
      isChanged: namesChanged || regexChange === 'changed to a known one',
      records,
    })
    const target = this.#rebalancing.updateTarget(step, group, member, subscribing, { epoch, subscriptionType, records })
    const updated = this.#rebalancing.reconcile(group, subscribing, {
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
    this.#room.clocks.keepAlive(step.now, group, memberId)
    if (records.length > 0) this.#room.clocks.mindRevocation(step.now, group, updated)
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
    const onUndo = install?.(step)
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
    if (existing === undefined) {
      const install = () => {
        groups.set(groupId, group)
        return () => {
          if (groups.get(groupId) === group) groups.delete(groupId)
        }
      }
      return { group, before: [], install }
    }
    const tombstone: GroupRecord = { kind: 'group', group: groupId, value: null }
    const upgraded = existing.state === 'Empty' ? { group, records: [] } : this.#migration.upgraded(existing)
    const install = (step: GroupStepBuilder) => this.#migration.install(step, existing, upgraded.group)
    return { group: upgraded.group, before: [tombstone, ...upgraded.records], install }
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
      return takeOver(group, existing, memberId, records)
    }
    const member = knownInstance(group, memberId, instanceId)
    checkEpoch(member, memberEpoch, reported)
    return member
  }

  // --- leaving ---------------------------------------------------------------------------------------------------------------------

  #leave(step: GroupStepBuilder, request: ConsumerGroupHeartbeatRequest, ticket: Ticket): void {
    const { groupId, memberId, instanceId, memberEpoch } = request
    const group = this.#room.groups.get(groupId)
    if (group === undefined) throw new KafkaError('GROUP_ID_NOT_FOUND', `Group ${groupId} not found.`)
    if (group.type !== 'consumer') throw new KafkaError('GROUP_ID_NOT_FOUND', `Group ${groupId} is not a consumer group.`)
    const member = knownMember(group, memberId, instanceId)
    const reply = (settled: GroupStepBuilder, failure: ErrorName | undefined) => {
      const left = { throttleTimeMs: 0, errorCode: 0, errorMessage: null, memberId, memberEpoch, heartbeatIntervalMs: 0, assignment: null }
      settled.reply(ticket, failure === undefined ? left : failed(new KafkaError(appendErrorToReply(failure))))
    }
    if (instanceId !== null && memberEpoch === LEAVE_STATIC_EPOCH) {
      // Its session goes on: when it does not come back in time, it is out.
      const record = currentRecord(group.id, awaitingReturn(member))
      this.#room.changes.apply(step, group, { records: [record] }, reply)
    } else this.#departures.remove(step, group, [member], reply)
  }
}

// --- checks --------------------------------------------------------------------------------------------------------------------------

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
