import { ByteReader, invariant, MalformedError } from '@tidelog/core'
import { CONSUMER_PROTOCOL_TYPE, consumerProtocolSubscription, type GroupMetadataValue } from '@tidelog/protocol'
import { newDeadline } from '../../steps/deadline-heap.ts'
import type { Ticket } from '../../steps/step.ts'
import { type ClassicGroupRecord, ownBytes } from '../group-record.ts'
import type { GroupDeadline, GroupStepBuilder } from '../group-step.ts'

/** Names as clients see them in ListGroups and DescribeGroups. */
export type GroupState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' | 'Dead'

/** Which states each one may follow. */
const predecessors: Readonly<Record<GroupState, readonly GroupState[]>> = {
  Empty: ['PreparingRebalance'],
  PreparingRebalance: ['Stable', 'CompletingRebalance', 'Empty'],
  CompletingRebalance: ['PreparingRebalance'],
  Stable: ['CompletingRebalance'],
  Dead: ['Empty', 'PreparingRebalance', 'CompletingRebalance', 'Stable'],
}

const noBytes = Buffer.alloc(0)

export interface MemberProtocol {
  readonly name: string
  readonly metadata: Uint8Array
}

export interface GroupMember {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  rebalanceTimeoutMs: number
  sessionTimeoutMs: number
  /** In the member's order of preference. */
  protocols: readonly MemberProtocol[]
  assignment: Uint8Array
  /** Until its first JoinGroup is answered: it knows no member id to heartbeat with, so it can expire while it waits. */
  isNew: boolean
  /** Set by its group only, which counts those who wait. */
  joinTicket: Ticket | undefined
  syncTicket: Ticket | undefined
  /** Moves with every sign of life; passing it ends the member. */
  readonly session: GroupDeadline
}

/**
 * One classic group: its members, and where its rebalance stands. It keeps the books; when to move on is `Membership`'s.
 * Sources: KIP-62, KIP-345 (static members), KIP-394 (pending members), and Kafka 4.3's answers.
 */
export class ClassicGroup {
  readonly type = 'classic'
  readonly id: string
  state: GroupState = 'Empty'
  previousState: GroupState = 'Dead'
  /** Ms since the Unix epoch; undefined for a group read from an old record. */
  stateSinceMs: number | undefined
  generation = 0
  /** Undefined while only offsets are stored: a "simple" group. */
  protocolType: string | undefined
  protocolName: string | undefined
  leaderId: string | undefined
  /** Of all members; undefined where the protocol does not tell. */
  subscribedTopics: ReadonlySet<string> | undefined
  /** A member came while the first rebalance waited for members: it will wait once more. */
  newMemberAdded = false
  /** A record of it lies below the high watermark, so others may see it. */
  isCommitted = false
  readonly members = new Map<string, GroupMember>()
  /** Ids that were given out and not joined with yet, each until its deadline. */
  readonly pendingJoins = new Map<string, GroupDeadline>()
  /** Members whose SyncGroup of this generation is still to come. */
  readonly pendingSyncs = new Set<string>()
  readonly #memberIdsByInstance = new Map<string, string>()
  #awaitingJoin = 0
  /** How many members name each protocol. */
  readonly #supporters = new Map<string, number>()
  joinPhase: GroupDeadline = newDeadline(() => {})
  syncPhase: GroupDeadline = newDeadline(() => {})

  constructor(id: string, stateSinceMs: number | undefined) {
    this.id = id
    this.stateSinceMs = stateSinceMs
  }

  isIn(...states: GroupState[]): boolean {
    return states.includes(this.state)
  }

  transitionTo(state: GroupState, nowMs: number): void {
    invariant(predecessors[state].includes(this.state), `group ${this.id} went from ${this.state} to ${state}`)
    this.previousState = this.state
    this.state = state
    this.stateSinceMs = nowMs
  }

  get canRebalance(): boolean {
    return predecessors.PreparingRebalance.includes(this.state)
  }

  /** Stores offsets and has never had a member. */
  get isSimple(): boolean {
    return this.protocolType === undefined && this.state === 'Empty' && this.pendingJoins.size === 0
  }

  // --- members ---------------------------------------------------------------------------------------------------------------------

