import {
  AlterConfigs,
  AlterPartitionReassignments,
  ApiVersions,
  CreatePartitions,
  CreateTopics,
  DeleteTopics,
  DescribeConfigs,
  ListPartitionReassignments,
  Metadata,
  type MetadataResponse,
} from '@tidelog/protocol'
import { ConfigSource } from '../enums.ts'
import { KafkaJSAggregateError, KafkaJSAlterPartitionReassignmentsError, KafkaJSCreateTopicError } from '../errors.ts'
import { errorOfCode } from '../protocol-errors.ts'
import type {
  IResourceConfig,
  ITopicConfig,
  ITopicPartitionConfig,
  PartitionReassignment,
  ResourceConfigQuery,
} from '../types-admin-requests.ts'
import type { TopicPartitions } from '../types-client.ts'
import type { ApiVersions as ServedVersions } from '../types-group.ts'
import { brokerCall, checkCode, checkEach, inOrderOfTopic, throttled } from './broker-call.ts'

/** Requests about brokers, topics and configurations. */

const TIMEOUT_MS = 5000
const none = <T>(list: readonly T[]): readonly T[] | null => (list.length === 0 ? null : list)

export const apiVersionsCall = brokerCall({
  api: ApiVersions,
  newest: 2,
  request: (_given: undefined) => ({ clientSoftwareName: '', clientSoftwareVersion: '' }),
  answer: ({ errorCode, apiKeys }): ServedVersions => {
    checkCode(errorCode)
    return Object.fromEntries(apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, { minVersion, maxVersion }]))
  },
})

export interface MetadataGiven {
  /** Empty: all there are. */
  readonly topics: readonly string[]
  readonly allowAutoTopicCreation: boolean
}

export const metadataCall = brokerCall({
  api: Metadata,
  newest: 6,
  request: ({ topics, allowAutoTopicCreation }: MetadataGiven) => ({
    topics: none(topics.map((name) => ({ name }))),
    allowAutoTopicCreation,
  }),
  answer: (response) => {
    checkEach(response.topics)
    for (const { partitions } of response.topics) checkEach(partitions)
    return metadataOf(response)
  },
})

/** An answer with its errors, as kafkajs shows it. */
export const metadataOf = (response: MetadataResponse) => ({
  ...throttled(response),
  // Without a rack it is null in kafkajs, whose types know no null there.
  brokers: response.brokers.map(({ nodeId, host, port, rack }) => ({ nodeId, host, port, rack: rack as string })),
  clusterId: response.clusterId,
  controllerId: response.controllerId,
  topicMetadata: response.topics.map(({ errorCode, name, isInternal, partitions }) => ({
    topicErrorCode: errorCode,
    topic: name ?? '',
    isInternal,
    partitionMetadata: partitions.map((one) => ({
      partitionErrorCode: one.errorCode,
      partitionId: one.partitionIndex,
      leader: one.leaderId,
      replicas: one.replicaNodes,
      isr: one.isrNodes,
      offlineReplicas: one.offlineReplicas,
    })),
  })),
})

interface Changing {
  validateOnly?: boolean
  timeout?: number
}

export interface CreateTopicsGiven extends Changing {
  topics: ITopicConfig[]
}

/** @throws KafkaJSAggregateError of KafkaJSCreateTopicErrors */
export const createTopicsCall = brokerCall({
  api: CreateTopics,
  newest: 3,
  heldMs: ({ timeout = TIMEOUT_MS }: CreateTopicsGiven) => timeout,
  request: ({ topics, validateOnly = false, timeout = TIMEOUT_MS }) => ({
    topics: topics.map(({ topic, numPartitions = -1, replicationFactor = -1, replicaAssignment = [], configEntries = [] }) => ({
      name: topic,
      numPartitions,
      replicationFactor,
      assignments: replicaAssignment.map(({ partition, replicas }) => ({ partitionIndex: partition, brokerIds: replicas })),
      configs: configEntries,
    })),
    validateOnly,
    timeoutMs: timeout,
  }),
  answer: (response) => {
    const topicErrors = inOrderOfTopic(
      response.topics.map(({ name, errorCode, errorMessage }) => ({ topic: name, errorCode, errorMessage: errorMessage ?? null })),
    )
    const failed = topicErrors.filter(({ errorCode }) => errorCode !== 0)
    if (failed.length > 0) {
      const errors = failed.map(({ topic, errorCode }) => new KafkaJSCreateTopicError(errorOfCode(errorCode), topic))
      throw new KafkaJSAggregateError('topics could not be created', errors)
    }
    return { ...throttled(response), topicErrors }
  },
})

export interface CreatePartitionsGiven extends Changing {
  topicPartitions: ITopicPartitionConfig[]
}

export const createPartitionsCall = brokerCall({
  api: CreatePartitions,
  newest: 1,
  heldMs: ({ timeout = TIMEOUT_MS }: CreatePartitionsGiven) => timeout,
  request: ({ topicPartitions, validateOnly = false, timeout = TIMEOUT_MS }) => ({
    topics: topicPartitions.map(({ topic, count, assignments = [] }) => ({
      name: topic,
      count,
      assignments: none(assignments.map((brokerIds) => ({ brokerIds }))),
    })),
    validateOnly,
    timeoutMs: timeout,
  }),
  answer: (response) => {
    const topicErrors = inOrderOfTopic(
      response.results.map(({ name, errorCode, errorMessage }) => ({ topic: name, errorCode, errorMessage })),
    )
    checkEach(topicErrors)
    return { ...throttled(response), topicErrors }
  },
})

