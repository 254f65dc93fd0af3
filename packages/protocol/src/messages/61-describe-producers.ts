import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int32, int64, nullable, offset, string, timestampMs, withDefault } from '../schema/types.ts'

/** Producers with state in a partition, to find hanging transactions. KIP-664. */
export const DescribeProducers = defineApi({
  key: 61,
  name: 'DescribeProducers',
  versions: [0, 0],
  flexibleFrom: 0,
  request: {
    topics: array({
      name: string,
      partitionIndexes: array(int32),
    }),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        errorCode,
        errorMessage: withDefault(nullable(string), null),
        activeProducers: array({
          producerId: int64,
          producerEpoch: int32,
          /** Of its last batch; -1: none is known. */
          lastSequence: withDefault(int32, -1),
          /** Of its last batch; -1: none is known. */
          lastTimestamp: withDefault(timestampMs, -1),
          /** Of the transaction coordinator that wrote the last marker; -1: there was none. */
          coordinatorEpoch: int32,
          /** -1: no transaction is open. */
          currentTxnStartOffset: withDefault(offset, -1),
        }),
      }),
    }),
  },
})
export type DescribeProducersRequest = RequestOf<typeof DescribeProducers>
export type DescribeProducersResponse = ResponseOf<typeof DescribeProducers>
