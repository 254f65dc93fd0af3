import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int8, int16, int32, nullable, offset, since, string, uuid, withDefault } from '../schema/types.ts'

/** Writes the persisted state of share partitions. KIP-932. */
export const WriteShareGroupState = defineApi({
  key: 85,
  name: 'WriteShareGroupState',
  versions: [0, 1],
  flexibleFrom: 0,
  request: {
    groupId: string,
    topics: array({
      topicId: uuid,
      partitions: array({
        partition: int32,
        stateEpoch: int32,
        leaderEpoch: int32,
        startOffset: offset,
        deliveryCompleteCount: since(1, int32, -1),
        stateBatches: array({
          firstOffset: offset,
          lastOffset: offset,
          deliveryState: int8,
          deliveryCount: int16,
        }),
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
      }),
    }),
  },
})
export type WriteShareGroupStateRequest = RequestOf<typeof WriteShareGroupState>
export type WriteShareGroupStateResponse = ResponseOf<typeof WriteShareGroupState>
