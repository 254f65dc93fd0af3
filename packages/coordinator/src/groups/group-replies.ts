import { type ErrorName, errorTable, type JoinGroupResponse, type SyncGroupResponse } from '@tidelog/protocol'
import type { ClassicGroup, GroupMember } from './classic/classic-group.ts'

const noBytes = Buffer.alloc(0)

export const codeOf = (error: ErrorName): number => errorTable[error].code

/** Who sent a request, as far as a group cares. */
export interface Caller {
  readonly apiVersion: number
  readonly clientId: string
  /** `/` and the peer's address: Java's text of it, which tools show. */
  readonly clientHost: string
}

/** The error that clients are told when records of a group could not be appended. Source: Kafka's group coordinator. */
export function appendErrorToReply(failure: ErrorName): ErrorName {
  switch (failure) {
    case 'UNKNOWN_TOPIC_OR_PARTITION':
    case 'NOT_ENOUGH_REPLICAS':
    case 'NOT_ENOUGH_REPLICAS_AFTER_APPEND':
    case 'REQUEST_TIMED_OUT':
      return 'COORDINATOR_NOT_AVAILABLE'
    case 'NOT_LEADER_OR_FOLLOWER':
    case 'KAFKA_STORAGE_ERROR':
      return 'NOT_COORDINATOR'
    case 'MESSAGE_TOO_LARGE':
    case 'RECORD_LIST_TOO_LARGE':
    case 'INVALID_FETCH_SIZE':
      return 'UNKNOWN_SERVER_ERROR'
    default:
      return failure
  }
}

export const joinError = (memberId: string, error: ErrorName): JoinGroupResponse => ({
  throttleTimeMs: 0,
  errorCode: codeOf(error),
  generationId: -1,
  protocolType: null,
  protocolName: null,
  leader: '',
  skipAssignment: false,
  memberId,
  members: [],
})

export const syncError = (error: ErrorName): SyncGroupResponse => ({
  throttleTimeMs: 0,
  errorCode: codeOf(error),
  protocolType: null,
  protocolName: null,
  assignment: noBytes,
})

export const syncReply = (group: ClassicGroup, member: GroupMember): SyncGroupResponse => ({
  throttleTimeMs: 0,
  errorCode: 0,
  protocolType: group.protocolType ?? null,
  protocolName: group.protocolName ?? null,
  assignment: member.assignment as Buffer,
})

/** The leader also learns what every member sent. */
export const joinReply = (group: ClassicGroup, member: GroupMember): JoinGroupResponse => ({
  throttleTimeMs: 0,
  errorCode: 0,
  generationId: group.generation,
  protocolType: group.protocolType ?? null,
  protocolName: group.protocolName ?? null,
  leader: group.leaderId ?? '',
  skipAssignment: false,
  memberId: member.memberId,
  members: group.isLeader(member.memberId)
    ? Array.from(group.members.values(), (each) => ({
        memberId: each.memberId,
        groupInstanceId: each.groupInstanceId,
        metadata: group.metadataOf(each) as Buffer,
      }))
    : [],
})
