import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bytes, errorCode, int32, nullable, since, string } from '../schema/types.ts'

/** The leader hands in the assignment of a generation, every member receives its own. */
export const SyncGroup = defineApi({
  key: 14,
  name: 'SyncGroup',
  versions: [0, 5],
  flexibleFrom: 4,
  request: {
    groupId: string,
    generationId: int32,
    memberId: string,
    /** Name of a static member. KIP-345. */
    groupInstanceId: since(3, nullable(string), null),
    /** As the member knows it: INCONSISTENT_GROUP_PROTOCOL when the group's differs. KIP-559. */
    protocolType: since(5, nullable(string), null),
    protocolName: since(5, nullable(string), null),
    /** From the leader, one for each member; empty from the others. */
    assignments: array({
      memberId: string,
      /** For consumers a ConsumerProtocolAssignment. */
      assignment: bytes,
    }),
  },
  response: {
    throttleTimeMs: since(1, int32, 0),
    errorCode,
    protocolType: since(5, nullable(string), null),
    protocolName: since(5, nullable(string), null),
    assignment: bytes,
  },
})
export type SyncGroupRequest = RequestOf<typeof SyncGroup>
export type SyncGroupResponse = ResponseOf<typeof SyncGroup>
