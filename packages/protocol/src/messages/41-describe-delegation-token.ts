import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bytes, errorCode, int32, nullable, since, string, timestampMs, withDefault } from '../schema/types.ts'

/** Lists delegation tokens. KIP-48. */
export const DescribeDelegationToken = defineApi({
  key: 41,
  name: 'DescribeDelegationToken',
  versions: [0, 3],
  flexibleFrom: 2,
  request: {
    owners: nullable(
      array({
        principalType: string,
        principalName: string,
      }),
    ),
  },
  response: {
    errorCode,
    tokens: array({
      principalType: string,
      principalName: string,
      tokenRequesterPrincipalType: since(3, string),
      tokenRequesterPrincipalName: since(3, string),
      issueTimestamp: timestampMs,
      expiryTimestamp: timestampMs,
      maxTimestamp: timestampMs,
      tokenId: string,
      hmac: bytes,
      renewers: array({
        principalType: string,
        principalName: string,
      }),
    }),
    throttleTimeMs: withDefault(int32, 0),
  },
})
export type DescribeDelegationTokenRequest = RequestOf<typeof DescribeDelegationToken>
export type DescribeDelegationTokenResponse = ResponseOf<typeof DescribeDelegationToken>
