import type { Random } from '@tidelog/core'
import type { ErrorName, JoinGroupRequest, JoinGroupResponse, SyncGroupResponse } from '@tidelog/protocol'
import { appendErrorToReply } from '../../steps/append-error.ts'
import { type DeadlineHeap, newDeadline } from '../../steps/deadline-heap.ts'
import type { Instant, Ticket } from '../../steps/step.ts'
import type { GroupCoordinatorConfig } from '../group-config.ts'
import { ownBytes } from '../group-record.ts'
import { type Caller, joinError, joinReply, syncError, syncReply } from '../group-replies.ts'
import type { GroupStepBuilder } from '../group-step.ts'
import { type ClassicGroup, type GroupMember, type MemberProtocol, newMember } from './classic-group.ts'

/** How long a new member's JoinGroup may wait: it has no id yet to heartbeat with, and its client may have gone. Kafka's constant. */
const newMemberJoinTimeoutMs = 5 * 60_000

/** Responses and records hold no longer string. */
const maxMemberIdBytes = 0x7fff

const noBytes = Buffer.alloc(0)

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && Buffer.compare(a, b) === 0
const sameProtocols = (a: readonly MemberProtocol[], b: readonly MemberProtocol[]): boolean =>
  a.length === b.length && a.every(({ name, metadata }, i) => name === b[i]!.name && sameBytes(metadata, b[i]!.metadata))

/**
 * Moves classic groups through their rebalances: Empty → PreparingRebalance (members join) → CompletingRebalance (the leader assigns)
 * → Stable, and back. Every wait is a deadline of the partition's heap.
 */
export class Membership {
  readonly #config: GroupCoordinatorConfig
  readonly #deadlines: DeadlineHeap<GroupStepBuilder>
  readonly #random: Random
  /** False once the group has been deleted or the partition unloaded: a late result then means nothing. */
  readonly #isCurrent: (group: ClassicGroup) => boolean

  constructor(options: {
    config: GroupCoordinatorConfig
    deadlines: DeadlineHeap<GroupStepBuilder>
    random: Random
    isCurrent: (group: ClassicGroup) => boolean
  }) {
    this.#config = options.config
    this.#deadlines = options.deadlines
    this.#random = options.random
    this.#isCurrent = options.isCurrent
  }

  // --- joining ---------------------------------------------------------------------------------------------------------------------

  /** Sources: KIP-62, KIP-345, KIP-394, KIP-814 (skipAssignment). */
  join(step: GroupStepBuilder, group: ClassicGroup, request: JoinGroupRequest, caller: Caller, ticket: Ticket): void {
    const { memberId, protocolType, protocols } = request
    if (!this.#accepts(group, memberId)) {
      this.forgetPending(group, memberId)
      const member = group.members.get(memberId)
      if (member !== undefined) this.expel(step, group, member)
      step.reply(ticket, joinError('', 'GROUP_MAX_SIZE_REACHED'))
      this.completeJoinIfAllCame(step, group)
      return
    }
    if (!group.supports(protocolType, protocols)) {
      step.reply(ticket, joinError(memberId, 'INCONSISTENT_GROUP_PROTOCOL'))
      return
    }
    if (memberId === '') this.#joinNew(step, group, request, caller, ticket)
    else if (group.pendingJoins.has(memberId)) {
      // Ids are given out to dynamic members only: a client that calls itself static with one is broken, and Kafka's coordinator fails on it.
      if (request.groupInstanceId !== null) step.reply(ticket, joinError(memberId, 'UNKNOWN_SERVER_ERROR'))
      else this.#admit(step, group, request, caller, ticket, memberId)
    } else this.#rejoin(step, group, request, ticket)
  }

