import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int32, nullable, string, uuid, withDefault } from '../schema/types.ts'

/** Topics and partitions page by page. KIP-966. */
export const DescribeTopicPartitions = defineApi({
  key: 75,
  name: 'DescribeTopicPartitions',
  versions: [0, 0],
  flexibleFrom: 0,
  request: {
    /** Empty: all topics. */
    topics: array({
      name: string,
    }),
    /** Partitions in one answer, at most. */
    responsePartitionLimit: withDefault(int32, 2000),
    /** Where to go on: `nextCursor` of the answer before; null: at the beginning. */
    cursor: withDefault(
      nullable({
        topicName: string,
        partitionIndex: int32,
      }),
      null,
    ),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    topics: array({
      errorCode,
      name: nullable(string),
      topicId: uuid,
      isInternal: withDefault(bool, false),
      partitions: array({
        errorCode,
        partitionIndex: int32,
        leaderId: int32,
        leaderEpoch: withDefault(int32, -1),
        replicaNodes: array(int32),
        isrNodes: array(int32),
        /** Not in sync and known to have all that was acknowledged; null: not kept. */
        eligibleLeaderReplicas: withDefault(nullable(array(int32)), null),
        /** The last in-sync replicas; null: not kept. */
        lastKnownElr: withDefault(nullable(array(int32)), null),
        offlineReplicas: array(int32),
      }),
      /** Bits 1 << AclOperation code; the default stands for not asked. KIP-430. */
      topicAuthorizedOperations: withDefault(int32, -2147483648),
    }),
    /** Null: this was the last page. */
    nextCursor: withDefault(
      nullable({
        topicName: string,
        partitionIndex: int32,
      }),
      null,
    ),
  },
})
export type DescribeTopicPartitionsRequest = RequestOf<typeof DescribeTopicPartitions>
export type DescribeTopicPartitionsResponse = ResponseOf<typeof DescribeTopicPartitions>
