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
      numPartitions: int32,
      replicationFactor: int16,
      assignments: array({
        partitionIndex: int32,
        brokerIds: array(int32),
      }),
      configs: array({
        name: string,
        value: nullable(string),
      }),
    }),
    timeoutMs: withDefault(int32, 60000),
    validateOnly: since(1, bool, false),
  },
  response: {
    throttleTimeMs: since(2, int32, 0),
    topics: array({
      name: string,
      topicId: since(7, uuid),
      errorCode,
      errorMessage: since(1, nullable(string)),
      topicConfigErrorCode: tagged(0, 5, errorCode),
      numPartitions: since(5, int32, -1),
      replicationFactor: since(5, int16, -1),
      configs: since(
        5,
        nullable(
          array({
            name: string,
            value: nullable(string),
            readOnly: bool,
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
