import { type DataOf, defineData } from '../schema/define.ts'
import { array, bytes, int8, int32, int64, nullable, string, tagged, timestampMs, uuid } from '../schema/types.ts'

/**
 * A group of the consumer protocol in __consumer_offsets (KIP-848). A key starts with the record's type as an int16, a value with its
 * int16 version, 0. A null value is a tombstone.
 *   3 the group, 4 its topics (of Kafka before 4.1), 5 a member, 6 the target assignment, 7 a member's part of it, 8 what a member owns,
 *   16 the topics that a regular expression stands for
 */
const groupKey = { groupId: string }
const memberKey = { groupId: string, memberId: string }

export const consumerGroupMetadataKey = defineData({ versions: [3, 3], fields: groupKey })
export const consumerGroupMetadataValue = defineData({
  versions: [0, 0],
  flexibleFrom: 0,
  fields: {
    epoch: int32,
    /** Of the topics that the members subscribe to: all 64 bits of it, so it is read and written by the exact codec. */
    metadataHash: tagged(0, 0, int64),
  },
})

export const consumerGroupPartitionMetadataKey = defineData({ versions: [4, 4], fields: groupKey })

export const consumerGroupMemberMetadataKey = defineData({ versions: [5, 5], fields: memberKey })
export const consumerGroupMemberMetadataValue = defineData({
  versions: [0, 0],
  flexibleFrom: 0,
  fields: {
    instanceId: nullable(string),
    rackId: nullable(string),
    clientId: string,
    clientHost: string,
    subscribedTopicNames: array(string),
    subscribedTopicRegex: nullable(string),
    rebalanceTimeoutMs: int32,
    serverAssignor: nullable(string),
    /** Of a member that uses the classic protocol in a group that has been upgraded. */
    classicMemberMetadata: tagged(
      0,
      0,
      nullable({ sessionTimeoutMs: int32, supportedProtocols: array({ name: string, metadata: bytes }) }),
      // Kafka's default is not null, so null is written.
      { sessionTimeoutMs: 0, supportedProtocols: [] },
    ),
  },
})
export type ConsumerGroupMemberMetadataValue = DataOf<typeof consumerGroupMemberMetadataValue>

export const consumerGroupTargetAssignmentMetadataKey = defineData({ versions: [6, 6], fields: groupKey })
export const consumerGroupTargetAssignmentMetadataValue = defineData({
  versions: [0, 0],
  flexibleFrom: 0,
  fields: { assignmentEpoch: int32, assignmentTimestamp: tagged(0, 0, timestampMs) },
})

export const consumerGroupTargetAssignmentMemberKey = defineData({ versions: [7, 7], fields: memberKey })
export const consumerGroupTargetAssignmentMemberValue = defineData({
  versions: [0, 0],
  flexibleFrom: 0,
  fields: { topicPartitions: array({ topicId: uuid, partitions: array(int32) }) },
})

const ownedPartitions = array({
  topicId: uuid,
  partitions: array(int32),
  /** Beside each partition, the epoch in which the member got it. */
  assignmentEpochs: tagged(0, 0, nullable(array(int32)), []),
})
export const consumerGroupCurrentMemberAssignmentKey = defineData({ versions: [8, 8], fields: memberKey })
export const consumerGroupCurrentMemberAssignmentValue = defineData({
  versions: [0, 0],
  flexibleFrom: 0,
  fields: {
    memberEpoch: int32,
    previousMemberEpoch: int32,
    state: int8,
    assignedPartitions: ownedPartitions,
    partitionsPendingRevocation: ownedPartitions,
  },
})
export type ConsumerGroupCurrentMemberAssignmentValue = DataOf<typeof consumerGroupCurrentMemberAssignmentValue>

export const consumerGroupRegularExpressionKey = defineData({
  versions: [16, 16],
  fields: { groupId: string, regularExpression: string },
})
export const consumerGroupRegularExpressionValue = defineData({
  versions: [0, 0],
  flexibleFrom: 0,
  fields: { topics: array(string), version: int64, timestamp: timestampMs },
})
