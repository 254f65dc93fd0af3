import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, float64, int8, int32, nullable, string, withDefault } from '../schema/types.ts'

/** Client quotas that match a filter. KIP-546. */
export const DescribeClientQuotas = defineApi({
  key: 48,
  name: 'DescribeClientQuotas',
  versions: [0, 1],
  flexibleFrom: 1,
  request: {
    components: array({
      entityType: string,
      matchType: int8,
      match: nullable(string),
    }),
    strict: bool,
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    errorMessage: nullable(string),
    entries: nullable(
      array({
        entity: array({
          entityType: string,
          entityName: nullable(string),
        }),
        values: array({
          key: string,
          value: float64,
        }),
      }),
    ),
  },
})
export type DescribeClientQuotasRequest = RequestOf<typeof DescribeClientQuotas>
export type DescribeClientQuotasResponse = ResponseOf<typeof DescribeClientQuotas>
