import { ByteReader, ByteWriter, MalformedError } from '@tidelog/core'
import {
  CONSUMER_PROTOCOL_TYPE,
  consumerProtocolAssignment,
  consumerProtocolSubscription,
  type ErrorName,
  KafkaError,
} from '@tidelog/protocol'
import { ClassicGroup, type GroupMember } from '../classic/classic-group.ts'
import type { Membership } from '../classic/membership.ts'
import type { GroupRecord } from '../group-record.ts'
import type { GroupStepBuilder } from '../group-step.ts'
import { ConsumerGroup } from './consumer-group.ts'
import { type Assignment, type ConsumerMember, newConsumerMember, toTopicPartitions } from './consumer-member.ts'
import type { ConsumerRecord } from './consumer-record.ts'
import type { ConsumerRoom } from './consumer-room.ts'
import { currentRecord, memberRecord, targetRecord } from './records.ts'
import type { TopicsView } from './topics.ts'

/** What a client says of itself in the classic protocol's metadata, in any of its versions. */
export interface ClassicSubscription {
  readonly topics: readonly string[]
  readonly ownedPartitions: readonly { readonly topic: string; readonly partitions: readonly number[] }[]
  readonly rackId: string | null
}

/** The newest version that is known here; later ones begin with its fields. */
const newestVersion = 3

const readerOf = (bytes: Uint8Array) => new ByteReader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
const versionIn = (bytes: Uint8Array): number => Math.max(0, Math.min(readerOf(bytes).int16(), newestVersion))

/** @throws MalformedError for what is not a consumer's metadata */
export function readSubscription(metadata: Uint8Array): ClassicSubscription {
  const reader = readerOf(metadata)
  reader.int16()
  return consumerProtocolSubscription.codec(versionIn(metadata)).read(reader)
}

/** What a member of the classic protocol is told in SyncGroup, in the version that its own metadata has. */
export function writeAssignment(assignment: { topicId: string; partitions: number[] }[], metadata: Uint8Array, topics: TopicsView): Buffer {
  const version = versionIn(metadata)
  const writer = new ByteWriter(128)
  writer.int16(version)
  const assignedPartitions = assignment.flatMap(({ topicId, partitions }) => {
    const topic = topics.byId(topicId)?.name
    return topic === undefined ? [] : [{ topic, partitions }]
  })
  consumerProtocolAssignment.codec(version).write(writer, { assignedPartitions, userData: null })
  return writer.toBuffer()
}

/** Takes groups with members from the classic protocol to the consumer protocol and back, as group.consumer.migration.policy allows. */
export class Migration {
  readonly #room: ConsumerRoom
  readonly #membership: Membership

  constructor(room: ConsumerRoom, membership: Membership) {
    this.#room = room
    this.#membership = membership
  }

  // --- upgrade ---------------------------------------------------------------------------------------------------------------------

  /**
   * The consumer group that a classic one becomes when its first member of the consumer protocol joins: with all its members, what they were
   * assigned, and its generation as epoch. Nothing is changed yet. @returns `records` are those that are behind its state.
   * @throws KafkaError GROUP_ID_NOT_FOUND when it may not or cannot be
   */
  upgraded(classic: ClassicGroup): { group: ConsumerGroup; records: GroupRecord[] } {
    const { consumer } = this.#room.config
    const refuse = (reason: string) => {
      throw new KafkaError('GROUP_ID_NOT_FOUND', `Cannot upgrade classic group ${classic.id} to consumer group because ${reason}.`)
    }
    if (consumer.migrationPolicy === 'disabled' || consumer.migrationPolicy === 'downgrade') refuse('online upgrade is disabled')
    if (!classic.usesConsumerProtocol) refuse('the group does not use the consumer embedded protocol')
    if (classic.members.size > consumer.maxSize) refuse('the group size exceeds the consumer group maximum size')
    try {
      return this.#upgraded(classic)
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error
      return refuse('the embedded consumer protocol is malformed') as never
    }
  }

