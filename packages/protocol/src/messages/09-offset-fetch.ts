import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, between, bool, errorCode, int32, nullable, offset, since, string, until, uuid, withDefault } from '../schema/types.ts'

/** Reads the offsets that groups have committed. KIP-709 (v8: several groups). */
export const OffsetFetch = defineApi({
  key: 9,
  name: 'OffsetFetch',
  versions: [0, 10],
  flexibleFrom: 6,
  request: {
    /** v0 to v7 ask for one group, here and in `topics`. */
    groupId: until(7, string),
    /** Null: all that the group has. */
    topics: until(
      7,
      nullable(
        array({
          name: until(7, string),
          partitionIndexes: until(7, array(int32)),
        }),
        { since: 2 },
      ),
    ),
    /** v8 and later ask for several. */
    groups: since(
      8,
      array({
        groupId: string,
        /** Null with epoch -1 from whoever is no member of a consumer group. KIP-848. */
        memberId: since(9, nullable(string), null),
        memberEpoch: since(9, int32, -1),
        /** Null: all that the group has. */
        topics: nullable(
          array({
            name: until(9, string),
            topicId: since(10, uuid),
            partitionIndexes: array(int32),
          }),
        ),
      }),
    ),
    /** Answer UNSTABLE_OFFSET_COMMIT where a transaction that commits offsets is open. KIP-447. */
    requireStable: since(7, bool, false),
  },
  response: {
    throttleTimeMs: since(3, int32, 0),
    topics: until(
      7,
      array({
        name: until(7, string),
        partitions: until(
          7,
          array({
            partitionIndex: until(7, int32),
            /** -1: none is committed. */
            committedOffset: until(7, offset),
            committedLeaderEpoch: between(5, 7, int32, -1),
            /** As it was committed; empty beside -1. */
            metadata: until(7, nullable(string)),
            errorCode: until(7, errorCode),
          }),
        ),
      }),
    ),
    errorCode: between(2, 7, errorCode, 0),
    groups: since(
      8,
      array({
        groupId: string,
        topics: array({
          name: until(9, string),
          topicId: since(10, uuid),
          partitions: array({
            partitionIndex: int32,
            /** -1: none is committed. */
            committedOffset: offset,
            committedLeaderEpoch: withDefault(int32, -1),
            metadata: nullable(string),
            errorCode,
          }),
        }),
        errorCode: withDefault(errorCode, 0),
      }),
    ),
  },
})
export type OffsetFetchRequest = RequestOf<typeof OffsetFetch>
export type OffsetFetchResponse = ResponseOf<typeof OffsetFetch>
