import { DescribeGroups, type ResponseInput } from '@tidelog/protocol'
import { authorizedOperations } from '../authorized-operations.ts'
import { defineHandler, errorCodeOf } from '../define-handler.ts'

type Row = ResponseInput<typeof DescribeGroups>['groups'][number]

const failed = (groupId: string, errorCode: number): Row => ({
  groupId,
  errorCode,
  groupState: '',
  protocolType: '',
  protocolData: '',
  members: [],
})

/** State and members of each group; metadata and assignments only while it is stable. */
export const describeGroups = defineHandler(
  DescribeGroups,
  ({ groups, includeAuthorizedOperations }, context) => ({
    groups: groups.map((groupId) => {
      try {
        context.authorize('Describe', 'Group', groupId)
        const described = context.broker.groups.describeGroup(groupId, context)
        if (!includeAuthorizedOperations || described.errorCode !== 0) return described
        return { ...described, authorizedOperations: authorizedOperations(context, 'Group', groupId) }
      } catch (error) {
        return failed(groupId, errorCodeOf(error, context).errorCode)
      }
    }),
  }),
  { errorResponse: ({ groups }, errorCode) => ({ groups: groups.map((groupId) => failed(groupId, errorCode)) }) },
)
