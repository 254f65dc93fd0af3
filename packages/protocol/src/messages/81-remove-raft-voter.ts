import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { errorCode, int32, nullable, string, uuid, withDefault } from '../schema/types.ts'

/** KRaft: removes a voter. KIP-853. */
export const RemoveRaftVoter = defineApi({
  key: 81,
  name: 'RemoveRaftVoter',
  versions: [0, 0],
  flexibleFrom: 0,
  request: {
    clusterId: nullable(string),
    voterId: int32,
    voterDirectoryId: uuid,
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    errorMessage: nullable(string),
  },
})
export type RemoveRaftVoterRequest = RequestOf<typeof RemoveRaftVoter>
export type RemoveRaftVoterResponse = ResponseOf<typeof RemoveRaftVoter>
