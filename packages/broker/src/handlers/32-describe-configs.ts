import { DescribeConfigs, type DescribeConfigsRequest, KafkaError, type ResponseInput } from '@tidelog/protocol'
import type { ConfigResource } from '../config/config-service.ts'
import { ConfigResourceType } from '../config/config-service.ts'
import type { DescribedConfig } from '../config/describe-configs.ts'
import { defineHandler, errorCodeOf } from '../define-handler.ts'
import type { RequestContext } from '../request-context.ts'

type Result = ResponseInput<typeof DescribeConfigs>['results'][number]

/** Configurations in one response at most, some 30,000 topics: a short request cannot ask for gigabytes. */
const MAX_CONFIGS = 1_000_000
/** Configurations after which the event loop serves others first; a resource that is refused counts as some of them. */
const TURN_CONFIGS = 5000
const REFUSED_CONFIGS = 20

/** Configurations of topics and brokers with their sources and synonyms. A resource that fails has its error, its neighbours answer. */
export const describeConfigs = defineHandler(
  DescribeConfigs,
  async (request, context) => {
    const results: Result[] = []
    const seen = new Set<string>()
    let described = 0
    let work = 0
    let turnEnd = TURN_CONFIGS
    for (const wanted of request.resources) {
      const { resourceType, resourceName } = wanted
      const key = `${resourceType} ${resourceName}`
      try {
        if (seen.has(key)) throw new KafkaError('INVALID_REQUEST', 'Each resource must appear at most once.')
        seen.add(key)
        const configs = describe(wanted, request, context)
        if (described + configs.length > MAX_CONFIGS) {
          throw new KafkaError('INVALID_REQUEST', `more than ${MAX_CONFIGS} configurations are asked for in one request`)
        }
        described += configs.length
        work += configs.length
        results.push({ errorCode: 0, errorMessage: '', resourceType, resourceName, configs })
      } catch (error) {
        work += REFUSED_CONFIGS
        results.push({ ...errorCodeOf(error, context), resourceType, resourceName, configs: [] })
      }
      if (work < turnEnd) continue
      turnEnd = work + TURN_CONFIGS
      await new Promise((resolve) => setImmediate(resolve))
    }
    return { results }
  },
  {
    errorResponse: ({ resources }, errorCode, errorMessage) => ({
      results: resources.map(({ resourceType, resourceName }) => ({ errorCode, errorMessage, resourceType, resourceName, configs: [] })),
    }),
  },
)

function describe(
  { resourceType: type, resourceName: name, configurationKeys }: DescribeConfigsRequest['resources'][number],
  { includeSynonyms, includeDocumentation }: DescribeConfigsRequest,
  context: RequestContext,
): DescribedConfig[] {
  authorizeDescribe({ type, name }, context)
  const keys = new Set(configurationKeys)
  const configs = context.broker.configs.describe({ type, name }, (key) => keys.size === 0 || keys.has(key))
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
