import { defineData } from '../schema/define.ts'
import { array, int8, int16, int32, int64, nullable, offset, string, tagged, timestampMs, uuid } from '../schema/types.ts'

/**
 * A share group (KIP-932) in __consumer_offsets, and what its consumers have taken in __share_group_state. A key starts with the record's type as an
 * int16, a value with its int16 version, 0. A null value is a tombstone.
 *   10 a member, 11 the group, 12 the target assignment, 13 a member's part of it, 14 what a member owns, 15 the partitions that have a state
 */
const groupKey = { groupId: string }
const memberKey = { groupId: string, memberId: string }
const value = { versions: [0, 0], flexibleFrom: 0 } as const
const topicPartitions = array({ topicId: uuid, partitions: array(int32) })

export const shareGroupMemberMetadataKey = defineData({ versions: [10, 10], fields: memberKey })
export const shareGroupMemberMetadataValue = defineData({
  ...value,
  fields: { rackId: nullable(string), clientId: string, clientHost: string, subscribedTopicNames: array(string) },
})

export const shareGroupMetadataKey = defineData({ versions: [11, 11], fields: groupKey })
export const shareGroupMetadataValue = defineData({ ...value, fields: { epoch: int32, metadataHash: int64 } })

export const shareGroupTargetAssignmentMetadataKey = defineData({ versions: [12, 12], fields: groupKey })
export const shareGroupTargetAssignmentMetadataValue = defineData({
  ...value,
  fields: { assignmentEpoch: int32, assignmentTimestamp: tagged(0, 0, timestampMs) },
})

export const shareGroupTargetAssignmentMemberKey = defineData({ versions: [13, 13], fields: memberKey })
export const shareGroupTargetAssignmentMemberValue = defineData({ ...value, fields: { topicPartitions } })

export const shareGroupCurrentMemberAssignmentKey = defineData({ versions: [14, 14], fields: memberKey })
export const shareGroupCurrentMemberAssignmentValue = defineData({
  ...value,
  fields: { memberEpoch: int32, previousMemberEpoch: int32, state: int8, assignedPartitions: topicPartitions },
})

const namedPartitions = array({ topicId: uuid, topicName: string, partitions: array(int32) })
export const shareGroupStatePartitionMetadataKey = defineData({ versions: [15, 15], fields: groupKey })
export const shareGroupStatePartitionMetadataValue = defineData({
  ...value,
  fields: {
    initializingTopics: namedPartitions,
    initializedTopics: namedPartitions,
    deletingTopics: array({ topicId: uuid, topicName: string }),
  },
})

/** Keys of __share_group_state: 0 all that is known of a partition, 1 what has changed since. */
const stateKey = { groupId: string, topicId: uuid, partition: int32 }
const stateBatches = array({ firstOffset: offset, lastOffset: offset, deliveryState: int8, deliveryCount: int16 })
const deliveryCompleteCount = tagged(0, 0, int32, -1)

export const shareSnapshotKey = defineData({ versions: [0, 0], fields: stateKey })
export const shareSnapshotValue = defineData({
  ...value,
  fields: {
    snapshotEpoch: int32,
    stateEpoch: int32,
    leaderEpoch: int32,
    startOffset: offset,
    deliveryCompleteCount,
    createTimestamp: timestampMs,
    writeTimestamp: timestampMs,
    stateBatches,
  },
})

export const shareUpdateKey = defineData({ versions: [1, 1], fields: stateKey })
export const shareUpdateValue = defineData({
  ...value,
  fields: { snapshotEpoch: int32, leaderEpoch: int32, startOffset: offset, deliveryCompleteCount, stateBatches },
})
