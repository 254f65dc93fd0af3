import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int32, nullable, since, string, tagged, uint16, until, uuid, withDefault } from '../schema/types.ts'

/** KRaft: a leader resigns. KIP-595. */
export const EndQuorumEpoch = defineApi({
  key: 54,
  name: 'EndQuorumEpoch',
  versions: [0, 1],
  flexibleFrom: 1,
  request: {
    clusterId: withDefault(nullable(string), null),
    topics: array({
      topicName: string,
      partitions: array({
        partitionIndex: int32,
        leaderId: int32,
        leaderEpoch: int32,
        preferredSuccessors: until(0, array(int32)),
        preferredCandidates: since(
          1,
          array({
            candidateId: int32,
            candidateDirectoryId: uuid,
          }),
        ),
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
export type EndQuorumEpochRequest = RequestOf<typeof EndQuorumEpoch>
export type EndQuorumEpochResponse = ResponseOf<typeof EndQuorumEpoch>
