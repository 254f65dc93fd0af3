import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int16, int32, int64, since, string, tagged } from '../schema/types.ts'

/** What a broker serves: APIs with their versions, and features. KIP-35, KIP-511 (v3: client software), KIP-584 (features). */
export const ApiVersions = defineApi({
  key: 18,
  name: 'ApiVersions',
  versions: [0, 4],
  flexibleFrom: 3,
  request: {
    /** Letters, digits, `.` and `-`, else INVALID_REQUEST. */
    clientSoftwareName: since(3, string),
    clientSoftwareVersion: since(3, string),
  },
  response: {
    /** UNSUPPORTED_VERSION comes in a v0 body, with the versions that are served. */
    errorCode,
    apiKeys: array({
      apiKey: int16,
      minVersion: int16,
      maxVersion: int16,
    }),
    throttleTimeMs: since(1, int32, 0),
    /** Levels that this broker's software can run. */
    supportedFeatures: tagged(
      0,
      3,
      array({
        name: string,
        minVersion: int16,
        maxVersion: int16,
      }),
    ),
    /** Grows with every change of the finalized levels; -1: not known, and clients ignore them. */
    finalizedFeaturesEpoch: tagged(1, 3, int64, -1),
    /** Levels that the cluster runs. */
    finalizedFeatures: tagged(
      2,
      3,
      array({
        name: string,
        maxVersionLevel: int16,
        minVersionLevel: int16,
      }),
    ),
    /** KIP-866. */
    zkMigrationReady: tagged(3, 3, bool, false),
  },
})
export type ApiVersionsRequest = RequestOf<typeof ApiVersions>
export type ApiVersionsResponse = ResponseOf<typeof ApiVersions>
