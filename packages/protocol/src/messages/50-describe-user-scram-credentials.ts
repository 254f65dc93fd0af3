import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int8, int32, nullable, string, withDefault } from '../schema/types.ts'

/** Which SCRAM credentials users have, never the secrets. KIP-554. */
export const DescribeUserScramCredentials = defineApi({
  key: 50,
  name: 'DescribeUserScramCredentials',
  versions: [0, 0],
  flexibleFrom: 0,
  request: {
    users: nullable(
      array({
        name: string,
      }),
    ),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    errorMessage: nullable(string),
    results: array({
      user: string,
      errorCode,
      errorMessage: nullable(string),
      credentialInfos: array({
        mechanism: int8,
        iterations: int32,
      }),
    }),
  },
})
export type DescribeUserScramCredentialsRequest = RequestOf<typeof DescribeUserScramCredentials>
export type DescribeUserScramCredentialsResponse = ResponseOf<typeof DescribeUserScramCredentials>
