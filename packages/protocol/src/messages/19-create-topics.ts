import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int8, int16, int32, nullable, since, string, tagged, uuid, withDefault } from '../schema/types.ts'

/** Creates topics. KIP-4, KIP-464 (v4: default partitions and replication factor), KIP-525 (v5: resulting configs). */
export const CreateTopics = defineApi({
  key: 19,
  name: 'CreateTopics',
  versions: [0, 7],
  flexibleFrom: 5,
  request: {
    topics: array({
      name: string,
      /** -1: num.partitions, or as many as there are assignments. */
      numPartitions: int32,
      /** -1: default.replication.factor, or as the assignments say. */
      replicationFactor: int16,
      /** Replicas by partition, preferred leader first; empty: the cluster chooses. */
      assignments: array({
        partitionIndex: int32,
        brokerIds: array(int32),
      }),
      configs: array({
        name: string,
        value: nullable(string),
      }),
    }),
    /** How long to wait until the brokers know the topics; they are created all the same. */
    timeoutMs: withDefault(int32, 60000),
    /** Only say what would be answered. */
    validateOnly: since(1, bool, false),
  },
  response: {
    throttleTimeMs: since(2, int32, 0),
    topics: array({
      name: string,
      topicId: since(7, uuid),
      errorCode,
      errorMessage: since(1, nullable(string)),
      /** TOPIC_AUTHORIZATION_FAILED: the caller may create the topic and not see its configs. */
      topicConfigErrorCode: tagged(0, 5, errorCode),
      /** -1 beside an error, like the replication factor. */
      numPartitions: since(5, int32, -1),
      replicationFactor: since(5, int16, -1),
      /** All that hold for the topic; null beside an error. */
      configs: since(
        5,
        nullable(
          array({
            name: string,
            value: nullable(string),
            readOnly: bool,
            /** As in DescribeConfigs. */
            configSource: withDefault(int8, -1),
            isSensitive: bool,
          }),
        ),
      ),
    }),
  },
})
export type CreateTopicsRequest = RequestOf<typeof CreateTopics>
export type CreateTopicsResponse = ResponseOf<typeof CreateTopics>
