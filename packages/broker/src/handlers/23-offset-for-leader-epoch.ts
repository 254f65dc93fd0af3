import { OffsetForLeaderEpoch } from '@tidelog/protocol'
import { defineHandler, orErrorCode } from '../define-handler.ts'
import { workOnRows } from '../row-turns.ts'

const unknown = { leaderEpoch: -1, endOffset: -1 }

/** Where a leader epoch ended in this log: what a consumer or follower compares its own position with, to notice that the log was cut. Source: KIP-101, KIP-320. */
export const offsetForLeaderEpoch = defineHandler(
  OffsetForLeaderEpoch,
  async ({ topics }, context) => {
    const rows = await workOnRows(
      topics,
      ({ partitions }) => partitions,
      ({ partition: index, currentLeaderEpoch, leaderEpoch }, { topic }) =>
        orErrorCode({ partition: index, ...unknown }, context, () => {
          context.authorize('Describe', 'Topic', topic)
          const partition = context.broker.replicas.leaderOf(topic, index)
          partition.checkLeaderEpoch(currentLeaderEpoch)
          const { epoch, endOffset } = partition.log.endOffsetForEpoch(leaderEpoch)
          return { partition: index, errorCode: 0, leaderEpoch: epoch, endOffset }
        }),
    )
    return { topics: topics.map(({ topic }, index) => ({ topic, partitions: rows[index]! })) }
  },
  {
    errorResponse: ({ topics }, errorCode) => ({
      topics: topics.map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map(({ partition }) => ({ partition, ...unknown, errorCode })),
      })),
    }),
  },
)
