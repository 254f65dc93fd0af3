import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int32, nullable, since, string, until, withDefault } from '../schema/types.ts'

/** Takes members out of a classic group. KIP-345 (v3: several, by instance id). */
export const LeaveGroup = defineApi({
  key: 13,
  name: 'LeaveGroup',
  versions: [0, 5],
  flexibleFrom: 4,
  request: {
    groupId: string,
    /** v0 to v2: the one that leaves. */
    memberId: until(2, string),
    members: since(
      3,
      array({
        /** Empty: a static member, by its instance id alone. */
        memberId: string,
        groupInstanceId: withDefault(nullable(string), null),
        /** For the broker's log. KIP-800. */
        reason: since(5, nullable(string), null),
      }),
    ),
  },
  response: {
    throttleTimeMs: since(1, int32, 0),
    errorCode,
    members: since(
      3,
      array({
        memberId: string,
        groupInstanceId: nullable(string),
        errorCode,
      }),
    ),
  },
})
export type LeaveGroupRequest = RequestOf<typeof LeaveGroup>
export type LeaveGroupResponse = ResponseOf<typeof LeaveGroup>
