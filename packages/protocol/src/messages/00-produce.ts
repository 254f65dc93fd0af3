import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import {
  array,
  errorCode,
  int16,
  int32,
  nullable,
  offset,
  records,
  since,
  string,
  tagged,
  timestampMs,
  until,
  uuid,
  withDefault,
} from '../schema/types.ts'

/** Appends record batches to partitions. KIP-98 (v3: transactions), KIP-482 (v9: flexible), KIP-516 (v13: topic ids). */
export const Produce = defineApi({
  key: 0,
  name: 'Produce',
  versions: [0, 13],
  flexibleFrom: 9,
  request: {
    /** Null: the batches belong to no transaction. */
    transactionalId: since(3, nullable(string), null),
    /** 0: send no response; 1: the leader has appended; -1: every in-sync replica has. */
    acks: int16,
    /** How long to wait for the other replicas; the batches stay appended when it is over. */
    timeoutMs: int32,
    topicData: array({
      name: until(12, string),
      topicId: since(13, uuid),
      partitionData: array({
        index: int32,
        /** Since v3 exactly one v2 batch; before, a message set (magic 0 in v0 and v1, 1 in v2). zstd since v7. KIP-110. */
        records: nullable(records),
      }),
    }),
  },
  response: {
    responses: array({
      name: until(12, string),
      topicId: since(13, uuid),
      partitionResponses: array({
        index: int32,
        errorCode,
        /** Of the first record; -1 beside an error. */
        baseOffset: offset,
        /** -1 where producers set the time (CreateTime). */
        logAppendTimeMs: since(2, timestampMs, -1),
        logStartOffset: since(5, offset, -1),
        /** Records that made the broker refuse the batch, by their index in it. KIP-467. */
        recordErrors: since(
          8,
          array({
            batchIndex: int32,
            batchIndexErrorMessage: withDefault(nullable(string), null),
          }),
        ),
        errorMessage: since(8, nullable(string), null),
        /** Beside NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH: who leads now, so that the client need not ask. KIP-951. */
        currentLeader: tagged(0, 10, {
          leaderId: withDefault(int32, -1),
          leaderEpoch: withDefault(int32, -1),
        }),
      }),
    }),
    /** How long the client is over its quota; it is asked to wait as long. The same in every API. */
    throttleTimeMs: since(1, int32, 0),
    /** Addresses of the leaders in `currentLeader`. */
    nodeEndpoints: tagged(
      0,
      10,
      array({
        nodeId: int32,
        host: string,
        port: int32,
        rack: withDefault(nullable(string), null),
      }),
    ),
  },
})
export type ProduceRequest = RequestOf<typeof Produce>
export type ProduceResponse = ResponseOf<typeof Produce>
