import type { TopicPartition } from '@tidelog/coordinator'
import {
  AddPartitionsToTxn,
  type AddPartitionsToTxnRequest,
  type ErrorName,
  errorTable,
  type RequestOf,
  type ResponseInput,
} from '@tidelog/protocol'
import { defineHandler, errorCodeOf } from '../define-handler.ts'
import type { RequestContext } from '../request-context.ts'
import { knownFencing } from '../transactions/producer-fenced.ts'

type Transaction = NonNullable<RequestOf<typeof AddPartitionsToTxn>['transactions']>[number]
type Topics = AddPartitionsToTxnRequest['v3AndBelowTopics']
type TopicRows = NonNullable<ResponseInput<typeof AddPartitionsToTxn>['resultsByTopicV3AndBelow']>

/** From here on partitions' leaders ask, for many producers at once. KIP-890. */
const FIRST_VERSION_OF_BROKERS = 4
const FIRST_VERSION_WITH_PRODUCER_FENCED = 2
/** The transaction.version of producers that ask themselves, and of those whose partitions' leaders do. */
const ofProducers = 0
const ofLeaders = 2

/** Adds partitions to transactions, or tells whether they are included; all partitions of a transaction or none. Source: KIP-98, KIP-890. */
export const addPartitionsToTxn = defineHandler(
  AddPartitionsToTxn,
  async (request, context) => {
    if (context.apiVersion >= FIRST_VERSION_OF_BROKERS) {
      context.authorize('ClusterAction', 'Cluster', 'kafka-cluster')
      const resultsByTransaction = await Promise.all(
        request.transactions.map(async (transaction) => ({
          transactionalId: transaction.transactionalId,
          topicResults: await resultsOf(transaction, context),
        })),
      )
      return { errorCode: 0, resultsByTransaction }
    }
    const results = await resultsOf(
      {
        transactionalId: request.v3AndBelowTransactionalId,
        producerId: request.v3AndBelowProducerId,
        producerEpoch: request.v3AndBelowProducerEpoch,
        verifyOnly: false,
        topics: request.v3AndBelowTopics,
      },
      context,
    )
    return { resultsByTopicV3AndBelow: results }
  },
  {
    errorResponse: ({ v3AndBelowTopics }, errorCode, _message, apiVersion) =>
      apiVersion >= FIRST_VERSION_OF_BROKERS
        ? { errorCode, resultsByTransaction: [] }
        : { resultsByTopicV3AndBelow: rows(v3AndBelowTopics, () => errorCode) },
  },
)

async function resultsOf(transaction: Transaction, context: RequestContext): Promise<TopicRows> {
  const { apiVersion, broker } = context
  const { transactionalId, producerId, producerEpoch, topics, verifyOnly } = transaction
  try {
    if (apiVersion < FIRST_VERSION_OF_BROKERS) context.authorize('Write', 'TransactionalId', transactionalId)
    const refused = refusedPartitions(topics, context)
    if (refused.size > 0) {
      const other = codeOf('OPERATION_NOT_ATTEMPTED')
      return rows(topics, (topic, partition) => refused.get(keyOf(topic, partition)) ?? other)
    }
    const partitions: TopicPartition[] = topics.flatMap(({ name, partitions }) =>
      partitions.map((partition) => ({ topic: name, partition })),
    )
    const request = { transactionalId, producerId, producerEpoch, partitions }
    if (verifyOnly) {
      const errors = broker.transactions.verifyPartitions(request).values()
      return rows(topics, () => codeOf(errors.next().value))
    }
    await broker.transactions.addPartitions(request, apiVersion < FIRST_VERSION_OF_BROKERS ? ofProducers : ofLeaders)
    return rows(topics, () => 0)
  } catch (error) {
    const { errorCode } = errorCodeOf(knownFencing(error, apiVersion, FIRST_VERSION_WITH_PRODUCER_FENCED), context)
    return rows(topics, () => errorCode)
  }
}

/** Partitions that the producer may not write to or that are not there. */
function refusedPartitions(topics: Topics, context: RequestContext): Map<string, number> {
  const refused = new Map<string, number>()
  for (const { name, partitions } of topics) {
    const isAllowed = context.apiVersion >= FIRST_VERSION_OF_BROKERS || context.isAuthorized('Write', 'Topic', name)
    for (const partition of partitions) {
      if (!isAllowed) refused.set(keyOf(name, partition), codeOf('TOPIC_AUTHORIZATION_FAILED'))
      else if (!context.broker.image.hasPartition(name, partition)) {
        refused.set(keyOf(name, partition), codeOf('UNKNOWN_TOPIC_OR_PARTITION'))
      }
    }
  }
  return refused
}

const keyOf = (topic: string, partition: number) => `${partition} ${topic}`
const codeOf = (error: ErrorName | undefined): number => (error === undefined ? 0 : errorTable[error].code)

function rows(topics: Topics, code: (topic: string, partition: number) => number): TopicRows {
  return topics.map(({ name, partitions }) => ({
    name,
    resultsByPartition: partitions.map((partition) => ({ partitionIndex: partition, partitionErrorCode: code(name, partition) })),
  }))
}
