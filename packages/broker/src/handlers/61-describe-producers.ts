import { checkTopicName } from '@tidelog/metadata'
import { DescribeProducers } from '@tidelog/protocol'
import { defineHandler, orErrorCode } from '../define-handler.ts'
import { workOnRows } from '../row-turns.ts'

/** The producers whose ids a partition remembers, with their last sequence and open transaction. Source: KIP-664. */
export const describeProducers = defineHandler(
  DescribeProducers,
  async ({ topics }, context) => {
    const rows = await workOnRows(
      topics,
      ({ partitionIndexes }) => partitionIndexes,
      (partitionIndex, { name }) =>
        orErrorCode({ partitionIndex, activeProducers: [] }, context, () => {
          context.authorize('Read', 'Topic', name)
          checkTopicName(name)
          const { log } = context.broker.replicas.leaderOf(name, partitionIndex)
          const activeProducers = log.producers.activeProducers().map((producer) => ({
            producerId: producer.producerId,
            producerEpoch: producer.producerEpoch,
            lastSequence: producer.lastSequence,
            lastTimestamp: producer.lastTimestamp,
            coordinatorEpoch: producer.coordinatorEpoch,
            currentTxnStartOffset: producer.currentTransactionStartOffset,
          }))
          return { partitionIndex, errorCode: 0, errorMessage: null, activeProducers }
        }),
    )
    return { topics: topics.map(({ name }, index) => ({ name, partitions: rows[index]! })) }
  },
  {
    errorResponse: ({ topics }, errorCode, errorMessage) => ({
      topics: topics.map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((partitionIndex) => ({ partitionIndex, errorCode, errorMessage, activeProducers: [] })),
      })),
    }),
  },
)
