import {
  AlterShareGroupOffsets,
  DeleteShareGroupOffsets,
  DescribeShareGroupOffsets,
  ShareGroupDescribe,
  type ShareGroupDescribeResponse,
} from '@tidelog/protocol'
import { onCoordinator } from '../cluster/group-offsets.ts'
import type { Outcome } from '../cluster/outcome.ts'
import { perCoordinator } from '../cluster/per-coordinator.ts'
import { BrokerError, checkErrorCode } from '../errors.ts'
import { groupByTopic, PartitionMap, partitionName, type TopicPartition } from '../topic-partition.ts'
import { type AclOperation, operationsOf } from './acl-operations.ts'
import { type AdminCallOptions, type AdminContext, callOptions } from './admin-client.ts'
import type { GroupOffsetsSpecs } from './group-offsets.ts'
import { byGroup, coordinatorOf, type DescribeGroupsOptions, type GroupCoordinatorNode, groupText } from './groups.ts'
import { outcomeOf } from './per-item.ts'
import { allOrThrow } from './results.ts'

/** A member of a share group. */
export interface ShareMemberDescription {
  readonly memberId: string
  readonly memberEpoch: number
  readonly clientId: string
  /** As the broker prints it, such as `/127.0.0.1`. */
  readonly host: string
  readonly rackId: string | null
  readonly subscribedTopics: readonly string[]
  /** Shared with other members. */
  readonly assignment: readonly TopicPartition[]
}

/** A group whose members share the records of their partitions. KIP-932. */
export interface ShareGroupDescription {
  readonly groupId: string
  /** `Empty`, `Stable`, `Dead`. */
  readonly state: string
  readonly groupEpoch: number
  readonly targetAssignmentEpoch: number
  readonly partitionAssignor: string
  readonly members: readonly ShareMemberDescription[]
  readonly coordinator: GroupCoordinatorNode
  /** What this client may do; only when asked for. KIP-430. */
  readonly authorizedOperations?: readonly AclOperation[] | undefined
}

export async function describeShareGroups(
  context: AdminContext,
  groupIds: readonly string[],
  { includeAuthorizedOperations = false, ...options }: DescribeGroupsOptions,
): Promise<Map<string, ShareGroupDescription>> {
  const what = 'describeShareGroups'
  const retry = callOptions(context, what, options)
  const outcomes = await perCoordinator(context.cluster, 'group', groupIds, retry, async (connection, ids, nodeId) => {
    const { groups } = await connection.send(ShareGroupDescribe, { groupIds: [...ids], includeAuthorizedOperations })
    const coordinator = coordinatorOf(context, nodeId)
    return new Map(
      groups.map((group) => [group.groupId, outcomeOf(groupText(group.groupId), group, () => descriptionOf(group, coordinator))]),
    )
  })
  return byGroup(what, outcomes)
}

const descriptionOf = (group: ShareGroupDescribeResponse['groups'][number], coordinator: GroupCoordinatorNode): ShareGroupDescription => ({
  groupId: group.groupId,
  state: group.groupState,
  groupEpoch: group.groupEpoch,
  targetAssignmentEpoch: group.assignmentEpoch,
  partitionAssignor: group.assignorName,
  members: group.members.map(({ memberId, memberEpoch, clientId, clientHost, rackId, subscribedTopicNames, assignment }) => ({
    memberId,
    memberEpoch,
    clientId,
    host: clientHost,
    rackId,
    subscribedTopics: subscribedTopicNames,
    assignment: assignment.topicPartitions.flatMap(({ topicName, partitions }) =>
      partitions.map((partition) => ({ topic: topicName, partition })),
    ),
  })),
  coordinator,
  authorizedOperations: operationsOf(group.authorizedOperations),
})

/** Where a share group stands in a partition. */
export interface SharePartitionOffset {
  /** Everything before it has been dealt with. */
  readonly startOffset: number
  readonly leaderEpoch: number | undefined
  /** Records that are yet to be dealt with; undefined from brokers that do not say. KIP-1226. */
  readonly lag: number | undefined
}

