import { defineData } from '../schema/define.ts'
import { array, int8, int16, int32, int64, nullable, string, tagged, timestampMs, uint16, withDefault } from '../schema/types.ts'

/**
 * A group of Kafka Streams (KIP-1071) in __consumer_offsets. A key starts with the record's type as an int16, a value with its int16 version, 0. A null value
 * is a tombstone.
 *   17 the group, 19 a member, 20 the target assignment, 21 a member's part of it, 22 what a member owns, 23 the topology
 */
const groupKey = { groupId: string }
const memberKey = { groupId: string, memberId: string }
const value = { versions: [0, 0], flexibleFrom: 0 } as const
const pairs = array({ key: string, value: string })

export const streamsGroupMetadataKey = defineData({ versions: [17, 17], fields: groupKey })
export const streamsGroupMetadataValue = defineData({
  ...value,
  fields: {
    epoch: int32,
    metadataHash: int64,
    validatedTopologyEpoch: tagged(0, 0, int32, -1),
    lastAssignmentConfigs: tagged(1, 0, nullable(pairs), []),
  },
})

export const streamsGroupMemberMetadataKey = defineData({ versions: [19, 19], fields: memberKey })
export const streamsGroupMemberMetadataValue = defineData({
  ...value,
  fields: {
    instanceId: nullable(string),
    rackId: nullable(string),
    clientId: string,
    clientHost: string,
    rebalanceTimeoutMs: withDefault(int32, -1),
    topologyEpoch: int32,
    processId: string,
    userEndpoint: withDefault(nullable({ host: string, port: uint16 }), null),
    clientTags: pairs,
  },
})

export const streamsGroupTargetAssignmentMetadataKey = defineData({ versions: [20, 20], fields: groupKey })
export const streamsGroupTargetAssignmentMetadataValue = defineData({
  ...value,
  fields: { assignmentEpoch: int32, assignmentTimestamp: tagged(0, 0, timestampMs) },
})

const tasks = array({ subtopologyId: string, partitions: array(int32) })
export const streamsGroupTargetAssignmentMemberKey = defineData({ versions: [21, 21], fields: memberKey })
export const streamsGroupTargetAssignmentMemberValue = defineData({
  ...value,
  fields: { activeTasks: tasks, standbyTasks: tasks, warmupTasks: tasks },
})

const ownedTasks = array({
  subtopologyId: string,
  partitions: array(int32),
  /** Beside each partition, the epoch in which the member got it. */
  assignmentEpochs: tagged(0, 0, nullable(array(int32)), []),
})
export const streamsGroupCurrentMemberAssignmentKey = defineData({ versions: [22, 22], fields: memberKey })
export const streamsGroupCurrentMemberAssignmentValue = defineData({
  ...value,
  fields: {
    memberEpoch: int32,
    previousMemberEpoch: int32,
    state: int8,
    activeTasks: ownedTasks,
    standbyTasks: ownedTasks,
    warmupTasks: ownedTasks,
    activeTasksPendingRevocation: ownedTasks,
    standbyTasksPendingRevocation: ownedTasks,
    warmupTasksPendingRevocation: ownedTasks,
  },
})

const topics = array({ name: string, partitions: int32, replicationFactor: int16, topicConfigs: pairs })
export const streamsGroupTopologyKey = defineData({ versions: [23, 23], fields: groupKey })
export const streamsGroupTopologyValue = defineData({
  ...value,
  fields: {
    epoch: int32,
    subtopologies: array({
      subtopologyId: string,
      sourceTopics: array(string),
      sourceTopicRegex: array(string),
      stateChangelogTopics: topics,
      repartitionSinkTopics: array(string),
      repartitionSourceTopics: topics,
      copartitionGroups: array({ sourceTopics: array(int16), sourceTopicRegex: array(int16), repartitionSourceTopics: array(int16) }),
    }),
  },
})
