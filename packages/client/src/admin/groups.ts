import {
  CONSUMER_PROTOCOL_TYPE,
  ConsumerGroupDescribe,
  type ConsumerGroupDescribeResponse,
  DeleteGroups,
  DescribeGroups,
  type DescribeGroupsResponse,
  LeaveGroup,
  ListGroups,
  type ListGroupsResponse,
  OffsetCommit,
  OffsetDelete,
} from '@tidelog/protocol'
import { fetchGroupOffsets, NEWEST_VERSION_BY_NAME, onCoordinator } from '../cluster/group-offsets.ts'
import type { Outcome } from '../cluster/per-leader.ts'
import { BrokerError, checkErrorCode, hasCode, UnsupportedVersionError } from '../errors.ts'
import { decodeAssignment } from '../group-metadata.ts'
import { groupByTopic, type OffsetAndMetadata, type PartitionMap, partitionName, type TopicPartition } from '../topic-partition.ts'
import { type AdminCallOptions, type AdminContext, callOptions } from './admin-client.ts'
import { allOrThrow, failureOf } from './results.ts'

export interface GroupListing {
  readonly groupId: string
  /** `consumer` for consumer groups; empty for groups that only commit offsets. */
  readonly protocolType: string
  /** `Stable`, `Empty`…; empty from brokers that do not say. */
  readonly state: string
  /** `classic`, `consumer`…; empty from brokers that do not say. */
  readonly type: string
}

export interface MemberDescription {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  /** As the broker prints it, such as `/127.0.0.1`. */
  readonly host: string
  /** Empty for groups that are not of consumers. */
  readonly assignment: readonly TopicPartition[]
}

export interface GroupDescription {
  readonly groupId: string
  readonly state: string
  readonly protocolType: string
  /** The assignor that the members agreed on. */
  readonly partitionAssignor: string
  readonly members: readonly MemberDescription[]
  readonly coordinator: { readonly nodeId: number; readonly host: string; readonly port: number }
}

/** A member of a group of either protocol. What only the consumer protocol has is undefined for the classic one. */
export interface ConsumerMemberDescription extends MemberDescription {
  readonly memberEpoch: number | undefined
  readonly targetAssignment: readonly TopicPartition[] | undefined
  /** Whether a member of a group of the consumer protocol uses that protocol itself; undefined where the broker does not say. KIP-1099. */
  readonly upgraded: boolean | undefined
}

export interface ConsumerGroupDescription extends Omit<GroupDescription, 'members'> {
  readonly type: 'classic' | 'consumer'
  readonly members: readonly ConsumerMemberDescription[]
  /** Undefined for classic groups. */
  readonly groupEpoch: number | undefined
  readonly targetAssignmentEpoch: number | undefined
}

export interface ListGroupsOptions extends AdminCallOptions {
  readonly states?: readonly string[]
  readonly types?: readonly string[]
  readonly protocolTypes?: readonly string[]
}

const OLDEST_LIST_BY_STATE = 4
const OLDEST_LIST_BY_TYPE = 5

/** Every broker lists the groups that it coordinates. */
export async function listGroups(context: AdminContext, options: ListGroupsOptions): Promise<GroupListing[]> {
  const { cluster } = context
  const { states = [], types = [], protocolTypes } = options
  const retry = callOptions(context, 'listGroups', options)
  await cluster.retry(retry, () => cluster.refresh(retry))
  const perBroker = [...cluster.metadata.brokers.keys()].map((nodeId) =>
    cluster.retry(retry, async () => {
      const connection = await cluster.connectionTo(nodeId, 'general', retry)
      const response: ListGroupsResponse = await connection.send(ListGroups, (version) => {
        if (states.length > 0 && version < OLDEST_LIST_BY_STATE) throw new UnsupportedVersionError('the broker cannot list groups by state')
        if (types.length > 0 && version < OLDEST_LIST_BY_TYPE) throw new UnsupportedVersionError('the broker cannot list groups by type')
        return { statesFilter: states, typesFilter: types }
      })
      checkErrorCode(response.errorCode, `groups of broker ${nodeId}`)
      return response.groups
    }),
  )
  // A group that moves while brokers are asked may be listed twice.
  const groups = new Map<string, GroupListing>()
  for (const { groupId, protocolType, groupState, groupType } of (await Promise.all(perBroker)).flat()) {
    if (protocolTypes === undefined || protocolTypes.includes(protocolType)) {
      groups.set(groupId, { groupId, protocolType, state: groupState, type: groupType })
    }
  }
  return [...groups.values()].sort((a, b) => (a.groupId < b.groupId ? -1 : 1))
}

