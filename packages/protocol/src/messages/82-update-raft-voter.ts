import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int16, int32, nullable, string, tagged, uint16, uuid, withDefault } from '../schema/types.ts'

/** KRaft: a voter tells its endpoints and versions. KIP-853. */
export const UpdateRaftVoter = defineApi({
  key: 82,
  name: 'UpdateRaftVoter',
  versions: [0, 0],
  flexibleFrom: 0,
  request: {
    clusterId: nullable(string),
    currentLeaderEpoch: int32,
    voterId: int32,
    voterDirectoryId: uuid,
    listeners: array({
      name: string,
      host: string,
      port: uint16,
    }),
    kRaftVersionFeature: {
      minSupportedVersion: int16,
      maxSupportedVersion: int16,
    },
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    currentLeader: tagged(0, 0, {
      leaderId: withDefault(int32, -1),
      leaderEpoch: withDefault(int32, -1),
      host: string,
      port: int32,
    }),
  },
})
export type UpdateRaftVoterRequest = RequestOf<typeof UpdateRaftVoter>
export type UpdateRaftVoterResponse = ResponseOf<typeof UpdateRaftVoter>
