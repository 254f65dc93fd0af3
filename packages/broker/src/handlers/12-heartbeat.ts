import { Heartbeat, KafkaError } from '@tidelog/protocol'
import { defineHandler } from '../define-handler.ts'

/** Tells a member whether it may go on. While groups are being loaded, it may: an error would make it rejoin for nothing. */
export const heartbeat = defineHandler(Heartbeat, (request, context) => {
  context.authorize('Read', 'Group', request.groupId)
  try {
    return context.broker.groups.heartbeat(request)
  } catch (error) {
    if (error instanceof KafkaError && error.errorName === 'COORDINATOR_LOAD_IN_PROGRESS') return { errorCode: 0 }
    throw error
  }
})
