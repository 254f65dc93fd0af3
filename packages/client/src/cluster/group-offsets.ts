import { OffsetFetch, type OffsetFetchResponse } from '@tidelog/protocol'
import { BrokerError, checkOffset, DisconnectedError } from '../errors.ts'
import { groupByTopic, type OffsetAndMetadata, PartitionMap, partitionName, type TopicPartition } from '../topic-partition.ts'
import type { BrokerConnection } from './broker-connection.ts'
import type { Cluster, RetryOptions } from './cluster.ts'
import type { Outcome } from './outcome.ts'

/**
 * The versions of OffsetCommit and OffsetFetch up to here name topics; later ones take ids, which the topics of a group's old offsets, or those that this client has no metadata of, need not have. KIP-848.
 */
export const NEWEST_VERSION_BY_NAME = 9

/** Offsets as OffsetCommit has them, and TxnOffsetCommit from version 2 on. */
export const committedTopics = (offsets: Iterable<TopicPartition & OffsetAndMetadata>) =>
  [...groupByTopic(offsets)].map(([name, entries]) => ({ name, partitions: entries.map(committedRow) }))

/** The same behind NEWEST_VERSION_BY_NAME. A topic that was deleted and made anew may be there twice. */
export function committedTopicsById(offsets: Iterable<TopicPartition & OffsetAndMetadata & { readonly topicId: string }>) {
  const byId = new Map<string, ReturnType<typeof committedRow>[]>()
  for (const one of offsets) {
    const rows = byId.get(one.topicId)
    if (rows === undefined) byId.set(one.topicId, [committedRow(one)])
    else rows.push(committedRow(one))
  }
  return [...byId].map(([topicId, partitions]) => ({ topicId, partitions }))
}

const committedRow = ({ partition, offset, leaderEpoch, metadata }: TopicPartition & OffsetAndMetadata) => ({
  partitionIndex: partition,
  committedOffset: offset,
  committedLeaderEpoch: leaderEpoch ?? -1,
  committedMetadata: metadata ?? '',
})

/** A request to the coordinator of a group, which is looked for again when it has moved. */
export function onCoordinator<T>(
  cluster: Cluster,
  groupId: string,
  options: RetryOptions,
  request: (connection: BrokerConnection) => Promise<T>,
): Promise<T> {
  return cluster.retry(options, async () => {
    const nodeId = await cluster.findGroupCoordinator(groupId, options)
    return request(await cluster.connectionTo(nodeId, 'coordinator', options))
  })
}

type GroupOffsets = PartitionMap<OffsetAndMetadata>

/** Who asks, and how. */
export interface AskOptions {
  readonly member?: AskingMember | undefined
  /** Ids of topics, by name: where those of all that are asked for are known, and the broker takes ids, it is asked by them. */
  readonly topicIds?: ReadonlyMap<string, string> | undefined
}

/** A member that asks for its own group: the coordinator of a group of the consumer protocol checks its epoch. KIP-848. */
export interface AskingMember {
  readonly memberId: string
  readonly memberEpoch: number
}

const OLDEST_FETCH_OF_SEVERAL = 8
const OLDEST_FETCH_BY_MEMBER = 9

/**
 * Committed offsets of a group; partitions without one are left out.
 * @param partitions null: all that the group has committed.
 * @throws BrokerError of the group, or of the first partition that has one; retriable ones too
 */
export async function fetchGroupOffsets(
  connection: BrokerConnection,
  groupId: string,
  partitions: readonly TopicPartition[] | null,
  requireStable: boolean,
  options: AskOptions = {},
): Promise<GroupOffsets> {
  const { value, error } = (await fetchOffsetsOfGroups(connection, new Map([[groupId, partitions]]), requireStable, options)).get(groupId)!
  if (error !== undefined) throw error
  return value
}

/** As `fetchGroupOffsets`, for several groups of one coordinator. @returns Offsets or failure of each group. */
export async function fetchOffsetsOfGroups(
  connection: BrokerConnection,
  groups: ReadonlyMap<string, readonly TopicPartition[] | null>,
  requireStable: boolean,
  { member, topicIds = new Map() }: AskOptions = {},
): Promise<Map<string, Outcome<GroupOffsets>>> {
  const hasIds = [...groups.values()].every((partitions) => partitions?.every(({ topic }) => topicIds.has(topic)))
  const options = hasIds ? {} : { maxVersion: NEWEST_VERSION_BY_NAME }
  const version = connection.versionOf(OffsetFetch, options.maxVersion)
  const isById = version > NEWEST_VERSION_BY_NAME
  const asked = [...groups].map(([groupId, partitions]) => ({
    groupId,
    ...(version >= OLDEST_FETCH_BY_MEMBER ? member : {}),
    topics:
      partitions === null
        ? null
        : [...groupByTopic(partitions)].map(([name, entries]) => ({
            ...(isById ? { topicId: topicIds.get(name)! } : { name }),
            partitionIndexes: entries.map(({ partition }) => partition),
          })),
  }))
  const answers =
    version >= OLDEST_FETCH_OF_SEVERAL
      ? (await connection.send(OffsetFetch, { groupId: '', topics: null, groups: asked, requireStable }, options)).groups
      : await Promise.all(
          asked.map(async ({ groupId, topics }) => ({
            ...(await connection.send(OffsetFetch, { groupId, topics, groups: [], requireStable }, options)),
            groupId,
          })),
        )
  const byGroup = new Map(answers.map((answer) => [answer.groupId, answer]))
  const namesById = new Map([...topicIds].map(([name, topicId]) => [topicId, name]))
  return new Map([...groups.keys()].map((groupId) => [groupId, offsetsOf(groupId, byGroup.get(groupId), isById ? namesById : undefined)]))
}

/** Of any version. */
interface GroupAnswer extends Pick<OffsetFetchResponse, 'errorCode'> {
  readonly topics: readonly (OffsetFetchResponse['topics'][number] & { readonly topicId?: string })[]
}

/** @param namesById undefined: the answer has names. */
function offsetsOf(
  groupId: string,
  answer: GroupAnswer | undefined,
  namesById: ReadonlyMap<string, string> | undefined,
): Outcome<GroupOffsets> {
  if (answer === undefined) return { error: new DisconnectedError(`the broker's answer leaves out the offsets of group ${groupId}`) }
  if (answer.errorCode !== 0) return { error: new BrokerError(answer.errorCode, `offsets of group ${groupId}`) }
  const offsets: GroupOffsets = new PartitionMap()
  for (const { name, topicId = '', partitions } of answer.topics) {
    const topic = namesById === undefined ? name : namesById.get(topicId)
    if (topic === undefined) continue
    for (const { partitionIndex, committedOffset, committedLeaderEpoch, metadata, errorCode } of partitions) {
      const key = { topic, partition: partitionIndex }
      if (errorCode !== 0) return { error: new BrokerError(errorCode, `offset of group ${groupId} in ${partitionName(key)}`) }
      if (committedOffset < 0) continue
      offsets.set(key, {
        offset: checkOffset(committedOffset, key),
        ...(committedLeaderEpoch >= 0 ? { leaderEpoch: committedLeaderEpoch } : {}),
        metadata: metadata ?? '',
      })
    }
  }
  return { value: offsets }
}
