import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int8, int32, nullable, offset, since, string, uuid, withDefault } from '../schema/types.ts'

/** Accepts, releases, rejects or renews acquired records. KIP-932. */
export const ShareAcknowledge = defineApi({
  key: 79,
  name: 'ShareAcknowledge',
  versions: [0, 2],
  announced: [1, 2],
  flexibleFrom: 0,
  request: {
    groupId: withDefault(nullable(string), null),
    memberId: nullable(string),
    shareSessionEpoch: int32,
    isRenewAck: since(2, bool, false),
    topics: array({
      topicId: uuid,
      partitions: array({
        partitionIndex: int32,
        acknowledgementBatches: array({
          firstOffset: offset,
          lastOffset: offset,
          acknowledgeTypes: array(int8),
        }),
      }),
    }),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    errorMessage: withDefault(nullable(string), null),
    acquisitionLockTimeoutMs: since(2, int32),
    responses: array({
      topicId: uuid,
      partitions: array({
        partitionIndex: int32,
        errorCode,
        errorMessage: withDefault(nullable(string), null),
        currentLeader: {
          leaderId: int32,
          leaderEpoch: int32,
        },
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
export type ShareAcknowledgeRequest = RequestOf<typeof ShareAcknowledge>
export type ShareAcknowledgeResponse = ResponseOf<typeof ShareAcknowledge>
