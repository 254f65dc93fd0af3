import { ConsumerGroupHeartbeat, KafkaError } from '@tidelog/protocol'
import { groupCaller } from '../coordinators/group-caller.ts'
import { defineHandler } from '../define-handler.ts'

/** Level of the feature group.version from which on the consumer protocol is there. */
const consumerGroupsLevel = 1

/** A member's heartbeat: joins, subscribes, reports and leaves, and is told its partitions. Source: KIP-848. */
export const consumerGroupHeartbeat = defineHandler(
  ConsumerGroupHeartbeat,
  async (request, context) => {
    const { groups, image, config } = context.broker
    const isServed = config['group.coordinator.rebalance.protocols'].includes('consumer')
    if (!isServed || image.featureLevel('group.version') < consumerGroupsLevel) throw new KafkaError('UNSUPPORTED_VERSION')
    context.authorize('Read', 'Group', request.groupId)
    for (const topic of new Set(request.subscribedTopicNames ?? [])) context.authorize('Describe', 'Topic', topic)
    const mayDescribe = (topic: string) => context.isAuthorized('Describe', 'Topic', topic)
    return groups.consumerGroupHeartbeat(request, { ...groupCaller(context), mayDescribe })
  },
  { errorResponse: (_, errorCode, errorMessage) => ({ errorCode, errorMessage, memberEpoch: 0, heartbeatIntervalMs: 0 }) },
)
