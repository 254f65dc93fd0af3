import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { bytes, errorCode, int32, int64, timestampMs, withDefault } from '../schema/types.ts'

/** Expires a delegation token. KIP-48. */
export const ExpireDelegationToken = defineApi({
  key: 40,
  name: 'ExpireDelegationToken',
  versions: [0, 2],
  flexibleFrom: 2,
  request: {
    hmac: bytes,
    expiryTimePeriodMs: int64,
  },
  response: {
    errorCode,
    expiryTimestampMs: timestampMs,
    throttleTimeMs: withDefault(int32, 0),
  },
})
export type ExpireDelegationTokenRequest = RequestOf<typeof ExpireDelegationToken>
export type ExpireDelegationTokenResponse = ResponseOf<typeof ExpireDelegationToken>
