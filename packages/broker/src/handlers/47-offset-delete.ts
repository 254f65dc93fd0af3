import { errorTable, OffsetDelete, type OffsetDeleteRequest } from '@tidelog/protocol'
import { defineHandler } from '../define-handler.ts'
import type { RequestContext } from '../request-context.ts'

type Topic = OffsetDeleteRequest['topics'][number]

/** Deletes a group's offsets of topics that its members do not subscribe to; partitions that do not exist have an error of their own. */
export const offsetDelete = defineHandler(
  OffsetDelete,
  async ({ groupId, topics }, context) => {
    context.authorize('Delete', 'Group', groupId)
    const judged = topics.map((topic) => ({ ...topic, ...judge(topic, context) }))
    const toDelete = judged.map(({ name, existing }) => ({ name, partitions: existing }))
    const { errorCode, topics: deleted } = await context.broker.groups.deleteOffsets({ groupId, topics: toDelete })
    if (errorCode !== 0) return { errorCode, topics: [] }
    return {
      errorCode,
      topics: judged.map(({ name, refused }, i) => ({ name, partitions: [...refused, ...deleted[i]!.partitions] })),
    }
  },
  { errorResponse: (_, errorCode) => ({ errorCode, topics: [] }) },
)

function judge({ name, partitions }: Topic, context: RequestContext) {
  const existing: Topic['partitions'] = []
  const refused: { partitionIndex: number; errorCode: number }[] = []
  const isReadable = context.isAuthorized('Read', 'Topic', name)
  const errorCode = errorTable[isReadable ? 'UNKNOWN_TOPIC_OR_PARTITION' : 'TOPIC_AUTHORIZATION_FAILED'].code
  for (const partition of partitions) {
    if (isReadable && context.broker.image.hasPartition(name, partition.partitionIndex)) existing.push(partition)
    else refused.push({ partitionIndex: partition.partitionIndex, errorCode })
  }
  return { existing, refused }
}
