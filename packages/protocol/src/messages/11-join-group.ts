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
    sessionTimeoutMs: int32,
    rebalanceTimeoutMs: since(1, int32, -1),
    memberId: string,
    groupInstanceId: since(5, nullable(string), null),
    protocolType: string,
    protocols: array({
      name: string,
      metadata: bytes,
    }),
    reason: since(8, nullable(string), null),
  },
  response: {
    throttleTimeMs: since(2, int32, 0),
    errorCode,
    generationId: withDefault(int32, -1),
    protocolType: since(7, nullable(string), null),
    protocolName: nullable(string, { since: 7 }),
    leader: string,
    skipAssignment: since(9, bool, false),
    memberId: string,
    members: array({
      memberId: string,
      groupInstanceId: since(5, nullable(string), null),
      metadata: bytes,
    }),
  },
})
export type JoinGroupRequest = RequestOf<typeof JoinGroup>
export type JoinGroupResponse = ResponseOf<typeof JoinGroup>