export interface DeleteTopicsGiven {
  topics: string[]
  timeout?: number
}

export const deleteTopicsCall = brokerCall({
  api: DeleteTopics,
  newest: 1,
  heldMs: ({ timeout = TIMEOUT_MS }: DeleteTopicsGiven) => timeout,
  request: ({ topics, timeout = TIMEOUT_MS }) => ({ topics: [], topicNames: topics, timeoutMs: timeout }),
  answer: (response) => {
    const topicErrors = inOrderOfTopic(response.responses.map(({ name, errorCode }) => ({ topic: name ?? '', errorCode })))
    checkEach(topicErrors)
    return { ...throttled(response), topicErrors }
  },
})

// --- configurations ------------------------------------------------------------------------------------------------------------------

export interface DescribeConfigsGiven {
  resources: ResourceConfigQuery[]
  includeSynonyms?: boolean
}

export const describeConfigsCall = brokerCall({
  api: DescribeConfigs,
  newest: 2,
  request: ({ resources, includeSynonyms = false }: DescribeConfigsGiven) => ({
    resources: resources.map(({ type, name, configNames = [] }) => ({
      resourceType: type,
      resourceName: name,
      configurationKeys: none(configNames),
    })),
    includeSynonyms,
  }),
  answer: (response) => {
    checkEach(response.results)
    return {
      ...throttled(response),
      resources: response.results.map(({ errorCode, errorMessage, resourceType, resourceName, configs }) => ({
        errorCode,
        errorMessage,
        resourceType,
        resourceName,
        configEntries: configs.map(({ name, value, readOnly, configSource, isSensitive, synonyms }) => ({
          configName: name,
          configValue: value,
          readOnly,
          isDefault: configSource === ConfigSource.DEFAULT_CONFIG,
          configSource,
          isSensitive,
          configSynonyms: synonyms.map((one) => ({ configName: one.name, configValue: one.value, configSource: one.source })),
        })),
      })),
    }
  },
})

export interface AlterConfigsGiven {
  resources: IResourceConfig[]
  validateOnly?: boolean
}

export const alterConfigsCall = brokerCall({
  api: AlterConfigs,
  newest: 1,
  request: ({ resources, validateOnly = false }: AlterConfigsGiven) => ({
    resources: resources.map(({ type, name, configEntries }) => ({ resourceType: type, resourceName: name, configs: configEntries })),
    validateOnly,
  }),
  answer: (response) => {
    checkEach(response.responses)
    return { ...throttled(response), resources: response.responses }
  },
})

// --- reassignments -------------------------------------------------------------------------------------------------------------------

export interface AlterReassignmentsGiven {
  topics: PartitionReassignment[]
  timeout?: number
}

/** @throws KafkaJSAlterPartitionReassignmentsError, of single partitions a KafkaJSAggregateError of them */
export const alterReassignmentsCall = brokerCall({
  api: AlterPartitionReassignments,
  newest: 0,
  heldMs: ({ timeout = TIMEOUT_MS }: AlterReassignmentsGiven) => timeout,
  request: ({ topics, timeout = TIMEOUT_MS }) => ({
    timeoutMs: timeout,
    topics: topics.map(({ topic, partitionAssignment }) => ({
      name: topic,
      partitions: partitionAssignment.map(({ partition, replicas }) => ({ partitionIndex: partition, replicas })),
    })),
  }),
  answer: ({ throttleTimeMs, errorCode, responses }) => {
    if (errorCode !== 0) throw new KafkaJSAlterPartitionReassignmentsError(errorOfCode(errorCode))
    const errors = responses.flatMap(({ name, partitions }) =>
      partitions
        .filter((one) => one.errorCode !== 0)
        .map((one) => new KafkaJSAlterPartitionReassignmentsError(errorOfCode(one.errorCode), name, one.partitionIndex)),
    )
    if (errors.length > 0) throw new KafkaJSAggregateError('partitions could not be reassigned', errors)
    return {
      throttleTime: throttleTimeMs,
      errorCode,
      responses: responses.map(({ name, partitions }) => ({
        topic: name,
        partitions: partitions.map((one) => ({ partition: one.partitionIndex, errorCode: one.errorCode })),
      })),
    }
  },
})

export interface ListReassignmentsGiven {
  topics?: TopicPartitions[] | null
  timeout?: number
}

/** Every entry bears the names that kafkajs's types give its fields, and those that kafkajs itself gives. */
export const listReassignmentsCall = brokerCall({
  api: ListPartitionReassignments,
  newest: 0,
  heldMs: ({ timeout = TIMEOUT_MS }: ListReassignmentsGiven) => timeout,
  request: ({ topics, timeout = TIMEOUT_MS }) => ({
    timeoutMs: timeout,
    topics: topics?.map(({ topic, partitions }) => ({ name: topic, partitionIndexes: partitions })) ?? null,
  }),
  answer: ({ throttleTimeMs, errorCode, topics }) => {
    checkCode(errorCode)
    return {
      throttleTime: throttleTimeMs,
      errorCode,
      topics: topics.map(({ name, partitions }) => ({
        topic: name,
        name,
        partitions: partitions.map(({ partitionIndex, replicas, addingReplicas, removingReplicas }) => ({
          partitionIndex,
          partition: partitionIndex,
          replicas,
          addingReplicas,
          removingReplicas,
        })),
      })),
    }
  },
})
