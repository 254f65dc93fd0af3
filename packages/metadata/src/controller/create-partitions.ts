import type { Random } from '@tidelog/core'
import { KafkaError } from '@tidelog/protocol'
import type { ClusterState } from './cluster-state.ts'
import { MAX_PARTITIONS_PER_REQUEST, tooManyPartitions } from './create-topics.ts'
import { assignReplicas, checkManualAssignment } from './replica-assignment.ts'

export interface NewPartitions {
  readonly name: string
  /** How many partitions the topic has afterwards. */
  readonly count: number
  /** Replicas of the new partitions in order; null to let the cluster choose. */
  readonly assignments: readonly { readonly brokerIds: readonly number[] }[] | null
}

/** One topic of a request: the replicas of its new partitions by index, or why there are none. */
export type PartitionsPlan =
  | { readonly name: string; readonly replicas: ReadonlyMap<number, readonly number[]> }
  | { readonly name: string; readonly error: KafkaError }

/**
 * Decides what a CreatePartitions request adds; touches nothing.
 * @throws KafkaError POLICY_VIOLATION for the request as a whole, before anything is allocated for its partitions
 */
export function planPartitions(requests: readonly NewPartitions[], state: ClusterState, { random }: { random: Random }): PartitionsPlan[] {
  let added = 0
  for (const { name, count } of requests) {
    added += Math.max(0, count - (state.topics.get(name)?.partitions.size ?? 0))
    if (added > MAX_PARTITIONS_PER_REQUEST) throw tooManyPartitions()
  }
  const seen = new Map<string, number>()
  for (const { name } of requests) seen.set(name, (seen.get(name) ?? 0) + 1)
  const plans: PartitionsPlan[] = []
  for (const request of requests) {
    const { name } = request
    const times = seen.get(name)!
    if (times === 0) continue
    seen.set(name, 0)
    try {
      if (times > 1) throw new KafkaError('INVALID_REQUEST', 'Duplicate topic name.')
      plans.push({ name, replicas: planOne(request, state, random) })
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      plans.push({ name, error })
    }
  }
  return plans
}

function planOne({ name, count, assignments }: NewPartitions, state: ClusterState, random: Random): Map<number, readonly number[]> {
  const topic = state.topics.get(name)
  if (topic === undefined || state.deleting.has(name)) {
    // Kafka gives no message here.
    throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', '')
  }
  const existing = topic.partitions.size
  if (count === existing) throw new KafkaError('INVALID_PARTITIONS', `Topic already has ${existing} partition(s).`)
  if (count < existing) {
    throw new KafkaError(
      'INVALID_PARTITIONS',
      `The topic ${name} currently has ${existing} partition(s); ${count} would not be an increase.`,
    )
  }
  const added = count - existing
  const replicationFactor = topic.partitions.values().next().value?.replicas.length ?? 1
  if (assignments === null) {
    const spread = assignReplicas({
      brokerIds: state.brokersForNewReplicas,
      partitions: added,
      replicationFactor,
      firstPartition: existing,
      random,
    })
    return new Map(spread.map((replicas, index) => [existing + index, replicas]))
  }
  if (assignments.length !== added) {
    throw new KafkaError(
      'INVALID_REPLICA_ASSIGNMENT',
      `Attempted to add ${added} additional partition(s), but only ${assignments.length} assignment(s) were specified.`,
    )
  }
  for (const { brokerIds } of assignments) {
    checkManualAssignment(brokerIds, { isRegistered: (id) => state.isLive(id), replicationFactor })
  }
  return new Map(assignments.map(({ brokerIds }, index) => [existing + index, brokerIds]))
}
