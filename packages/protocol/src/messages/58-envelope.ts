import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { bytes, errorCode, nullable, withDefault } from '../schema/types.ts'

/** Broker to controller: a request forwarded for a client. KIP-590. */
export const Envelope = defineApi({
  key: 58,
  name: 'Envelope',
  versions: [0, 0],
  flexibleFrom: 0,
  request: {
    requestData: bytes,
    requestPrincipal: nullable(bytes),
    clientHostAddress: bytes,
  },
  response: {
    responseData: withDefault(nullable(bytes), null),
    errorCode,
  },
})
export type EnvelopeRequest = RequestOf<typeof Envelope>
export type EnvelopeResponse = ResponseOf<typeof Envelope>