  add(member: GroupMember, protocolType: string): void {
    if (member.groupInstanceId !== null) {
      invariant(!this.#memberIdsByInstance.has(member.groupInstanceId), `${member.groupInstanceId} is already a member of ${this.id}`)
      this.#memberIdsByInstance.set(member.groupInstanceId, member.memberId)
    }
    if (this.members.size === 0) this.protocolType = protocolType
    this.leaderId ??= member.memberId
    this.members.set(member.memberId, member)
    this.#count(member.protocols, 1)
  }

  /** Leaves its deadline and its waiting requests to the caller. */
  remove(member: GroupMember): void {
    if (!this.members.delete(member.memberId)) return
    this.#count(member.protocols, -1)
    if (member.groupInstanceId !== null) this.#memberIdsByInstance.delete(member.groupInstanceId)
    if (this.leaderId === member.memberId) this.leaderId = this.members.keys().next().value
    this.pendingSyncs.delete(member.memberId)
  }

  /** A static member came back under a new id: it takes over the old one's place, assignment and leadership. */
  replace(old: GroupMember, successor: GroupMember): void {
    const wasLeader = this.leaderId === old.memberId
    const owesSync = this.pendingSyncs.has(old.memberId)
    this.remove(old)
    this.add(successor, this.protocolType ?? '')
    if (wasLeader) this.leaderId = successor.memberId
    if (owesSync) this.pendingSyncs.add(successor.memberId)
  }

  setProtocols(member: GroupMember, protocols: readonly MemberProtocol[]): void {
    this.#count(member.protocols, -1)
    member.protocols = protocols
    this.#count(protocols, 1)
  }

  isLeader(memberId: string): boolean {
    return this.leaderId === memberId
  }

  memberIdOfInstance(groupInstanceId: string): string | undefined {
    return this.#memberIdsByInstance.get(groupInstanceId)
  }

  /** Members whose JoinGroup waits for its answer. */
  get awaitingJoin(): number {
    return this.#awaitingJoin
  }

  setJoinTicket(member: GroupMember, ticket: Ticket | undefined): void {
    this.#awaitingJoin += Number(ticket !== undefined) - Number(member.joinTicket !== undefined)
    member.joinTicket = ticket
  }

  get allHaveJoined(): boolean {
    return this.pendingJoins.size === 0 && this.awaitingJoin === this.members.size
  }

  get rebalanceTimeoutMs(): number {
    let longest = 0
    for (const member of this.members.values()) longest = Math.max(longest, member.rebalanceTimeoutMs)
    return longest
  }

  /** Makes sure that the leader is a member that has joined again. @returns false when none has. */
  electJoinedLeader(): boolean {
    if (this.leaderId === undefined) return false
    if (this.members.get(this.leaderId)?.joinTicket !== undefined) return true
    for (const member of this.members.values()) {
      if (member.joinTicket === undefined) continue
      this.leaderId = member.memberId
      return true
    }
    return false
  }

  // --- protocols -------------------------------------------------------------------------------------------------------------------

  #count(protocols: readonly MemberProtocol[], by: 1 | -1): void {
    for (const name of new Set(protocols.map((protocol) => protocol.name))) {
      const count = (this.#supporters.get(name) ?? 0) + by
      if (count === 0) this.#supporters.delete(name)
      else this.#supporters.set(name, count)
    }
  }

  /** Has a newcomer something in common with all members? */
  supports(protocolType: string, protocols: readonly MemberProtocol[]): boolean {
    if (this.state === 'Empty') return protocolType !== '' && protocols.length > 0
    return protocolType === this.protocolType && protocols.some(({ name }) => (this.#supporters.get(name) ?? 0) === this.members.size)
  }

  /** Of the protocols that every member has, the one that most members name first. */
  selectProtocol(): string {
    invariant(this.members.size > 0, `group ${this.id} chooses a protocol without members`)
    const votes = new Map<string, number>()
    for (const { protocols } of this.members.values()) {
      const choice = protocols.find(({ name }) => this.#supporters.get(name) === this.members.size)
      invariant(choice !== undefined, `members of group ${this.id} have no protocol in common`)
      votes.set(choice.name, (votes.get(choice.name) ?? 0) + 1)
    }
    let elected = ''
    for (const [name, count] of votes) if (count > (votes.get(elected) ?? 0)) elected = name
    return elected
  }

  /** What a member sent for the protocol that the group uses. */
  metadataOf(member: GroupMember): Uint8Array {
    return member.protocols.find(({ name }) => name === this.protocolName)?.metadata ?? noBytes
  }

  get usesConsumerProtocol(): boolean {
    return this.protocolType === CONSUMER_PROTOCOL_TYPE
  }

  /** Can it be told which topics it needs its offsets of? Not while consumers rebalance, nor ever with members of another protocol type. */
  get knowsSubscription(): boolean {
    if (this.protocolType === undefined || this.state === 'Empty') return true
    return this.usesConsumerProtocol && this.subscribedTopics !== undefined && this.state === 'Stable'
  }

  isSubscribedTo(topic: string): boolean {
    return this.subscribedTopics === undefined ? this.usesConsumerProtocol : this.subscribedTopics.has(topic)
  }

  /** Reads the members' subscriptions of the chosen protocol; a consumer's begins as version 0 whatever its version is. */
  updateSubscribedTopics(): void {
    this.subscribedTopics = undefined
    if (!this.usesConsumerProtocol || (this.members.size > 0 && this.protocolName === undefined)) return
    const topics = new Set<string>()
    try {
      for (const member of this.members.values()) {
        const metadata = this.metadataOf(member)
        const reader = new ByteReader(Buffer.from(metadata.buffer, metadata.byteOffset, metadata.length))
        reader.int16()
        for (const topic of consumerProtocolSubscription.codec(0).read(reader).topics) topics.add(topic)
      }
    } catch (error) {
      // Some other client's format: then nobody knows what the group subscribes to.
      if (error instanceof MalformedError) return
      throw error
    }
    this.subscribedTopics = topics
  }

  /** Opens the next generation: members that joined may sync, or the group is empty. */
  startGeneration(nowMs: number): void {
    this.generation++
    this.protocolName = this.members.size === 0 ? undefined : this.selectProtocol()
    this.updateSubscribedTopics()
    this.transitionTo(this.members.size === 0 ? 'Empty' : 'CompletingRebalance', nowMs)
    this.pendingSyncs.clear()
  }

  // --- records ---------------------------------------------------------------------------------------------------------------------

  /** @param assignments By member id; members without one get an empty one. */
  toRecord(assignments: ReadonlyMap<string, Uint8Array> = new Map()): ClassicGroupRecord {
    const members = Array.from(this.members.values(), (member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      rebalanceTimeout: member.rebalanceTimeoutMs,
      sessionTimeout: member.sessionTimeoutMs,
      subscription: this.metadataOf(member) as Buffer,
      assignment: (assignments.get(member.memberId) ?? noBytes) as Buffer,
    }))
    const { protocolType = '', generation, protocolName: protocol = null, leaderId: leader = null, stateSinceMs = -1 } = this
    return {
      kind: 'group',
      group: this.id,
      value: { protocolType, generation, protocol, leader, currentStateTimestamp: stateSinceMs, members },
    }
  }

  /** What makes a new group known: nothing of its members, who are still to join. */
  toNewRecord(): ClassicGroupRecord {
    const currentStateTimestamp = this.stateSinceMs ?? -1
    const value = { protocolType: '', generation: 0, protocol: null, leader: null, currentStateTimestamp, members: [] }
    return { kind: 'group', group: this.id, value }
  }

  static fromRecord(id: string, value: GroupMetadataValue, newMember: (member: LoadedMember) => GroupMember): ClassicGroup {
    const group = new ClassicGroup(id, value.currentStateTimestamp === -1 ? undefined : value.currentStateTimestamp)
    group.state = value.members.length === 0 ? 'Empty' : 'Stable'
    group.generation = value.generation
    group.protocolType = value.protocolType === '' ? undefined : value.protocolType
    group.protocolName = value.protocol ?? undefined
    group.leaderId = value.leader ?? undefined
    group.isCommitted = true
    for (const member of value.members) {
      const { memberId, groupInstanceId, clientId, clientHost, sessionTimeout: sessionTimeoutMs } = member
      const rebalanceTimeoutMs = member.rebalanceTimeout === -1 ? sessionTimeoutMs : member.rebalanceTimeout
      const protocols = [{ name: value.protocol ?? '', metadata: ownBytes(member.subscription) }]
      const loaded = newMember({ memberId, groupInstanceId, clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs, protocols })
      loaded.assignment = ownBytes(member.assignment)
      loaded.isNew = false
      group.add(loaded, value.protocolType)
    }
    group.updateSubscribedTopics()
    return group
  }
}

type LoadedMember = Pick<
  GroupMember,
  'memberId' | 'groupInstanceId' | 'clientId' | 'clientHost' | 'rebalanceTimeoutMs' | 'sessionTimeoutMs' | 'protocols'
>

/** @param onSessionEnd When the session's deadline passes. */
export function newMember(fields: LoadedMember, onSessionEnd: (step: GroupStepBuilder, member: GroupMember) => void): GroupMember {
  const member: GroupMember = {
    ...fields,
    assignment: noBytes,
    isNew: true,
    joinTicket: undefined,
    syncTicket: undefined,
    session: newDeadline((step) => onSessionEnd(step, member)),
  }
  return member
}