  #upgraded(classic: ClassicGroup): { group: ConsumerGroup; records: GroupRecord[] } {
    const { id, generation } = classic
    const group = new ConsumerGroup(id)
    const members = Array.from(classic.members.values(), (member) => {
      const assignment = this.#assignmentOf(member, id)
      return { assignment, member: consumerMemberOf(member, classic, assignment) }
    })
    const names = members.flatMap(({ member }) => [...member.subscribedTopicNames])
    const records: ConsumerRecord[] = [
      ...members.map(({ member }) => memberRecord(id, member)),
      { kind: 'consumer-group', group: id, value: { epoch: generation, metadataHash: this.#room.hashes.ofSubscription(new Set(names)) } },
      ...members.map(({ member, assignment }) => targetRecord(id, member.memberId, assignment)),
      { kind: 'consumer-target', group: id, value: { epoch: generation, timestampMs: 0 } },
      ...members.map(({ member }) => currentRecord(id, member)),
    ]
    for (const record of records) group.apply(record)
    return { group, records }
  }

  #assignmentOf({ assignment }: GroupMember, groupId: string): Assignment {
    if (assignment.length === 0) return new Map()
    const reader = readerOf(assignment)
    reader.int16()
    const { assignedPartitions, userData } = consumerProtocolAssignment.codec(versionIn(assignment)).read(reader)
    if (userData !== null && userData.length > 0) {
      throw new KafkaError(
        'GROUP_ID_NOT_FOUND',
        `Cannot upgrade classic group ${groupId} to consumer group because an unsupported custom assignor is in use. ` +
          'Please refer to the documentation or switch to a default assignor before re-attempting the upgrade.',
      )
    }
    const byId = new Map<string, ReadonlySet<number>>()
    for (const { topic, partitions } of assignedPartitions) {
      const topicId = this.#room.topics.byName(topic)?.topicId
      if (topicId !== undefined) byId.set(topicId, new Set(partitions))
    }
    return byId
  }

  /** Puts an upgraded group in the place of the classic one, whose waiting members are sent back to join. @returns What takes it back. */
  install(step: GroupStepBuilder, classic: ClassicGroup, group: ConsumerGroup): (step: GroupStepBuilder) => void {
    const { groups, clocks } = this.#room
    this.#membership.release(step, classic, 'REBALANCE_IN_PROGRESS')
    groups.set(group.id, group)
    for (const memberId of group.members.keys()) clocks.keepAlive(step.now, group, memberId)
    return (later) => {
      if (groups.get(group.id) !== group) return
      groups.set(group.id, classic)
      this.#membership.restore(later, classic)
    }
  }

  // --- downgrade -------------------------------------------------------------------------------------------------------------------

