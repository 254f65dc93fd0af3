import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int8, int16, int32, nullable, offset, string, uuid, withDefault } from '../schema/types.ts'

/** Reads the persisted state of share partitions. KIP-932. */
export const ReadShareGroupState = defineApi({
  key: 84,
  name: 'ReadShareGroupState',
  versions: [0, 0],
  flexibleFrom: 0,
  request: {
    groupId: string,
    topics: array({
      topicId: uuid,
      partitions: array({
        partition: int32,
        leaderEpoch: int32,
      }),
    }),
  },
  response: {
    results: array({
      topicId: uuid,
      partitions: array({
        partition: int32,
        errorCode,
        errorMessage: withDefault(nullable(string), null),
        stateEpoch: int32,
        startOffset: offset,
        stateBatches: array({
          firstOffset: offset,
          lastOffset: offset,
          deliveryState: int8,
          deliveryCount: int16,
        }),
      }),
    }),
  },
})
export type ReadShareGroupStateRequest = RequestOf<typeof ReadShareGroupState>
export type ReadShareGroupStateResponse = ResponseOf<typeof ReadShareGroupState>
