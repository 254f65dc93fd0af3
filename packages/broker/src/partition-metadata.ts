import type { BrokerImage, MetadataImage, PartitionImage } from '@tidelog/metadata'
import { errorTable } from '@tidelog/protocol'

const { LEADER_NOT_AVAILABLE, LISTENER_NOT_FOUND, REPLICA_NOT_AVAILABLE } = errorTable

/** What a client is told of a partition: brokers that it cannot reach on its own listener are offline for it. */
export interface PartitionMetadata {
  readonly errorCode: number
  readonly partitionIndex: number
  /** −1 when the client cannot reach one. */
  readonly leaderId: number
  readonly leaderEpoch: number
  readonly replicaNodes: readonly number[]
  readonly isrNodes: readonly number[]
  readonly offlineReplicas: readonly number[]
}

/** A broker's address for clients of that listener. */
export interface Node {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

/** @param listenerName The listener that the client came in on. */
export function reachableBrokers({ brokers }: MetadataImage, listenerName: string): Node[] {
  const nodes: Node[] = []
  for (const { id, endpoints, rack } of brokers.values()) {
    const endpoint = endpoints.get(listenerName)
    if (endpoint !== undefined) nodes.push({ id, host: endpoint.host, port: endpoint.port, rack })
  }
  return nodes
}

/**
 * Describes a partition for a client of that listener, as Kafka's metadata cache does for the versions of Metadata.
 * @param onlyReachable Version 0 lists reachable replicas only, with REPLICA_NOT_AVAILABLE when one is missing.
 * @param tellsListener From version 6 on, a leader without the listener is LISTENER_NOT_FOUND instead of LEADER_NOT_AVAILABLE.
 */
export function partitionMetadata(
  partitionIndex: number,
  partition: PartitionImage,
  { brokers }: MetadataImage,
  { listenerName, onlyReachable, tellsListener }: { listenerName: string; onlyReachable: boolean; tellsListener: boolean },
): PartitionMetadata {
  const { leaderId, leaderEpoch, replicas, isr } = partition
  const isReachable = (id: number) => hasListener(brokers.get(id), listenerName)
  const replicaNodes = onlyReachable ? replicas.filter(isReachable) : replicas
  const isrNodes = onlyReachable ? isr.filter(isReachable) : isr
  const offlineReplicas = replicas.filter((id) => !isReachable(id) || partition.offlineReplicas.includes(id))
  const row = { partitionIndex, leaderEpoch, replicaNodes, isrNodes, offlineReplicas }
  if (!isReachable(leaderId)) {
    const { code } = brokers.has(leaderId) && tellsListener ? LISTENER_NOT_FOUND : LEADER_NOT_AVAILABLE
    return { ...row, errorCode: code, leaderId: -1 }
  }
  const isWhole = replicaNodes.length === replicas.length && isrNodes.length === isr.length
  return { ...row, errorCode: isWhole ? 0 : REPLICA_NOT_AVAILABLE.code, leaderId }
}

const hasListener = (broker: BrokerImage | undefined, listenerName: string) => broker?.endpoints.has(listenerName) === true
