import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { bytes, errorCode, int64, nullable, since, string } from '../schema/types.ts'

/** Carries the bytes of a SASL exchange. KIP-152, KIP-368 (v1: session lifetime). */
export const SaslAuthenticate = defineApi({
  key: 36,
  name: 'SaslAuthenticate',
  versions: [0, 2],
  flexibleFrom: 2,
  request: {
    authBytes: bytes,
  },
  response: {
    errorCode,
    errorMessage: nullable(string),
    authBytes: bytes,
    sessionLifetimeMs: since(1, int64, 0),
  },
})
export type SaslAuthenticateRequest = RequestOf<typeof SaslAuthenticate>
export type SaslAuthenticateResponse = ResponseOf<typeof SaslAuthenticate>
