import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { bytes, errorCode, int32, int64, timestampMs, withDefault } from '../schema/types.ts'

/** Renews a delegation token. KIP-48. */
export const RenewDelegationToken = defineApi({
  key: 39,
  name: 'RenewDelegationToken',
  versions: [0, 2],
  flexibleFrom: 2,
  request: {
    hmac: bytes,
    renewPeriodMs: int64,
  },
  response: {
    errorCode,
    expiryTimestampMs: timestampMs,
    throttleTimeMs: withDefault(int32, 0),
  },
})
export type RenewDelegationTokenRequest = RequestOf<typeof RenewDelegationToken>
export type RenewDelegationTokenResponse = ResponseOf<typeof RenewDelegationToken>
