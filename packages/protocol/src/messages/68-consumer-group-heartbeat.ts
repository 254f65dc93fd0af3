import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int32, nullable, since, string, uuid, withDefault } from '../schema/types.ts'

/** Membership and assignment of the consumer group protocol. KIP-848. */
export const ConsumerGroupHeartbeat = defineApi({
  key: 68,
  name: 'ConsumerGroupHeartbeat',
  versions: [0, 1],
  flexibleFrom: 0,
  request: {
    groupId: string,
    memberId: string,
    memberEpoch: int32,
    instanceId: withDefault(nullable(string), null),
    rackId: withDefault(nullable(string), null),
    rebalanceTimeoutMs: withDefault(int32, -1),
    subscribedTopicNames: withDefault(nullable(array(string)), null),
    subscribedTopicRegex: since(1, nullable(string), null),
    serverAssignor: withDefault(nullable(string), null),
    topicPartitions: withDefault(
      nullable(
        array({
          topicId: uuid,
          partitions: array(int32),
        }),
      ),
      null,
    ),
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
export type ConsumerGroupHeartbeatRequest = RequestOf<typeof ConsumerGroupHeartbeat>
export type ConsumerGroupHeartbeatResponse = ResponseOf<typeof ConsumerGroupHeartbeat>
