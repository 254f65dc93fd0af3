/** A partition of a topic. */
export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** A committed position: the offset of the next record to read. */
export interface OffsetAndMetadata {
  readonly offset: number
  /** Epoch of the last record that was read, which lets a later reader notice that the log was truncated. KIP-320. */
  readonly leaderEpoch?: number | undefined
  /** A text of the committer's own. */
  readonly metadata?: string | undefined
}

export const partitionName = ({ topic, partition }: TopicPartition): string => `${topic}-${partition}`

export function groupByTopic<T extends TopicPartition>(partitions: Iterable<T>): Map<string, T[]> {
  const byTopic = new Map<string, T[]>()
  for (const entry of partitions) {
    const group = byTopic.get(entry.topic)
    if (group === undefined) byTopic.set(entry.topic, [entry])
    else group.push(entry)
  }
  return byTopic
}

/** Values by topic and partition; names from outside never become property names. */
export class PartitionMap<V> {
  readonly #byTopic = new Map<string, Map<number, V>>()
  #size = 0

  constructor(entries: Iterable<readonly [TopicPartition, V]> = []) {
    for (const [key, value] of entries) this.set(key, value)
  }

  get size(): number {
    return this.#size
  }

  get({ topic, partition }: TopicPartition): V | undefined {
    return this.#byTopic.get(topic)?.get(partition)
  }

  has(key: TopicPartition): boolean {
    return this.#byTopic.get(key.topic)?.has(key.partition) ?? false
  }

  set({ topic, partition }: TopicPartition, value: V): this {
    let partitions = this.#byTopic.get(topic)
    if (partitions === undefined) {
      partitions = new Map()
      this.#byTopic.set(topic, partitions)
    }
    if (!partitions.has(partition)) this.#size++
    partitions.set(partition, value)
    return this
  }

  delete({ topic, partition }: TopicPartition): boolean {
    const partitions = this.#byTopic.get(topic)
    if (!partitions?.delete(partition)) return false
    this.#size--
    if (partitions.size === 0) this.#byTopic.delete(topic)
    return true
  }

  clear(): void {
    this.#byTopic.clear()
    this.#size = 0
  }

  *keys(): Generator<TopicPartition> {
    for (const [topic, partitions] of this.#byTopic) for (const partition of partitions.keys()) yield { topic, partition }
  }

  *values(): Generator<V> {
    for (const partitions of this.#byTopic.values()) yield* partitions.values()
  }

  *entries(): Generator<[TopicPartition, V]> {
    for (const [topic, partitions] of this.#byTopic) for (const [partition, value] of partitions) yield [{ topic, partition }, value]
  }

  [Symbol.iterator](): Generator<[TopicPartition, V]> {
    return this.entries()
  }
}
