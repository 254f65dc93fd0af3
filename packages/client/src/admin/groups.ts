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
} from '@tidelog/protocol'
import { onCoordinator } from '../cluster/group-offsets.ts'
import type { Outcome } from '../cluster/outcome.ts'
import { perCoordinator } from '../cluster/per-coordinator.ts'
import { checkErrorCode, hasCode, UnsupportedVersionError } from '../errors.ts'
import { decodeAssignment } from '../group-metadata.ts'
import type { TopicPartition } from '../topic-partition.ts'
import { type AclOperation, operationsOf } from './acl-operations.ts'
import { type AdminCallOptions, type AdminContext, callOptions } from './admin-client.ts'
import { outcomeOf } from './per-item.ts'
import { allOrThrow } from './results.ts'

/** A group, as listGroups() finds it. */
export interface GroupListing {
  readonly groupId: string
  /** `consumer` for consumer groups; empty for groups that only commit offsets. */
  readonly protocolType: string
  /** `Stable`, `Empty`…; empty from brokers that do not say. */
  readonly state: string
  /** `classic`, `consumer`…; empty from brokers that do not say. */
  readonly type: string
}

/** What is known of a member of any group. */
export interface MemberDescription {
  readonly memberId: string
  /** null: no static member. */
  readonly groupInstanceId: string | null
  readonly clientId: string
  /** As the broker prints it, such as `/127.0.0.1`. */
  readonly host: string
  /** Empty for groups that are not of consumers. */
  readonly assignment: readonly TopicPartition[]
}

/** A member of a classic group, with the bytes that it exchanges with the others: those of protocols other than `consumer` are theirs alone. */
export interface ClassicMemberDescription extends MemberDescription {
  /** What it joined with: the subscription of a consumer. */
  readonly metadataBytes: Buffer
  readonly assignmentBytes: Buffer
}

/** A group of the classic protocol. */
export interface GroupDescription {
  readonly groupId: string
  /** As Kafka names it: `Stable`, `Empty`, `PreparingRebalance`… */
  readonly state: string
  /** `consumer` for consumers. */
  readonly protocolType: string
  /** The assignor that the members agreed on. */
  readonly partitionAssignor: string
  readonly members: readonly ClassicMemberDescription[]
  readonly coordinator: GroupCoordinatorNode
  /** What this client may do; only when asked for. KIP-430. */
  readonly authorizedOperations?: readonly AclOperation[] | undefined
}

/** Where a group is coordinated. */
export interface GroupCoordinatorNode {
  readonly nodeId: number
  readonly host: string
  readonly port: number
}

/** A member of a group of either protocol. What only the consumer protocol has is undefined for the classic one. */
export interface ConsumerMemberDescription extends MemberDescription {
  /** undefined in classic groups. */
  readonly memberEpoch: number | undefined
  /** What it shall have, once others have given it up; undefined in classic groups. */
  readonly targetAssignment: readonly TopicPartition[] | undefined
  /** Whether a member of a group of the consumer protocol uses that protocol itself; undefined where the broker does not say. KIP-1099. */
  readonly upgraded: boolean | undefined
}

/** A group of consumers, of either protocol. */
export interface ConsumerGroupDescription extends Omit<GroupDescription, 'members'> {
  readonly type: 'classic' | 'consumer'
  readonly members: readonly ConsumerMemberDescription[]
  /** Undefined for classic groups. */
  readonly groupEpoch: number | undefined
  /** Behind `groupEpoch` while an assignment is being made; undefined for classic groups. */
  readonly targetAssignmentEpoch: number | undefined
}

/** Which groups listGroups() gives: all when nothing is said. */
export interface ListGroupsOptions extends AdminCallOptions {
  readonly states?: readonly string[]
  readonly types?: readonly string[]
  readonly protocolTypes?: readonly string[]
}

/** Of groups of consumers, and of those that only have offsets. */
export const consumerProtocolTypes: readonly string[] = [CONSUMER_PROTOCOL_TYPE, '']

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

export function coordinatorOf({ cluster }: AdminContext, nodeId: number): GroupCoordinatorNode {
  const { host = '', port = -1 } = cluster.nodeOf(nodeId) ?? {}
  return { nodeId, host, port }
}

