import { DeleteRecords, DescribeCluster, DescribeProducers, ElectLeaders, Metadata } from '@tidelog/protocol'
import type { BrokerConnection } from '../cluster/broker-connection.ts'
import { type FoundOffset, type IsolationLevel, listOffsets as listOffsetsOf, type OffsetQuery } from '../cluster/list-offsets.ts'
import type { BrokerNode } from '../cluster/metadata-cache.ts'
import type { Outcome } from '../cluster/outcome.ts'
import { perLeader } from '../cluster/per-leader.ts'
import { BrokerError, checkErrorCode, checkOffset, DisconnectedError, UnsupportedVersionError } from '../errors.ts'
import { groupByTopic, partitionName, type TopicPartition } from '../topic-partition.ts'
import { type AclOperation, operationsOf } from './acl-operations.ts'
import { type AdminCallOptions, type AdminContext, callOptions } from './admin-client.ts'
import { onController } from './per-item.ts'
import { allOrThrow } from './results.ts'

/** A broker or controller of it. */
export interface ClusterNode extends BrokerNode {
  /** Registered and not serving; absent from brokers that do not say. KIP-1073. */
  readonly isFenced?: boolean
}

/** The cluster, as one of its brokers tells of it. */
export interface ClusterDescription {
  readonly clusterId: string | null
  /** -1: none at the moment. */
  readonly controllerId: number
  /** Controllers, of a client that has `bootstrapControllers`. */
  readonly brokers: readonly ClusterNode[]
  /** What this client may do; only when asked for. KIP-430. */
  readonly authorizedOperations?: readonly AclOperation[] | undefined
}

/** What describeCluster() takes. */
export interface DescribeClusterOptions extends AdminCallOptions {
  readonly includeAuthorizedOperations?: boolean
  /** List brokers too that are registered and not serving. KIP-1073. */
  readonly includeFencedBrokers?: boolean
}

const OLDEST_DESCRIBE_WITH_FENCED = 2
const BROKERS = 1
const CONTROLLERS = 2
const OLDEST_METADATA_WITH_OPERATIONS = 8

export async function describeCluster(
  context: AdminContext,
  { includeAuthorizedOperations = false, includeFencedBrokers = false, ...options }: DescribeClusterOptions,
): Promise<ClusterDescription> {
  const { cluster } = context
  const tooOldForFenced = () => new UnsupportedVersionError('the broker cannot list fenced brokers')
  return cluster.retry(callOptions(context, 'describeCluster', options), async () => {
    const connection = await cluster.anyConnection(options)
    if (!connection.serves(DescribeCluster)) {
      if (includeFencedBrokers) throw tooOldForFenced()
      const response = await connection.send(Metadata, (version) => ({
        topics: [],
        allowAutoTopicCreation: false,
        includeClusterAuthorizedOperations: includeAuthorizedOperations && version >= OLDEST_METADATA_WITH_OPERATIONS,
      }))
      return {
        clusterId: response.clusterId,
        controllerId: response.controllerId,
        brokers: response.brokers,
        authorizedOperations: operationsOf(response.clusterAuthorizedOperations),
      }
    }
    const response = await connection.send(DescribeCluster, (version) => {
      if (includeFencedBrokers && version < OLDEST_DESCRIBE_WITH_FENCED) throw tooOldForFenced()
      const endpointType = cluster.usesControllers ? CONTROLLERS : BROKERS
      return { includeClusterAuthorizedOperations: includeAuthorizedOperations, includeFencedBrokers, endpointType }
    })
    checkErrorCode(response.errorCode, 'cluster', response.errorMessage)
    return {
      clusterId: response.clusterId,
      controllerId: response.controllerId,
      brokers: response.brokers.map(({ brokerId, ...node }) => ({ nodeId: brokerId, ...node })),
      authorizedOperations: operationsOf(response.clusterAuthorizedOperations),
    }
  })
}

const namedByPartition = <V>(items: readonly TopicPartition[], outcomes: readonly Outcome<V>[]) =>
  outcomes.map((outcome, index) => [partitionName(items[index]!), outcome] as const)

export async function listOffsets(
  context: AdminContext,
  queries: readonly OffsetQuery[],
  { isolationLevel = 'read_uncommitted', ...options }: AdminCallOptions & { readonly isolationLevel?: IsolationLevel },
): Promise<(TopicPartition & FoundOffset)[]> {
  const outcomes = await listOffsetsOf(context.cluster, queries, { ...callOptions(context, 'listOffsets', options), isolationLevel })
  const found = allOrThrow('listOffsets', namedByPartition(queries, outcomes))
  return found.map((value, index) => ({ topic: queries[index]!.topic, partition: queries[index]!.partition, ...value }))
}

/** Up to where a partition's records go. */
export interface RecordsToDelete extends TopicPartition {
  /** Records below this offset go; -1: all below the high watermark. */
  readonly beforeOffset: number
}

/** What deleteRecords() has done to a partition. */
export interface DeletedRecords extends TopicPartition {
  /** The log's new start. */
  readonly lowWatermark: number
}

