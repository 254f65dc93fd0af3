import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, bytes, errorCode, int32, nullable, since, string } from '../schema/types.ts'

/** State, members and assignments of classic groups. */
export const DescribeGroups = defineApi({
  key: 15,
  name: 'DescribeGroups',
  versions: [0, 6],
  flexibleFrom: 5,
  request: {
    groups: array(string),
    includeAuthorizedOperations: since(3, bool),
  },
  response: {
    throttleTimeMs: since(1, int32, 0),
    groups: array({
      errorCode,
      /** KIP-1043. */
      errorMessage: since(6, nullable(string), null),
      groupId: string,
      /** Empty, PreparingRebalance, CompletingRebalance, Stable; Dead when there is no such group. */
      groupState: string,
      protocolType: string,
      /** The assignor in use; empty while none is. */
      protocolData: string,
      members: array({
        memberId: string,
        groupInstanceId: since(4, nullable(string), null),
        clientId: string,
        /** `/` and the IP address. */
        clientHost: string,
        /** What it joined with under that assignor; empty unless the group is stable. */
        memberMetadata: bytes,
        memberAssignment: bytes,
      }),
      /** Bits 1 << AclOperation code; the default stands for not asked. KIP-430. */
      authorizedOperations: since(3, int32, -2147483648),
    }),
  },
})
export type DescribeGroupsRequest = RequestOf<typeof DescribeGroups>
export type DescribeGroupsResponse = ResponseOf<typeof DescribeGroups>
