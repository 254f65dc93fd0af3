import { ZERO_UUID } from '@tidelog/core'
import { isInternalTopic, isValidTopicName, type TopicImage } from '@tidelog/metadata'
import { DescribeTopicPartitions, type DescribeTopicPartitionsRequest, errorTable, KafkaError, type ResponseInput } from '@tidelog/protocol'
import { authorizedOperations } from '../authorized-operations.ts'
import { defineHandler } from '../define-handler.ts'
import { partitionMetadata } from '../partition-metadata.ts'
import type { RequestContext } from '../request-context.ts'

type Response = ResponseInput<typeof DescribeTopicPartitions>
type TopicRow = Response['topics'][number]
type Cursor = NonNullable<Response['nextCursor']>

/**
 * Topics in alphabetical order, from the cursor on, with no more partitions than the limit; the next cursor says where to go on.
 * An empty list asks for all topics. KIP-966.
 */
export const describeTopicPartitions = defineHandler(
  DescribeTopicPartitions,
  (request, context) => {
    const { cursor } = request
    if (cursor !== null && cursor.partitionIndex < 0) {
      throw new KafkaError('INVALID_REQUEST', `DescribeTopicPartitionsRequest cursor partition must be valid: ${cursor.partitionIndex}`)
    }
    const isForAll = request.topics.length === 0
    const topics: TopicRow[] = []
    const unauthorized: TopicRow[] = []
    let nextCursor: Cursor | null = null
    let left = Math.max(1, Math.min(context.broker.config['max.request.partition.size.limit'], request.responsePartitionLimit))
    for (const name of namesFrom(request, context)) {
      if (!context.isAuthorized('Describe', 'Topic', name)) {
        if (!isForAll) unauthorized.push({ ...emptyRow('TOPIC_AUTHORIZATION_FAILED', name), isInternal: false })
        continue
      }
      const topic = context.broker.image.topic(name)
      if (left === 0) {
        nextCursor = { topicName: name, partitionIndex: 0 }
        break
      }
      if (topic === undefined) {
        const error = isValidTopicName(name) ? 'UNKNOWN_TOPIC_OR_PARTITION' : 'INVALID_TOPIC_EXCEPTION'
        if (!isForAll) topics.push({ ...emptyRow(error, name), topicAuthorizedOperations: authorizedOperations(context, 'Topic', name) })
        continue
      }
      const first = cursor?.topicName === name ? cursor.partitionIndex : 0
      const row = topicRow(topic, { first, count: left }, context)
      topics.push(row)
      left -= row.partitions.length
      if (first + row.partitions.length < topic.partitions.size) {
        nextCursor = { topicName: name, partitionIndex: first + row.partitions.length }
        break
      }
    }
    return { topics: [...topics, ...unauthorized], nextCursor }
  },
  {
    errorResponse: ({ topics }, errorCode) => ({
      topics: topics.map(({ name }) => ({ errorCode, name, topicId: ZERO_UUID, isInternal: false, partitions: [] })),
    }),
  },
)

/** The names asked for, sorted as Java sorts strings, from the cursor's topic on. @throws KafkaError INVALID_REQUEST */
function namesFrom({ topics, cursor }: DescribeTopicPartitionsRequest, { broker }: RequestContext): string[] {
  const wanted = topics.length === 0 ? broker.image.topics.keys() : new Set(topics.map(({ name }) => name))
  const from = cursor?.topicName ?? ''
  const names = [...wanted].filter((name) => name >= from).sort()
  if (cursor !== null && topics.length > 0 && !names.includes(from)) {
    throw new KafkaError('INVALID_REQUEST', `DescribeTopicPartitionsRequest topic list should contain the cursor topic: ${from}`)
  }
  return names
}

function topicRow(topic: TopicImage, { first, count }: { first: number; count: number }, context: RequestContext): TopicRow {
  const { name, topicId, isInternal } = topic
  const view = { listenerName: context.connection.listenerName, onlyReachable: false, tellsListener: true }
  const partitions: TopicRow['partitions'][number][] = []
  for (let index = first; index < topic.partitions.size && partitions.length < count; index++) {
    const partition = topic.partitions.get(index)
    if (partition === undefined) continue
    // The rows of this API tell of no errors; a leader that cannot be reached is none.
    const row = { ...partitionMetadata(index, partition, context.broker.image, view), errorCode: 0 }
    partitions.push({ ...row, eligibleLeaderReplicas: [], lastKnownElr: [] })
  }
  const topicAuthorizedOperations = authorizedOperations(context, 'Topic', name)
  return { errorCode: 0, name, topicId, isInternal, partitions, topicAuthorizedOperations }
}

function emptyRow(error: keyof typeof errorTable, name: string): TopicRow {
  return { errorCode: errorTable[error].code, name, topicId: ZERO_UUID, isInternal: isInternalTopic(name), partitions: [] }
}
