import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int16, int32, int64, nullable, since, string, uint16, uuid, withDefault } from '../schema/types.ts'

/** KRaft: a broker registers. KIP-631. */
export const BrokerRegistration = defineApi({
  key: 62,
  name: 'BrokerRegistration',
  versions: [0, 4],
  flexibleFrom: 0,
  request: {
    brokerId: int32,
    clusterId: string,
    incarnationId: uuid,
    listeners: array({
      name: string,
      host: string,
      port: uint16,
      securityProtocol: int16,
    }),
    features: array({
      name: string,
      minSupportedVersion: int16,
      maxSupportedVersion: int16,
    }),
    rack: nullable(string),
    isMigratingZkBroker: since(1, bool, false),
    logDirs: since(2, array(uuid)),
    previousBrokerEpoch: since(3, int64, -1),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    brokerEpoch: withDefault(int64, -1),
  },
})
export type BrokerRegistrationRequest = RequestOf<typeof BrokerRegistration>
export type BrokerRegistrationResponse = ResponseOf<typeof BrokerRegistration>