export async function deleteRecords(
  context: AdminContext,
  records: readonly RecordsToDelete[],
  options: AdminCallOptions,
): Promise<DeletedRecords[]> {
  const send = async (connection: BrokerConnection, group: readonly RecordsToDelete[]) => {
    const response = await connection.send(DeleteRecords, {
      topics: [...groupByTopic(group)].map(([name, entries]) => ({
        name,
        partitions: entries.map(({ partition, beforeOffset }) => ({ partitionIndex: partition, offset: beforeOffset })),
      })),
      timeoutMs: context.config['request.timeout.ms'],
    })
    return answersOf(group, response.topics, ({ errorCode, lowWatermark }, item) => ({
      errorCode,
      value: errorCode === 0 ? checkOffset(lowWatermark, item) : -1,
    }))
  }
  const outcomes = await perLeader(context.cluster, records, callOptions(context, 'deleteRecords', options), send)
  const watermarks = allOrThrow('deleteRecords', namedByPartition(records, outcomes))
  return watermarks.map((lowWatermark, index) => ({ topic: records[index]!.topic, partition: records[index]!.partition, lowWatermark }))
}

function answersOf<I extends TopicPartition, P extends { readonly partitionIndex: number }, A>(
  items: readonly I[],
  topics: readonly { readonly name: string; readonly partitions: readonly P[] }[],
  read: (partition: P, item: I) => A,
): Map<I, A> {
  const answers = new Map<I, A>()
  for (const item of items) {
    const found = topics.find(({ name }) => name === item.topic)?.partitions.find(({ partitionIndex }) => partitionIndex === item.partition)
    if (found !== undefined) answers.set(item, read(found, item))
  }
  return answers
}

/** What a partition's leader knows of an idempotent producer. */
export interface ProducerState {
  readonly producerId: number
  readonly producerEpoch: number
  readonly lastSequence: number
  /** Ms since the Unix epoch. */
  readonly lastTimestamp: number
  /** -1: none. */
  readonly coordinatorEpoch: number
  /** First offset of the open transaction; -1: none is open. */
  readonly currentTxnStartOffset: number
}

/** Who writes to a partition. */
export interface PartitionProducers extends TopicPartition {
  readonly activeProducers: readonly ProducerState[]
}

/** What describeProducers() takes. */
export interface DescribeProducersOptions extends AdminCallOptions {
  /** Asks this broker, which may be a follower of the partitions; when absent, the leader of each. */
  readonly brokerId?: number | undefined
}

export async function describeProducers(
  context: AdminContext,
  partitions: readonly TopicPartition[],
  { brokerId, ...options }: DescribeProducersOptions,
): Promise<PartitionProducers[]> {
  const { cluster } = context
  const retry = callOptions(context, 'describeProducers', options)
  const send = async (connection: BrokerConnection, group: readonly TopicPartition[]) => {
    const response = await connection.send(DescribeProducers, {
      topics: [...groupByTopic(group)].map(([name, entries]) => ({ name, partitionIndexes: entries.map(({ partition }) => partition) })),
    })
    return answersOf(group, response.topics, ({ errorCode, activeProducers }) => ({ errorCode, value: activeProducers }))
  }
  const outcomes =
    brokerId === undefined
      ? await perLeader(cluster, partitions, retry, send)
      : await cluster.retry(retry, async () => {
          const answers = await send(await cluster.connectionTo(brokerId, 'general', retry), partitions)
          return partitions.map((partition) => {
            const answer = answers.get(partition)
            if (answer === undefined) throw new DisconnectedError(`${partitionName(partition)}: the broker's answer leaves it out`)
            const { errorCode, value } = answer
            return errorCode === 0 ? { value } : { error: new BrokerError(errorCode, partitionName(partition)) }
          })
        })
  const producers = allOrThrow('describeProducers', namedByPartition(partitions, outcomes))
  return producers.map((activeProducers, index) => ({
    topic: partitions[index]!.topic,
    partition: partitions[index]!.partition,
    activeProducers,
  }))
}

/** What became of an election. */
export interface ElectedPartition extends TopicPartition {
  /** undefined: a leader was elected. */
  readonly error: BrokerError | undefined
}

/** @param partitions null: all. @returns Of each partition that an election was held for. */
export async function electLeaders(
  context: AdminContext,
  type: 'preferred' | 'unclean',
  partitions: readonly TopicPartition[] | null,
  options: AdminCallOptions,
): Promise<ElectedPartition[]> {
  const retry = callOptions(context, 'electLeaders', options)
  return onController(context, retry, async (connection) => {
    const response = await connection.send(ElectLeaders, {
      electionType: type === 'preferred' ? 0 : 1,
      topicPartitions:
        partitions === null
          ? null
          : [...groupByTopic(partitions)].map(([topic, entries]) => ({ topic, partitions: entries.map(({ partition }) => partition) })),
      timeoutMs: context.config['request.timeout.ms'],
    })
    checkErrorCode(response.errorCode, 'electLeaders')
    return response.replicaElectionResults.flatMap(({ topic, partitionResult }) =>
      partitionResult.map(({ partitionId, errorCode, errorMessage }) => ({
        topic,
        partition: partitionId,
        error: errorCode === 0 ? undefined : new BrokerError(errorCode, partitionName({ topic, partition: partitionId }), errorMessage),
      })),
    )
  })
}