export const groupText = (groupId: string): string => `group ${groupId}`

/** What calls that describe groups take. */
export interface DescribeGroupsOptions extends AdminCallOptions {
  /** Tell what this client may do with each group. KIP-430. */
  readonly includeAuthorizedOperations?: boolean
}

/** The descriptions by group, in order. @throws as allOrThrow */
export function byGroup<V>(what: string, outcomes: ReadonlyMap<string, Outcome<V>>): Map<string, V> {
  const values = allOrThrow(what, outcomes)
  return new Map([...outcomes.keys()].map((groupId, index) => [groupId, values[index]!]))
}

const OLDEST_DESCRIBE_WITH_OPERATIONS = 3

/** @param what Names the call in errors. */
function outcomesOfClassicGroups(
  context: AdminContext,
  what: string,
  groupIds: readonly string[],
  { includeAuthorizedOperations = false, ...options }: DescribeGroupsOptions,
): Promise<Map<string, Outcome<GroupDescription>>> {
  return perCoordinator(context.cluster, 'group', groupIds, callOptions(context, what, options), async (connection, ids, nodeId) => {
    const response = await connection.send(DescribeGroups, (version) => ({
      groups: [...ids],
      includeAuthorizedOperations: includeAuthorizedOperations && version >= OLDEST_DESCRIBE_WITH_OPERATIONS,
    }))
    const coordinator = coordinatorOf(context, nodeId)
    return new Map(
      response.groups.map((group) => [
        group.groupId,
        outcomeOf(groupText(group.groupId), group, () => classicDescriptionOf(group, coordinator)),
      ]),
    )
  })
}

export async function describeClassicGroups(
  context: AdminContext,
  groupIds: readonly string[],
  options: DescribeGroupsOptions,
): Promise<Map<string, GroupDescription>> {
  const what = 'describeClassicGroups'
  return byGroup(what, await outcomesOfClassicGroups(context, what, groupIds, options))
}

/** Groups of consumers, whatever their protocol: one that is not of the consumer protocol is asked for as a classic one. KIP-848. */
export async function describeConsumerGroups(
  context: AdminContext,
  groupIds: readonly string[],
  options: DescribeGroupsOptions,
): Promise<Map<string, ConsumerGroupDescription>> {
  const what = 'describeConsumerGroups'
  const { includeAuthorizedOperations = false } = options
  const retry = callOptions(context, what, options)
  const asConsumerGroups = await perCoordinator<ConsumerGroupDescription | undefined>(
    context.cluster,
    'group',
    groupIds,
    retry,
    async (connection, ids, nodeId) => {
      if (!connection.serves(ConsumerGroupDescribe)) return new Map(ids.map((groupId) => [groupId, { value: undefined }]))
      const response = await connection.send(ConsumerGroupDescribe, { groupIds: [...ids], includeAuthorizedOperations })
      const coordinator = coordinatorOf(context, nodeId)
      return new Map(
        response.groups.map((group) => {
          const outcome = outcomeOf(groupText(group.groupId), group, () => consumerDescriptionOf(group, coordinator))
          return [group.groupId, hasCode(outcome.error, 'GROUP_ID_NOT_FOUND', 'UNSUPPORTED_VERSION') ? { value: undefined } : outcome]
        }),
      )
    },
  )
  const others = [...asConsumerGroups].filter(([, { value, error }]) => value === undefined && error === undefined)
  const asClassicGroups = await outcomesOfClassicGroups(
    context,
    what,
    others.map(([groupId]) => groupId),
    options,
  )
  const outcomes = new Map(
    [...asConsumerGroups].map(([groupId, { value, error }]): [string, Outcome<ConsumerGroupDescription>] => {
      if (error !== undefined) return [groupId, { error }]
      if (value !== undefined) return [groupId, { value }]
      const classic = asClassicGroups.get(groupId)!
      return [groupId, classic.error === undefined ? { value: withoutEpochs(classic.value) } : classic]
    }),
  )
  return byGroup(what, outcomes)
}

function withoutEpochs(group: GroupDescription): ConsumerGroupDescription {
  const unknown = { memberEpoch: undefined, targetAssignment: undefined, upgraded: undefined }
  return {
    ...group,
    type: 'classic',
    members: group.members.map((member) => ({ ...member, ...unknown })),
    groupEpoch: undefined,
    targetAssignmentEpoch: undefined,
  }
}

