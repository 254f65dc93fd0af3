import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int8, int32, nullable, since, string, withDefault } from '../schema/types.ts'

/** Creates access control entries. KIP-140, KIP-290. */
export const CreateAcls = defineApi({
  key: 30,
  name: 'CreateAcls',
  versions: [0, 3],
  flexibleFrom: 2,
  request: {
    creations: array({
      resourceType: int8,
      resourceName: string,
      resourcePatternType: since(1, int8, 3),
      principal: string,
      host: string,
      operation: int8,
      permissionType: int8,
    }),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    results: array({
      errorCode,
      errorMessage: nullable(string),
    }),
  },
})
export type CreateAclsRequest = RequestOf<typeof CreateAcls>
export type CreateAclsResponse = ResponseOf<typeof CreateAcls>