/** One outcome a group, each asked of its coordinator. */
async function perGroup<V>(
  context: AdminContext,
  what: string,
  groupIds: readonly string[],
  options: AdminCallOptions,
  ask: (groupId: string, retry: ReturnType<typeof callOptions>) => Promise<V>,
): Promise<Map<string, Outcome<V>>> {
  const retry = callOptions(context, what, options)
  const outcomes = new Map<string, Outcome<V>>()
  await Promise.all(
    [...new Set(groupIds)].map(async (groupId) => {
      try {
        outcomes.set(groupId, { value: await ask(groupId, retry) })
      } catch (error) {
        if (options.signal?.aborted || context.cluster.closed) throw error
        outcomes.set(groupId, failureOf(error))
      }
    }),
  )
  return outcomes
}

export async function describeClassicGroups(
  context: AdminContext,
  groupIds: readonly string[],
  options: AdminCallOptions,
): Promise<Map<string, GroupDescription>> {
  const { cluster } = context
  const outcomes = await perGroup(context, 'describeClassicGroups', groupIds, options, (groupId, retry) =>
    cluster.retry(retry, async () => {
      const nodeId = await cluster.findGroupCoordinator(groupId, retry)
      const connection = await cluster.connectionTo(nodeId, 'general', retry)
      const response = await connection.send(DescribeGroups, { groups: [groupId], includeAuthorizedOperations: false })
      const group = response.groups.find((one) => one.groupId === groupId)
      if (group === undefined) throw new BrokerError(-1, `group ${groupId}`, 'the broker did not describe it')
      checkErrorCode(group.errorCode, `group ${groupId}`, group.errorMessage)
      const { host = '', port = -1 } = cluster.nodeOf(nodeId) ?? {}
      return descriptionOf(group, { nodeId, host, port })
    }),
  )
  return new Map(allOrThrow('describeClassicGroups', outcomes).map((group) => [group.groupId, group]))
}

/** Groups of consumers, whatever their protocol: one that is not of the consumer protocol is asked for as a classic one. KIP-848. */
export async function describeConsumerGroups(
  context: AdminContext,
  groupIds: readonly string[],
  options: AdminCallOptions,
): Promise<Map<string, ConsumerGroupDescription>> {
  const { cluster } = context
  const outcomes = await perGroup(context, 'describeConsumerGroups', groupIds, options, async (groupId, retry) => {
    const newer = await cluster.retry(retry, async () => {
      const nodeId = await cluster.findGroupCoordinator(groupId, retry)
      const connection = await cluster.connectionTo(nodeId, 'general', retry)
      if (!connection.serves(ConsumerGroupDescribe)) return undefined
      const response = await connection.send(ConsumerGroupDescribe, { groupIds: [groupId], includeAuthorizedOperations: false })
      const group = response.groups.find((one) => one.groupId === groupId)
      if (group === undefined) throw new BrokerError(-1, `group ${groupId}`, 'the broker did not describe it')
      const failure = group.errorCode === 0 ? undefined : new BrokerError(group.errorCode, `group ${groupId}`, group.errorMessage)
      if (hasCode(failure, 'GROUP_ID_NOT_FOUND', 'UNSUPPORTED_VERSION')) return undefined
      if (failure !== undefined) throw failure
      const { host = '', port = -1 } = cluster.nodeOf(nodeId) ?? {}
      return consumerDescriptionOf(group, { nodeId, host, port })
    })
    if (newer !== undefined) return newer
    const classic = (await describeClassicGroups(context, [groupId], options)).get(groupId)!
    const unknown = { memberEpoch: undefined, targetAssignment: undefined, upgraded: undefined }
    return {
      ...classic,
      type: 'classic' as const,
      members: classic.members.map((member) => ({ ...member, ...unknown })),
      groupEpoch: undefined,
      targetAssignmentEpoch: undefined,
    }
  })
  return new Map(allOrThrow<ConsumerGroupDescription>('describeConsumerGroups', outcomes).map((group) => [group.groupId, group]))
}

