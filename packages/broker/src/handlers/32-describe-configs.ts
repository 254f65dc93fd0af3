import { DescribeConfigs, type DescribeConfigsRequest, KafkaError, type ResponseInput } from '@tidelog/protocol'
import type { ConfigResource } from '../config/config-service.ts'
import { ConfigResourceType } from '../config/config-service.ts'
import type { DescribedConfig } from '../config/describe-configs.ts'
import { defineHandler, errorCodeOf } from '../define-handler.ts'
import type { RequestContext } from '../request-context.ts'

type Result = ResponseInput<typeof DescribeConfigs>['results'][number]

/** Configurations in one response at most, some 30,000 topics: a short request cannot ask for gigabytes by naming a resource over and over. */
const MAX_CONFIGS = 1_000_000

/** Configurations of topics and brokers with their sources and synonyms. A resource that fails has its error, its neighbours answer. */
export const describeConfigs = defineHandler(
  DescribeConfigs,
  (request, context) => {
    let left = MAX_CONFIGS
    const results = request.resources.map((wanted): Result => {
      const { resourceType, resourceName } = wanted
      try {
        const configs = describe(wanted, request, context)
        left -= configs.length
        if (left < 0) throw new KafkaError('INVALID_REQUEST', `more than ${MAX_CONFIGS} configurations are asked for in one request`)
        return { errorCode: 0, errorMessage: '', resourceType, resourceName, configs }
      } catch (error) {
        return { ...errorCodeOf(error, context), resourceType, resourceName, configs: [] }
      }
    })
    return { results }
  },
  {
    errorResponse: ({ resources }, errorCode, errorMessage) => ({
      results: resources.map(({ resourceType, resourceName }) => ({ errorCode, errorMessage, resourceType, resourceName, configs: [] })),
    }),
  },
)

function describe(
  { resourceType: type, resourceName: name, configurationKeys: keys }: DescribeConfigsRequest['resources'][number],
  { includeSynonyms, includeDocumentation }: DescribeConfigsRequest,
  context: RequestContext,
): DescribedConfig[] {
  authorizeDescribe({ type, name }, context)
  const wanted = keys === null || keys.length === 0 ? undefined : new Set(keys)
  const configs = context.broker.configs.describe({ type, name }).filter((config) => wanted === undefined || wanted.has(config.name))
  return configs.map((config) => ({
    ...config,
    synonyms: includeSynonyms ? config.synonyms : [],
    documentation: includeDocumentation ? config.documentation : null,
  }))
}

/** @throws KafkaError TOPIC_, GROUP_ or CLUSTER_AUTHORIZATION_FAILED */
function authorizeDescribe({ type, name }: ConfigResource, context: RequestContext): void {
  if (type === ConfigResourceType.topic) context.authorize('DescribeConfigs', 'Topic', name)
  else if (type === ConfigResourceType.group) context.authorize('DescribeConfigs', 'Group', name)
  else context.authorize('DescribeConfigs', 'Cluster', 'kafka-cluster')
}
