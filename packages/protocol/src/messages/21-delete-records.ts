import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int32, int64, offset, string, withDefault } from '../schema/types.ts'

/** Moves the log start offset of partitions up. KIP-107. */
export const DeleteRecords = defineApi({
  key: 21,
  name: 'DeleteRecords',
  versions: [0, 2],
  flexibleFrom: 2,
  request: {
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        /** First offset to keep; -1: the high watermark. */
        offset,
      }),
    }),
    /** How long to wait for the other replicas. */
    timeoutMs: int32,
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        /** The smallest log start offset of all live replicas; -1 beside an error. */
        lowWatermark: int64,
        errorCode,
      }),
    }),
  },
})
export type DeleteRecordsRequest = RequestOf<typeof DeleteRecords>
export type DeleteRecordsResponse = ResponseOf<typeof DeleteRecords>
