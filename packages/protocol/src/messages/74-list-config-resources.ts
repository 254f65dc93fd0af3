import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int8, int32, since, string, withDefault } from '../schema/types.ts'

/** Resources that have dynamic configurations (v0: client metrics only). KIP-714, KIP-1142. */
export const ListConfigResources = defineApi({
  key: 74,
  name: 'ListConfigResources',
  versions: [0, 1],
  flexibleFrom: 0,
  request: {
    /** Numbers as in DescribeConfigs; empty: all types. */
    resourceTypes: since(1, array(int8)),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    configResources: array({
      resourceName: string,
      resourceType: since(1, int8, 16),
    }),
  },
})
export type ListConfigResourcesRequest = RequestOf<typeof ListConfigResources>
export type ListConfigResourcesResponse = ResponseOf<typeof ListConfigResources>
