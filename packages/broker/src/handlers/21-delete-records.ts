import { isInternalTopic } from '@tidelog/metadata'
import { DeleteRecords, KafkaError } from '@tidelog/protocol'
import { defineHandler, orErrorCode } from '../define-handler.ts'

const failed = { lowWatermark: -1 }

/** Moves each partition's log start offset up; -1 stands for its high watermark. Answers with the lowest offset that is left. Source: KIP-107. */
export const deleteRecords = defineHandler(
  DeleteRecords,
  async (request, context) => ({
    topics: await Promise.all(
      request.topics.map(async ({ name, partitions }) => ({
        name,
        partitions: await Promise.all(
          partitions.map(({ partitionIndex, offset }) =>
            orErrorCode({ partitionIndex, ...failed }, context, async () => {
              context.authorize('Delete', 'Topic', name)
              const partition = context.broker.replicas.leaderOf(name, partitionIndex)
              if (isInternalTopic(name)) throw new KafkaError('INVALID_TOPIC_EXCEPTION', `${name} is internal`)
              return { partitionIndex, lowWatermark: await partition.deleteRecordsBefore(offset), errorCode: 0 }
            }),
          ),
        ),
      })),
    ),
  }),
  {
    errorResponse: ({ topics }, errorCode) => ({
      topics: topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, ...failed, errorCode })),
      })),
    }),
  },
)
