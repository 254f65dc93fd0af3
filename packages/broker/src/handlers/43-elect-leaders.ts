import { ElectLeaders, KafkaError, type ResponseInput } from '@tidelog/protocol'
import { clusterName } from '../authorized-operations.ts'
import { defineHandler } from '../define-handler.ts'

type PartitionRow = ResponseInput<typeof ElectLeaders>['replicaElectionResults'][number]['partitionResult'][number]

const electionTypes = ['preferred', 'unclean'] as const

/** Gives partitions their preferred leader back, or any leader at all. KIP-183; KIP-460 (v1: unclean elections). */
export const electLeaders = defineHandler(
  ElectLeaders,
  async ({ electionType, topicPartitions, timeoutMs }, context) => {
    context.authorize('Alter', 'Cluster', clusterName)
    const type = electionTypes[electionType]
    if (type === undefined) throw new KafkaError('INVALID_REQUEST', `Unknown election type ${electionType}`)
    const wanted = topicPartitions === null ? undefined : new Map(topicPartitions.map(({ topic, partitions }) => [topic, partitions]))
    const rows = new Map<string, PartitionRow[]>([...(wanted?.keys() ?? context.broker.image.topics.keys())].map((topic) => [topic, []]))
    for (const { topic, partition, error } of await context.broker.controller.electLeaders(type, wanted, { timeoutMs })) {
      rows.get(topic)?.push({ partitionId: partition, errorCode: error?.code ?? 0, errorMessage: error?.message || null })
    }
    return { errorCode: 0, replicaElectionResults: [...rows].map(([topic, partitionResult]) => ({ topic, partitionResult })) }
  },
  {
    errorResponse: ({ topicPartitions }, errorCode, errorMessage) => ({
      errorCode,
      replicaElectionResults: (topicPartitions ?? []).map(({ topic, partitions }) => ({
        topic,
        partitionResult: partitions.map((partitionId) => ({ partitionId, errorCode, errorMessage })),
      })),
    }),
  },
)
