import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int32, nullable, string, withDefault } from '../schema/types.ts'

/** Adds partitions to topics. KIP-195. */
export const CreatePartitions = defineApi({
  key: 37,
  name: 'CreatePartitions',
  versions: [0, 3],
  flexibleFrom: 2,
  request: {
    topics: array({
      name: string,
      count: int32,
      assignments: nullable(
        array({
          brokerIds: array(int32),
        }),
      ),
    }),
    timeoutMs: int32,
    validateOnly: bool,
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    results: array({
      name: string,
      errorCode,
      errorMessage: withDefault(nullable(string), null),
    }),
  },
})
export type CreatePartitionsRequest = RequestOf<typeof CreatePartitions>
export type CreatePartitionsResponse = ResponseOf<typeof CreatePartitions>
