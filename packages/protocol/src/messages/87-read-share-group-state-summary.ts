import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int32, nullable, offset, since, string, uuid, withDefault } from '../schema/types.ts'

/** Start offsets of share partitions. KIP-932. */
export const ReadShareGroupStateSummary = defineApi({
  key: 87,
  name: 'ReadShareGroupStateSummary',
  versions: [0, 1],
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
        leaderEpoch: int32,
        startOffset: offset,
        deliveryCompleteCount: since(1, int32, -1),
      }),
    }),
  },
})
export type ReadShareGroupStateSummaryRequest = RequestOf<typeof ReadShareGroupStateSummary>
export type ReadShareGroupStateSummaryResponse = ResponseOf<typeof ReadShareGroupStateSummary>
