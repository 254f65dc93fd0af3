import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int32, int64, nullable, offset, since, string, timestampMs, uint16, uuid } from '../schema/types.ts'

const responseReplicaState = {
  replicaId: int32,
  replicaDirectoryId: since(2, uuid),
  logEndOffset: offset,
  lastFetchTimestamp: since(1, timestampMs, -1),
  lastCaughtUpTimestamp: since(1, timestampMs, -1),
} as const

/** KRaft: voters, observers and how far they are. KIP-595, KIP-836. */
export const DescribeQuorum = defineApi({
  key: 55,
  name: 'DescribeQuorum',
  versions: [0, 2],
  flexibleFrom: 0,
  request: {
    topics: array({
      topicName: string,
      partitions: array({
        partitionIndex: int32,
      }),
    }),
  },
  response: {
    errorCode,
    errorMessage: since(2, nullable(string)),
    topics: array({
      topicName: string,
      partitions: array({
        partitionIndex: int32,
        errorCode,
        errorMessage: since(2, nullable(string)),
        leaderId: int32,
        leaderEpoch: int32,
        highWatermark: int64,
        currentVoters: array(responseReplicaState),
        observers: array(responseReplicaState),
      }),
    }),
    nodes: since(
      2,
      array({
        nodeId: int32,
        listeners: array({
          name: string,
          host: string,
          port: uint16,
        }),
      }),
    ),
  },
})
export type DescribeQuorumRequest = RequestOf<typeof DescribeQuorum>
export type DescribeQuorumResponse = ResponseOf<typeof DescribeQuorum>
