import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int8, int32, nullable, since, string, uuid, withDefault } from '../schema/types.ts'

const responseAssignment = {
  topicPartitions: array({
    topicId: uuid,
    topicName: string,
    partitions: array(int32),
  }),
} as const

/** State, members and assignments of consumer groups. KIP-848. */
export const ConsumerGroupDescribe = defineApi({
  key: 69,
  name: 'ConsumerGroupDescribe',
  versions: [0, 1],
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
      assignorName: string,
      members: array({
        memberId: string,
        instanceId: withDefault(nullable(string), null),
        rackId: withDefault(nullable(string), null),
        memberEpoch: int32,
        clientId: string,
        clientHost: string,
        subscribedTopicNames: array(string),
        subscribedTopicRegex: withDefault(nullable(string), null),
        assignment: responseAssignment,
        targetAssignment: responseAssignment,
        memberType: since(1, int8, -1),
      }),
      authorizedOperations: withDefault(int32, -2147483648),
    }),
  },
})
export type ConsumerGroupDescribeRequest = RequestOf<typeof ConsumerGroupDescribe>
export type ConsumerGroupDescribeResponse = ResponseOf<typeof ConsumerGroupDescribe>
