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
      /** How many there are to be in all. */
      count: int32,
      /** Replicas of the new partitions, in order; null: the cluster chooses. */
      assignments: nullable(
        array({
          brokerIds: array(int32),
        }),
      ),
    }),
    /** How long to wait until the brokers know them; they are created all the same. */
    timeoutMs: int32,
    /** Only say what would be answered. */
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
