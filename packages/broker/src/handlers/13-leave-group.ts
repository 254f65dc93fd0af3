import { LeaveGroup } from '@tidelog/protocol'
import { defineHandler } from '../define-handler.ts'

/** From here on a request names several members. Source: KIP-345. */
const membersVersion = 3

/** Takes members out of their group; each has an error of its own. */
export const leaveGroup = defineHandler(
  LeaveGroup,
  async (request, context) => {
    const { groupId, memberId } = request
    context.authorize('Read', 'Group', groupId)
    if (context.apiVersion >= membersVersion) return context.broker.groups.leaveGroup(request)
    const members = [{ memberId, groupInstanceId: null, reason: null }]
    const { errorCode, members: left } = await context.broker.groups.leaveGroup({ groupId, members })
    return { errorCode: errorCode === 0 ? (left[0]?.errorCode ?? 0) : errorCode, members: [] }
  },
  { errorResponse: (_, errorCode) => ({ errorCode, members: [] }) },
)
