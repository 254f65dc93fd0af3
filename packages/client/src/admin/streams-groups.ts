import { StreamsGroupDescribe, type StreamsGroupDescribeResponse } from '@tidelog/protocol'
import { perCoordinator } from '../cluster/per-coordinator.ts'
import { type AclOperation, operationsOf } from './acl-operations.ts'
import { type AdminContext, callOptions } from './admin-client.ts'
import { byGroup, coordinatorOf, type DescribeGroupsOptions, type GroupCoordinatorNode, groupText } from './groups.ts'
import { outcomeOf } from './per-item.ts'

/** An internal topic of a topology. */
export interface StreamsTopicInfo {
  readonly name: string
  readonly partitions: number
  readonly replicationFactor: number
  readonly configs: ReadonlyMap<string, string>
}

/** A part of a streams group's topology. */
export interface StreamsSubtopology {
  readonly subtopologyId: string
  readonly sourceTopics: readonly string[]
  readonly repartitionSinkTopics: readonly string[]
  readonly stateChangelogTopics: readonly StreamsTopicInfo[]
  readonly repartitionSourceTopics: readonly StreamsTopicInfo[]
}

/** A task is a partition of a subtopology. */
export interface StreamsTasks {
  readonly subtopologyId: string
  readonly partitions: readonly number[]
}

/** The tasks of a member of a streams group. */
export interface StreamsAssignment {
  readonly activeTasks: readonly StreamsTasks[]
  readonly standbyTasks: readonly StreamsTasks[]
  readonly warmupTasks: readonly StreamsTasks[]
}

/** How far a task's state is. */
export interface StreamsTaskOffset {
  readonly subtopologyId: string
  readonly partition: number
  readonly offset: number
}

/** A member of a streams group. */
export interface StreamsMemberDescription {
  readonly memberId: string
  readonly memberEpoch: number
  readonly groupInstanceId: string | null
  readonly rackId: string | null
  readonly clientId: string
  /** As the broker prints it, such as `/127.0.0.1`. */
  readonly host: string
  readonly topologyEpoch: number
  readonly processId: string
  /** For interactive queries; null when it has none. */
  readonly userEndpoint: { readonly host: string; readonly port: number } | null
  readonly clientTags: ReadonlyMap<string, string>
  readonly taskOffsets: readonly StreamsTaskOffset[]
  readonly taskEndOffsets: readonly StreamsTaskOffset[]
  readonly assignment: StreamsAssignment
  readonly targetAssignment: StreamsAssignment
  /** It is a member of the classic protocol, in a group that is being migrated. */
  readonly isClassic: boolean
}

/** A group that runs a topology of Kafka Streams. KIP-1071. */
export interface StreamsGroupDescription {
  readonly groupId: string
  readonly state: string
  readonly groupEpoch: number
  readonly targetAssignmentEpoch: number
  readonly topologyEpoch: number | undefined
  readonly subtopologies: readonly StreamsSubtopology[]
  readonly members: readonly StreamsMemberDescription[]
  readonly coordinator: GroupCoordinatorNode
  /** What this client may do; only when asked for. KIP-430. */
  readonly authorizedOperations?: readonly AclOperation[] | undefined
}

export async function describeStreamsGroups(
  context: AdminContext,
  groupIds: readonly string[],
  { includeAuthorizedOperations = false, ...options }: DescribeGroupsOptions,
): Promise<Map<string, StreamsGroupDescription>> {
  const what = 'describeStreamsGroups'
  const retry = callOptions(context, what, options)
  const outcomes = await perCoordinator(context.cluster, 'group', groupIds, retry, async (connection, ids, nodeId) => {
    const { groups } = await connection.send(StreamsGroupDescribe, { groupIds: [...ids], includeAuthorizedOperations })
    const coordinator = coordinatorOf(context, nodeId)
    return new Map(
      groups.map((group) => [group.groupId, outcomeOf(groupText(group.groupId), group, () => descriptionOf(group, coordinator))]),
    )
  })
  return byGroup(what, outcomes)
}

type GroupRow = StreamsGroupDescribeResponse['groups'][number]
type TopicRow = NonNullable<NonNullable<GroupRow['topology']>['subtopologies']>[number]['stateChangelogTopics'][number]
interface Pair {
  readonly key: string
  readonly value: string
}

const mapOf = (pairs: readonly Pair[]): Map<string, string> => new Map(pairs.map(({ key, value }) => [key, value]))

const topicOf = ({ name, partitions, replicationFactor, topicConfigs }: TopicRow): StreamsTopicInfo => ({
  name,
  partitions,
  replicationFactor,
  configs: mapOf(topicConfigs),
})

const descriptionOf = (group: GroupRow, coordinator: GroupCoordinatorNode): StreamsGroupDescription => ({
  groupId: group.groupId,
  state: group.groupState,
  groupEpoch: group.groupEpoch,
  targetAssignmentEpoch: group.assignmentEpoch,
  topologyEpoch: group.topology?.epoch,
  subtopologies: (group.topology?.subtopologies ?? []).map((subtopology) => ({
    ...subtopology,
    stateChangelogTopics: subtopology.stateChangelogTopics.map(topicOf),
    repartitionSourceTopics: subtopology.repartitionSourceTopics.map(topicOf),
  })),
  members: group.members.map(({ instanceId, clientHost, clientTags, ...member }) => ({
    ...member,
    groupInstanceId: instanceId,
    host: clientHost,
    clientTags: mapOf(clientTags),
  })),
  coordinator,
  authorizedOperations: operationsOf(group.authorizedOperations),
})
