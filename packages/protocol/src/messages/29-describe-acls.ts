import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int8, int32, nullable, since, string, withDefault } from '../schema/types.ts'

/** The access control entries that match a filter. KIP-140, KIP-290 (v1: prefixed patterns). */
export const DescribeAcls = defineApi({
  key: 29,
  name: 'DescribeAcls',
  versions: [0, 3],
  flexibleFrom: 2,
  request: {
    resourceTypeFilter: int8,
    resourceNameFilter: nullable(string),
    patternTypeFilter: since(1, int8, 3),
    principalFilter: nullable(string),
    hostFilter: nullable(string),
    operation: int8,
    permissionType: int8,
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    errorMessage: nullable(string),
    resources: array({
      resourceType: int8,
      resourceName: string,
      patternType: since(1, int8, 3),
      acls: array({
        principal: string,
        host: string,
        operation: int8,
        permissionType: int8,
      }),
    }),
  },
})
export type DescribeAclsRequest = RequestOf<typeof DescribeAcls>
export type DescribeAclsResponse = ResponseOf<typeof DescribeAcls>
