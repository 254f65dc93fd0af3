import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int8, int16, int32, int64, since, string } from '../schema/types.ts'

/** Coordinator to partition leaders: write commit or abort markers. KIP-98. */
export const WriteTxnMarkers = defineApi({
  key: 27,
  name: 'WriteTxnMarkers',
  versions: [0, 2],
  flexibleFrom: 1,
  request: {
    markers: array({
      producerId: int64,
      producerEpoch: int16,
      transactionResult: bool,
      topics: array({
        name: string,
        partitionIndexes: array(int32),
      }),
      coordinatorEpoch: int32,
      transactionVersion: since(2, int8, 0),
    }),
  },
  response: {
    markers: array({
      producerId: int64,
      topics: array({
        name: string,
        partitions: array({
          partitionIndex: int32,
          errorCode,
        }),
      }),
    }),
  },
})
export type WriteTxnMarkersRequest = RequestOf<typeof WriteTxnMarkers>
export type WriteTxnMarkersResponse = ResponseOf<typeof WriteTxnMarkers>
