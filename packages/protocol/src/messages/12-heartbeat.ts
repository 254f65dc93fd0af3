import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { errorCode, int32, nullable, since, string } from '../schema/types.ts'

/** Keeps a member of a classic group alive and tells it of a rebalance. */
export const Heartbeat = defineApi({
  key: 12,
  name: 'Heartbeat',
  versions: [0, 4],
  flexibleFrom: 4,
  request: {
    groupId: string,
    generationId: int32,
    memberId: string,
    /** Name of a static member. KIP-345. */
    groupInstanceId: since(3, nullable(string), null),
  },
  response: {
    throttleTimeMs: since(1, int32, 0),
    /** REBALANCE_IN_PROGRESS: join again; UNKNOWN_MEMBER_ID and ILLEGAL_GENERATION: the member is out. */
    errorCode,
  },
})
export type HeartbeatRequest = RequestOf<typeof Heartbeat>
export type HeartbeatResponse = ResponseOf<typeof Heartbeat>
