import { ZERO_UUID } from '@tidelog/core'
import type { CreatedTopic, TopicOutcome } from '@tidelog/metadata'
import { CreateTopics, type CreateTopicsRequest, errorTable, type ResponseInput } from '@tidelog/protocol'
import { clusterName } from '../authorized-operations.ts'
import { defineHandler } from '../define-handler.ts'
import type { RequestContext } from '../request-context.ts'

type TopicRow = ResponseInput<typeof CreateTopics>['topics'][number]

const { NONE, TOPIC_AUTHORIZATION_FAILED } = errorTable

/** Creates topics, each on its own, and answers when they can be produced to. KIP-4, KIP-525 (the resulting configs). */
export const createTopics = defineHandler(
  CreateTopics,
  async ({ topics, validateOnly, timeoutMs }, context) => {
    const mayCreateAll = context.isAuthorized('Create', 'Cluster', clusterName)
    const allowed: CreateTopicsRequest['topics'] = []
    const rows: TopicRow[] = []
    const refused = new Set<string>()
    for (const topic of topics) {
      if (mayCreateAll || context.isAuthorized('Create', 'Topic', topic.name)) allowed.push(topic)
      else refused.add(topic.name)
    }
    const outcomes = await context.broker.controller.createTopics(
      allowed.map(({ name, numPartitions, replicationFactor, assignments, configs }) => {
        return { name, partitions: numPartitions, replicationFactor, assignments, configs }
      }),
      { validateOnly, timeoutMs },
    )
    for (const outcome of outcomes) rows.push('error' in outcome ? errorRow(outcome) : createdRow(outcome.created, context))
    for (const name of refused) rows.push(failedRow(name, TOPIC_AUTHORIZATION_FAILED.code, 'Authorization failed.'))
    return { topics: rows }
  },
  {
    errorResponse: ({ topics }, errorCode, errorMessage) => ({
      topics: [...new Set(topics.map(({ name }) => name))].map((name) => failedRow(name, errorCode, errorMessage)),
    }),
  },
)

const errorRow = ({ name, error }: Extract<TopicOutcome<CreatedTopic>, { error: unknown }>) =>
  failedRow(name, error.code, error.message || null)

function failedRow(name: string, errorCode: number, errorMessage: string | null): TopicRow {
  return { name, topicId: ZERO_UUID, errorCode, errorMessage, configs: [] }
}

/** What the topic looks like; its configs only for those who may read them. */
function createdRow({ name, topicId, partitions, replicationFactor, configs }: CreatedTopic, context: RequestContext): TopicRow {
  const row = { name, topicId, errorCode: NONE.code, errorMessage: null }
  if (!context.isAuthorized('DescribeConfigs', 'Topic', name)) {
    return { ...row, topicConfigErrorCode: TOPIC_AUTHORIZATION_FAILED.code, configs: null }
  }
  return { ...row, numPartitions: partitions, replicationFactor, configs: context.broker.configs.describeTopicConfigs(configs) }
}
