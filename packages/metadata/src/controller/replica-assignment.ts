import type { Random } from '@tidelog/core'
import { KafkaError } from '@tidelog/protocol'

/**
 * Spreads replicas over brokers: leaders go round from a random broker on, the other replicas of a partition follow at a distance that grows
 * each time the round is complete, so that a broker's load falls to all the others when it fails. Racks are not looked at.
 * @param firstPartition Index of the first new partition; existing partitions of the topic lie below it.
 * @returns Broker ids by new partition, the preferred leader first.
 * @throws KafkaError INVALID_REPLICATION_FACTOR Source: Kafka's AdminUtils.assignReplicasToBrokers; the message is Kafka 4.3's
 */
export function assignReplicas({
  brokerIds,
  partitions,
  replicationFactor,
  firstPartition = 0,
  random,
}: {
  brokerIds: readonly number[]
  partitions: number
  replicationFactor: number
  firstPartition?: number
  random: Random
}): number[][] {
  const count = brokerIds.length
  if (count === 0) {
    const reason = 'All brokers are currently fenced, or have all their log directories cordoned.'
    throw new KafkaError('INVALID_REPLICATION_FACTOR', cannotReplicate(replicationFactor, reason))
  }
  if (replicationFactor > count) {
    const reason =
      `The target replication factor of ${replicationFactor} cannot be reached because only ${count} broker(s) are registered ` +
      'or some brokers have all their log directories cordoned.'
    throw new KafkaError('INVALID_REPLICATION_FACTOR', cannotReplicate(replicationFactor, reason))
  }
  const sorted = [...brokerIds].sort((a, b) => a - b)
  const start = random.int(count)
  let distance = random.int(count)
  const assignments: number[][] = []
  for (let partition = firstPartition; partition < firstPartition + partitions; partition++) {
    if (partition > 0 && partition % count === 0) distance += 1
    const leader = (partition + start) % count
    const replicas = [sorted[leader]!]
    for (let follower = 0; follower < replicationFactor - 1; follower++) {
      replicas.push(sorted[(leader + 1 + ((distance + follower) % (count - 1))) % count]!)
    }
    assignments.push(replicas)
  }
  return assignments
}

const cannotReplicate = (replicationFactor: number, reason: string) =>
  `Unable to replicate the partition ${replicationFactor} time(s): ${reason}`

/**
 * Checks one partition's replicas as a user wrote them.
 * @param replicationFactor What the topic's other partitions have, if there are any.
 * @throws KafkaError INVALID_REPLICA_ASSIGNMENT
 */
export function checkManualAssignment(
  replicas: readonly number[],
  { isRegistered, replicationFactor }: { isRegistered: (brokerId: number) => boolean; replicationFactor: number | undefined },
): void {
  const refuse = (reason: string): never => {
    throw new KafkaError('INVALID_REPLICA_ASSIGNMENT', `The manual partition assignment includes ${reason}`)
  }
  if (replicas.length === 0) refuse('an empty replica list.')
  const sorted = [...replicas].sort((a, b) => a - b)
  for (const [index, brokerId] of sorted.entries()) {
    if (!isRegistered(brokerId)) refuse(`broker ${brokerId}, but no such broker is registered.`)
    if (index > 0 && sorted[index - 1] === brokerId) refuse(`the broker ${brokerId} more than once.`)
  }
  if (replicationFactor !== undefined && replicas.length !== replicationFactor) {
    refuse(
      `a partition with ${replicas.length} replica(s), but this is not consistent with previous partitions, which have ${replicationFactor} replica(s).`,
    )
  }
}
