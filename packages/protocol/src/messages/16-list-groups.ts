import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int32, since, string } from '../schema/types.ts'

/** The groups that a broker coordinates. KIP-518 (v4: by state), KIP-848 (v5: by type). */
export const ListGroups = defineApi({
  key: 16,
  name: 'ListGroups',
  versions: [0, 5],
  flexibleFrom: 3,
  request: {
    /** Empty: all. */
    statesFilter: since(4, array(string)),
    /** `classic`, `consumer`, `share`, `streams`; empty: all. */
    typesFilter: since(5, array(string)),
  },
  response: {
    throttleTimeMs: since(1, int32, 0),
    errorCode,
    groups: array({
      groupId: string,
      /** `consumer`, `connect` and the like; empty where only offsets are kept. */
      protocolType: string,
      groupState: since(4, string),
      groupType: since(5, string),
    }),
  },
})
export type ListGroupsRequest = RequestOf<typeof ListGroups>
export type ListGroupsResponse = ResponseOf<typeof ListGroups>
