import { DescribeTransactions, errorTable, type ResponseInput } from '@tidelog/protocol'
import { defineHandler, errorCodeOf } from '../define-handler.ts'
import type { RequestContext } from '../request-context.ts'

type Row = ResponseInput<typeof DescribeTransactions>['transactionStates'][number]

const unknown = {
  transactionState: '',
  transactionTimeoutMs: 0,
  transactionStartTimeMs: 0,
  producerId: 0,
  producerEpoch: 0,
  topics: [],
}

/** What coordinators know of transactional ids. Topics that the client may not see are left out. Source: KIP-664. */
export const describeTransactions = defineHandler(
  DescribeTransactions,
  ({ transactionalIds }, context) => ({ transactionStates: transactionalIds.map((transactionalId) => rowOf(transactionalId, context)) }),
  {
    errorResponse: ({ transactionalIds }, errorCode) => ({
      transactionStates: transactionalIds.map((transactionalId) => ({ errorCode, transactionalId, ...unknown })),
    }),
  },
)

function rowOf(transactionalId: string, context: RequestContext): Row {
  const { transactions } = context.broker
  if (!context.isAuthorized('Describe', 'TransactionalId', transactionalId)) {
    return { errorCode: errorTable.TRANSACTIONAL_ID_AUTHORIZATION_FAILED.code, transactionalId, ...unknown }
  }
  try {
    const { state, timeoutMs, startTimestamp, producerId, producerEpoch, partitions } = transactions.describe(transactionalId)
    const topics = new Map<string, number[]>()
    for (const { topic, partition } of partitions) {
      const known = topics.get(topic)
      if (known !== undefined) known.push(partition)
      else if (context.isAuthorized('Describe', 'Topic', topic)) topics.set(topic, [partition])
    }
    return {
      errorCode: 0,
      transactionalId,
      transactionState: state,
      transactionTimeoutMs: timeoutMs,
      transactionStartTimeMs: startTimestamp,
      producerId,
      producerEpoch,
      topics: Array.from(topics, ([topic, indexes]) => ({ topic, partitions: indexes })),
    }
  } catch (error) {
    return { errorCode: errorCodeOf(error, context).errorCode, transactionalId, ...unknown }
  }
}
