import { AddRaftVoter, DescribeQuorum, type DescribeQuorumResponse, RemoveRaftVoter, UnregisterBroker } from '@tidelog/protocol'
import { BrokerError, checkErrorCode } from '../errors.ts'
import { type AdminCallOptions, type AdminContext, callOptions } from './admin-client.ts'
import { onController } from './per-item.ts'

/** A voter or observer of the quorum, as its leader sees it. */
export interface QuorumReplica {
  readonly replicaId: number
  /** The zero UUID from brokers that do not say. KIP-853. */
  readonly replicaDirectoryId: string
  readonly logEndOffset: number
  /** Ms since the Unix epoch; undefined: unknown. */
  readonly lastFetchTimestamp: number | undefined
  /** When it last had everything. */
  readonly lastCaughtUpTimestamp: number | undefined
}

/** Where a voter is reached. */
export interface RaftVoterEndpoint {
  /** Of the listener, such as CONTROLLER. */
  readonly name: string
  readonly host: string
  readonly port: number
}

/** The controllers of a KRaft cluster, and how far each has the metadata. */
export interface QuorumInfo {
  readonly leaderId: number
  readonly leaderEpoch: number
  readonly highWatermark: number
  readonly voters: readonly QuorumReplica[]
  readonly observers: readonly QuorumReplica[]
  /** Endpoints by node id; empty from brokers that do not say. KIP-853. */
  readonly nodes: ReadonlyMap<number, readonly RaftVoterEndpoint[]>
}

const METADATA_TOPIC = '__cluster_metadata'

export function describeMetadataQuorum(context: AdminContext, options: AdminCallOptions): Promise<QuorumInfo> {
  const retry = callOptions(context, 'describeMetadataQuorum', options)
  return context.cluster.retry(retry, async () => {
    const connection = await context.cluster.anyConnection(retry)
    const response = await connection.send(DescribeQuorum, {
      topics: [{ topicName: METADATA_TOPIC, partitions: [{ partitionIndex: 0 }] }],
    })
    checkErrorCode(response.errorCode, 'describeMetadataQuorum', response.errorMessage)
    const partition = response.topics
      .find(({ topicName }) => topicName === METADATA_TOPIC)
      ?.partitions.find(({ partitionIndex }) => partitionIndex === 0)
    if (partition === undefined) throw new BrokerError(-1, 'describeMetadataQuorum', "the broker's answer leaves the metadata out")
    checkErrorCode(partition.errorCode, 'describeMetadataQuorum', partition.errorMessage)
    return {
      leaderId: partition.leaderId,
      leaderEpoch: partition.leaderEpoch,
      highWatermark: partition.highWatermark,
      voters: partition.currentVoters.map(replicaOf),
      observers: partition.observers.map(replicaOf),
      nodes: new Map(response.nodes.map(({ nodeId, listeners }) => [nodeId, listeners])),
    }
  })
}

type ReplicaRow = DescribeQuorumResponse['topics'][number]['partitions'][number]['observers'][number]

const replicaOf = ({ lastFetchTimestamp, lastCaughtUpTimestamp, ...row }: ReplicaRow): QuorumReplica => ({
  replicaId: row.replicaId,
  replicaDirectoryId: row.replicaDirectoryId,
  logEndOffset: row.logEndOffset,
  lastFetchTimestamp: lastFetchTimestamp < 0 ? undefined : lastFetchTimestamp,
  lastCaughtUpTimestamp: lastCaughtUpTimestamp < 0 ? undefined : lastCaughtUpTimestamp,
})

export interface RaftVoter {
  readonly voterId: number
  readonly voterDirectoryId: string
}

/** What addRaftVoter() and removeRaftVoter() take. */
export interface RaftVoterOptions extends AdminCallOptions {
  /** The quorum refuses when it is another cluster's. */
  readonly clusterId?: string
}

/** @returns When the quorum has taken it in. KIP-853. */
export async function addRaftVoter(
  context: AdminContext,
  { voterId, voterDirectoryId, endpoints }: RaftVoter & { readonly endpoints: readonly RaftVoterEndpoint[] },
  { clusterId, ...options }: RaftVoterOptions,
): Promise<void> {
  const retry = callOptions(context, 'addRaftVoter', options)
  await onController(context, retry, async (connection) => {
    const { errorCode, errorMessage } = await connection.send(AddRaftVoter, {
      clusterId: clusterId ?? null,
      timeoutMs: Math.ceil(Math.min(retry.deadline.remainingMs, context.config['request.timeout.ms'])),
      voterId,
      voterDirectoryId,
      listeners: endpoints.map(({ name, host, port }) => ({ name, host, port })),
    })
    checkErrorCode(errorCode, `voter ${voterId}`, errorMessage)
  })
}

export async function removeRaftVoter(
  context: AdminContext,
  { voterId, voterDirectoryId }: RaftVoter,
  { clusterId, ...options }: RaftVoterOptions,
): Promise<void> {
  await onController(context, callOptions(context, 'removeRaftVoter', options), async (connection) => {
    const request = { clusterId: clusterId ?? null, voterId, voterDirectoryId }
    const { errorCode, errorMessage } = await connection.send(RemoveRaftVoter, request)
    checkErrorCode(errorCode, `voter ${voterId}`, errorMessage)
  })
}

export async function unregisterBroker(context: AdminContext, brokerId: number, options: AdminCallOptions): Promise<void> {
  await onController(context, callOptions(context, 'unregisterBroker', options), async (connection) => {
    const { errorCode, errorMessage } = await connection.send(UnregisterBroker, { brokerId })
    checkErrorCode(errorCode, `broker ${brokerId}`, errorMessage)
  })
}