/** What member types are called on the wire: 0 classic, 1 consumer, -1 not said. */
const CLASSIC_MEMBER = 0
const UNKNOWN_MEMBER = -1

function consumerDescriptionOf(
  group: ConsumerGroupDescribeResponse['groups'][number],
  coordinator: GroupCoordinatorNode,
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
    authorizedOperations: operationsOf(group.authorizedOperations),
  }
}

function classicDescriptionOf(group: DescribeGroupsResponse['groups'][number], coordinator: GroupCoordinatorNode): GroupDescription {
  const isConsumers = group.protocolType === CONSUMER_PROTOCOL_TYPE
  return {
    groupId: group.groupId,
    state: group.groupState,
    protocolType: group.protocolType,
    partitionAssignor: group.protocolData,
    members: group.members.map(({ memberId, groupInstanceId, clientId, clientHost, memberMetadata, memberAssignment }) => ({
      memberId,
      groupInstanceId,
      clientId,
      host: clientHost,
      assignment: isConsumers ? assignmentOf(memberAssignment) : [],
      metadataBytes: memberMetadata,
      assignmentBytes: memberAssignment,
    })),
    coordinator,
    authorizedOperations: operationsOf(group.authorizedOperations),
  }
}

/** What another client wrote: bytes that are no assignment are shown as none. */
function assignmentOf(bytes: Buffer): TopicPartition[] {
  try {
    return [...decodeAssignment(bytes).partitions]
  } catch {
    return []
  }
}

/** Groups of any type. @param what Names the call in errors. */
export async function deleteGroups(
  context: AdminContext,
  what: string,
  groupIds: readonly string[],
  options: AdminCallOptions,
): Promise<void> {
  const retry = callOptions(context, what, options)
  const outcomes = await perCoordinator(context.cluster, 'group', groupIds, retry, async (connection, ids) => {
    const { results } = await connection.send(DeleteGroups, { groupsNames: [...ids] })
    return new Map(results.map((row) => [row.groupId, outcomeOf(groupText(row.groupId), row, () => undefined)]))
  })
  allOrThrow(what, outcomes)
}

/** A static member by its instance id, or a dynamic one by its member id. */
export type MemberToRemove = { readonly groupInstanceId: string } | { readonly memberId: string }

const OLDEST_LEAVE_OF_SEVERAL = 3

/** @param members 'all': whoever is a member when it is called. */
export async function removeMembersFromConsumerGroup(
  context: AdminContext,
  groupId: string,
  members: readonly MemberToRemove[] | 'all',
  { reason, ...options }: AdminCallOptions & { readonly reason?: string },
): Promise<void> {
  const what = `removeMembersFromConsumerGroup of group ${groupId}`
  const leaving = members === 'all' ? await membersOf(context, groupId, options) : members
  if (leaving.length === 0) return
  await onCoordinator(context.cluster, groupId, callOptions(context, what, options), async (connection) => {
    const response = await connection.send(LeaveGroup, (version) => {
      if (version < OLDEST_LEAVE_OF_SEVERAL) throw new UnsupportedVersionError('the broker cannot remove members by instance id')
      return {
        groupId,
        memberId: '',
        members: leaving.map((member) =>
          'memberId' in member
            ? { memberId: member.memberId, reason: reason ?? null }
            : { memberId: '', groupInstanceId: member.groupInstanceId, reason: reason ?? null },
        ),
      }
    })
    checkErrorCode(response.errorCode, groupText(groupId))
    const outcomes = response.members.map((row) => {
      const name = row.groupInstanceId ?? row.memberId
      return [name, outcomeOf(`member ${name}`, row, () => name)] as const
    })
    allOrThrow(what, outcomes)
  })
}

async function membersOf(context: AdminContext, groupId: string, options: AdminCallOptions): Promise<MemberToRemove[]> {
  const { members } = (await describeConsumerGroups(context, [groupId], options)).get(groupId)!
  return members.map(({ memberId, groupInstanceId }) => (groupInstanceId === null ? { memberId } : { groupInstanceId }))
}
