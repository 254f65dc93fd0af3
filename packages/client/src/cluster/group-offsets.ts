import { OffsetFetch, type OffsetFetchResponse } from '@tidelog/protocol'
import { BrokerError, checkOffset, DisconnectedError } from '../errors.ts'
import { groupByTopic, type OffsetAndMetadata, PartitionMap, partitionName, type TopicPartition } from '../topic-partition.ts'
import type { BrokerConnection } from './broker-connection.ts'
import type { Cluster, RetryOptions } from './cluster.ts'
import type { Outcome } from './outcome.ts'

/** The versions of OffsetCommit and OffsetFetch up to here name topics; later ones take ids, which a group's old offsets need not have any more. */
export const NEWEST_VERSION_BY_NAME = 9

/** Offsets as OffsetCommit has them, and TxnOffsetCommit from version 2 on. */
export function committedTopics(offsets: Iterable<TopicPartition & OffsetAndMetadata>) {
  return [...groupByTopic(offsets)].map(([name, entries]) => ({
    name,
    partitions: entries.map(({ partition, offset, leaderEpoch, metadata }) => ({
      partitionIndex: partition,
      committedOffset: offset,
      committedLeaderEpoch: leaderEpoch ?? -1,
      committedMetadata: metadata ?? '',
    })),
  }))
}

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
  member?: AskingMember,
): Promise<GroupOffsets> {
  const { value, error } = (await fetchOffsetsOfGroups(connection, new Map([[groupId, partitions]]), requireStable, member)).get(groupId)!
  if (error !== undefined) throw error
  return value
}

/** As `fetchGroupOffsets`, for several groups of one coordinator. @returns Offsets or failure of each group. */
export async function fetchOffsetsOfGroups(
  connection: BrokerConnection,
  groups: ReadonlyMap<string, readonly TopicPartition[] | null>,
  requireStable: boolean,
  member?: AskingMember,
): Promise<Map<string, Outcome<GroupOffsets>>> {
  const options = { maxVersion: NEWEST_VERSION_BY_NAME }
  const version = connection.versionOf(OffsetFetch, NEWEST_VERSION_BY_NAME)
  const asked = [...groups].map(([groupId, partitions]) => ({
    groupId,
    ...(version >= OLDEST_FETCH_BY_MEMBER ? member : {}),
    topics:
      partitions === null
        ? null
        : [...groupByTopic(partitions)].map(([name, entries]) => ({ name, partitionIndexes: entries.map(({ partition }) => partition) })),
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
  return new Map([...groups.keys()].map((groupId) => [groupId, offsetsOf(groupId, byGroup.get(groupId))]))
}

/** Of versions up to NEWEST_VERSION_BY_NAME, whichever way they ask. */
type GroupAnswer = Pick<OffsetFetchResponse, 'topics' | 'errorCode'>

function offsetsOf(groupId: string, answer: GroupAnswer | undefined): Outcome<GroupOffsets> {
  if (answer === undefined) return { error: new DisconnectedError(`the broker's answer leaves out the offsets of group ${groupId}`) }
  if (answer.errorCode !== 0) return { error: new BrokerError(answer.errorCode, `offsets of group ${groupId}`) }
  const offsets: GroupOffsets = new PartitionMap()
  for (const { name, partitions } of answer.topics) {
    for (const { partitionIndex, committedOffset, committedLeaderEpoch, metadata, errorCode } of partitions) {
      const key = { topic: name, partition: partitionIndex }
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
