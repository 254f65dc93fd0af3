/** Partitions by topic. Never changed: additions make another one. */
export type PartitionsByTopic = ReadonlyMap<string, ReadonlySet<number>>

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

export const noPartitions: PartitionsByTopic = new Map()

export function withPartitions(partitions: PartitionsByTopic, added: Iterable<TopicPartition>): PartitionsByTopic {
  const all = new Map<string, Set<number>>()
  for (const [topic, indexes] of partitions) all.set(topic, new Set(indexes))
  for (const { topic, partition } of added) {
    const indexes = all.get(topic)
    if (indexes === undefined) all.set(topic, new Set([partition]))
    else indexes.add(partition)
  }
  return all
}

export function withoutPartitions(partitions: PartitionsByTopic, removed: Iterable<TopicPartition>): PartitionsByTopic {
  const left = new Map<string, Set<number>>()
  for (const [topic, indexes] of partitions) left.set(topic, new Set(indexes))
  for (const { topic, partition } of removed) {
    const indexes = left.get(topic)
    indexes?.delete(partition)
    if (indexes?.size === 0) left.delete(topic)
  }
  return left
}

export const hasPartition = (partitions: PartitionsByTopic, { topic, partition }: TopicPartition): boolean =>
  partitions.get(topic)?.has(partition) === true

export function listPartitions(partitions: PartitionsByTopic): TopicPartition[] {
  const list: TopicPartition[] = []
  for (const [topic, indexes] of partitions) for (const partition of indexes) list.push({ topic, partition })
  return list
}
