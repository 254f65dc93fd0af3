import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int32, nullable, string, uuid, withDefault } from '../schema/types.ts'

/** Deletes the persisted state of share partitions. KIP-932. */
export const DeleteShareGroupState = defineApi({
  key: 86,
  name: 'DeleteShareGroupState',
  versions: [0, 0],
  flexibleFrom: 0,
  request: {
    groupId: string,
    topics: array({
      topicId: uuid,
      partitions: array({
        partition: int32,
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
export type DeleteShareGroupStateRequest = RequestOf<typeof DeleteShareGroupState>
export type DeleteShareGroupStateResponse = ResponseOf<typeof DeleteShareGroupState>
