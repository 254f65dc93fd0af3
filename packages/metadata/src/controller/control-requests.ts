import type { LeaderAndIsrRequest, StopReplicaRequest, UpdateMetadataRequest } from '@tidelog/protocol'
import { SECURITY_PROTOCOL_CODES } from '../znodes.ts'
import { type ClusterState, NO_LEADER, type PartitionState, type TopicState } from './cluster-state.ts'

/** As a leader, says that the partition is being deleted. Source: kafka.api.LeaderAndIsr.LeaderDuringDelete. */
export const LEADER_DURING_DELETE = -2
/** StopReplica's leader epoch for a topic that is being deleted: above every other. Source: LeaderAndIsr.EpochDuringDelete. */
const EPOCH_DURING_DELETE = -2

export interface Sender {
  readonly controllerId: number
  readonly controllerEpoch: number
}

const from = ({ controllerId, controllerEpoch }: Sender) => ({ controllerId, isKRaftController: false, controllerEpoch })

export interface ChangedPartition {
  readonly topic: TopicState
  readonly index: number
  /** Never led before: brokers create it rather than look for it. */
  readonly isNew: boolean
}

/** Groups rows by topic, in the order in which topics come up. */
function byTopic<Row>(changed: readonly ChangedPartition[], rowOf: (partition: ChangedPartition, state: PartitionState) => Row) {
  const topics = new Map<string, { topicName: string; topicId: string; partitionStates: Row[] }>()
  for (const partition of changed) {
    const { name, topicId, partitions } = partition.topic
    let topic = topics.get(name)
    if (topic === undefined) {
      topic = { topicName: name, topicId, partitionStates: [] }
      topics.set(name, topic)
    }
    topic.partitionStates.push(rowOf(partition, partitions.get(partition.index)!))
  }
  return [...topics.values()]
}

/** Tells one broker which of `changed` it leads or follows; undefined when it has no replica of any. */
export function leaderAndIsrRequest(
  brokerId: number,
  changed: readonly ChangedPartition[],
  state: ClusterState,
  sender: Sender,
): LeaderAndIsrRequest | undefined {
  const hosted = changed.filter(({ topic, index }) => {
    const partition = topic.partitions.get(index)
    return partition?.leadership !== undefined && partition.replicas.includes(brokerId)
  })
  const broker = state.brokers.get(brokerId)
  if (hosted.length === 0 || broker === undefined) return undefined
  const leaders = new Set(hosted.map(({ topic, index }) => topic.partitions.get(index)!.leadership!.leader))
  return {
    ...from(sender),
    brokerEpoch: broker.brokerEpoch,
    // Incremental: says nothing of partitions that are not in it.
    type: 1,
    ungroupedPartitionStates: [],
    topicStates: byTopic(hosted, ({ topic, index, isNew }, { leadership, replicas, addingReplicas, removingReplicas }) => ({
      topicName: topic.name,
      partitionIndex: index,
      controllerEpoch: leadership!.controllerEpoch,
      leader: leadership!.leader,
      leaderEpoch: leadership!.leaderEpoch,
      isr: [...leadership!.isr],
      partitionEpoch: leadership!.partitionEpoch,
      replicas: [...replicas],
      addingReplicas: [...addingReplicas],
      removingReplicas: [...removingReplicas],
      isNew,
      leaderRecoveryState: 0,
    })),
    liveLeaders: [...leaders].flatMap((id) => {
      const endpoint = state.brokers.get(id)?.endpoints[0]
      return endpoint === undefined ? [] : { brokerId: id, hostName: endpoint.host, port: endpoint.port }
    }),
  }
}

/** Tells one broker who is alive and what has become of `changed`. */
export function updateMetadataRequest(
  brokerId: number,
  changed: readonly ChangedPartition[],
  state: ClusterState,
  sender: Sender,
): UpdateMetadataRequest {
  return {
    ...from(sender),
    brokerEpoch: state.brokers.get(brokerId)?.brokerEpoch ?? -1,
    type: 1,
    ungroupedPartitionStates: [],
    topicStates: byTopic(changed, ({ topic, index }, { leadership, replicas }) => ({
      topicName: topic.name,
      partitionIndex: index,
      controllerEpoch: leadership?.controllerEpoch ?? sender.controllerEpoch,
      leader: state.deleting.has(topic.name) ? LEADER_DURING_DELETE : (leadership?.leader ?? NO_LEADER),
      leaderEpoch: leadership?.leaderEpoch ?? 0,
      isr: [...(leadership?.isr ?? [])],
      zkVersion: leadership?.partitionEpoch ?? 0,
      replicas: [...replicas],
      offlineReplicas: replicas.filter((id) => !state.brokersFor(topic.name, index).has(id)),
    })),
    liveBrokers: [...state.brokers.values()].map(({ id, endpoints, rack }) => ({
      id,
      // Of version 0, which knew one listener.
      v0Host: '',
      v0Port: 0,
      endpoints: endpoints.map(({ listener, host, port, securityProtocol }) => ({
        listener,
        host,
        port,
        securityProtocol: SECURITY_PROTOCOL_CODES[securityProtocol],
      })),
      rack,
    })),
  }
}

/** Tells one broker to delete its replicas of a topic; undefined when it has none. */
export function deleteReplicasRequest(
  brokerId: number,
  { name, partitions }: TopicState,
  state: ClusterState,
  sender: Sender,
): StopReplicaRequest | undefined {
  const hosted = [...partitions].filter(([, { replicas }]) => replicas.includes(brokerId)).map(([index]) => index)
  if (hosted.length === 0) return undefined
  return {
    ...from(sender),
    brokerEpoch: state.brokers.get(brokerId)?.brokerEpoch ?? -1,
    deletePartitions: true,
    ungroupedPartitions: [],
    topics: [],
    topicStates: [
      {
        topicName: name,
        partitionStates: hosted.map((partitionIndex) => ({ partitionIndex, leaderEpoch: EPOCH_DURING_DELETE, deletePartition: true })),
      },
    ],
  }
}
