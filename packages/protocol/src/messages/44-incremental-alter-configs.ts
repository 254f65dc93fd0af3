import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int8, int32, nullable, string, withDefault } from '../schema/types.ts'

/** Sets, deletes, appends to or subtracts from single configurations. KIP-339. */
export const IncrementalAlterConfigs = defineApi({
  key: 44,
  name: 'IncrementalAlterConfigs',
  versions: [0, 1],
  flexibleFrom: 1,
  request: {
    resources: array({
      /** 2: topic; 4: broker; 8: broker logger; 16: client metrics; 32: group. */
      resourceType: int8,
      resourceName: string,
      configs: array({
        name: string,
        /** 0: set; 1: delete, back to the default; 2 and 3: append to and subtract from a list. */
        configOperation: int8,
        /** Null to delete. */
        value: nullable(string),
      }),
    }),
    /** Only say what would be answered. */
    validateOnly: bool,
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    responses: array({
      errorCode,
      errorMessage: nullable(string),
      resourceType: int8,
      resourceName: string,
    }),
  },
})
export type IncrementalAlterConfigsRequest = RequestOf<typeof IncrementalAlterConfigs>
export type IncrementalAlterConfigsResponse = ResponseOf<typeof IncrementalAlterConfigs>
