import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int32, int64, nullable, offset, records, string, tagged, uint16, uuid, withDefault } from '../schema/types.ts'

/** KRaft: reads a metadata snapshot. KIP-630. */
export const FetchSnapshot = defineApi({
  key: 59,
  name: 'FetchSnapshot',
  versions: [0, 1],
  flexibleFrom: 0,
  request: {
    clusterId: tagged(0, 0, nullable(string), null),
    replicaId: withDefault(int32, -1),
    maxBytes: withDefault(int32, 2147483647),
    topics: array({
      name: string,
      partitions: array({
        partition: int32,
        currentLeaderEpoch: int32,
        snapshotId: {
          endOffset: offset,
          epoch: int32,
        },
        position: int64,
        replicaDirectoryId: tagged(0, 1, uuid),
      }),
    }),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    topics: array({
      name: string,
      partitions: array({
        index: int32,
        errorCode,
        snapshotId: {
          endOffset: offset,
          epoch: int32,
        },
        currentLeader: tagged(0, 0, {
          leaderId: int32,
          leaderEpoch: int32,
        }),
        size: int64,
        position: int64,
        unalignedRecords: records,
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
export type FetchSnapshotRequest = RequestOf<typeof FetchSnapshot>
export type FetchSnapshotResponse = ResponseOf<typeof FetchSnapshot>
