import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int8, int32, int64, offset, since, string, timestampMs, until } from '../schema/types.ts'

/** Offsets by timestamp or by the specials -1 latest, -2 earliest, -3 max timestamp, -4 … -6 tiered storage. KIP-79. */
export const ListOffsets = defineApi({
  key: 2,
  name: 'ListOffsets',
  versions: [0, 11],
  flexibleFrom: 6,
  request: {
    replicaId: int32,
    isolationLevel: since(2, int8),
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        currentLeaderEpoch: since(4, int32, -1),
        timestamp: timestampMs,
        maxNumOffsets: until(0, int32, 1),
      }),
    }),
    timeoutMs: since(10, int32),
  },
  response: {
    throttleTimeMs: since(2, int32, 0),
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        errorCode,
        oldStyleOffsets: until(0, array(int64)),
        timestamp: since(1, timestampMs, -1),
        offset: since(1, offset, -1),
        leaderEpoch: since(4, int32, -1),
      }),
    }),
  },
})
export type ListOffsetsRequest = RequestOf<typeof ListOffsets>
export type ListOffsetsResponse = ResponseOf<typeof ListOffsets>
