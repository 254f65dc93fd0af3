import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int32, offset, since, string, withDefault } from '../schema/types.ts'

/** Where a leader epoch ends in the log, to find a divergence. KIP-101, KIP-320. */
export const OffsetForLeaderEpoch = defineApi({
  key: 23,
  name: 'OffsetForLeaderEpoch',
  versions: [0, 4],
  flexibleFrom: 4,
  request: {
    /** -1: a consumer; else the follower's broker id. What comes in earlier versions may be either. */
    replicaId: since(3, int32, -2),
    topics: array({
      topic: string,
      partitions: array({
        partition: int32,
        /** As the client knows it, else -1. KIP-320. */
        currentLeaderEpoch: since(2, int32, -1),
        /** The epoch to look up. */
        leaderEpoch: int32,
      }),
    }),
  },
  response: {
    throttleTimeMs: since(2, int32, 0),
    topics: array({
      topic: string,
      partitions: array({
        errorCode,
        partition: int32,
        /** The largest one in the log that is not beyond it; -1: none is known. */
        leaderEpoch: since(1, int32, -1),
        /** Where that epoch ends, exclusive; -1: not known. */
        endOffset: withDefault(offset, -1),
      }),
    }),
  },
})
export type OffsetForLeaderEpochRequest = RequestOf<typeof OffsetForLeaderEpoch>
export type OffsetForLeaderEpochResponse = ResponseOf<typeof OffsetForLeaderEpoch>
