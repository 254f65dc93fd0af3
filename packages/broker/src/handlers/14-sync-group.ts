import { KafkaError, SyncGroup } from '@tidelog/protocol'
import { defineHandler } from '../define-handler.ts'

/** From here on a member must name the protocol it believes in. Source: KIP-559. */
const protocolVersion = 5

const noAssignment = Buffer.alloc(0)

/** Answers when the leader's assignment lies in the log. */
export const syncGroup = defineHandler(
  SyncGroup,
  async (request, context) => {
    context.authorize('Read', 'Group', request.groupId)
    if (context.apiVersion >= protocolVersion && (request.protocolType === null || request.protocolName === null)) {
      throw new KafkaError('INCONSISTENT_GROUP_PROTOCOL', 'the protocol type or name is missing')
    }
    return context.broker.groups.syncGroup(request)
  },
  { errorResponse: (_, errorCode) => ({ errorCode, assignment: noAssignment }) },
)
