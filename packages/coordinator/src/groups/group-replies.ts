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
