import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int8, int32, int64, offset, since, string, timestampMs, until } from '../schema/types.ts'

/** Offsets by timestamp or by the specials -1 latest, -2 earliest, -3 max timestamp, -4 … -6 tiered storage. KIP-79. */
export const ListOffsets = defineApi({
  key: 2,
  name: 'ListOffsets',
  versions: [0, 11],
  flexibleFrom: 6,
  request: {
    /** -1: a consumer; -2: a tool, which may ask a replica that does not lead. */
    replicaId: int32,
    /** What latest means. 0: the high watermark; 1: the last stable offset. */
    isolationLevel: since(2, int8),
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        /** As the client knows it, else -1. KIP-320. */
        currentLeaderEpoch: since(4, int32, -1),
        /** Or a special: -1, -2; -3 since v7 (KIP-734), -4 since v8 (KIP-405), -5 since v9 (KIP-1005), -6 since v11 (KIP-1023). */
        timestamp: timestampMs,
        /** Answer with at most so many segments' first offsets. */
        maxNumOffsets: until(0, int32, 1),
      }),
    }),
    /** For lookups in tiered storage. KIP-1075. */
    timeoutMs: since(10, int32),
  },
  response: {
    throttleTimeMs: since(2, int32, 0),
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        errorCode,
        /** First offsets of segments, newest first, that were written before the timestamp; -1 begins with the log's end. */
        oldStyleOffsets: until(0, array(int64)),
        /** Of the record found; -1 for latest and earliest, and when none is found. */
        timestamp: since(1, timestampMs, -1),
        /** Of the first record at or behind the timestamp; -1 when there is none. */
        offset: since(1, offset, -1),
        /** Of that record; -1 when it is not known. KIP-320. */
        leaderEpoch: since(4, int32, -1),
      }),
    }),
  },
})
export type ListOffsetsRequest = RequestOf<typeof ListOffsets>
export type ListOffsetsResponse = ResponseOf<typeof ListOffsets>
