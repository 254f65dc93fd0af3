import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bytes, errorCode, int8, int32, nullable, string, withDefault } from '../schema/types.ts'

/** Sets and removes SCRAM credentials. KIP-554. */
export const AlterUserScramCredentials = defineApi({
  key: 51,
  name: 'AlterUserScramCredentials',
  versions: [0, 0],
  flexibleFrom: 0,
  request: {
    deletions: array({
      name: string,
      mechanism: int8,
    }),
    upsertions: array({
      name: string,
      mechanism: int8,
      iterations: int32,
      salt: bytes,
      saltedPassword: bytes,
    }),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    results: array({
      user: string,
      errorCode,
      errorMessage: nullable(string),
    }),
  },
})
export type AlterUserScramCredentialsRequest = RequestOf<typeof AlterUserScramCredentials>
export type AlterUserScramCredentialsResponse = ResponseOf<typeof AlterUserScramCredentials>
