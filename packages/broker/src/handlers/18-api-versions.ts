import { ApiVersions, KafkaError } from '@tidelog/protocol'
import { defineHandler } from '../define-handler.ts'

/** What KIP-511 allows in a client's name and version; anything else is refused, so that metrics and logs stay readable. */
const SOFTWARE_NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

/** Tells which APIs and versions this broker serves: those in the registry, no others. Source: KIP-35, KIP-511, KIP-584. */
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
    const apiKeys = broker.servedApis.flatMap(({ key, announced }) =>
      announced === undefined ? [] : [{ apiKey: key, minVersion: announced[0], maxVersion: announced[1] }],
    )
    // An epoch of 0: Java clients ignore features whose epoch is negative. No feature is finalized until the issue that serves it.
    return { errorCode: 0, apiKeys, supportedFeatures: [], finalizedFeaturesEpoch: 0, finalizedFeatures: [] }
  },
)
