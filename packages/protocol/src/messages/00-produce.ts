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
    transactionalId: since(3, nullable(string), null),
    acks: int16,
    timeoutMs: int32,
    topicData: array({
      name: until(12, string),
      topicId: since(13, uuid),
      partitionData: array({
        index: int32,
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
        baseOffset: offset,
        logAppendTimeMs: since(2, timestampMs, -1),
        logStartOffset: since(5, offset, -1),
        recordErrors: since(
          8,
          array({
            batchIndex: int32,
            batchIndexErrorMessage: withDefault(nullable(string), null),
          }),
        ),
        errorMessage: since(8, nullable(string), null),
        currentLeader: tagged(0, 10, {
          leaderId: withDefault(int32, -1),
          leaderEpoch: withDefault(int32, -1),
        }),
      }),
    }),
    throttleTimeMs: since(1, int32, 0),
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
