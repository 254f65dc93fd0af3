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
    /** Checked when given: INCONSISTENT_CLUSTER_ID. Only KRaft's replicas send it. */
    clusterId: tagged(0, 12, nullable(string), null),
    /** -1: a consumer; else the follower's broker id. Since v15 in `replicaState`. KIP-903. */
    replicaId: until(14, int32, -1),
    replicaState: tagged(1, 15, {
      replicaId: withDefault(int32, -1),
      replicaEpoch: withDefault(int64, -1),
    }),
    /** Wait at most this long for `minBytes` to come together. */
    maxWaitMs: int32,
    minBytes: int32,
    /** Of the whole response; the first batch comes even when it is larger. KIP-74. */
    maxBytes: since(3, int32, 2147483647),
    /** 0: read up to the high watermark; 1: up to the last stable offset, without aborted transactions. */
    isolationLevel: since(4, int8, 0),
    /** 0: none yet, or none wanted. */
    sessionId: since(7, int32, 0),
    /** -1: answer without a session; 0: begin one with these partitions; else one more than in the request before. */
    sessionEpoch: since(7, int32, -1),
    /** In a session only what has changed since the request before. */
    topics: array({
      topic: until(12, string),
      topicId: since(13, uuid),
      partitions: array({
        partition: int32,
        /** As the reader knows it, else -1: FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH when the leader's differs. KIP-320. */
        currentLeaderEpoch: since(9, int32, -1),
        fetchOffset: offset,
        /** Epoch of the reader's last record, -1 when it has none: the leader checks that both logs are one up to here. KIP-595. */
        lastFetchedEpoch: since(12, int32, -1),
        /** Of a follower; -1 from consumers. */
        logStartOffset: since(5, offset, -1),
        /** As `maxBytes`, for this partition. */
        partitionMaxBytes: int32,
        /** Directory that a KRaft follower keeps its log in. KIP-853. */
        replicaDirectoryId: tagged(0, 17, uuid),
        /** As a follower knows it: a leader that knows a later one answers at once. The default stands for unknown. KIP-1166. */
        highWatermark: tagged(1, 18, int64, 2 ** 63),
      }),
    }),
    /** Partitions that leave the session. */
    forgottenTopicsData: since(
      7,
      array({
        topic: until(12, string),
        topicId: since(13, uuid),
        partitions: array(int32),
      }),
    ),
    /** Where the consumer runs: the leader may name a replica that is closer. KIP-392. */
    rackId: since(11, string, ''),
  },
  response: {
    throttleTimeMs: since(1, int32, 0),
    /** Of the session: FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH and the like. */
    errorCode: since(7, errorCode),
    /** 0: no session; the next request has to name its partitions again. */
    sessionId: since(7, int32, 0),
    responses: array({
      topic: until(12, string),
      topicId: since(13, uuid),
      partitions: array({
        partitionIndex: int32,
        errorCode,
        /** Consumers see nothing at or behind it; -1 beside an error. */
        highWatermark: int64,
        /** Before it every transaction is decided. */
        lastStableOffset: since(4, offset, -1),
        logStartOffset: since(5, offset, -1),
        /** Set instead of records when the reader's log parted from the leader's: the last epoch both may share, and its end. */
        divergingEpoch: tagged(0, 12, {
          epoch: withDefault(int32, -1),
          endOffset: withDefault(offset, -1),
        }),
        /** Beside NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH: who leads now. KIP-951. */
        currentLeader: tagged(1, 12, {
          leaderId: withDefault(int32, -1),
          leaderEpoch: withDefault(int32, -1),
        }),
        /** KRaft only: fetch this snapshot first. KIP-630. */
        snapshotId: tagged(2, 12, {
          endOffset: withDefault(offset, -1),
          epoch: withDefault(int32, -1),
        }),
        /** Under isolation level 1, those that overlap the records, by first offset; null under 0. */
        abortedTransactions: since(
          4,
          nullable(
            array({
              producerId: int64,
              firstOffset: offset,
            }),
          ),
        ),
        /** Broker that is closer to `rackId`; the records are then empty. -1: none. */
        preferredReadReplica: since(11, int32, -1),
        /** Whole batches in the format of the version (v0, v1: magic 0; v2, v3: magic 1); the first may begin before `fetchOffset`. */
        records: nullable(records),
      }),
    }),
    /** Addresses of the leaders in `currentLeader`. */
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
