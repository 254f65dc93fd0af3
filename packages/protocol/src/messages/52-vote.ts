import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int32, nullable, offset, since, string, tagged, uint16, uuid, withDefault } from '../schema/types.ts'

/** KRaft: a candidate asks for a vote. KIP-595. */
export const Vote = defineApi({
  key: 52,
  name: 'Vote',
  versions: [0, 2],
  flexibleFrom: 0,
  request: {
    clusterId: withDefault(nullable(string), null),
    voterId: since(1, int32, -1),
    topics: array({
      topicName: string,
      partitions: array({
        partitionIndex: int32,
        replicaEpoch: int32,
        replicaId: int32,
        replicaDirectoryId: since(1, uuid),
        voterDirectoryId: since(1, uuid),
        lastOffsetEpoch: int32,
        lastOffset: offset,
        preVote: since(2, bool),
      }),
    }),
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
        voteGranted: bool,
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
export type VoteRequest = RequestOf<typeof Vote>
export type VoteResponse = ResponseOf<typeof Vote>