/** What member types are called on the wire: 0 classic, 1 consumer, -1 not said. */
const CLASSIC_MEMBER = 0
const UNKNOWN_MEMBER = -1

function consumerDescriptionOf(
  group: ConsumerGroupDescribeResponse['groups'][number],
  coordinator: GroupDescription['coordinator'],
): ConsumerGroupDescription {
  const partitionsOf = ({ topicPartitions }: { topicPartitions: readonly { topicName: string; partitions: readonly number[] }[] }) =>
    topicPartitions.flatMap(({ topicName, partitions }) => partitions.map((partition) => ({ topic: topicName, partition })))
  return {
    groupId: group.groupId,
    type: 'consumer',
    state: group.groupState,
    protocolType: CONSUMER_PROTOCOL_TYPE,
    partitionAssignor: group.assignorName,
    groupEpoch: group.groupEpoch,
    targetAssignmentEpoch: group.assignmentEpoch,
    members: group.members.map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.instanceId,
      clientId: member.clientId,
      host: member.clientHost,
      memberEpoch: member.memberEpoch,
      assignment: partitionsOf(member.assignment),
      targetAssignment: partitionsOf(member.targetAssignment),
      upgraded: member.memberType === UNKNOWN_MEMBER ? undefined : member.memberType !== CLASSIC_MEMBER,
    })),
    coordinator,
  }
}

function descriptionOf(group: DescribeGroupsResponse['groups'][number], coordinator: GroupDescription['coordinator']): GroupDescription {
  const isConsumers = group.protocolType === CONSUMER_PROTOCOL_TYPE
  return {
    groupId: group.groupId,
    state: group.groupState,
    protocolType: group.protocolType,
    partitionAssignor: group.protocolData,
    members: group.members.map(({ memberId, groupInstanceId, clientId, clientHost, memberAssignment }) => ({
      memberId,
      groupInstanceId,
      clientId,
      host: clientHost,
      assignment: isConsumers ? assignmentOf(memberAssignment) : [],
    })),
    coordinator,
  }
}

/** What another client wrote: bytes that are no assignment are shown as none. */
function assignmentOf(bytes: Buffer): TopicPartition[] {
  try {
    return decodeAssignment(bytes)
  } catch {
    return []
  }
}

export async function deleteConsumerGroups(context: AdminContext, groupIds: readonly string[], options: AdminCallOptions): Promise<void> {
  const outcomes = await perGroup(context, 'deleteConsumerGroups', groupIds, options, (groupId, retry) =>
    onCoordinator(context.cluster, groupId, retry, async (connection) => {
      const response = await connection.send(DeleteGroups, { groupsNames: [groupId] })
      for (const result of response.results) checkErrorCode(result.errorCode, `group ${result.groupId}`)
    }),
  )
  allOrThrow('deleteConsumerGroups', outcomes)
}

export interface ListGroupOffsetsOptions extends AdminCallOptions {
  /** Only these; all that the group has committed when absent. */
  readonly partitions?: readonly TopicPartition[] | undefined
  /** Wait for offsets of open transactions to be decided. KIP-447. */
  readonly requireStable?: boolean
}

export function listConsumerGroupOffsets(
  context: AdminContext,
  groupId: string,
  { partitions, requireStable = false, ...options }: ListGroupOffsetsOptions,
): Promise<PartitionMap<OffsetAndMetadata>> {
  const retry = callOptions(context, `offsets of group ${groupId}`, options)
  return onCoordinator(context.cluster, groupId, retry, (connection) =>
    fetchGroupOffsets(connection, groupId, partitions ?? null, requireStable),
  )
}

