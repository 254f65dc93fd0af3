import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, bytes, errorCode, int32, nullable, since, string, withDefault } from '../schema/types.ts'

/** Enters a classic group, or its next generation. KIP-394 (v4: member id first), KIP-345 (v5: static members). */
export const JoinGroup = defineApi({
  key: 11,
  name: 'JoinGroup',
  versions: [0, 9],
  flexibleFrom: 6,
  request: {
    groupId: string,
    /** Without a heartbeat for so long the member is out. */
    sessionTimeoutMs: int32,
    /** How long members have to join again; v0 has the session timeout for it. KIP-62. */
    rebalanceTimeoutMs: since(1, int32, -1),
    /** Empty when joining first; since v4 answered with MEMBER_ID_REQUIRED and the id to join with. */
    memberId: string,
    /** Name of a static member, which keeps its place over restarts. */
    groupInstanceId: since(5, nullable(string), null),
    /** `consumer`, `connect` and the like; the same for all members. */
    protocolType: string,
    /** Assignors that the member knows, preferred one first. */
    protocols: array({
      name: string,
      /** For consumers a ConsumerProtocolSubscription. */
      metadata: bytes,
    }),
    /** Why it joins, for the broker's log. KIP-800. */
    reason: since(8, nullable(string), null),
  },
  response: {
    throttleTimeMs: since(2, int32, 0),
    errorCode,
    /** -1 beside an error. */
    generationId: withDefault(int32, -1),
    protocolType: since(7, nullable(string), null),
    /** The assignor that all members know. */
    protocolName: nullable(string, { since: 7 }),
    /** Member id of the one that assigns. */
    leader: string,
    /** The leader is to go on with the assignment of before. KIP-814. */
    skipAssignment: since(9, bool, false),
    memberId: string,
    /** For the leader only, else empty. */
    members: array({
      memberId: string,
      groupInstanceId: since(5, nullable(string), null),
      metadata: bytes,
    }),
  },
})
export type JoinGroupRequest = RequestOf<typeof JoinGroup>
export type JoinGroupResponse = ResponseOf<typeof JoinGroup>
