import {
  DeleteGroups,
  DescribeGroups,
  errorTable,
  FindCoordinator,
  Heartbeat,
  JoinGroup,
  LeaveGroup,
  ListGroups,
  OffsetCommit,
  OffsetFetch,
  SyncGroup,
} from '@tidelog/protocol'
import { KafkaJSMemberIdRequired } from '../errors.ts'
import { errorOfCode } from '../protocol-errors.ts'
import type { GroupState } from '../types-group.ts'
import { brokerCall, checkCode, checkEach, throttled } from './broker-call.ts'
import { type CommittedTopic, committedOutcomes, committedTopics } from './committed-offsets.ts'

/** Requests about groups. */

const GROUP = 0

export interface FindCoordinatorGiven {
  groupId: string
  /** 0: of a group; 1: of a transactional id. */
  coordinatorType?: number
}

export const findCoordinatorCall = brokerCall({
  api: FindCoordinator,
  newest: 2,
  request: ({ groupId, coordinatorType = GROUP }: FindCoordinatorGiven) => ({
    key: groupId,
    keyType: coordinatorType,
    coordinatorKeys: [],
  }),
  answer: (response) => {
    const { errorCode, errorMessage, nodeId, host, port } = response
    checkCode(errorCode)
    return { ...throttled(response), errorCode, errorMessage, coordinator: { nodeId, host, port } }
  },
})

export interface JoinGroupGiven {
  groupId: string
  sessionTimeout: number
  rebalanceTimeout: number
  memberId?: string
  groupInstanceId?: string | null
  protocolType?: string
  groupProtocols: (Omit<GroupState, 'metadata'> & Partial<GroupState>)[]
}

export const joinGroupCall = brokerCall({
  api: JoinGroup,
  newest: 5,
  purpose: 'join',
  heldMs: ({ sessionTimeout, rebalanceTimeout }: JoinGroupGiven) => rebalanceTimeout || sessionTimeout,
  request: ({
    groupId,
    sessionTimeout,
    rebalanceTimeout,
    memberId = '',
    groupInstanceId = null,
    protocolType = 'consumer',
    groupProtocols,
  }) => ({
    groupId,
    sessionTimeoutMs: sessionTimeout,
    rebalanceTimeoutMs: rebalanceTimeout,
    memberId,
    groupInstanceId,
    protocolType,
    protocols: groupProtocols.map(({ name, metadata = Buffer.alloc(0) }) => ({ name, metadata })),
  }),
  answer: (response) => {
    const { errorCode, generationId, protocolName, leader, memberId, members } = response
    if (errorCode === errorTable.MEMBER_ID_REQUIRED.code) throw new KafkaJSMemberIdRequired(errorOfCode(errorCode), { memberId })
    checkCode(errorCode)
    return {
      ...throttled(response),
      errorCode,
      generationId,
      groupProtocol: protocolName,
      leaderId: leader,
      memberId,
      members: members.map(({ memberId: id, groupInstanceId, metadata }) => ({ memberId: id, groupInstanceId, memberMetadata: metadata })),
    }
  },
})

export interface SyncGroupGiven {
  groupId: string
  generationId: number
  memberId: string
  groupInstanceId?: string | null
  groupAssignment: { memberId: string; memberAssignment: Buffer }[]
}

export const syncGroupCall = brokerCall({
  api: SyncGroup,
  newest: 3,
  purpose: 'join',
  request: ({ groupId, generationId, memberId, groupInstanceId = null, groupAssignment }: SyncGroupGiven) => ({
    groupId,
    generationId,
    memberId,
    groupInstanceId,
    assignments: groupAssignment.map(({ memberId: id, memberAssignment }) => ({ memberId: id, assignment: memberAssignment })),
  }),
  answer: (response) => {
    const { errorCode, assignment } = response
    checkCode(errorCode)
    return { ...throttled(response), errorCode, memberAssignment: assignment }
  },
})

export interface HeartbeatGiven {
  groupId: string
  groupGenerationId: number
  memberId: string
  groupInstanceId?: string | null
}

export const heartbeatCall = brokerCall({
  api: Heartbeat,
  newest: 3,
  request: ({ groupId, groupGenerationId, memberId, groupInstanceId = null }: HeartbeatGiven) => ({
    groupId,
    generationId: groupGenerationId,
    memberId,
    groupInstanceId,
  }),
  answer: (response) => {
    checkCode(response.errorCode)
    return { ...throttled(response), errorCode: response.errorCode }
  },
})

