import { AlterPartitionReassignments, ListPartitionReassignments } from '@tidelog/protocol'
import { checkErrorCode, UnsupportedVersionError } from '../errors.ts'
import { groupByTopic, partitionName, type TopicPartition } from '../topic-partition.ts'
import { type AdminCallOptions, type AdminContext, callOptions } from './admin-client.ts'
import { askController, onController, outcomeOf, perItem } from './per-item.ts'
import { allOrThrow } from './results.ts'

/** Where a partition shall go. */
export interface NewPartitionReassignment extends TopicPartition {
  /** Brokers that shall have the partition, the preferred leader first; null cancels a reassignment that is under way. */
  readonly replicas: readonly number[] | null
}

/** What alterPartitionReassignments() takes. */
export interface AlterPartitionReassignmentsOptions extends AdminCallOptions {
  /** Whether a partition may get more or fewer replicas than it has; true when absent. KIP-860. */
  readonly allowReplicationFactorChange?: boolean
}

/** A move of a partition that is under way. */
export interface PartitionReassignment extends TopicPartition {
  /** The present ones and those to come. */
  readonly replicas: readonly number[]
  readonly addingReplicas: readonly number[]
  readonly removingReplicas: readonly number[]
}

const OLDEST_THAT_KEEPS_FACTOR = 1

export async function alterPartitionReassignments(
  context: AdminContext,
  reassignments: readonly NewPartitionReassignment[],
  { allowReplicationFactorChange = true, ...options }: AlterPartitionReassignmentsOptions,
): Promise<void> {
  const retry = callOptions(context, 'alterPartitionReassignments', options)
  const outcomes = await perItem(context, reassignments, retry, partitionName, (pending) =>
    askController(context, retry, async (connection) => {
      const response = await connection.send(AlterPartitionReassignments, (version) => {
        if (!allowReplicationFactorChange && version < OLDEST_THAT_KEEPS_FACTOR)
          throw new UnsupportedVersionError('the broker cannot refuse reassignments that change the replication factor')
        return {
          timeoutMs: context.config['request.timeout.ms'],
          allowReplicationFactorChange,
          topics: [...groupByTopic(pending)].map(([name, entries]) => ({
            name,
            partitions: entries.map(({ partition, replicas }) => ({
              partitionIndex: partition,
              replicas: replicas === null ? null : [...replicas],
            })),
          })),
        }
      })
      checkErrorCode(response.errorCode, 'alterPartitionReassignments', response.errorMessage)
      return new Map(
        pending.flatMap((item) => {
          const topic = response.responses.find(({ name }) => name === item.topic)
          const row = topic?.partitions.find(({ partitionIndex }) => partitionIndex === item.partition)
          return row === undefined ? [] : [[item, outcomeOf(partitionName(item), row, () => undefined)] as const]
        }),
      )
    }),
  )
  allOrThrow(
    'alterPartitionReassignments',
    [...outcomes].map(([item, outcome]) => [partitionName(item), outcome] as const),
  )
}

/** @param partitions All when undefined. @returns Those that are being reassigned. */
export function listPartitionReassignments(
  context: AdminContext,
  partitions: readonly TopicPartition[] | undefined,
  options: AdminCallOptions,
): Promise<PartitionReassignment[]> {
  return onController(context, callOptions(context, 'listPartitionReassignments', options), async (connection) => {
    const response = await connection.send(ListPartitionReassignments, {
      timeoutMs: context.config['request.timeout.ms'],
      topics:
        partitions === undefined
          ? null
          : [...groupByTopic(partitions)].map(([name, entries]) => ({ name, partitionIndexes: entries.map(({ partition }) => partition) })),
    })
    checkErrorCode(response.errorCode, 'listPartitionReassignments', response.errorMessage)
    return response.topics.flatMap(({ name, partitions: rows }) =>
      rows.map(({ partitionIndex, ...replicas }) => ({ topic: name, partition: partitionIndex, ...replicas })),
    )
  })
}
