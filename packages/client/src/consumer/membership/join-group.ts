import { CONSUMER_PROTOCOL_TYPE, JoinGroup, type JoinGroupResponse, SyncGroup } from '@tidelog/protocol'
import type { BrokerConnection } from '../../cluster/broker-connection.ts'
import type { Cluster } from '../../cluster/cluster.ts'
import type { ConsumerConfig } from '../../config/consumer-config.ts'
import { BrokerError, ClientError, checkErrorCode, hasCode } from '../../errors.ts'
import { type Assignment, decodeAssignment, decodeSubscription, encodeAssignment, encodeSubscription } from '../../group-metadata.ts'
import { PartitionMap, type TopicPartition } from '../../topic-partition.ts'
import type { Assignor, GroupMember } from '../assignors/assignor.ts'
import type { ConsumerMetrics } from '../consumer-metrics.ts'
import type { GroupCoordinator } from '../group-coordinator.ts'
import { MISSING_TOPIC, racksOf, topicShape } from './topic-shape.ts'

/** Behind `max.poll.interval.ms`, in which members have to come: the coordinator needs a moment to answer. */
const JOIN_MARGIN_MS = 5000

export interface JoinContext {
  readonly cluster: Cluster
  readonly config: ConsumerConfig
  readonly coordinator: GroupCoordinator
  readonly assignors: readonly Assignor[]
  readonly metrics: ConsumerMetrics
}

/** What a member brings along when it joins. */
export interface Joining {
  readonly memberId: string
  readonly topics: readonly string[]
  /** What it keeps while the group rebalances; empty unless it rebalances cooperatively. */
  readonly owned: readonly TopicPartition[]
  /** What it had in the last generation. */
  readonly previous: readonly TopicPartition[]
  /** The last generation that it was a member of; -1: none. */
  readonly generationId: number
  readonly reason: string
}

export interface Joined {
  readonly memberId: string
  readonly generationId: number
  readonly assignment: readonly TopicPartition[]
  /** The assignor's own bytes beside it. */
  readonly userData: Buffer | null
  readonly assignor: Assignor
  /** The topics as the leader sees them (topicShape): were they others, it would assign anew. undefined for the others. */
  readonly shapes: ReadonlyMap<string, string> | undefined
}

/**
 * One attempt to get into the group's next generation: JoinGroup, which waits for all members, and SyncGroup, which waits for the leader.
 * @param onMemberId Hears the id that the coordinator has given, before anything else can fail.
 * @throws BrokerError: REBALANCE_IN_PROGRESS, UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION and COORDINATOR_… mean another attempt
 */
export async function joinGroup(context: JoinContext, joining: Joining, onMemberId: (memberId: string) => void): Promise<Joined> {
  const joined = await join(context, joining, onMemberId)
  const assignor = context.assignors.find(({ name }) => name === joined.protocolName)
  if (assignor === undefined) {
    throw new ClientError(
      'INCONSISTENT_GROUP_PROTOCOL',
      `the group works with the assignor ${joined.protocolName}, which this consumer lacks`,
    )
  }
  const members = joined.leader === joined.memberId ? membersOf(joined) : []
  const topics = members.length > 0 ? await layoutOf(context.cluster, members) : undefined
  // As they are when they are assigned: what changes meanwhile is a change.
  const shapes = topics && new Map([...topics.names].map((topic) => [topic, shapeAt(context, topic)]))
  const assignments = topics === undefined || joined.skipAssignment ? [] : await assign(assignor, members, topics)
  const { partitions, userData } = await sync(context, joined, assignments)
  return { memberId: joined.memberId, generationId: joined.generationId, assignment: partitions, userData, assignor, shapes }
}

const shapeAt = ({ cluster, config }: JoinContext, topic: string): string =>
  topicShape(cluster.metadata, topic, config['client.rack']) ?? MISSING_TOPIC

