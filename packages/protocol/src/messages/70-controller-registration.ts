import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int16, int32, nullable, string, uint16, uuid, withDefault } from '../schema/types.ts'

/** KRaft: a controller registers. KIP-919. */
export const ControllerRegistration = defineApi({
  key: 70,
  name: 'ControllerRegistration',
  versions: [0, 0],
  flexibleFrom: 0,
  request: {
    controllerId: int32,
    incarnationId: uuid,
    zkMigrationReady: bool,
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
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    errorMessage: nullable(string),
  },
})
export type ControllerRegistrationRequest = RequestOf<typeof ControllerRegistration>
export type ControllerRegistrationResponse = ResponseOf<typeof ControllerRegistration>