/** Partitions that the group has no offset of are left out. @returns By group. */
export async function listShareGroupOffsets(
  context: AdminContext,
  specs: GroupOffsetsSpecs,
  options: AdminCallOptions,
): Promise<Map<string, PartitionMap<SharePartitionOffset>>> {
  const what = 'listShareGroupOffsets'
  const retry = callOptions(context, what, options)
  const outcomes = await perCoordinator(context.cluster, 'group', [...specs.keys()], retry, async (connection, ids) => {
    const { groups } = await connection.send(DescribeShareGroupOffsets, {
      groups: ids.map((groupId) => ({ groupId, topics: topicRows(specs.get(groupId)) })),
    })
    return new Map(
      groups.map((group): [string, Outcome<PartitionMap<SharePartitionOffset>>] => {
        if (group.errorCode !== 0)
          return [group.groupId, { error: new BrokerError(group.errorCode, groupText(group.groupId), group.errorMessage) }]
        const offsets = new PartitionMap<SharePartitionOffset>()
        for (const { topicName, partitions } of group.topics) {
          for (const { partitionIndex, errorCode, errorMessage, startOffset, leaderEpoch, lag } of partitions) {
            const key = { topic: topicName, partition: partitionIndex }
            if (errorCode !== 0) {
              const where = `offset of group ${group.groupId} in ${partitionName(key)}`
              return [group.groupId, { error: new BrokerError(errorCode, where, errorMessage) }]
            }
            if (startOffset < 0) continue
            const known = (value: number) => (value < 0 ? undefined : value)
            offsets.set(key, { startOffset, leaderEpoch: known(leaderEpoch), lag: known(lag) })
          }
        }
        return [group.groupId, { value: offsets }]
      }),
    )
  })
  return byGroup(what, outcomes)
}

const topicRows = (partitions: readonly TopicPartition[] | undefined) =>
  partitions === undefined
    ? null
    : [...groupByTopic(partitions)].map(([topicName, entries]) => ({ topicName, partitions: entries.map(({ partition }) => partition) }))

export async function alterShareGroupOffsets(
  context: AdminContext,
  groupId: string,
  offsets: readonly (TopicPartition & { readonly offset: number })[],
  options: AdminCallOptions,
): Promise<void> {
  const what = `alterShareGroupOffsets of group ${groupId}`
  await onCoordinator(context.cluster, groupId, callOptions(context, what, options), async (connection) => {
    const response = await connection.send(AlterShareGroupOffsets, {
      groupId,
      topics: [...groupByTopic(offsets)].map(([topicName, entries]) => ({
        topicName,
        partitions: entries.map(({ partition, offset }) => ({ partitionIndex: partition, startOffset: offset })),
      })),
    })
    checkErrorCode(response.errorCode, groupText(groupId), response.errorMessage)
    const outcomes = response.responses.flatMap(({ topicName, partitions }) =>
      partitions.map((row) => {
        const name = partitionName({ topic: topicName, partition: row.partitionIndex })
        return [name, outcomeOf(name, row, () => undefined)] as const
      }),
    )
    allOrThrow(what, outcomes)
  })
}

export async function deleteShareGroupOffsets(
  context: AdminContext,
  groupId: string,
  topics: readonly string[],
  options: AdminCallOptions,
): Promise<void> {
  const what = `deleteShareGroupOffsets of group ${groupId}`
  await onCoordinator(context.cluster, groupId, callOptions(context, what, options), async (connection) => {
    const request = { groupId, topics: topics.map((topicName) => ({ topicName })) }
    const response = await connection.send(DeleteShareGroupOffsets, request)
    checkErrorCode(response.errorCode, groupText(groupId), response.errorMessage)
    const outcomes = response.responses.map((row) => [row.topicName, outcomeOf(`topic ${row.topicName}`, row, () => undefined)] as const)
    allOrThrow(what, outcomes)
  })
}
