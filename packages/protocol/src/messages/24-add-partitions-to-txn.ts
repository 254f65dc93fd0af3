import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int16, int32, int64, since, string, until, withDefault } from '../schema/types.ts'

const requestAddPartitionsToTxnTopic = {
  name: string,
  partitions: array(int32),
} as const

const responseAddPartitionsToTxnTopicResult = {
  name: string,
  resultsByPartition: array({
    partitionIndex: int32,
    partitionErrorCode: errorCode,
  }),
} as const

/** Adds partitions to a transaction. KIP-98, KIP-890 (v4: batched, from brokers). */
export const AddPartitionsToTxn = defineApi({
  key: 24,
  name: 'AddPartitionsToTxn',
  versions: [0, 5],
  flexibleFrom: 3,
  request: {
    transactions: since(
      4,
      array({
        transactionalId: string,
        producerId: int64,
        producerEpoch: int16,
        verifyOnly: withDefault(bool, false),
        topics: array(requestAddPartitionsToTxnTopic),
      }),
    ),
    v3AndBelowTransactionalId: until(3, string),
    v3AndBelowProducerId: until(3, int64),
    v3AndBelowProducerEpoch: until(3, int16),
    v3AndBelowTopics: until(3, array(requestAddPartitionsToTxnTopic)),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode: since(4, errorCode),
    resultsByTransaction: since(
      4,
      array({
        transactionalId: string,
        topicResults: array(responseAddPartitionsToTxnTopicResult),
      }),
    ),
    resultsByTopicV3AndBelow: until(3, array(responseAddPartitionsToTxnTopicResult)),
  },
})
export type AddPartitionsToTxnRequest = RequestOf<typeof AddPartitionsToTxn>
export type AddPartitionsToTxnResponse = ResponseOf<typeof AddPartitionsToTxn>
