import { JoinGroup, type ResponseInput } from '@tidelog/protocol'
import { groupCaller } from '../coordinators/group-caller.ts'
import { defineHandler } from '../define-handler.ts'

/** From here on a reply without a protocol may say so. Source: KIP-559. */
const nullProtocolVersion = 7

/** Answers when the join phase ends, which may take as long as the members' rebalance timeout. */
export const joinGroup = defineHandler(
  JoinGroup,
  async (request, context) => {
    context.authorize('Read', 'Group', request.groupId)
    const response = await context.broker.groups.joinGroup(request, groupCaller(context))
    return { ...response, protocolName: protocolName(response.protocolName, context.apiVersion) }
  },
  {
    errorResponse: ({ memberId }, errorCode, _, apiVersion): ResponseInput<typeof JoinGroup> => ({
      errorCode,
      protocolName: protocolName(null, apiVersion),
      leader: '',
      memberId,
      members: [],
    }),
  },
)

const protocolName = (name: string | null, apiVersion: number): string | null => (apiVersion < nullProtocolVersion ? (name ?? '') : name)