async function join(
  { config, coordinator, assignors, metrics }: JoinContext,
  { memberId, topics, owned, previous, generationId, reason }: Joining,
  onMemberId: (memberId: string) => void,
): Promise<JoinGroupResponse> {
  const groupInstanceId = config['group.instance.id']
  const { groupId } = coordinator
  const protocols = assignors.map((assignor) => ({
    name: assignor.name,
    metadata: encodeSubscription({
      topics,
      userData: assignor.subscriptionUserData?.(previous, generationId) ?? null,
      ownedPartitions: owned,
      generationId,
      rackId: config['client.rack'] || null,
    }),
  }))
  const timeoutMs = Math.max(config['request.timeout.ms'], config['max.poll.interval.ms'] + JOIN_MARGIN_MS)
  const ask = (id: string) => {
    const request = {
      groupId,
      sessionTimeoutMs: config['session.timeout.ms'],
      rebalanceTimeoutMs: config['max.poll.interval.ms'],
      memberId: id,
      groupInstanceId,
      protocolType: CONSUMER_PROTOCOL_TYPE,
      protocols,
      reason,
    }
    const send = (connection: BrokerConnection) => metrics.group.join(() => connection.send(JoinGroup, request, { timeoutMs }))
    return coordinator.request(send, { purpose: 'join' })
  }
  let response = await ask(memberId)
  try {
    checkErrorCode(response.errorCode, `joining group ${groupId}`)
  } catch (error) {
    coordinator.lost(error)
    // A member gets its id first, so that a lost answer leaves no ghost in the group. KIP-394.
    if (!hasCode(error, 'MEMBER_ID_REQUIRED') || response.memberId === '') throw error
    onMemberId(response.memberId)
    response = await ask(response.memberId)
    checkErrorCode(response.errorCode, `joining group ${groupId}`)
  }
  onMemberId(response.memberId)
  return response
}

function membersOf({ members }: JoinGroupResponse): GroupMember[] {
  return members.map(({ memberId, groupInstanceId, metadata }) => {
    const subscription = decodeSubscription(metadata)
    return { memberId, groupInstanceId, ...subscription }
  })
}

/** Every topic that any member subscribes to, and how those that exist are laid out. */
interface Layout {
  readonly names: ReadonlySet<string>
  readonly partitionCounts: ReadonlyMap<string, number>
  readonly replicaRacks: PartitionMap<ReadonlySet<string>>
}

/** The leader needs all of them, whatever it subscribes to itself. */
async function layoutOf(cluster: Cluster, members: readonly GroupMember[]): Promise<Layout> {
  const names = new Set(members.flatMap((member) => member.topics))
  let isAnyNew = false
  for (const topic of names) {
    if (cluster.metadata.topic(topic) !== undefined) continue
    cluster.addInterest(topic)
    isAnyNew = true
  }
  if (isAnyNew) await cluster.refresh()
  const partitionCounts = new Map<string, number>()
  const replicaRacks = new PartitionMap<ReadonlySet<string>>()
  for (const topic of names) {
    const partitions = cluster.metadata.topic(topic)?.partitions ?? []
    if (partitions.length > 0) partitionCounts.set(topic, partitions.length)
    for (const info of partitions) replicaRacks.set(info, racksOf(cluster.metadata, info))
  }
  return { names, partitionCounts, replicaRacks }
}

async function assign(assignor: Assignor, members: readonly GroupMember[], { partitionCounts, replicaRacks }: Layout) {
  const assigned = await assignor.assign(members, partitionCounts, replicaRacks)
  return members.map(({ memberId }) => {
    const given = assigned.get(memberId) ?? []
    const { partitions, userData = null } = 'partitions' in given ? given : { partitions: given }
    return { memberId, assignment: encodeAssignment(partitions, userData) }
  })
}

async function sync(
  { config, coordinator, metrics }: JoinContext,
  { generationId, memberId, protocolName }: JoinGroupResponse,
  assignments: readonly { readonly memberId: string; readonly assignment: Buffer }[],
): Promise<Assignment> {
  const { groupId } = coordinator
  const timeoutMs = Math.max(config['request.timeout.ms'], config['max.poll.interval.ms'] + JOIN_MARGIN_MS)
  const request = {
    groupId,
    generationId,
    memberId,
    groupInstanceId: config['group.instance.id'],
    protocolType: CONSUMER_PROTOCOL_TYPE,
    protocolName,
    assignments,
  }
  const send = (connection: BrokerConnection) => metrics.group.sync(() => connection.send(SyncGroup, request, { timeoutMs }))
  const response = await coordinator.request(send, { purpose: 'join' })
  if (response.errorCode !== 0) {
    const error = new BrokerError(response.errorCode, `synchronizing with group ${groupId}`)
    coordinator.lost(error)
    throw error
  }
  return decodeAssignment(response.assignment)
}
