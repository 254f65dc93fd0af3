import { groupByTopic, PartitionMap, type TopicPartition } from '../../topic-partition.ts'
import type { OffsetsByTopicPartition } from './types-client.ts'

export interface CommitPolicy {
  readonly autoCommit: boolean
  /** Ms; null: by time never. */
  readonly autoCommitInterval: number | null
  /** Messages; null: by number never. */
  readonly autoCommitThreshold: number | null
}

/** How far messages of each partition are resolved, and what of that is committed. Both are the offset of the message that comes next. */
export class ResolvedOffsets {
  readonly #policy: CommitPolicy
  readonly #resolved = new PartitionMap<number>()
  readonly #committed = new PartitionMap<number>()
  #lastCommitMs: number

  constructor(policy: CommitPolicy, nowMs: number) {
    this.#policy = policy
    this.#lastCommitMs = nowMs
  }

  /** A partition is assigned, or starts anew, here. */
  start(partition: TopicPartition, offset: number): void {
    this.#resolved.delete(partition)
    this.#committed.set(partition, offset)
  }

  drop(partition: TopicPartition): void {
    this.#resolved.delete(partition)
    this.#committed.delete(partition)
  }

  /** Everything up to and including `offset` is done. */
  resolve(partition: TopicPartition, offset: number): void {
    this.#resolved.set(partition, offset + 1)
  }

  /** Where to go on; undefined: nothing is known. */
  next(partition: TopicPartition): number | undefined {
    return this.#resolved.get(partition) ?? this.#committed.get(partition)
  }

  committed(partition: TopicPartition, offset: number, nowMs: number): void {
    this.#committed.set(partition, offset)
    this.#lastCommitMs = nowMs
  }

  uncommitted(): (TopicPartition & { readonly offset: number })[] {
    return [...this.#resolved]
      .filter(([partition, offset]) => offset >= 0 && offset !== this.#committed.get(partition))
      .map(([partition, offset]) => ({ ...partition, offset }))
  }

  uncommittedByTopic(): OffsetsByTopicPartition {
    const topics = [...groupByTopic(this.uncommitted())].map(([topic, entries]) => ({
      topic,
      partitions: entries.map(({ partition, offset }) => ({ partition, offset: String(offset) })),
    }))
    return { topics }
  }

  /** Has it been long enough, or has enough been done? */
  isCommitDue(nowMs: number): boolean {
    const { autoCommitInterval, autoCommitThreshold } = this.#policy
    if (autoCommitInterval !== null && nowMs >= this.#lastCommitMs + autoCommitInterval) return true
    return autoCommitThreshold !== null && this.#countResolved() >= autoCommitThreshold
  }

  #countResolved(): number {
    let count = 0
    for (const [partition, offset] of this.#resolved) count += offset - (this.#committed.get(partition) ?? 0)
    return count
  }
}
