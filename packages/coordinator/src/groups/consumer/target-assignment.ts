import { type AssignedMember, assignors, type GroupSpec } from './assignors/index.ts'
import type { ConsumerGroup, SubscriptionType } from './consumer-group.ts'
import { type Assignment, type ConsumerMember, noAssignment, regexOf, sameAssignment } from './consumer-member.ts'
import type { ConsumerRecord } from './consumer-record.ts'
import { stringsInOrder, timelineOrder } from './java-order.ts'
import type { TopicsView } from './topics.ts'

/** Names that a member subscribes to, itself and by its regular expression. */
export function subscribedNames(group: ConsumerGroup, member: ConsumerMember): ReadonlySet<string> {
  const regex = regexOf(member)
  const resolved = regex === undefined ? undefined : group.resolvedRegexes.get(regex)
  if (resolved === undefined || resolved.topics.size === 0) return member.subscribedTopicNames
  if (member.subscribedTopicNames.size === 0) return resolved.topics
  return new Set([...member.subscribedTopicNames, ...resolved.topics])
}

/**
 * A new target assignment for the group in which `updated` has taken its place.
 * @returns `records` of whatever differs from the one before, and the epoch; `own` is the part of `updated`.
 */
export function computeTarget(
  group: ConsumerGroup,
  updated: ConsumerMember,
  options: { epoch: number; nowMs: number; assignor: string; subscriptionType: SubscriptionType; topics: TopicsView },
): { records: ConsumerRecord[]; own: Assignment } {
  const { epoch, nowMs, assignor, subscriptionType, topics } = options
  const specs = new Map<string, AssignedMember>()
  for (const memberId of timelineOrder([...group.members.keys()], group.peakSize)) {
    specs.set(memberId, specOf(group, group.members.get(memberId)!, group.targetOf(memberId), topics))
  }
  const replaced = group.staticMember(updated.instanceId)
  if (replaced !== undefined && replaced.memberId !== updated.memberId) {
    specs.delete(replaced.memberId)
    specs.set(updated.memberId, specOf(group, updated, group.targetOf(replaced.memberId), topics))
  } else specs.set(updated.memberId, specOf(group, updated, group.targetOf(updated.memberId), topics))

  const memberIds = stringsInOrder([...specs.keys()])
  const spec: GroupSpec = {
    members: memberIds.map((memberId) => specs.get(memberId)!),
    subscriptionType,
    partitionCount: (topicId) => topics.byId(topicId)?.partitionCount ?? 0,
    isAssigned: (topicId, partition) => group.isTarget(topicId, partition),
  }
  const assignment = assignors.get(assignor)!(spec)
  const records: ConsumerRecord[] = []
  for (const memberId of memberIds) {
    const value = assignment.get(memberId) ?? noAssignment
    const old = group.targets.get(memberId)
    if (old !== undefined && sameAssignment(old, value)) continue
    records.push({ kind: 'consumer-target-member', group: group.id, memberId, value })
  }
  records.push({ kind: 'consumer-target', group: group.id, value: { epoch, timestampMs: nowMs } })
  return { records, own: assignment.get(updated.memberId) ?? noAssignment }
}

function specOf(group: ConsumerGroup, member: ConsumerMember, assignment: Assignment, topics: TopicsView): AssignedMember {
  const names = subscribedNames(group, member)
  const topicIds = new Set<string>()
  for (const name of names) {
    const topic = topics.byName(name)
    if (topic !== undefined) topicIds.add(topic.topicId)
  }
  return { memberId: member.memberId, instanceId: member.instanceId, topicIds, subscribedCount: names.size, assignment }
}