export interface LeaveGroupGiven {
  groupId: string
  memberId: string
  groupInstanceId?: string | null
}

export const leaveGroupCall = brokerCall({
  api: LeaveGroup,
  newest: 3,
  request: ({ groupId, memberId, groupInstanceId = null }: LeaveGroupGiven) => ({
    groupId,
    memberId,
    members: [{ memberId, groupInstanceId }],
  }),
  answer: (response) => {
    const { errorCode, members } = response
    checkCode(errorCode)
    checkEach(members)
    return { ...throttled(response), errorCode, members }
  },
})

export interface DescribeGroupsGiven {
  groupIds: string[]
}

export const describeGroupsCall = brokerCall({
  api: DescribeGroups,
  newest: 2,
  request: ({ groupIds }: DescribeGroupsGiven) => ({ groups: groupIds, includeAuthorizedOperations: false }),
  answer: (response) => {
    checkEach(response.groups)
    return {
      ...throttled(response),
      groups: response.groups.map(({ errorCode, groupId, groupState, protocolType, protocolData, members }) => ({
        errorCode,
        groupId,
        state: groupState,
        protocolType,
        protocol: protocolData,
        members: members.map(({ memberId, clientId, clientHost, memberMetadata, memberAssignment }) => ({
          memberId,
          clientId,
          clientHost,
          memberMetadata,
          memberAssignment,
        })),
      })),
    }
  },
})

export const listGroupsCall = brokerCall({
  api: ListGroups,
  newest: 2,
  request: (_given: undefined) => ({ statesFilter: [], typesFilter: [] }),
  answer: (response) => {
    const { errorCode, groups } = response
    checkCode(errorCode)
    return { ...throttled(response), errorCode, groups: groups.map(({ groupId, protocolType }) => ({ groupId, protocolType })) }
  },
})

/** An error stands beside its group, as in kafkajs. */
export const deleteGroupsCall = brokerCall({
  api: DeleteGroups,
  newest: 1,
  request: (groupIds: string[]) => ({ groupsNames: groupIds }),
  answer: ({ throttleTimeMs, results }) => ({
    throttleTimeMs,
    throttleTime: 0,
    results: results.map(({ groupId, errorCode }) => ({
      groupId,
      errorCode,
      ...(errorCode === 0 ? {} : { error: errorOfCode(errorCode) }),
    })),
  }),
})

export interface OffsetCommitGiven {
  groupId: string
  groupGenerationId: number
  memberId: string
  topics: CommittedTopic[]
}

export const offsetCommitCall = brokerCall({
  api: OffsetCommit,
  newest: 5,
  request: ({ groupId, groupGenerationId, memberId, topics }: OffsetCommitGiven) => ({
    groupId,
    generationIdOrMemberEpoch: groupGenerationId,
    memberId,
    topics: committedTopics(topics),
  }),
  answer: (response) => ({ ...throttled(response), responses: committedOutcomes(response.topics) }),
})

export interface OffsetFetchGiven {
  groupId: string
  /** Empty: all that the group has. */
  topics: { topic: string; partitions: { partition: number }[] }[]
}

export const offsetFetchCall = brokerCall({
  api: OffsetFetch,
  newest: 4,
  request: ({ groupId, topics }: OffsetFetchGiven) => {
    const asked = topics.map(({ topic, partitions }) => ({
      name: topic,
      partitionIndexes: partitions.map(({ partition }) => Number(partition)),
    }))
    return { groupId, topics: asked.length === 0 ? null : asked, groups: [] }
  },
  answer: (response) => {
    checkCode(response.errorCode)
    for (const { partitions } of response.topics ?? []) checkEach(partitions)
    return {
      ...throttled(response),
      errorCode: response.errorCode,
      responses: (response.topics ?? []).map(({ name, partitions }) => ({
        topic: name,
        partitions: partitions.map(({ partitionIndex, committedOffset, metadata, errorCode }) => ({
          partition: partitionIndex,
          offset: String(committedOffset),
          metadata,
          errorCode,
        })),
      })),
    }
  },
})
