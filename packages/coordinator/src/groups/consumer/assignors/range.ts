import type { Assignment } from '../consumer-member.ts'
import type { AssignedMember, GroupAssignment, GroupSpec } from './assignor.ts'

/** How a topic's partitions are dealt out: in a row, those who come first get one more when they do not divide evenly. */
class TopicDeal {
  readonly #count: number
  readonly #quota: number
  #extra: number
  #next = 0

  constructor(partitionCount: number, subscribersCount: number) {
    this.#count = partitionCount
    this.#quota = Math.trunc(partitionCount / subscribersCount)
    this.#extra = partitionCount % subscribersCount
  }

  take(): Set<number> {
    const size = this.#extra-- > 0 ? this.#quota + 1 : this.#quota
    const start = this.#next
    this.#next = Math.min(start + size, this.#count)
    return new Set(Array.from({ length: this.#next - start }, (_, i) => start + i))
  }
}

/**
 * Kafka's `range`: each topic by itself in one run of partitions a member, in the order of instance ids and then member ids, so that members
 * that have the same place in topics of the same size get partitions with the same numbers: such topics can be joined.
 */
export function range({ members, partitionCount }: GroupSpec): GroupAssignment {
  const subscribers = new Map<string, number>()
  for (const { topicIds } of members) for (const topicId of topicIds) subscribers.set(topicId, (subscribers.get(topicId) ?? 0) + 1)
  const deals = new Map(Array.from(subscribers, ([topicId, count]) => [topicId, new TopicDeal(partitionCount(topicId), count)]))
  const assignments = new Map<string, Assignment>()
  for (const { memberId, topicIds } of [...members].sort(byPlace)) {
    const assignment = new Map<string, Set<number>>()
    for (const topicId of topicIds) {
      const partitions = deals.get(topicId)!.take()
      if (partitions.size > 0) assignment.set(topicId, partitions)
    }
    assignments.set(memberId, assignment)
  }
  return assignments
}

/** Static members first: a restart does not move them. */
function byPlace(a: AssignedMember, b: AssignedMember): number {
  if (a.instanceId !== null && b.instanceId !== null) return compare(a.instanceId, b.instanceId)
  if (a.instanceId !== null) return -1
  if (b.instanceId !== null) return 1
  return compare(a.memberId, b.memberId)
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
