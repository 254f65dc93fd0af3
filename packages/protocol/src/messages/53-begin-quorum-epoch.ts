import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int32, nullable, since, string, tagged, uint16, uuid, withDefault } from '../schema/types.ts'

/** KRaft: a leader announces its epoch. KIP-595. */
export const BeginQuorumEpoch = defineApi({
  key: 53,
  name: 'BeginQuorumEpoch',
  versions: [0, 1],
  flexibleFrom: 1,
  request: {
    clusterId: withDefault(nullable(string), null),
    voterId: since(1, int32, -1),
    topics: array({
      topicName: string,
      partitions: array({
        partitionIndex: int32,
        voterDirectoryId: since(1, uuid),
        leaderId: int32,
        leaderEpoch: int32,
      }),
    }),
    leaderEndpoints: since(
      1,
      array({
        name: string,
        host: string,
        port: uint16,
      }),
    ),
  },
  response: {
    errorCode,
    topics: array({
      topicName: string,
      partitions: array({
        partitionIndex: int32,
        errorCode,
        leaderId: int32,
        leaderEpoch: int32,
      }),
    }),
    nodeEndpoints: tagged(
      0,
      1,
      array({
        nodeId: int32,
        host: string,
        port: uint16,
      }),
    ),
  },
})
export type BeginQuorumEpochRequest = RequestOf<typeof BeginQuorumEpoch>
export type BeginQuorumEpochResponse = ResponseOf<typeof BeginQuorumEpoch>
