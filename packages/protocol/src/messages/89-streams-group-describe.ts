import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int16, int32, nullable, offset, string, uint16, withDefault } from '../schema/types.ts'

const responseTaskOffset = {
  subtopologyId: string,
  partition: int32,
  offset,
} as const

const responseTaskIds = {
  subtopologyId: string,
  partitions: array(int32),
} as const

const responseKeyValue = {
  key: string,
  value: string,
} as const

const responseAssignment = {
  activeTasks: array(responseTaskIds),
  standbyTasks: array(responseTaskIds),
  warmupTasks: array(responseTaskIds),
} as const

const responseTopicInfo = {
  name: string,
  partitions: int32,
  replicationFactor: int16,
  topicConfigs: array(responseKeyValue),
} as const

/** State, members and tasks of streams groups. KIP-1071. */
export const StreamsGroupDescribe = defineApi({
  key: 89,
  name: 'StreamsGroupDescribe',
  versions: [0, 0],
  flexibleFrom: 0,
  request: {
    groupIds: array(string),
    includeAuthorizedOperations: bool,
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    groups: array({
      errorCode,
      errorMessage: withDefault(nullable(string), null),
      groupId: string,
      groupState: string,
      groupEpoch: int32,
      assignmentEpoch: int32,
      topology: withDefault(
        nullable({
          epoch: int32,
          subtopologies: withDefault(
            nullable(
              array({
                subtopologyId: string,
                sourceTopics: array(string),
                repartitionSinkTopics: array(string),
                stateChangelogTopics: array(responseTopicInfo),
                repartitionSourceTopics: array(responseTopicInfo),
              }),
            ),
            null,
          ),
        }),
        null,
      ),
      members: array({
        memberId: string,
        memberEpoch: int32,
        instanceId: withDefault(nullable(string), null),
        rackId: withDefault(nullable(string), null),
        clientId: string,
        clientHost: string,
        topologyEpoch: int32,
        processId: string,
        userEndpoint: withDefault(
          nullable({
            host: string,
            port: uint16,
          }),
          null,
        ),
        clientTags: array(responseKeyValue),
        taskOffsets: array(responseTaskOffset),
        taskEndOffsets: array(responseTaskOffset),
        assignment: responseAssignment,
        targetAssignment: responseAssignment,
        isClassic: bool,
      }),
      authorizedOperations: withDefault(int32, -2147483648),
    }),
  },
})
export type StreamsGroupDescribeRequest = RequestOf<typeof StreamsGroupDescribe>
export type StreamsGroupDescribeResponse = ResponseOf<typeof StreamsGroupDescribe>
