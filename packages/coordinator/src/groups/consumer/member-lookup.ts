import { KafkaError } from '@tidelog/protocol'
import type { ConsumerGroup } from './consumer-group.ts'
import type { ConsumerMember } from './consumer-member.ts'
import type { ConsumerRecord } from './consumer-record.ts'
import { currentRecord, memberRecord, memberTombstones, targetRecord } from './records.ts'

export const unknownMember = (group: ConsumerGroup, memberId: string): KafkaError =>
  new KafkaError('UNKNOWN_MEMBER_ID', `Member ${memberId} is not a member of group ${group.id}.`)

/** The static member that a request speaks for. @throws KafkaError UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID */
export function knownInstance(group: ConsumerGroup, memberId: string, instanceId: string): ConsumerMember {
  const member = group.staticMember(instanceId)
  if (member === undefined) throw new KafkaError('UNKNOWN_MEMBER_ID', `Instance id ${instanceId} is unknown.`)
  if (member.memberId !== memberId) {
    throw new KafkaError(
      'FENCED_INSTANCE_ID',
      `Static member ${memberId} with instance id ${instanceId} was fenced by member ${member.memberId}.`,
    )
  }
  return member
}

/** The member that a request speaks for, static or not. @throws KafkaError UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID */
export function knownMember(group: ConsumerGroup, memberId: string, instanceId: string | null): ConsumerMember {
  if (instanceId !== null) return knownInstance(group, memberId, instanceId)
  const member = group.members.get(memberId)
  if (member === undefined) throw unknownMember(group, memberId)
  return member
}

/** A static member has come back, under another id or its own: it takes over what it had. @returns It, as `records` leave it */
export function takeOver(group: ConsumerGroup, existing: ConsumerMember, memberId: string, records: ConsumerRecord[]): ConsumerMember {
  const member: ConsumerMember = { ...existing, memberId, memberEpoch: 0, previousMemberEpoch: 0 }
  records.push(
    ...memberTombstones(group.id, existing.memberId),
    memberRecord(group.id, member),
    targetRecord(group.id, memberId, group.targetOf(existing.memberId)),
    currentRecord(group.id, member),
  )
  return member
}
