import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import {
  array,
  bool,
  errorCode,
  int8,
  int16,
  int32,
  nullable,
  offset,
  records,
  since,
  string,
  until,
  uuid,
  withDefault,
} from '../schema/types.ts'

/** Acquires records for a share consumer. KIP-932. */
export const ShareFetch = defineApi({
  key: 78,
  name: 'ShareFetch',
  versions: [0, 2],
  announced: [1, 2],
  flexibleFrom: 0,
  request: {
    groupId: withDefault(nullable(string), null),
    memberId: nullable(string),
    shareSessionEpoch: int32,
    maxWaitMs: int32,
    minBytes: int32,
    maxBytes: withDefault(int32, 2147483647),
    maxRecords: since(1, int32),
    batchSize: since(1, int32),
    shareAcquireMode: since(2, int8, 0),
    isRenewAck: since(2, bool, false),
    topics: array({
      topicId: uuid,
      partitions: array({
        partitionIndex: int32,
        partitionMaxBytes: until(0, int32),
        acknowledgementBatches: array({
          firstOffset: offset,
          lastOffset: offset,
          acknowledgeTypes: array(int8),
        }),
      }),
    }),
    forgottenTopicsData: array({
      topicId: uuid,
      partitions: array(int32),
    }),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    errorMessage: withDefault(nullable(string), null),
    acquisitionLockTimeoutMs: since(1, int32),
    responses: array({
      topicId: uuid,
      partitions: array({
        partitionIndex: int32,
        errorCode,
        errorMessage: withDefault(nullable(string), null),
        acknowledgeErrorCode: errorCode,
        acknowledgeErrorMessage: withDefault(nullable(string), null),
        currentLeader: {
          leaderId: int32,
          leaderEpoch: int32,
        },
        records: nullable(records),
        acquiredRecords: array({
          firstOffset: offset,
          lastOffset: offset,
          deliveryCount: int16,
        }),
      }),
    }),
    nodeEndpoints: array({
      nodeId: int32,
      host: string,
      port: int32,
      rack: withDefault(nullable(string), null),
    }),
  },
})
export type ShareFetchRequest = RequestOf<typeof ShareFetch>
export type ShareFetchResponse = ResponseOf<typeof ShareFetch>
