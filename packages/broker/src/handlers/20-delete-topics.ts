import { ZERO_UUID } from '@tidelog/core'
import { DeleteTopics, type DeleteTopicsRequest, errorTable, KafkaError, type ResponseInput } from '@tidelog/protocol'
import { defineHandler } from '../define-handler.ts'
import type { RequestContext } from '../request-context.ts'

type TopicRow = ResponseInput<typeof DeleteTopics>['responses'][number]

/** Topic deletion has had an error of its own since then. */
const FIRST_VERSION_WITH_DELETION_DISABLED = 3

/** Deletes topics by name or id, each on its own, and answers when they are gone. KIP-4, KIP-516 (v6: ids). */
export const deleteTopics = defineHandler(
  DeleteTopics,
  async (request, context) => {
    if (!context.broker.config['delete.topic.enable']) {
      if (context.apiVersion < FIRST_VERSION_WITH_DELETION_DISABLED) throw new KafkaError('INVALID_REQUEST', 'Topic deletion is disabled.')
      throw new KafkaError('TOPIC_DELETION_DISABLED', 'Topic deletion is disabled.')
    }
    const { targets, rows } = targetsOf(request, context)
    const outcomes = await context.broker.controller.deleteTopics([...targets.keys()], { timeoutMs: request.timeoutMs })
    for (const [name, topicId] of targets) {
      const error = outcomes.get(name)
      rows.push(
        error === undefined
          ? { name, topicId, errorCode: 0, errorMessage: null }
          : row(name, topicId, error.errorName, error.message || null),
      )
    }
    return { responses: rows }
  },
  {
    errorResponse: ({ topics, topicNames }, errorCode, errorMessage) => ({
      responses: [
        ...topics.map(({ name, topicId }) => ({ name, topicId, errorCode, errorMessage })),
        ...topicNames.map((name) => ({ name, topicId: ZERO_UUID, errorCode, errorMessage })),
      ],
    }),
  },
)

/** Sorts out what may be deleted: names with their ids, and the rows of what may not. */
function targetsOf(
  { topics, topicNames }: DeleteTopicsRequest,
  context: RequestContext,
): { targets: Map<string, string>; rows: TopicRow[] } {
  const { image } = context.broker
  const rows: TopicRow[] = []
  const names = new Map<string, number>()
  const ids = new Map<string, number>()
  for (const name of topicNames) names.set(name, (names.get(name) ?? 0) + 1)
  for (const { name, topicId } of topics) {
    if (name === null && topicId === ZERO_UUID)
      rows.push(row(null, ZERO_UUID, 'INVALID_REQUEST', 'Neither topic name nor id were specified.'))
    else if (name === null) ids.set(topicId, (ids.get(topicId) ?? 0) + 1)
    else if (topicId === ZERO_UUID) names.set(name, (names.get(name) ?? 0) + 1)
    else rows.push(row(name, topicId, 'INVALID_REQUEST', 'You may not specify both topic name and topic id.'))
  }
  const targets = new Map<string, string>()
  for (const [topicId, times] of ids) {
    const name = image.topicName(topicId)
    if (times > 1) rows.push(row(null, topicId, 'INVALID_REQUEST', 'Duplicate topic id.'))
    else if (name === undefined) rows.push(row(null, topicId, 'UNKNOWN_TOPIC_ID', 'This server does not host this topic ID.'))
    else if (!context.isAuthorized('Delete', 'Topic', name)) {
      rows.push(row(context.isAuthorized('Describe', 'Topic', name) ? name : null, topicId, 'TOPIC_AUTHORIZATION_FAILED', null))
    } else targets.set(name, topicId)
  }
  for (const [name, times] of names) {
    const topicId = image.topic(name)?.topicId
    if (times > 1) rows.push(row(name, ZERO_UUID, 'INVALID_REQUEST', 'Duplicate topic name.'))
    // Whoever may not see the topic does not learn whether it exists.
    else if (!context.isAuthorized('Describe', 'Topic', name)) rows.push(row(name, ZERO_UUID, 'TOPIC_AUTHORIZATION_FAILED', null))
    else if (topicId === undefined)
      rows.push(row(name, ZERO_UUID, 'UNKNOWN_TOPIC_OR_PARTITION', 'This server does not host this topic-partition.'))
    else if (!context.isAuthorized('Delete', 'Topic', name)) rows.push(row(name, ZERO_UUID, 'TOPIC_AUTHORIZATION_FAILED', null))
    else if (targets.delete(name))
      rows.push(row(name, topicId, 'INVALID_REQUEST', 'The provided topic name maps to an ID that was already supplied.'))
    else targets.set(name, topicId)
  }
  return { targets, rows }
}

function row(name: string | null, topicId: string, error: keyof typeof errorTable, errorMessage: string | null): TopicRow {
  return { name, topicId, errorCode: errorTable[error].code, errorMessage }
}
