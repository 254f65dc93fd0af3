import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int8, int16, int32, nullable, since, string, until, withDefault } from '../schema/types.ts'

/** Raises or lowers finalized feature levels. KIP-584. */
export const UpdateFeatures = defineApi({
  key: 57,
  name: 'UpdateFeatures',
  versions: [0, 2],
  flexibleFrom: 0,
  request: {
    timeoutMs: withDefault(int32, 60000),
    featureUpdates: array({
      feature: string,
      maxVersionLevel: int16,
      allowDowngrade: until(0, bool),
      upgradeType: since(1, int8, 1),
    }),
    validateOnly: since(1, bool, false),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    errorMessage: nullable(string),
    results: until(
      1,
      array({
        feature: string,
        errorCode,
        errorMessage: nullable(string),
      }),
    ),
  },
})
export type UpdateFeaturesRequest = RequestOf<typeof UpdateFeatures>
export type UpdateFeaturesResponse = ResponseOf<typeof UpdateFeatures>
