import { ZERO_UUID } from '@tidelog/core'
import { isInternalTopic, isValidTopicName, type TopicImage } from '@tidelog/metadata'
import { errorTable, KafkaError, Metadata, type MetadataRequest, type ResponseInput } from '@tidelog/protocol'
import { authorizedOperations, clusterName } from '../authorized-operations.ts'
import { defineHandler } from '../define-handler.ts'
import { partitionMetadata, reachableBrokers } from '../partition-metadata.ts'
import type { RequestContext } from '../request-context.ts'

type TopicRow = ResponseInput<typeof Metadata>['topics'][number]

const FIRST_VERSION_WITH_LISTENER_NOT_FOUND = 6
const FIRST_VERSION_WITH_TOPIC_OPERATIONS = 8
/** Cluster operations moved to DescribeCluster then. */
const LAST_VERSION_WITH_CLUSTER_OPERATIONS = 10
const FIRST_VERSION_WITH_NULL_NAMES = 12

/**
 * Brokers as seen from the client's listener, and the topics it asks for: all of them (version 0: an empty list, later null), by name, or by
 * id. A missing topic begins to be created where that is allowed, and is unknown for now: the client asks again.
 */
export const metadata = defineHandler(
  Metadata,
  (request, context) => {
    const { image } = context.broker
    const { listenerName } = context.connection
    const topics = isForAll(request, context.apiVersion) ? allTopics(context) : wantedTopics(request, context)
    if (request.includeTopicAuthorizedOperations && context.apiVersion >= FIRST_VERSION_WITH_TOPIC_OPERATIONS) {
      for (const topic of topics)
        topic.topicAuthorizedOperations = topic.name === null ? 0 : authorizedOperations(context, 'Topic', topic.name)
    }
    return {
      brokers: reachableBrokers(image, listenerName).map(({ id, ...node }) => ({ nodeId: id, ...node })),
      clusterId: image.clusterId,
      controllerId: image.controllerId ?? -1,
      topics,
      ...(request.includeClusterAuthorizedOperations && context.apiVersion <= LAST_VERSION_WITH_CLUSTER_OPERATIONS
        ? { clusterAuthorizedOperations: clusterOperations(context) }
        : {}),
    }
  },
  {
    errorResponse: ({ topics }, errorCode) => ({
      brokers: [],
      topics: (topics ?? []).map(({ name, topicId }) => ({ errorCode, name: name ?? '', topicId, partitions: [] })),
      errorCode,
    }),
  },
)

type MutableTopicRow = { -readonly [K in keyof TopicRow]: TopicRow[K] }

const isForAll = ({ topics }: MetadataRequest, apiVersion: number) => topics === null || (apiVersion === 0 && topics.length === 0)

function clusterOperations(context: RequestContext): number {
  return context.isAuthorized('Describe', 'Cluster', clusterName) ? authorizedOperations(context, 'Cluster', clusterName) : 0
}

/** Those that the client may not see are left out. */
function allTopics(context: RequestContext): MutableTopicRow[] {
  const rows: MutableTopicRow[] = []
  for (const topic of context.broker.image.topics.values()) {
    if (context.isAuthorized('Describe', 'Topic', topic.name)) rows.push(topicRow(topic, context))
  }
  return rows
}

function wantedTopics({ topics, allowAutoTopicCreation }: MetadataRequest, context: RequestContext): MutableTopicRow[] {
  const ids = new Set<string>()
  const names = new Set<string>()
  for (const { name, topicId } of topics!) {
    if (context.apiVersion < FIRST_VERSION_WITH_NULL_NAMES) {
      const version = context.apiVersion
      if (name === null) throw new KafkaError('INVALID_REQUEST', `Topic name can not be null for version ${version}`)
      if (topicId !== ZERO_UUID) throw new KafkaError('INVALID_REQUEST', `Topic IDs are not supported in requests for version ${version}`)
    }
    if (topicId !== ZERO_UUID) ids.add(topicId)
    else if (name !== null) names.add(name)
    else throw new KafkaError('INVALID_REQUEST', 'a topic has neither name nor id')
  }
  // One id in the request makes all of it a request by ids, as in Kafka.
  if (ids.size > 0) return [...ids].map((id) => rowById(id, context))
  const mayCreate = allowAutoTopicCreation && context.broker.config['auto.create.topics.enable']
  const missing: string[] = []
  const rows = [...names].map((name) => rowByName(name, context, mayCreate ? missing : undefined))
  context.broker.autoTopicCreation.begin(missing)
  return rows
}

function rowById(topicId: string, context: RequestContext): MutableTopicRow {
  const topic = context.broker.image.topicById(topicId)
  if (topic === undefined) return failed('UNKNOWN_TOPIC_ID', null, topicId)
  // An id gives nothing away: that the topic exists may be told.
  if (!context.isAuthorized('Describe', 'Topic', topic.name)) return failed('TOPIC_AUTHORIZATION_FAILED', null, topicId)
  return topicRow(topic, context)
}

/** @param missing Takes the name when the topic is not there and shall be created. */
function rowByName(name: string, context: RequestContext, missing: string[] | undefined): MutableTopicRow {
  // Whoever may not see the topic does not learn whether it exists.
  if (!context.isAuthorized('Describe', 'Topic', name)) return failed('TOPIC_AUTHORIZATION_FAILED', name, ZERO_UUID)
  const topic = context.broker.image.topic(name)
  if (topic !== undefined) return topicRow(topic, context)
  if (!isValidTopicName(name)) return failed('INVALID_TOPIC_EXCEPTION', name, ZERO_UUID)
  if (missing !== undefined) {
    const mayCreate = context.isAuthorized('Create', 'Cluster', clusterName) || context.isAuthorized('Create', 'Topic', name)
    if (!mayCreate) return failed('TOPIC_AUTHORIZATION_FAILED', name, ZERO_UUID)
    missing.push(name)
  }
  return failed('UNKNOWN_TOPIC_OR_PARTITION', name, ZERO_UUID)
}

function failed(error: keyof typeof errorTable, name: string | null, topicId: string): MutableTopicRow {
  return { errorCode: errorTable[error].code, name, topicId, isInternal: name !== null && isInternalTopic(name), partitions: [] }
}

function topicRow(
  { name, topicId, isInternal, partitions }: TopicImage,
  { apiVersion, broker, connection }: RequestContext,
): MutableTopicRow {
  const view = {
    listenerName: connection.listenerName,
    onlyReachable: apiVersion === 0,
    tellsListener: apiVersion >= FIRST_VERSION_WITH_LISTENER_NOT_FOUND,
  }
  const rows = [...partitions].map(([index, partition]) => partitionMetadata(index, partition, broker.image, view))
  return { errorCode: 0, name, topicId, isInternal, partitions: rows }
}
