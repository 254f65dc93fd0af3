import { ConsumerGroupDescribe, KafkaError, type ResponseInput } from '@tidelog/protocol'
import { authorizedOperations } from '../authorized-operations.ts'
import { defineHandler, errorCodeOf } from '../define-handler.ts'
import type { RequestContext } from '../request-context.ts'

type Row = ResponseInput<typeof ConsumerGroupDescribe>['groups'][number]

const failed = (groupId: string, errorCode: number, errorMessage: string | null): Row => ({
  errorCode,
  errorMessage,
  groupId,
  groupState: '',
  groupEpoch: 0,
  assignmentEpoch: 0,
  assignorName: '',
  members: [],
})

/** State, members and assignments of groups of the consumer protocol, as far as the caller may know of their topics. */
export const consumerGroupDescribe = defineHandler(
  ConsumerGroupDescribe,
  ({ groupIds, includeAuthorizedOperations }, context) => ({
    groups: groupIds.map((groupId) => describe(groupId, includeAuthorizedOperations, context)),
  }),
  { errorResponse: ({ groupIds }, errorCode, message) => ({ groups: groupIds.map((groupId) => failed(groupId, errorCode, message)) }) },
)

function describe(groupId: string, includeAuthorizedOperations: boolean, context: RequestContext): Row {
  try {
    context.authorize('Describe', 'Group', groupId)
    const described = context.broker.groups.describeConsumerGroup(groupId)
    const topics = new Set(
      described.members.flatMap(({ subscribedTopicNames, assignment, targetAssignment }) => [
        ...subscribedTopicNames,
        ...[...assignment.topicPartitions, ...targetAssignment.topicPartitions].map(({ topicName }) => topicName),
      ]),
    )
    if ([...topics].some((topic) => !context.isAuthorized('Describe', 'Topic', topic))) {
      throw new KafkaError('TOPIC_AUTHORIZATION_FAILED', 'The group has described topic(s) that the client is not authorized to describe.')
    }
    if (!includeAuthorizedOperations) return described
    return { ...described, authorizedOperations: authorizedOperations(context, 'Group', groupId) }
  } catch (error) {
    const { errorCode } = errorCodeOf(error, context)
    return failed(groupId, errorCode, error instanceof KafkaError ? error.message : null)
  }
}
