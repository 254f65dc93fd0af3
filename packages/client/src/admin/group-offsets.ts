import { OffsetCommit, OffsetDelete } from '@tidelog/protocol'
import { committedTopics, fetchOffsetsOfGroups, NEWEST_VERSION_BY_NAME, onCoordinator } from '../cluster/group-offsets.ts'
import { perCoordinator } from '../cluster/per-coordinator.ts'
import { checkErrorCode } from '../errors.ts'
import { groupByTopic, type OffsetAndMetadata, type PartitionMap, partitionName, type TopicPartition } from '../topic-partition.ts'
import { type AdminCallOptions, type AdminContext, callOptions } from './admin-client.ts'
import { outcomeOf } from './per-item.ts'
import { allOrThrow } from './results.ts'

/** What calls for the offsets of several groups take. */
export interface ListOffsetsOfGroupsOptions extends AdminCallOptions {
  /** Wait for offsets of open transactions to be decided. KIP-447. */
  readonly requireStable?: boolean
}

/** What listConsumerGroupOffsets() takes. */
export interface ListGroupOffsetsOptions extends ListOffsetsOfGroupsOptions {
  /** Only these; all that the group has committed when absent. */
  readonly partitions?: readonly TopicPartition[] | undefined
}

/** Which partitions of each group, by its id; undefined: all that it has committed. */
export type GroupOffsetsSpecs = ReadonlyMap<string, readonly TopicPartition[] | undefined>

/** Of consumer and streams groups alike. @param method Names the call in errors. */
async function listOffsetsOfGroups(
  context: AdminContext,
  method: string,
  specs: GroupOffsetsSpecs,
  { requireStable = false, ...options }: ListOffsetsOfGroupsOptions,
): Promise<Map<string, PartitionMap<OffsetAndMetadata>>> {
  const retry = callOptions(context, method, options)
  const outcomes = await perCoordinator(context.cluster, 'group', [...specs.keys()], retry, (connection, groupIds) =>
    fetchOffsetsOfGroups(connection, new Map(groupIds.map((groupId) => [groupId, specs.get(groupId) ?? null])), requireStable),
  )
  const offsets = allOrThrow(method, outcomes)
  return new Map([...outcomes.keys()].map((groupId, index) => [groupId, offsets[index]!]))
}

/** Of one group, or of several by id. The two shapes of the answer are told apart by the overloads of the calls that are made of this. */
export async function listGroupOffsets(
  context: AdminContext,
  method: string,
  groups: string | GroupOffsetsSpecs,
  { partitions, ...options }: ListGroupOffsetsOptions,
): Promise<never> {
  const specs = typeof groups === 'string' ? new Map([[groups, partitions]]) : groups
  const offsets = await listOffsetsOfGroups(context, method, specs, options)
  return (typeof groups === 'string' ? offsets.get(groups)! : offsets) as never
}

const NO_GENERATION = -1

/** Of consumer and streams groups alike, as the calls below. */
export async function alterGroupOffsets(
  context: AdminContext,
  method: string,
  groupId: string,
  offsets: readonly (TopicPartition & OffsetAndMetadata)[],
  options: AdminCallOptions,
): Promise<void> {
  const what = `${method} of group ${groupId}`
  await onCoordinator(context.cluster, groupId, callOptions(context, what, options), async (connection) => {
    const response = await connection.send(
      OffsetCommit,
      {
        groupId,
        generationIdOrMemberEpoch: NO_GENERATION,
        memberId: '',
        topics: committedTopics(offsets),
      },
      { maxVersion: NEWEST_VERSION_BY_NAME },
    )
    throwPartitionErrors(what, response.topics)
  })
}

export async function deleteGroupOffsets(
  context: AdminContext,
  method: string,
  groupId: string,
  partitions: readonly TopicPartition[],
  options: AdminCallOptions,
): Promise<void> {
  const what = `${method} of group ${groupId}`
  await onCoordinator(context.cluster, groupId, callOptions(context, what, options), async (connection) => {
    const response = await connection.send(OffsetDelete, {
      groupId,
      topics: [...groupByTopic(partitions)].map(([name, entries]) => ({
        name,
        partitions: entries.map(({ partition }) => ({ partitionIndex: partition })),
      })),
    })
    checkErrorCode(response.errorCode, `group ${groupId}`)
    throwPartitionErrors(what, response.topics)
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
    partitions.map((row) => {
      const text = partitionName({ topic: name, partition: row.partitionIndex })
      return [text, outcomeOf(text, row, () => text)] as const
    }),
  )
  allOrThrow(what, outcomes)
}
