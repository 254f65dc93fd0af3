import { type ConsumerGroupHeartbeatRequest, KafkaError } from '@tidelog/protocol'
import type { ConsumerMember } from './consumer-member.ts'
import { sameSet } from './consumer-member.ts'
import type { ConsumerCaller } from './consumer-room.ts'

/** Member epochs of a request that mean something else. */
export const JOIN_EPOCH = 0
export const LEAVE_EPOCH = -1
/** A static member goes and means to come back. */
export const LEAVE_STATIC_EPOCH = -2

/** Keys of records hold no longer string. */
const maxNameBytes = 0x7fff

const isEmptyText = (text: string | null): boolean => text !== null && text.trim() === ''
const isTooLong = (text: string | null): boolean =>
  text !== null && text.length * 3 > maxNameBytes && Buffer.byteLength(text) > maxNameBytes

/** @throws KafkaError INVALID_REQUEST, UNSUPPORTED_ASSIGNOR: what can be said without knowing the group */
export function checkHeartbeat(request: ConsumerGroupHeartbeatRequest, apiVersion: number, assignors: readonly string[]): void {
  const { memberEpoch, memberId, groupId, instanceId, rackId, serverAssignor, subscribedTopicRegex } = request
  const invalid = (message: string) => {
    throw new KafkaError('INVALID_REQUEST', message)
  }
  // Since version 1 it is the client that makes up the member's id. KIP-1082.
  if ((apiVersion >= 1 || memberEpoch > 0 || memberEpoch === LEAVE_EPOCH) && isEmptyText(memberId)) invalid("MemberId can't be empty.")
  if (isEmptyText(groupId)) invalid("GroupId can't be empty.")
  if (isEmptyText(instanceId)) invalid("InstanceId can't be empty.")
  if (isEmptyText(rackId)) invalid("RackId can't be empty.")
  if ([groupId, memberId, subscribedTopicRegex].some(isTooLong)) invalid('A name is too long.')
  if (memberEpoch === JOIN_EPOCH) {
    if (request.rebalanceTimeoutMs === -1) invalid('RebalanceTimeoutMs must be provided in first request.')
    if (request.topicPartitions === null || request.topicPartitions.length > 0) invalid('TopicPartitions must be empty when (re-)joining.')
    if (request.subscribedTopicNames === null && subscribedTopicRegex === null) {
      invalid('Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.')
    }
  } else if (memberEpoch === LEAVE_STATIC_EPOCH) {
    if (instanceId === null) invalid("InstanceId can't be null.")
  } else if (memberEpoch < LEAVE_STATIC_EPOCH) invalid('MemberEpoch is invalid.')
  if (serverAssignor !== null && !assignors.includes(serverAssignor)) {
    const supported = assignors.join(', ')
    throw new KafkaError('UNSUPPORTED_ASSIGNOR', `ServerAssignor ${serverAssignor} is not supported. Supported assignors: ${supported}.`)
  }
}

/** The member as the request describes it; what the request leaves out stays. @returns `member` itself when nothing differs. */
export function withRequest(member: ConsumerMember, request: ConsumerGroupHeartbeatRequest, caller: ConsumerCaller): ConsumerMember {
  const { instanceId, rackId, rebalanceTimeoutMs, serverAssignor, subscribedTopicNames: names, subscribedTopicRegex } = request
  const { clientId, clientHost } = caller
  const next = {
    instanceId: instanceId ?? member.instanceId,
    rackId: rackId ?? member.rackId,
    rebalanceTimeoutMs: rebalanceTimeoutMs === -1 ? member.rebalanceTimeoutMs : rebalanceTimeoutMs,
    serverAssignor: serverAssignor ?? member.serverAssignor,
    subscribedTopicRegex: subscribedTopicRegex ?? member.subscribedTopicRegex,
  }
  const unchanged =
    next.instanceId === member.instanceId &&
    next.rackId === member.rackId &&
    next.rebalanceTimeoutMs === member.rebalanceTimeoutMs &&
    next.serverAssignor === member.serverAssignor &&
    next.subscribedTopicRegex === member.subscribedTopicRegex &&
    clientId === member.clientId &&
    clientHost === member.clientHost &&
    member.classic === null
  const topics = names === null ? member.subscribedTopicNames : new Set(names)
  const sameTopics = topics === member.subscribedTopicNames || sameSet(topics, member.subscribedTopicNames)
  if (unchanged && sameTopics) return member
  return {
    ...member,
    ...next,
    clientId,
    clientHost,
    classic: null,
    subscribedTopicNames: sameTopics ? member.subscribedTopicNames : topics,
  }
}
