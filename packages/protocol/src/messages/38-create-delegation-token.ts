import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bytes, errorCode, int32, int64, nullable, since, string, timestampMs, withDefault } from '../schema/types.ts'

/** Creates a delegation token. KIP-48. */
export const CreateDelegationToken = defineApi({
  key: 38,
  name: 'CreateDelegationToken',
  versions: [0, 3],
  flexibleFrom: 2,
  request: {
    ownerPrincipalType: since(3, nullable(string)),
    ownerPrincipalName: since(3, nullable(string)),
    renewers: array({
      principalType: string,
      principalName: string,
    }),
    maxLifetimeMs: int64,
  },
  response: {
    errorCode,
    principalType: string,
    principalName: string,
    tokenRequesterPrincipalType: since(3, string),
    tokenRequesterPrincipalName: since(3, string),
    issueTimestampMs: timestampMs,
    expiryTimestampMs: timestampMs,
    maxTimestampMs: timestampMs,
    tokenId: string,
    hmac: bytes,
    throttleTimeMs: withDefault(int32, 0),
  },
})
export type CreateDelegationTokenRequest = RequestOf<typeof CreateDelegationToken>
export type CreateDelegationTokenResponse = ResponseOf<typeof CreateDelegationToken>