  /** group.max.size; a group in the first phase counts who has joined, for not all will come back. */
  #accepts(group: ClassicGroup, memberId: string): boolean {
    const { maxSize } = this.#config
    switch (group.state) {
      case 'PreparingRebalance':
        return group.members.get(memberId)?.joinTicket !== undefined || group.awaitingJoin < maxSize
      case 'CompletingRebalance':
      case 'Stable':
        return group.members.has(memberId) || group.members.size < maxSize
      default:
        return true
    }
  }

  #joinNew(step: GroupStepBuilder, group: ClassicGroup, request: JoinGroupRequest, caller: Caller, ticket: Ticket): void {
    const { groupInstanceId } = request
    const memberId = `${groupInstanceId ?? caller.clientId}-${this.#uuid()}`
    if (Buffer.byteLength(memberId) > maxMemberIdBytes) {
      step.reply(ticket, joinError('', 'INVALID_REQUEST'))
      return
    }
    if (groupInstanceId !== null) {
      const knownAs = group.memberIdOfInstance(groupInstanceId)
      if (knownAs === undefined) this.#admit(step, group, request, caller, ticket, memberId)
      else this.#takeOver(step, group, request, caller, ticket, group.members.get(knownAs)!, memberId)
    } else if (caller.apiVersion >= 4) {
      const deadline = newDeadline<GroupStepBuilder>((due) => this.#dropPending(due, group, memberId))
      group.pendingJoins.set(memberId, deadline)
      this.#deadlines.set(deadline, step.now.monotonicMs + request.sessionTimeoutMs)
      step.reply(ticket, joinError(memberId, 'MEMBER_ID_REQUIRED'))
    } else this.#admit(step, group, request, caller, ticket, memberId)
  }

  #admit(step: GroupStepBuilder, group: ClassicGroup, request: JoinGroupRequest, caller: Caller, ticket: Ticket, memberId: string): void {
    this.forgetPending(group, memberId)
    const { groupInstanceId, sessionTimeoutMs } = request
    const { clientId, clientHost } = caller
    const rebalanceTimeoutMs = rebalanceTimeoutOf(request)
    const member = this.newMember(() => group, {
      memberId,
      groupInstanceId,
      clientId,
      clientHost,
      sessionTimeoutMs,
      rebalanceTimeoutMs,
      protocols: ownProtocols(request),
    })
    if (group.state === 'PreparingRebalance' && group.previousState === 'Empty') group.newMemberAdded = true
    group.setJoinTicket(member, ticket)
    group.add(member, request.protocolType)
    this.#deadlines.set(member.session, step.now.monotonicMs + newMemberJoinTimeoutMs)
    this.rebalanceOrCompleteJoin(step, group)
  }

  #rejoin(step: GroupStepBuilder, group: ClassicGroup, request: JoinGroupRequest, ticket: Ticket): void {
    const { memberId, groupInstanceId } = request
    const error = this.memberError(group, memberId, groupInstanceId)
    if (error !== undefined) {
      step.reply(ticket, joinError(memberId, error))
      return
    }
    const member = group.members.get(memberId)!
    const unchanged = sameProtocols(member.protocols, request.protocols)
    // A follower that asks again unchanged missed its answer; the leader asks again because it wants a new assignment.
    if (unchanged && (group.state === 'CompletingRebalance' || (group.state === 'Stable' && !group.isLeader(memberId)))) {
      step.reply(ticket, joinReply(group, member))
      return
    }
    if (!group.isIn('PreparingRebalance', 'CompletingRebalance', 'Stable')) {
      step.reply(ticket, joinError('', 'UNKNOWN_MEMBER_ID'))
      return
    }
    this.#update(step, group, member, request, ticket)
    this.rebalanceOrCompleteJoin(step, group)
  }

  #update(step: GroupStepBuilder, group: ClassicGroup, member: GroupMember, request: JoinGroupRequest, ticket: Ticket): void {
    group.setProtocols(member, ownProtocols(request))
    member.sessionTimeoutMs = request.sessionTimeoutMs
    member.rebalanceTimeoutMs = rebalanceTimeoutOf(request)
    // The request it replaces came on another connection and would wait for ever.
    this.#answerJoin(step, group, member, joinError(member.memberId, 'REBALANCE_IN_PROGRESS'))
    group.setJoinTicket(member, ticket)
  }

  /** A static member has come back without its member id: it takes over its own place, fencing whoever still uses the old id. */
  #takeOver(
    step: GroupStepBuilder,
    group: ClassicGroup,
    request: JoinGroupRequest,
    caller: Caller,
    ticket: Ticket,
    old: GroupMember,
    memberId: string,
  ): void {
    const leaderBefore = group.leaderId ?? ''
    const protocolsBefore = old.protocols
    this.#answerJoin(step, group, old, joinError(old.memberId, 'FENCED_INSTANCE_ID'))
    this.#answerSync(step, old, syncError('FENCED_INSTANCE_ID'))
    this.#deadlines.cancel(old.session)
    const successor = this.newMember(() => group, { ...old, memberId })
    successor.assignment = old.assignment
    successor.isNew = false
    group.replace(old, successor)
    this.keepAlive(step.now, successor)
    this.#update(step, group, successor, request, ticket)
    if (group.state === 'CompletingRebalance') {
      this.prepareRebalance(step, group)
      return
    }
    if (group.state !== 'Stable' || group.selectProtocol() !== group.protocolName) {
      this.rebalanceOrCompleteJoin(step, group)
      return
    }

    const assignments = new Map(Array.from(group.members.values(), (member) => [member.memberId, member.assignment]))
    step.write([group.toRecord(assignments)], (settled, failure) => {
      // A rebalance that began meanwhile answers this request as any other.
      if (!this.#isCurrent(group) || group.state !== 'Stable' || successor.joinTicket !== ticket) return
      if (failure !== undefined) {
        this.#answerJoin(settled, group, successor, joinError('', appendErrorToReply(failure)))
        this.#deadlines.cancel(successor.session)
        const restored = this.newMember(() => group, { ...old })
        restored.assignment = old.assignment
        restored.isNew = false
        group.replace(successor, restored)
        group.setProtocols(restored, protocolsBefore)
        this.keepAlive(settled.now, restored)
        return
      }
      const isLeader = group.isLeader(memberId)
      const reply = joinReply(group, successor)
      // Before KIP-814 the new id must not look like the leader's, or the member would assign without a rebalance.
      if (caller.apiVersion >= 9) this.#answerJoin(settled, group, successor, { ...reply, skipAssignment: isLeader })
      else this.#answerJoin(settled, group, successor, { ...reply, members: [], leader: leaderBefore })
      this.keepAlive(settled.now, successor)
    })
  }

  // --- phases ----------------------------------------------------------------------------------------------------------------------

  rebalanceOrCompleteJoin(step: GroupStepBuilder, group: ClassicGroup): void {
    if (group.canRebalance) this.prepareRebalance(step, group)
    else this.completeJoinIfAllCame(step, group)
  }

  /** Asks every member to join again. A group's first rebalance waits for more members than the first one. */
  prepareRebalance(step: GroupStepBuilder, group: ClassicGroup): void {
    if (group.state === 'CompletingRebalance') this.#failSyncs(step, group, 'REBALANCE_IN_PROGRESS')
    this.#deadlines.cancel(group.syncPhase)
    const isFirst = group.state === 'Empty'
    group.transitionTo('PreparingRebalance', step.now.wallMs)
    if (!isFirst) {
      this.#completeJoinOrWait(step, group)
      return
    }
    const delayMs = this.#config.initialRebalanceDelayMs
    group.newMemberAdded = false
    this.#waitForFirstMembers(step, group, delayMs, Math.max(group.rebalanceTimeoutMs - delayMs, 0))
  }

  /** Waits in turns of group.initial.rebalance.delay.ms while members keep coming, at most the rebalance timeout in all. */
  #waitForFirstMembers(step: GroupStepBuilder, group: ClassicGroup, delayMs: number, remainingMs: number): void {
    this.#setJoinPhase(step, group, delayMs, (due) => {
      if (!group.newMemberAdded || remainingMs === 0) {
        this.#completeJoin(due, group)
        return
      }
      group.newMemberAdded = false
      const nextDelayMs = Math.min(this.#config.initialRebalanceDelayMs, remainingMs)
      this.#waitForFirstMembers(due, group, nextDelayMs, Math.max(remainingMs - delayMs, 0))
    })
  }

  completeJoinIfAllCame(step: GroupStepBuilder, group: ClassicGroup): void {
    // The first rebalance runs its delay to the end, whoever has come; later ones have had their deadline since they began.
    if (group.state === 'PreparingRebalance' && group.previousState !== 'Empty' && group.allHaveJoined) this.#completeJoin(step, group)
  }

  #completeJoinOrWait(step: GroupStepBuilder, group: ClassicGroup): void {
    if (group.allHaveJoined) this.#completeJoin(step, group)
    else this.#setJoinPhase(step, group, group.rebalanceTimeoutMs, (due) => this.#completeJoin(due, group))
  }

  #setJoinPhase(step: GroupStepBuilder, group: ClassicGroup, delayMs: number, onDue: (step: GroupStepBuilder) => void): void {
    this.#deadlines.cancel(group.joinPhase)
    group.joinPhase = newDeadline(onDue)
    this.#deadlines.set(group.joinPhase, step.now.monotonicMs + delayMs)
  }

  /** Ends the join phase: dynamic members that did not come are out, static ones stay until their session ends. */
  #completeJoin(step: GroupStepBuilder, group: ClassicGroup): void {
    this.#deadlines.cancel(group.joinPhase)
    for (const member of [...group.members.values()]) {
      if (member.joinTicket === undefined && member.groupInstanceId === null) this.expel(step, group, member)
    }
    if (group.members.size > 0 && !group.electJoinedLeader()) {
      this.#setJoinPhase(step, group, group.rebalanceTimeoutMs, (due) => this.#completeJoin(due, group))
      return
    }
    group.startGeneration(step.now.wallMs)
    if (group.state === 'Empty') {
      step.write([group.toRecord()], () => {})
      return
    }
    for (const member of group.members.values()) {
      this.#answerJoin(step, group, member, joinReply(group, member))
      this.keepAlive(step.now, member)
      member.isNew = false
      group.pendingSyncs.add(member.memberId)
    }
    this.#waitForSyncs(step, group)
  }

  #waitForSyncs(step: GroupStepBuilder, group: ClassicGroup): void {
    const { generation } = group
    this.#deadlines.cancel(group.syncPhase)
    group.syncPhase = newDeadline((due) => {
      if (generation !== group.generation || !group.isIn('CompletingRebalance', 'Stable') || group.pendingSyncs.size === 0) return
      for (const memberId of [...group.pendingSyncs]) this.expel(due, group, group.members.get(memberId)!)
      this.prepareRebalance(due, group)
    })
    this.#deadlines.set(group.syncPhase, step.now.monotonicMs + group.rebalanceTimeoutMs)
  }

  // --- syncing ---------------------------------------------------------------------------------------------------------------------

  sync(
    step: GroupStepBuilder,
    group: ClassicGroup,
    member: GroupMember,
    assignments: readonly { memberId: string; assignment: Uint8Array }[],
    ticket: Ticket,
  ): void {
    if (group.state === 'PreparingRebalance') {
      step.reply(ticket, syncError('REBALANCE_IN_PROGRESS'))
      return
    }
    group.pendingSyncs.delete(member.memberId)
    if (group.pendingSyncs.size === 0) this.#deadlines.cancel(group.syncPhase)
    if (group.state === 'Stable') {
      step.reply(ticket, syncReply(group, member))
      return
    }
    // The request it replaces came on another connection and would wait for ever.
    this.#answerSync(step, member, syncError('REBALANCE_IN_PROGRESS'))
    member.syncTicket = ticket
    if (group.isLeader(member.memberId)) this.#assign(step, group, assignments)
  }

  #assign(step: GroupStepBuilder, group: ClassicGroup, assignments: readonly { memberId: string; assignment: Uint8Array }[]): void {
    const { generation } = group
    const byMember = new Map<string, Uint8Array>()
    for (const { memberId, assignment } of assignments) {
      if (group.members.has(memberId)) byMember.set(memberId, ownBytes(assignment))
    }
    step.write([group.toRecord(byMember)], (settled, failure) => {
      // Whoever joined, left or assigned while this was being written has moved the group on.
      if (!this.#isCurrent(group) || group.state !== 'CompletingRebalance' || group.generation !== generation) return
      if (failure !== undefined) {
        this.#failSyncs(settled, group, appendErrorToReply(failure))
        this.rebalanceOrCompleteJoin(settled, group)
        return
      }
      group.transitionTo('Stable', settled.now.wallMs)
      group.isCommitted = true
      for (const member of group.members.values()) {
        member.assignment = byMember.get(member.memberId) ?? noBytes
        if (this.#answerSync(settled, member, syncReply(group, member))) this.keepAlive(settled.now, member)
      }
    })
  }

  #failSyncs(step: GroupStepBuilder, group: ClassicGroup, error: ErrorName): void {
    for (const member of group.members.values()) {
      member.assignment = noBytes
      if (this.#answerSync(step, member, syncError(error))) this.keepAlive(step.now, member)
    }
  }

  // --- members ---------------------------------------------------------------------------------------------------------------------

  newMember(groupOf: () => ClassicGroup, fields: Parameters<typeof newMember>[0]): GroupMember {
    const { memberId, groupInstanceId, clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs, protocols } = fields
    const own = { memberId, groupInstanceId, clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs, protocols }
    return newMember(own, (step, member) => {
      // Who waits in a rebalance need not heartbeat, once it has been in the group.
      if (!member.isNew && (member.joinTicket !== undefined || member.syncTicket !== undefined)) return
      const group = groupOf()
      this.expel(step, group, member)
      this.afterLeave(step, group)
    })
  }

  keepAlive(now: Instant, member: GroupMember): void {
    this.#deadlines.set(member.session, now.monotonicMs + member.sessionTimeoutMs)
  }

  /** Why a request in this member's name is refused; undefined when it is not. */
  memberError(group: ClassicGroup, memberId: string, groupInstanceId: string | null): ErrorName | undefined {
    if (groupInstanceId !== null) {
      const knownAs = group.memberIdOfInstance(groupInstanceId)
      if (knownAs === undefined) return 'UNKNOWN_MEMBER_ID'
      if (knownAs !== memberId) return 'FENCED_INSTANCE_ID'
    }
    return group.members.has(memberId) ? undefined : 'UNKNOWN_MEMBER_ID'
  }

  /** Members are out, by their own wish or because their session ended: the others rebalance. */
  afterLeave(step: GroupStepBuilder, group: ClassicGroup): void {
    if (group.isIn('Stable', 'CompletingRebalance')) this.prepareRebalance(step, group)
    else this.completeJoinIfAllCame(step, group)
  }

  /** Takes a member out; `afterLeave` is to follow. */
  expel(step: GroupStepBuilder, group: ClassicGroup, member: GroupMember): void {
    this.#deadlines.cancel(member.session)
    this.#answerJoin(step, group, member, joinError('', 'UNKNOWN_MEMBER_ID'))
    this.#answerSync(step, member, syncError('UNKNOWN_MEMBER_ID'))
    group.remove(member)
  }

  /** An id that was given out will not be waited for any longer. @returns false when there was no such id. */
  forgetPending(group: ClassicGroup, memberId: string): boolean {
    const deadline = group.pendingJoins.get(memberId)
    if (deadline === undefined) return false
    this.#deadlines.cancel(deadline)
    return group.pendingJoins.delete(memberId)
  }

  #dropPending(step: GroupStepBuilder, group: ClassicGroup, memberId: string): void {
    if (this.forgetPending(group, memberId)) this.completeJoinIfAllCame(step, group)
  }

  /** Answers everyone who waits; the group is no longer kept here. */
  dissolve(step: GroupStepBuilder, group: ClassicGroup, error: ErrorName): void {
    this.release(step, group, error)
    if (group.state !== 'Dead') group.transitionTo('Dead', step.now.wallMs)
  }

  /** Answers everyone who waits and lets nothing fall due: the group goes over to the consumer protocol. */
  release(step: GroupStepBuilder, group: ClassicGroup, error: ErrorName): void {
    for (const memberId of [...group.pendingJoins.keys()]) this.forgetPending(group, memberId)
    for (const member of group.members.values()) {
      this.#deadlines.cancel(member.session)
      this.#answerJoin(step, group, member, joinError(member.memberId, error))
      this.#answerSync(step, member, syncError(error))
    }
    this.#deadlines.cancel(group.joinPhase)
    this.#deadlines.cancel(group.syncPhase)
  }

  /** It did not go over after all: its members join again. */
  restore(step: GroupStepBuilder, group: ClassicGroup): void {
    for (const member of group.members.values()) this.keepAlive(step.now, member)
    if (group.state === 'PreparingRebalance') this.#completeJoinOrWait(step, group)
    else if (group.members.size > 0) this.prepareRebalance(step, group)
  }

  #answerJoin(step: GroupStepBuilder, group: ClassicGroup, member: GroupMember, response: JoinGroupResponse): boolean {
    if (member.joinTicket === undefined) return false
    step.reply(member.joinTicket, response)
    group.setJoinTicket(member, undefined)
    return true
  }

  #answerSync(step: GroupStepBuilder, member: GroupMember, response: SyncGroupResponse): boolean {
    if (member.syncTicket === undefined) return false
    step.reply(member.syncTicket, response)
    member.syncTicket = undefined
    return true
  }

  /** A random UUID in Java's spelling: clients and tools show member ids. */
  #uuid(): string {
    const bytes = Buffer.from(this.#random.bytes(16))
    bytes[6] = (bytes[6]! & 0x0f) | 0x40
    bytes[8] = (bytes[8]! & 0x3f) | 0x80
    return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
  }
}

/** Version 0 names no rebalance timeout, which decodes as -1: the session timeout serves as both. */
const rebalanceTimeoutOf = ({ rebalanceTimeoutMs, sessionTimeoutMs }: JoinGroupRequest): number =>
  rebalanceTimeoutMs === -1 ? sessionTimeoutMs : rebalanceTimeoutMs

/** A request's protocols, kept beyond its frame. */
const ownProtocols = ({ protocols }: JoinGroupRequest): MemberProtocol[] =>
  protocols.map(({ name, metadata }) => ({ name, metadata: ownBytes(metadata) }))
