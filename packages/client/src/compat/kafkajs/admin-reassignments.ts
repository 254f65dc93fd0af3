import { groupByTopic, partitionName } from '../../topic-partition.ts'
import { checkTopicEntries } from './admin-topics.ts'
import { KafkaJSAggregateError, KafkaJSAlterPartitionReassignmentsError, KafkaJSNonRetriableError } from './errors.ts'
import type { Link } from './link.ts'
import { failuresOf } from './partial-failures.ts'
import type { Admin, AdminEventsByName } from './types-admin.ts'
import type { ListPartitionReassignmentsResponse } from './types-admin-requests.ts'

const isIndex = (value: unknown): boolean => typeof value === 'number' && value >= 0

/** kafkajs's limit. */
const TIMEOUT_MS = 5000

/** Reassignments of kafkajs's Admin. */
export class AdminReassignments {
  readonly #link: Link<AdminEventsByName>

  constructor(link: Link<AdminEventsByName>) {
    this.#link = link
  }

  /** @throws KafkaJSAggregateError of KafkaJSAlterPartitionReassignmentsErrors */
  async alter({ topics, timeout = TIMEOUT_MS }: Parameters<Admin['alterPartitionReassignments']>[0]): Promise<void> {
    checkTopicEntries(topics)
    for (const { topic, partitionAssignment } of topics) {
      if (!Array.isArray(partitionAssignment)) throw new KafkaJSNonRetriableError(`partitionAssignment of ${topic} must be an array`)
      for (const { partition, replicas } of partitionAssignment) {
        if (!isIndex(partition)) throw new KafkaJSNonRetriableError(`${partition} is no partition of ${topic}`)
        if (!Array.isArray(replicas) || !replicas.every(isIndex))
          throw new KafkaJSNonRetriableError(`replicas of ${topic}-${partition} must be an array of broker ids, and not ${replicas}`)
      }
    }
    const changes = topics.flatMap(({ topic, partitionAssignment }) =>
      partitionAssignment.map(({ partition, replicas }) => ({ topic, partition, replicas })),
    )
    await this.#link.open()
    try {
      await this.#link.admin.alterPartitionReassignments(changes, { timeoutMs: timeout })
    } catch (error) {
      const failures = failuresOf(error, partitionName(changes[0]!))
      const errors = changes.flatMap((change) => {
        const failure = failures.get(partitionName(change))
        return failure === undefined ? [] : [new KafkaJSAlterPartitionReassignmentsError(failure, change.topic, change.partition)]
      })
      throw new KafkaJSAggregateError('partitions could not be reassigned', errors)
    }
  }

  /** Of all topics when none are named. Every entry bears the names that kafkajs's types give its fields, and those that kafkajs itself gives. */
  async list({
    topics,
    timeout = TIMEOUT_MS,
  }: Parameters<Admin['listPartitionReassignments']>[0]): Promise<ListPartitionReassignmentsResponse> {
    if (topics) {
      checkTopicEntries(topics)
      for (const { topic, partitions } of topics) {
        if (!Array.isArray(partitions) || !partitions.every(isIndex))
          throw new KafkaJSNonRetriableError(
            `partitions of ${topic} must be an array of numbers that are not negative, and not ${partitions}`,
          )
      }
    }
    const asked = topics?.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })))
    const found = await this.#link.once(() => this.#link.admin.listPartitionReassignments(asked, { timeoutMs: timeout }))
    return {
      topics: [...groupByTopic(found)].map(([topic, entries]) => ({
        topic,
        name: topic,
        partitions: entries.map(({ partition, replicas, addingReplicas, removingReplicas }) => ({
          partitionIndex: partition,
          partition,
          replicas: [...replicas],
          addingReplicas: [...addingReplicas],
          removingReplicas: [...removingReplicas],
        })),
      })),
    }
  }
}
