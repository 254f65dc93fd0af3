import { defineData } from '../schema/define.ts'
import { between, int32, offset, since, string, tagged, timestampMs, uuid } from '../schema/types.ts'

/**
 * A committed offset in __consumer_offsets: the key's int16 version is 0 or 1 (the same fields), which is also the record's type;
 * the value's int16 version is one of `offsetCommitValue.versions`. A null value is a tombstone.
 */
export const offsetCommitKey = defineData({
  versions: [0, 1],
  fields: { group: string, topic: string, partition: int32 },
})

export const offsetCommitValue = defineData({
  versions: [0, 4],
  flexibleFrom: 4,
  fields: {
    offset,
    leaderEpoch: since(3, int32, -1),
    metadata: string,
    commitTimestamp: timestampMs,
    /** Only in version 1: from OffsetCommit 2 to 4, which named a retention time. */
    expireTimestamp: between(1, 1, timestampMs, -1),
    topicId: tagged(0, 4, uuid),
  },
})
