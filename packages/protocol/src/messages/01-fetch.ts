import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import {
  array,
  errorCode,
  int8,
  int32,
  int64,
  nullable,
  offset,
  records,
  since,
  string,
  tagged,
  until,
  uuid,
  withDefault,
} from '../schema/types.ts'

/** Reads record batches from partitions, for consumers and followers. KIP-227 (v7: sessions), KIP-516 (v13: topic ids). */
export const Fetch = defineApi({
  key: 1,
  name: 'Fetch',
  versions: [0, 18],
  flexibleFrom: 12,
  request: {
    clusterId: tagged(0, 12, nullable(string), null),
    replicaId: until(14, int32, -1),
    replicaState: tagged(1, 15, {
      replicaId: withDefault(int32, -1),
      replicaEpoch: withDefault(int64, -1),
    }),
    maxWaitMs: int32,
    minBytes: int32,
    maxBytes: since(3, int32, 2147483647),
    isolationLevel: since(4, int8, 0),
    sessionId: since(7, int32, 0),
    sessionEpoch: since(7, int32, -1),
    topics: array({
      topic: until(12, string),
      topicId: since(13, uuid),
      partitions: array({
        partition: int32,
        currentLeaderEpoch: since(9, int32, -1),
        fetchOffset: offset,
        lastFetchedEpoch: since(12, int32, -1),
        logStartOffset: since(5, offset, -1),
        partitionMaxBytes: int32,
        replicaDirectoryId: tagged(0, 17, uuid),
        highWatermark: tagged(1, 18, int64, 2 ** 63),
      }),
    }),
    forgottenTopicsData: since(
      7,
      array({
        topic: until(12, string),
        topicId: since(13, uuid),
        partitions: array(int32),
      }),
    ),
    rackId: since(11, string, ''),
  },
  response: {
    throttleTimeMs: since(1, int32, 0),
    errorCode: since(7, errorCode),
    sessionId: since(7, int32, 0),
    responses: array({
      topic: until(12, string),
      topicId: since(13, uuid),
      partitions: array({
        partitionIndex: int32,
        errorCode,
        highWatermark: int64,
        lastStableOffset: since(4, offset, -1),
        logStartOffset: since(5, offset, -1),
        divergingEpoch: tagged(0, 12, {
          epoch: withDefault(int32, -1),
          endOffset: withDefault(offset, -1),
        }),
        currentLeader: tagged(1, 12, {
          leaderId: withDefault(int32, -1),
          leaderEpoch: withDefault(int32, -1),
        }),
        snapshotId: tagged(2, 12, {
          endOffset: withDefault(offset, -1),
          epoch: withDefault(int32, -1),
        }),
        abortedTransactions: since(
          4,
          nullable(
            array({
              producerId: int64,
              firstOffset: offset,
            }),
          ),
        ),
        preferredReadReplica: since(11, int32, -1),
        records: nullable(records),
      }),
    }),
    nodeEndpoints: tagged(
      0,
      16,
      array({
        nodeId: int32,
        host: string,
        port: int32,
        rack: withDefault(nullable(string), null),
      }),
    ),
  },
})
export type FetchRequest = RequestOf<typeof Fetch>
export type FetchResponse = ResponseOf<typeof Fetch>
