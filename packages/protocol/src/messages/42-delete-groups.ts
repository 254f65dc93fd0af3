import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int32, string, withDefault } from '../schema/types.ts'

/** Deletes groups without members, with their offsets. KIP-229. */
export const DeleteGroups = defineApi({
  key: 42,
  name: 'DeleteGroups',
  versions: [0, 2],
  flexibleFrom: 2,
  request: {
    groupsNames: array(string),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    results: array({
      groupId: string,
      /** NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND; 0: the group and its offsets are gone. */
      errorCode,
    }),
  },
})
export type DeleteGroupsRequest = RequestOf<typeof DeleteGroups>
export type DeleteGroupsResponse = ResponseOf<typeof DeleteGroups>
