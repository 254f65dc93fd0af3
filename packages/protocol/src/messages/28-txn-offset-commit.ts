import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int16, int32, int64, nullable, offset, since, string, withDefault } from '../schema/types.ts'

/** Commits consumed offsets within a transaction. KIP-98, KIP-447 (v3: generation checks). */
export const TxnOffsetCommit = defineApi({
  key: 28,
  name: 'TxnOffsetCommit',
  versions: [0, 5],
  flexibleFrom: 3,
  request: {
    transactionalId: string,
    groupId: string,
    producerId: int64,
    producerEpoch: int16,
    generationId: since(3, int32, -1),
    memberId: since(3, string, ''),
    groupInstanceId: since(3, nullable(string), null),
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        committedOffset: offset,
        committedLeaderEpoch: since(2, int32, -1),
        committedMetadata: nullable(string),
      }),
    }),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        errorCode,
      }),
    }),
  },
})
export type TxnOffsetCommitRequest = RequestOf<typeof TxnOffsetCommit>
export type TxnOffsetCommitResponse = ResponseOf<typeof TxnOffsetCommit>
