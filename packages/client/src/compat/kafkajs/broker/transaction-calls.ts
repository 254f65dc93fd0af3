import { AddOffsetsToTxn, AddPartitionsToTxn, EndTxn, InitProducerId, TxnOffsetCommit } from '@tidelog/protocol'
import { int64Of } from '../offset-arguments.ts'
import type { TopicPartitions } from '../types-client.ts'
import { brokerCall, checkCode, checkEach, throttled } from './broker-call.ts'
import { type CommittedTopic, committedOutcomes, committedTopics } from './committed-offsets.ts'

/** Requests about producers and their transactions, as of before KIP-890: kafkajs adds partitions itself. */

const TRANSACTION_TIMEOUT_MS = 5000

export interface InitProducerIdGiven {
  /** Missing: the producer is idempotent and no more. */
  transactionalId?: string | null
  transactionTimeout?: number
}

export const initProducerIdCall = brokerCall({
  api: InitProducerId,
  newest: 1,
  request: ({ transactionalId = null, transactionTimeout = TRANSACTION_TIMEOUT_MS }: InitProducerIdGiven) => ({
    transactionalId,
    transactionTimeoutMs: transactionTimeout,
  }),
  answer: (response) => {
    const { errorCode, producerId, producerEpoch } = response
    checkCode(errorCode)
    return { ...throttled(response), errorCode, producerId: String(producerId), producerEpoch }
  },
})

interface ProducerGiven {
  transactionalId: string
  producerId: unknown
  producerEpoch: number
}

export interface AddPartitionsGiven extends ProducerGiven {
  topics: TopicPartitions[]
}

export const addPartitionsCall = brokerCall({
  api: AddPartitionsToTxn,
  newest: 1,
  request: ({ transactionalId, producerId, producerEpoch, topics }: AddPartitionsGiven) => ({
    transactions: [],
    v3AndBelowTransactionalId: transactionalId,
    v3AndBelowProducerId: int64Of(producerId),
    v3AndBelowProducerEpoch: producerEpoch,
    v3AndBelowTopics: topics.map(({ topic, partitions }) => ({ name: topic, partitions: partitions.map(Number) })),
  }),
  answer: (response) => {
    const errors = response.resultsByTopicV3AndBelow.map(({ name, resultsByPartition }) => ({
      topic: name,
      partitionErrors: resultsByPartition.map(({ partitionIndex, partitionErrorCode }) => ({
        partition: partitionIndex,
        errorCode: partitionErrorCode,
      })),
    }))
    for (const { partitionErrors } of errors) checkEach(partitionErrors)
    return { ...throttled(response), errors }
  },
})

export interface AddOffsetsGiven extends ProducerGiven {
  groupId: string
}

export const addOffsetsCall = brokerCall({
  api: AddOffsetsToTxn,
  newest: 1,
  request: ({ transactionalId, producerId, producerEpoch, groupId }: AddOffsetsGiven) => ({
    transactionalId,
    producerId: int64Of(producerId),
    producerEpoch,
    groupId,
  }),
  answer: (response) => {
    checkCode(response.errorCode)
    return { ...throttled(response), errorCode: response.errorCode }
  },
})

export interface TxnOffsetCommitGiven extends AddOffsetsGiven {
  topics: CommittedTopic[]
}

export const txnOffsetCommitCall = brokerCall({
  api: TxnOffsetCommit,
  newest: 1,
  request: ({ transactionalId, producerId, producerEpoch, groupId, topics }: TxnOffsetCommitGiven) => ({
    transactionalId,
    groupId,
    producerId: int64Of(producerId),
    producerEpoch,
    topics: committedTopics(topics),
  }),
  answer: (response) => ({ ...throttled(response), topics: committedOutcomes(response.topics) }),
})

export interface EndTxnGiven extends ProducerGiven {
  /** true: commit; false: abort. */
  transactionResult: boolean
}

export const endTxnCall = brokerCall({
  api: EndTxn,
  newest: 1,
  request: ({ transactionalId, producerId, producerEpoch, transactionResult }: EndTxnGiven) => ({
    transactionalId,
    producerId: int64Of(producerId),
    producerEpoch,
    committed: transactionResult,
  }),
  answer: (response) => {
    checkCode(response.errorCode)
    return { ...throttled(response), errorCode: response.errorCode }
  },
})
