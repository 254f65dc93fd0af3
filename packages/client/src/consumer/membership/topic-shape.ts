import { errorTable } from '@tidelog/protocol'
import type { MetadataCache, PartitionInfo } from '../../cluster/metadata-cache.ts'

/** The shape of a topic that does not exist. */
export const MISSING_TOPIC = ''

/**
 * What an assignment of a topic's partitions depends on: how many there are and, for a consumer that has a rack, where their replicas are
 * (KIP-881). Two equal texts are the same. undefined: the last answer about it did not say, as while a leader is being elected.
 */
export function topicShape(metadata: MetadataCache, topic: string, clientRack: string): string | undefined {
  const partitions = metadata.topic(topic)?.partitions
  if (partitions === undefined) {
    const code = metadata.errorOf(topic)
    return code === 0 || code === errorTable.UNKNOWN_TOPIC_OR_PARTITION.code ? MISSING_TOPIC : undefined
  }
  if (clientRack === '') return String(partitions.length)
  return partitions.map((info) => [...racksOf(metadata, info)].sort().join(',')).join(';')
}

/** Racks of the brokers that have the partition's replicas. */
export function racksOf({ brokers }: MetadataCache, { replicas }: PartitionInfo): ReadonlySet<string> {
  const racks = new Set<string>()
  for (const nodeId of replicas) {
    const rack = brokers.get(nodeId)?.rack
    if (rack) racks.add(rack)
  }
  return racks
}
