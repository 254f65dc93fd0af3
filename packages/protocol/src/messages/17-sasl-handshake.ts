import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, string } from '../schema/types.ts'

/** Picks the SASL mechanism. KIP-43. */
export const SaslHandshake = defineApi({
  key: 17,
  name: 'SaslHandshake',
  versions: [0, 1],
  request: {
    mechanism: string,
  },
  response: {
    errorCode,
    mechanisms: array(string),
  },
})
export type SaslHandshakeRequest = RequestOf<typeof SaslHandshake>
export type SaslHandshakeResponse = ResponseOf<typeof SaslHandshake>
