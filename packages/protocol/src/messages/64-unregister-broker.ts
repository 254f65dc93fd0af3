import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { errorCode, int32, nullable, string, withDefault } from '../schema/types.ts'

/** Removes the registration of a broker. KIP-631. */
export const UnregisterBroker = defineApi({
  key: 64,
  name: 'UnregisterBroker',
  versions: [0, 0],
  flexibleFrom: 0,
  request: {
    brokerId: int32,
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    errorMessage: nullable(string),
  },
})
export type UnregisterBrokerRequest = RequestOf<typeof UnregisterBroker>
export type UnregisterBrokerResponse = ResponseOf<typeof UnregisterBroker>
