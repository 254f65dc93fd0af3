import { DescribeProducers } from '@tidelog/protocol'
import { defineHandler, orErrorCode } from '../define-handler.ts'

/** The producers whose ids a partition remembers, with their last sequence and open transaction. Source: KIP-664. */
export const describeProducers = defineHandler(
  DescribeProducers,
  async (request, context) => ({
    topics: await Promise.all(
      request.topics.map(async ({ name, partitionIndexes }) => ({
        name,
        partitions: await Promise.all(
          partitionIndexes.map((partitionIndex) =>
            orErrorCode({ partitionIndex, activeProducers: [] }, context, () => {
              context.authorize('Read', 'Topic', name)
              const { log } = context.broker.replicas.leaderOf(name, partitionIndex)
              const activeProducers = log.activeProducers().map((producer) => ({
                producerId: producer.producerId,
                producerEpoch: producer.producerEpoch,
                lastSequence: producer.lastSequence,
                lastTimestamp: producer.lastTimestamp,
                coordinatorEpoch: producer.coordinatorEpoch,
                currentTxnStartOffset: producer.currentTransactionStartOffset,
              }))
              return { partitionIndex, errorCode: 0, errorMessage: null, activeProducers }
            }),
          ),
        ),
      })),
    ),
  }),
  {
    errorResponse: ({ topics }, errorCode, errorMessage) => ({
      topics: topics.map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((partitionIndex) => ({ partitionIndex, errorCode, errorMessage, activeProducers: [] })),
      })),
    }),
  },
)
