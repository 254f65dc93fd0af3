import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int32, nullable, string, uuid, withDefault } from '../schema/types.ts'

/** State and members of share groups. KIP-932. */
export const ShareGroupDescribe = defineApi({
  key: 77,
  name: 'ShareGroupDescribe',
  versions: [0, 1],
  announced: [1, 1],
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
        rackId: withDefault(nullable(string), null),
        memberEpoch: int32,
        clientId: string,
        clientHost: string,
        subscribedTopicNames: array(string),
        assignment: {
          topicPartitions: array({
            topicId: uuid,
            topicName: string,
            partitions: array(int32),
          }),
        },
      }),
      authorizedOperations: withDefault(int32, -2147483648),
    }),
  },
})
export type ShareGroupDescribeRequest = RequestOf<typeof ShareGroupDescribe>
export type ShareGroupDescribeResponse = ResponseOf<typeof ShareGroupDescribe>
