import { OffsetFetch } from '@tidelog/protocol'
import { BrokerError, checkErrorCode, checkOffset } from '../errors.ts'
import { groupByTopic, type OffsetAndMetadata, PartitionMap, partitionName, type TopicPartition } from '../topic-partition.ts'
import type { BrokerConnection } from './broker-connection.ts'
import type { Cluster, RetryOptions } from './cluster.ts'

/** The versions of OffsetCommit and OffsetFetch up to here name topics; later ones take ids, which a group's old offsets need not have any more. */
export const NEWEST_VERSION_BY_NAME = 9

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
): Promise<PartitionMap<OffsetAndMetadata>> {
  const topics =
    partitions === null
      ? null
      : [...groupByTopic(partitions)].map(([name, entries]) => ({ name, partitionIndexes: entries.map(({ partition }) => partition) }))
  const response = await connection.send(
    OffsetFetch,
    (version) => ({ groupId, topics, groups: version >= 8 ? [{ groupId, topics }] : [], requireStable }),
    { maxVersion: NEWEST_VERSION_BY_NAME },
  )
  const group = response.groups.length > 0 ? response.groups.find((one) => one.groupId === groupId) : response
  checkErrorCode(group?.errorCode ?? 0, `offsets of group ${groupId}`)
  const offsets = new PartitionMap<OffsetAndMetadata>()
  for (const { name, partitions: entries } of group?.topics ?? []) {
    for (const { partitionIndex, committedOffset, committedLeaderEpoch, metadata, errorCode } of entries) {
      const key = { topic: name, partition: partitionIndex }
      if (errorCode !== 0) throw new BrokerError(errorCode, `offset of group ${groupId} in ${partitionName(key)}`)
      if (committedOffset < 0) continue
      offsets.set(key, {
        offset: checkOffset(committedOffset, key),
        ...(committedLeaderEpoch >= 0 ? { leaderEpoch: committedLeaderEpoch } : {}),
        metadata: metadata ?? '',
      })
    }
  }
  return offsets
}
