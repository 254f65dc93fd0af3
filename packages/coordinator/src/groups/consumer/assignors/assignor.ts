import type { SubscriptionType } from '../consumer-group.ts'
import type { Assignment } from '../consumer-member.ts'

export interface AssignedMember {
  readonly memberId: string
  readonly instanceId: string | null
  /** Ids of existing topics, in no particular order. */
  readonly topicIds: ReadonlySet<string>
  /** Names that it subscribes to, existing or not. */
  readonly subscribedCount: number
  /** What it has in the target assignment up to now. */
  readonly assignment: Assignment
}

/** What an assignor knows of a group. */
export interface GroupSpec {
  /** In the order in which Kafka goes through them. */
  readonly members: readonly AssignedMember[]
  readonly subscriptionType: SubscriptionType
  /** Of a topic that a member subscribes to. */
  partitionCount(topicId: string): number
  /** Has the partition an owner in the target assignment up to now? */
  isAssigned(topicId: string, partition: number): boolean
}

/** By member id; a member that gets nothing may be missing. */
export type GroupAssignment = ReadonlyMap<string, Assignment>

/** Decides who is to have which partition: each partition of a topic that anyone subscribes to goes to one member that does. */
export type Assignor = (spec: GroupSpec) => GroupAssignment

/** An assignment that is being put together; the one it began with stays as it is. */
export class AssignmentBuilder {
  #topics: Map<string, Set<number>>

  constructor(assignment: Assignment) {
    this.#topics = new Map(Array.from(assignment, ([topicId, partitions]) => [topicId, new Set(partitions)]))
  }

  add(topicId: string, partition: number): void {
    const partitions = this.#topics.get(topicId)
    if (partitions === undefined) this.#topics.set(topicId, new Set([partition]))
    else partitions.add(partition)
  }

  remove(topicId: string, partition: number): void {
    const partitions = this.#topics.get(topicId)
    partitions?.delete(partition)
    if (partitions?.size === 0) this.#topics.delete(topicId)
  }

  removeTopic(topicId: string): void {
    this.#topics.delete(topicId)
  }

  build(): Assignment {
    return this.#topics
  }
}
