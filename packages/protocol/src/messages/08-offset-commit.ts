import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, between, errorCode, int32, nullable, offset, since, string, timestampMs, until, uuid } from '../schema/types.ts'

/** Stores the offsets that a group has consumed. KIP-848 (v9: member epochs), KIP-516 (v10: topic ids). */
export const OffsetCommit = defineApi({
  key: 8,
  name: 'OffsetCommit',
  versions: [0, 10],
  flexibleFrom: 8,
  request: {
    groupId: string,
    generationIdOrMemberEpoch: since(1, int32, -1),
    memberId: since(1, string),
    groupInstanceId: since(7, nullable(string), null),
    retentionTimeMs: between(2, 4, timestampMs, -1),
    topics: array({
      name: until(9, string),
      topicId: since(10, uuid),
      partitions: array({
        partitionIndex: int32,
        committedOffset: offset,
        committedLeaderEpoch: since(6, int32, -1),
        commitTimestamp: between(1, 1, timestampMs, -1),
        committedMetadata: nullable(string),
      }),
    }),
  },
  response: {
    throttleTimeMs: since(3, int32, 0),
    topics: array({
      name: until(9, string),
      topicId: since(10, uuid),
      partitions: array({
        partitionIndex: int32,
        errorCode,
      }),
    }),
  },
})
export type OffsetCommitRequest = RequestOf<typeof OffsetCommit>
export type OffsetCommitResponse = ResponseOf<typeof OffsetCommit>
