import { copiedCapacity, inBuckets, javaUuidHash, numbersInOrder, uuidsInOrder } from '../java-order.ts'
import { AssignmentBuilder, type GroupAssignment, type GroupSpec } from './assignor.ts'
import { uniformHeterogeneous } from './uniform-heterogeneous.ts'

/**
 * Kafka's `uniform`: every member gets as many partitions as any other, or one more, and keeps as many as it can of what it has. Topics do
 * not matter.
 */
export const uniform = (spec: GroupSpec): GroupAssignment =>
  spec.subscriptionType === 'homogeneous' ? uniformHomogeneous(spec) : uniformHeterogeneous(spec)

/** All members subscribe to the same topics: each keeps up to its quota, and what is left fills those who have less. */
function uniformHomogeneous({ members, partitionCount, isAssigned }: GroupSpec): GroupAssignment {
  const [first] = members
  if (first === undefined || first.topicIds.size === 0) return new Map()
  const free: { topicId: string; partition: number }[] = []
  let total = 0
  for (const topicId of inBuckets(first.topicIds, javaUuidHash, copiedCapacity(first.subscribedCount))) {
    const count = partitionCount(topicId)
    for (let partition = 0; partition < count; partition++) if (!isAssigned(topicId, partition)) free.push({ topicId, partition })
    total += count
  }

  const minQuota = Math.trunc(total / members.length)
  let extras = total % members.length
  const assignments = new Map<string, AssignmentBuilder>()
  const unfilled: { assignment: AssignmentBuilder; missing: number }[] = []
  for (const [index, { memberId, assignment: old }] of members.entries()) {
    const assignment = new AssignmentBuilder(old)
    let mayTakeExtra = extras > 0
    let quota = mayTakeExtra ? minQuota + 1 : minQuota
    for (const topicId of uuidsInOrder(old.keys(), old.size)) {
      const partitions = old.get(topicId)!
      if (!first.topicIds.has(topicId)) {
        assignment.removeTopic(topicId)
        continue
      }
      if (partitions.size <= quota) {
        quota -= partitions.size
        continue
      }
      for (const partition of numbersInOrder(partitions)) {
        if (quota > 0) quota--
        else {
          assignment.remove(topicId, partition)
          free.push({ topicId, partition })
        }
      }
    }
    // It can do without the extra one as long as enough members come after it that will take one.
    if (quota > 0 && mayTakeExtra && members.length - index > extras) {
      quota--
      mayTakeExtra = false
    }
    if (quota > 0) unfilled.push({ assignment, missing: quota })
    if (mayTakeExtra) extras--
    assignments.set(memberId, assignment)
  }

  let next = 0
  for (const { assignment, missing } of unfilled) {
    for (const { topicId, partition } of free.slice(next, next + missing)) assignment.add(topicId, partition)
    next += missing
  }
  return new Map(Array.from(assignments, ([memberId, assignment]) => [memberId, assignment.build()]))
}
