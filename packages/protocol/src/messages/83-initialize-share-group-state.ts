import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int32, nullable, offset, string, uuid, withDefault } from '../schema/types.ts'

/** Starts the persisted state of a share partition. KIP-932. */
export const InitializeShareGroupState = defineApi({
  key: 83,
  name: 'InitializeShareGroupState',
  versions: [0, 0],
  flexibleFrom: 0,
  request: {
    groupId: string,
    topics: array({
      topicId: uuid,
      partitions: array({
        partition: int32,
        stateEpoch: int32,
        startOffset: offset,
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
export type InitializeShareGroupStateRequest = RequestOf<typeof InitializeShareGroupState>
export type InitializeShareGroupStateResponse = ResponseOf<typeof InitializeShareGroupState>
