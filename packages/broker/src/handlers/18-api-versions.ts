import { type Api, ApiVersions, KafkaError, type ResponseInput } from '@tidelog/protocol'
import { defineHandler } from '../define-handler.ts'

/** What KIP-511 allows in a client's name and version; anything else is refused, so that metrics and logs stay readable. */
const SOFTWARE_NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

/** What ApiVersions says of each API that it announces: made once, as every connection asks. */
export function announcedApisOf(apis: readonly Api[]): ResponseInput<typeof ApiVersions>['apiKeys'] {
  return apis.flatMap(({ key, announced }) =>
    announced === undefined ? [] : [{ apiKey: key, minVersion: announced[0], maxVersion: announced[1] }],
  )
}

/** Tells which APIs and versions this broker serves: those in the registry, no others. Source: KIP-35, KIP-511, KIP-584, KIP-1022. */
export const apiVersions = defineHandler(
  ApiVersions,
  ({ clientSoftwareName, clientSoftwareVersion }, { apiVersion, connection, broker }) => {
    if (apiVersion >= 3) {
      if (!SOFTWARE_NAME.test(clientSoftwareName) || !SOFTWARE_NAME.test(clientSoftwareVersion)) {
        return { errorCode: new KafkaError('INVALID_REQUEST').code, apiKeys: [] }
      }
      connection.clientSoftwareName = clientSoftwareName
      connection.clientSoftwareVersion = clientSoftwareVersion
    }
    const { epoch, levels } = broker.image.finalizedFeatures
    return {
      errorCode: 0,
      apiKeys: broker.announcedApis,
      supportedFeatures: [...broker.supportedFeatures]
        // Clients of before version 4 fail on a range that begins with 0. KAFKA-17492.
        .filter(([, { minVersion }]) => apiVersion >= 4 || minVersion > 0)
        .map(([name, { minVersion, maxVersion }]) => ({ name, minVersion, maxVersion })),
      finalizedFeaturesEpoch: epoch,
      finalizedFeatures: [...levels].map(([name, level]) => ({ name, maxVersionLevel: level, minVersionLevel: level })),
    }
  },
)
