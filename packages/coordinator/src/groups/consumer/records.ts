import type { Assignment, ConsumerMember } from './consumer-member.ts'
import type { ConsumerRecord } from './consumer-record.ts'

/** What is written of a member: the parts of it by record. */
export function memberRecord(group: string, member: ConsumerMember): ConsumerRecord {
  const { memberId, instanceId, rackId, clientId, clientHost, subscribedTopicNames, subscribedTopicRegex } = member
  const { rebalanceTimeoutMs, serverAssignor, classic } = member
  const client = { instanceId, rackId, clientId, clientHost }
  const value = { ...client, subscribedTopicNames, subscribedTopicRegex, rebalanceTimeoutMs, serverAssignor, classic }
  return { kind: 'consumer-member', group, memberId, value }
}

export function currentRecord(group: string, member: ConsumerMember): ConsumerRecord {
  const { memberId, memberEpoch, previousMemberEpoch, state, assigned, pendingRevocation } = member
  const value = { memberEpoch, previousMemberEpoch, state, assigned, pendingRevocation }
  return { kind: 'consumer-current', group, memberId, value }
}

export const targetRecord = (group: string, memberId: string, value: Assignment): ConsumerRecord => ({
  kind: 'consumer-target-member',
  group,
  memberId,
  value,
})

export const memberTombstones = (group: string, memberId: string): ConsumerRecord[] => [
  { kind: 'consumer-current', group, memberId, value: null },
  { kind: 'consumer-target-member', group, memberId, value: null },
  { kind: 'consumer-member', group, memberId, value: null },
]
