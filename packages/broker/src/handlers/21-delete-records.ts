import { isInternalTopic } from '@tidelog/metadata'
import { DeleteRecords, KafkaError } from '@tidelog/protocol'
import { defineHandler, orErrorCode } from '../define-handler.ts'
import { workOnRows } from '../row-turns.ts'

const failed = { lowWatermark: -1 }

/** Moves each partition's log start offset up; -1 stands for its high watermark. Answers with the lowest offset that is left. Source: KIP-107. */
export const deleteRecords = defineHandler(
  DeleteRecords,
  async ({ topics }, context) => {
    const rows = await workOnRows(
      topics,
      ({ partitions }) => partitions,
      ({ partitionIndex, offset }, { name }) =>
        orErrorCode({ partitionIndex, ...failed }, context, async () => {
          context.authorize('Delete', 'Topic', name)
          const partition = context.broker.replicas.leaderOf(name, partitionIndex)
          if (isInternalTopic(name)) throw new KafkaError('INVALID_TOPIC_EXCEPTION', `${name} is internal`)
          return { partitionIndex, lowWatermark: await partition.deleteRecordsBefore(offset), errorCode: 0 }
        }),
    )
    return { topics: topics.map(({ name }, index) => ({ name, partitions: rows[index]! })) }
  },
  {
    errorResponse: ({ topics }, errorCode) => ({
      topics: topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, ...failed, errorCode })),
      })),
    }),
  },
)
