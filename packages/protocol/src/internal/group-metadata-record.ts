import { type DataOf, defineData } from '../schema/define.ts'
import { array, bytes, int32, nullable, since, string, timestampMs } from '../schema/types.ts'

/** A classic group in __consumer_offsets: the key starts with int16 2, the value with its int16 version. A null value is a tombstone. */
export const groupMetadataKey = defineData({ versions: [2, 2], fields: { group: string } })

export const groupMetadataValue = defineData({
  versions: [0, 4],
  flexibleFrom: 4,
  fields: {
    protocolType: string,
    generation: int32,
    protocol: nullable(string),
    leader: nullable(string),
    currentStateTimestamp: since(2, timestampMs, -1),
    members: array({
      memberId: string,
      groupInstanceId: since(3, nullable(string), null),
      clientId: string,
      clientHost: string,
      /** Absent in version 0, where the session timeout serves as both. */
      rebalanceTimeout: since(1, int32, -1),
      sessionTimeout: int32,
      subscription: bytes,
      assignment: bytes,
    }),
  },
})
export type GroupMetadataValue = DataOf<typeof groupMetadataValue>
