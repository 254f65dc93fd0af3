import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int8, int32, nullable, since, string, withDefault } from '../schema/types.ts'

/** Deletes the access control entries that match filters. KIP-140, KIP-290. */
export const DeleteAcls = defineApi({
  key: 31,
  name: 'DeleteAcls',
  versions: [0, 3],
  flexibleFrom: 2,
  request: {
    filters: array({
      resourceTypeFilter: int8,
      resourceNameFilter: nullable(string),
      patternTypeFilter: since(1, int8, 3),
      principalFilter: nullable(string),
      hostFilter: nullable(string),
      operation: int8,
      permissionType: int8,
    }),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    filterResults: array({
      errorCode,
      errorMessage: nullable(string),
      matchingAcls: array({
        errorCode,
        errorMessage: nullable(string),
        resourceType: int8,
        resourceName: string,
        patternType: since(1, int8, 3),
        principal: string,
        host: string,
        operation: int8,
        permissionType: int8,
      }),
    }),
  },
})
export type DeleteAclsRequest = RequestOf<typeof DeleteAcls>
export type DeleteAclsResponse = ResponseOf<typeof DeleteAcls>
