import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int8, int16, int32, nullable, offset, string, uint16, withDefault } from '../schema/types.ts'

const requestKeyValue = {
  key: string,
  value: string,
} as const

const requestTaskOffset = {
  subtopologyId: string,
  partition: int32,
  offset,
} as const

const requestTaskIds = {
  subtopologyId: string,
  partitions: array(int32),
} as const

const requestTopicInfo = {
  name: string,
  partitions: int32,
  replicationFactor: int16,
  topicConfigs: array(requestKeyValue),
} as const

const responseTopicPartition = {
  topic: string,
  partitions: array(int32),
} as const

const responseTaskIds = {
  subtopologyId: string,
  partitions: array(int32),
} as const

/** Membership and tasks of a streams group. KIP-1071. */
export const StreamsGroupHeartbeat = defineApi({
  key: 88,
  name: 'StreamsGroupHeartbeat',
  versions: [0, 0],
  flexibleFrom: 0,
  request: {
    groupId: string,
    memberId: string,
    memberEpoch: int32,
    endpointInformationEpoch: int32,
    instanceId: withDefault(nullable(string), null),
    rackId: withDefault(nullable(string), null),
    rebalanceTimeoutMs: withDefault(int32, -1),
    topology: withDefault(
      nullable({
        epoch: int32,
        subtopologies: array({
          subtopologyId: string,
          sourceTopics: array(string),
          sourceTopicRegex: array(string),
          stateChangelogTopics: array(requestTopicInfo),
          repartitionSinkTopics: array(string),
          repartitionSourceTopics: array(requestTopicInfo),
          copartitionGroups: array({
            sourceTopics: array(int16),
            sourceTopicRegex: array(int16),
            repartitionSourceTopics: array(int16),
          }),
        }),
      }),
      null,
    ),
    activeTasks: withDefault(nullable(array(requestTaskIds)), null),
    standbyTasks: withDefault(nullable(array(requestTaskIds)), null),
    warmupTasks: withDefault(nullable(array(requestTaskIds)), null),
    processId: withDefault(nullable(string), null),
    userEndpoint: withDefault(
      nullable({
        host: string,
        port: uint16,
      }),
      null,
    ),
    clientTags: withDefault(nullable(array(requestKeyValue)), null),
    taskOffsets: withDefault(nullable(array(requestTaskOffset)), null),
    taskEndOffsets: withDefault(nullable(array(requestTaskOffset)), null),
    shutdownApplication: withDefault(bool, false),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    errorMessage: withDefault(nullable(string), null),
    memberId: string,
    memberEpoch: int32,
    heartbeatIntervalMs: int32,
    acceptableRecoveryLag: int32,
    taskOffsetIntervalMs: int32,
    status: nullable(
      array({
        statusCode: int8,
        statusDetail: string,
      }),
    ),
    activeTasks: withDefault(nullable(array(responseTaskIds)), null),
    standbyTasks: withDefault(nullable(array(responseTaskIds)), null),
    warmupTasks: withDefault(nullable(array(responseTaskIds)), null),
    endpointInformationEpoch: int32,
    partitionsByUserEndpoint: withDefault(
      nullable(
        array({
          userEndpoint: {
            host: string,
            port: uint16,
          },
          activePartitions: array(responseTopicPartition),
          standbyPartitions: array(responseTopicPartition),
        }),
      ),
      null,
    ),
  },
})
export type StreamsGroupHeartbeatRequest = RequestOf<typeof StreamsGroupHeartbeat>
export type StreamsGroupHeartbeatResponse = ResponseOf<typeof StreamsGroupHeartbeat>
