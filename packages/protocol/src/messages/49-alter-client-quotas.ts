import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, float64, int32, nullable, string, withDefault } from '../schema/types.ts'

/** Sets and removes client quotas. KIP-546. */
export const AlterClientQuotas = defineApi({
  key: 49,
  name: 'AlterClientQuotas',
  versions: [0, 1],
  flexibleFrom: 1,
  request: {
    entries: array({
      entity: array({
        entityType: string,
        entityName: nullable(string),
      }),
      ops: array({
        key: string,
        value: float64,
        remove: bool,
      }),
    }),
    validateOnly: bool,
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    entries: array({
      errorCode,
      errorMessage: nullable(string),
      entity: array({
        entityType: string,
        entityName: nullable(string),
      }),
    }),
  },
})
export type AlterClientQuotasRequest = RequestOf<typeof AlterClientQuotas>
export type AlterClientQuotasResponse = ResponseOf<typeof AlterClientQuotas>