  #mayGoBack(membersCount: number): boolean {
    const { consumer, maxSize } = this.#room.config
    const isAllowed = consumer.migrationPolicy === 'downgrade' || consumer.migrationPolicy === 'bidirectional'
    return isAllowed && membersCount <= maxSize
  }

  /** Are only members of the classic protocol left, and some, once these have gone? */
  goesBackWithout(group: ConsumerGroup, leaving: readonly ConsumerMember[]): boolean {
    const left = group.members.size - leaving.length
    const classicLeft = group.classicMembersCount - leaving.filter(({ classic }) => classic !== null).length
    return left > 0 && classicLeft === left && this.#mayGoBack(left)
  }

  /** Is this static member, whom one of the classic protocol replaces, the last of the consumer protocol? */
  goesBackReplacing(group: ConsumerGroup, replaced: ConsumerMember): boolean {
    return replaced.classic === null && group.classicMembersCount === group.members.size - 1 && this.#mayGoBack(group.members.size)
  }

  /**
   * Turns the group into a classic one whose members have what the target assignment gives them.
   * @param change.records Of the group, ahead of its end. @param change.joining Takes the place of the static member `change.replaced`.
   * @param change.rebalances The target is out of date, so everyone has to join again.
   */
  downgrade(
    step: GroupStepBuilder,
    group: ConsumerGroup,
    change: {
      leaving?: readonly ConsumerMember[]
      joining?: ConsumerMember
      replaced?: ConsumerMember
      records?: readonly ConsumerRecord[]
      rebalances?: boolean
    },
    settled: (step: GroupStepBuilder, failure: ErrorName | undefined) => void,
  ): void {
    const { leaving = [], joining, replaced, records = [], rebalances = true } = change
    const { groups, clocks, changes } = this.#room
    const gone = new Set([...leaving, ...(replaced === undefined ? [] : [replaced])].map(({ memberId }) => memberId))
    const classic = new ClassicGroup(group.id, step.now.wallMs)
    classic.state = 'Stable'
    classic.generation = group.epoch
    const add = (member: ConsumerMember, target: Assignment) => this.#add(classic, member, target)
    for (const member of group.members.values()) if (!gone.has(member.memberId)) add(member, group.targetOf(member.memberId))
    if (joining !== undefined && replaced !== undefined) add(joining, group.targetOf(replaced.memberId))
    classic.protocolName = classic.selectProtocol()
    classic.updateSubscribedTopics()

    const memberIds = Array.from(group.members.keys(), (id) => (id === replaced?.memberId && joining ? joining.memberId : id))
    groups.set(group.id, classic)
    const onUndo = (later: GroupStepBuilder) => {
      if (groups.get(group.id) === classic) groups.set(group.id, group)
      this.#membership.dissolve(later, classic, 'COORDINATOR_NOT_AVAILABLE')
    }
    const assignments = new Map(Array.from(classic.members.values(), ({ memberId, assignment }) => [memberId, assignment]))
    const all = [...records, ...group.tombstones(memberIds)]
    changes.apply(step, group, { records: all, after: [classic.toRecord(assignments)], onUndo }, (later, failure) => {
      if (failure === undefined) classic.isCommitted = true
      settled(later, failure)
    })
    clocks.dissolve(group)
    for (const member of classic.members.values()) this.#membership.keepAlive(step.now, member)
    if (rebalances) this.#membership.prepareRebalance(step, classic)
  }

  #add(group: ClassicGroup, member: ConsumerMember, target: Assignment): void {
    const { memberId, instanceId: groupInstanceId, clientId, clientHost, rebalanceTimeoutMs, classic } = member
    const { sessionTimeoutMs, supportedProtocols: protocols } = classic!
    const fields = { memberId, groupInstanceId, clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs, protocols }
    const added = this.#membership.newMember(() => group, fields)
    added.isNew = false
    added.assignment = writeAssignment(toTopicPartitions(target), protocols[0]!.metadata, this.#room.topics)
    group.add(added, CONSUMER_PROTOCOL_TYPE)
  }
}

function consumerMemberOf(member: GroupMember, { generation, protocolName }: ClassicGroup, assignment: Assignment): ConsumerMember {
  const { memberId, groupInstanceId: instanceId, clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs, protocols } = member
  const metadata = (protocols.find(({ name }) => name === protocolName) ?? protocols[0]!).metadata
  const { topics, rackId } = readSubscription(metadata)
  return {
    ...newConsumerMember(memberId),
    instanceId,
    clientId,
    clientHost,
    rebalanceTimeoutMs,
    rackId: rackId || null,
    memberEpoch: generation,
    previousMemberEpoch: generation,
    subscribedTopicNames: new Set(topics),
    assigned: new Map(
      [...assignment].map(([topicId, partitions]) => [topicId, new Map(Array.from(partitions, (partition) => [partition, generation]))]),
    ),
    classic: { sessionTimeoutMs, supportedProtocols: protocols },
  }
}
