import { KafkaError, ListConfigResources } from '@tidelog/protocol'
import { ConfigResourceType } from '../config/config-service.ts'
import { defineHandler } from '../define-handler.ts'

const { topic, broker, brokerLogger, clientMetrics, group } = ConfigResourceType
const known: readonly number[] = [group, clientMetrics, brokerLogger, broker, topic]

/**
 * Names the resources that can have dynamic configurations, of groups those that have some. Version 0 asks for client metrics alone; these
 * and loggers have none yet, so they are empty. KIP-714, KIP-1142.
 */
export const listConfigResources = defineHandler(
  ListConfigResources,
  ({ resourceTypes }, context) => {
    context.authorize('DescribeConfigs', 'Cluster', 'kafka-cluster')
    const asked = context.apiVersion === 0 ? [clientMetrics] : resourceTypes
    if (asked.some((type) => !known.includes(type))) throw new KafkaError('UNSUPPORTED_VERSION', 'Unsupported config resource type')
    const wanted = new Set(asked.length === 0 ? known : asked)
    const { image } = context.broker
    const brokers = wanted.has(broker) ? [...image.brokers.keys()].map(String) : []
    const groups = wanted.has(group) ? context.broker.configs.groupsWithConfigs().sort() : []
    const topics = wanted.has(topic) ? [...image.topics.keys()].sort() : []
    return {
      errorCode: 0,
      configResources: [
        ...groups.map((resourceName) => ({ resourceName, resourceType: group })),
        ...brokers.map((resourceName) => ({ resourceName, resourceType: broker })),
        ...topics.map((resourceName) => ({ resourceName, resourceType: topic })),
      ],
    }
  },
  { errorResponse: (_request, errorCode) => ({ errorCode, configResources: [] }) },
)
