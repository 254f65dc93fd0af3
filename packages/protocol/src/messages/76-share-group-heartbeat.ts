import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int32, nullable, string, uuid, withDefault } from '../schema/types.ts'

/** Membership of a share group. KIP-932. */
export const ShareGroupHeartbeat = defineApi({
  key: 76,
  name: 'ShareGroupHeartbeat',
  versions: [0, 1],
  announced: [1, 1],
  flexibleFrom: 0,
  request: {
    groupId: string,
    memberId: string,
    memberEpoch: int32,
    rackId: withDefault(nullable(string), null),
    subscribedTopicNames: withDefault(nullable(array(string)), null),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    errorMessage: withDefault(nullable(string), null),
    memberId: withDefault(nullable(string), null),
    memberEpoch: int32,
    heartbeatIntervalMs: int32,
    assignment: withDefault(
      nullable({
        topicPartitions: array({
          topicId: uuid,
          partitions: array(int32),
        }),
      }),
      null,
    ),
  },
})
export type ShareGroupHeartbeatRequest = RequestOf<typeof ShareGroupHeartbeat>
export type ShareGroupHeartbeatResponse = ResponseOf<typeof ShareGroupHeartbeat>
