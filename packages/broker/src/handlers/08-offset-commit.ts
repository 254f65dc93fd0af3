import { type ErrorName, errorTable, OffsetCommit, type OffsetCommitRequest, type ResponseInput } from '@tidelog/protocol'
import { defineHandler } from '../define-handler.ts'
import type { RequestContext } from '../request-context.ts'

type Topic = OffsetCommitRequest['topics'][number]
type Partition = Topic['partitions'][number]

/** From here on topics are named by id alone. Source: KIP-516. */
const topicIdVersion = 10

/** Stores the offsets of partitions that exist; each of the others has its own error beside them. */
export const offsetCommit = defineHandler(
  OffsetCommit,
  async (request, context) => {
    context.authorize('Read', 'Group', request.groupId)
    const codes = new Map<Partition, number>()
    const toCommit = request.topics.map((topic) => existing(topic, context, codes)).filter(({ partitions }) => partitions.length > 0)
    if (toCommit.length > 0) {
      const committed = await context.broker.groups.commitOffsets({ ...request, topics: toCommit }, context)
      for (const [i, { partitions }] of toCommit.entries()) {
        for (const [j, partition] of partitions.entries()) codes.set(partition, committed[i]!.partitions[j]!.errorCode)
      }
    }
    return reply(request, (partition) => codes.get(partition) ?? 0)
  },
  { errorResponse: (request, errorCode) => reply(request, () => errorCode) },
)

function reply({ topics }: OffsetCommitRequest, codeOf: (partition: Partition) => number): ResponseInput<typeof OffsetCommit> {
  return {
    topics: topics.map(({ name, topicId, partitions }) => ({
      name,
      topicId,
      partitions: partitions.map((partition) => ({ partitionIndex: partition.partitionIndex, errorCode: codeOf(partition) })),
    })),
  }
}

/** The topic by name, with those of its partitions that may be committed; the codes of the others are noted. */
function existing(topic: Topic, context: RequestContext, codes: Map<Partition, number>) {
  const { image } = context.broker
  const refuse = (partition: Partition, error: ErrorName) => codes.set(partition, errorTable[error].code)
  const name = context.apiVersion < topicIdVersion ? topic.name : image.topicName(topic.topicId)
  if (name === undefined || !context.isAuthorized('Read', 'Topic', name)) {
    for (const partition of topic.partitions) refuse(partition, name === undefined ? 'UNKNOWN_TOPIC_ID' : 'TOPIC_AUTHORIZATION_FAILED')
    return { name: '', partitions: [] }
  }
  const partitions = topic.partitions.filter((partition) => {
    if (image.hasPartition(name, partition.partitionIndex)) return true
    refuse(partition, 'UNKNOWN_TOPIC_OR_PARTITION')
    return false
  })
  return { name, partitions }
}
