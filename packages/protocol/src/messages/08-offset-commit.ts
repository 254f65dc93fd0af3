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
    /** Generation of a classic group, member epoch of a consumer group; -1 from whoever is no member. */
    generationIdOrMemberEpoch: since(1, int32, -1),
    /** Empty from whoever is no member. */
    memberId: since(1, string),
    /** Name of a static member. KIP-345. */
    groupInstanceId: since(7, nullable(string), null),
    /** How long to keep the offsets; -1: offsets.retention.minutes, as always since v5. KIP-211. */
    retentionTimeMs: between(2, 4, timestampMs, -1),
    topics: array({
      name: until(9, string),
      topicId: since(10, uuid),
      partitions: array({
        partitionIndex: int32,
        /** Of the next record to read. */
        committedOffset: offset,
        /** Of the last record read; -1: not known. KIP-320. */
        committedLeaderEpoch: since(6, int32, -1),
        /** Retention counts from here; -1: from now. */
        commitTimestamp: between(1, 1, timestampMs, -1),
        /** Anything the client wants back; at most offset.metadata.max.bytes. */
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