const NO_GENERATION = -1

export async function alterConsumerGroupOffsets(
  context: AdminContext,
  groupId: string,
  offsets: readonly (TopicPartition & OffsetAndMetadata)[],
  options: AdminCallOptions,
): Promise<void> {
  const retry = callOptions(context, `alterConsumerGroupOffsets of group ${groupId}`, options)
  await onCoordinator(context.cluster, groupId, retry, async (connection) => {
    const response = await connection.send(
      OffsetCommit,
      {
        groupId,
        generationIdOrMemberEpoch: NO_GENERATION,
        memberId: '',
        topics: [...groupByTopic(offsets)].map(([name, entries]) => ({
          name,
          partitions: entries.map(({ partition, offset, leaderEpoch, metadata }) => ({
            partitionIndex: partition,
            committedOffset: offset,
            committedLeaderEpoch: leaderEpoch ?? -1,
            committedMetadata: metadata ?? '',
          })),
        })),
      },
      { maxVersion: NEWEST_VERSION_BY_NAME },
    )
    throwPartitionErrors(`alterConsumerGroupOffsets of group ${groupId}`, response.topics)
  })
}

export async function deleteConsumerGroupOffsets(
  context: AdminContext,
  groupId: string,
  partitions: readonly TopicPartition[],
  options: AdminCallOptions,
): Promise<void> {
  const retry = callOptions(context, `deleteConsumerGroupOffsets of group ${groupId}`, options)
  await onCoordinator(context.cluster, groupId, retry, async (connection) => {
    const response = await connection.send(OffsetDelete, {
      groupId,
      topics: [...groupByTopic(partitions)].map(([name, entries]) => ({
        name,
        partitions: entries.map(({ partition }) => ({ partitionIndex: partition })),
      })),
    })
    checkErrorCode(response.errorCode, `group ${groupId}`)
    throwPartitionErrors(`deleteConsumerGroupOffsets of group ${groupId}`, response.topics)
  })
}

function throwPartitionErrors(
  what: string,
  topics: readonly {
    readonly name: string
    readonly partitions: readonly { readonly partitionIndex: number; readonly errorCode: number }[]
  }[],
): void {
  const outcomes = topics.flatMap(({ name, partitions }) =>
    partitions.map(({ partitionIndex, errorCode }) => {
      const text = partitionName({ topic: name, partition: partitionIndex })
      return [text, errorCode === 0 ? { value: text } : { error: new BrokerError(errorCode, text) }] as const
    }),
  )
  allOrThrow(what, outcomes)
}

/** A static member by its instance id, or a dynamic one by its member id. */
export type MemberToRemove = { readonly groupInstanceId: string } | { readonly memberId: string }

const OLDEST_LEAVE_OF_SEVERAL = 3

export async function removeMembersFromConsumerGroup(
  context: AdminContext,
  groupId: string,
  members: readonly MemberToRemove[],
  { reason, ...options }: AdminCallOptions & { readonly reason?: string },
): Promise<void> {
  const retry = callOptions(context, `removeMembersFromConsumerGroup of group ${groupId}`, options)
  await onCoordinator(context.cluster, groupId, retry, async (connection) => {
    const response = await connection.send(LeaveGroup, (version) => {
      if (version < OLDEST_LEAVE_OF_SEVERAL) throw new UnsupportedVersionError('the broker cannot remove members by instance id')
      return {
        groupId,
        memberId: '',
        members: members.map((member) =>
          'memberId' in member
            ? { memberId: member.memberId, reason: reason ?? null }
            : { memberId: '', groupInstanceId: member.groupInstanceId, reason: reason ?? null },
        ),
      }
    })
    checkErrorCode(response.errorCode, `group ${groupId}`)
    const outcomes = response.members.map(({ memberId, groupInstanceId, errorCode }) => {
      const name = groupInstanceId ?? memberId
      return [name, errorCode === 0 ? { value: name } : { error: new BrokerError(errorCode, `member ${name}`) }] as const
    })
    allOrThrow(`removeMembersFromConsumerGroup of group ${groupId}`, outcomes)
  })
}
