import { AlterConfigs, DescribeConfigs, errorTable, IncrementalAlterConfigs, ListConfigResources } from '@tidelog/protocol'
import type { BrokerConnection } from '../cluster/broker-connection.ts'
import type { Outcome } from '../cluster/outcome.ts'
import { BrokerError, checkErrorCode, UnsupportedVersionError } from '../errors.ts'
import { type AdminCallOptions, type AdminContext, callOptions, type ValidateOnly } from './admin-client.ts'
import { allOrThrow, failureOf } from './results.ts'

const resourceTypeCodes = { topic: 2, broker: 4, 'broker-logger': 8, 'client-metrics': 16, group: 32 } as const
/** What kind of thing has them. */
export type ConfigResourceType = keyof typeof resourceTypeCodes
const resourceTypeOf = (code: number): ConfigResourceType | 'unknown' =>
  (Object.keys(resourceTypeCodes) as ConfigResourceType[]).find((type) => resourceTypeCodes[type] === code) ?? 'unknown'

/** What has configurations. */
export interface ConfigResource {
  readonly type: ConfigResourceType
  /** A topic's or group's name, a broker's id; '' is the default of all brokers. */
  readonly name: string
}

const sources = [
  'unknown',
  'dynamic-topic-config',
  'dynamic-broker-config',
  'dynamic-default-broker-config',
  'static-broker-config',
  'default-config',
  'dynamic-broker-logger-config',
  'dynamic-client-metrics-config',
  'dynamic-group-config',
] as const
/** Where a value is from. */
export type ConfigSource = (typeof sources)[number]
const sourceOf = (code: number): ConfigSource => sources[code] ?? 'unknown'

const types = ['unknown', 'boolean', 'string', 'int', 'short', 'long', 'double', 'list', 'class', 'password'] as const

/** A place where a configuration's value may be given. */
export interface ConfigSynonym {
  readonly name: string
  readonly value: string | null
  readonly source: ConfigSource
}

/** One configuration of a resource, with where its value is from. */
export interface ConfigEntry {
  readonly name: string
  /** null when it is not set, or secret. */
  readonly value: string | null
  readonly source: ConfigSource
  /** It changes with a restart only. */
  readonly isReadOnly: boolean
  /** A secret: `value` is null. */
  readonly isSensitive: boolean
  readonly type: (typeof types)[number]
  /** Where the value could come from, in order of precedence; empty unless asked for. */
  readonly synonyms: readonly ConfigSynonym[]
  /** null unless asked for. */
  readonly documentation: string | null
}

/** The configurations of a resource. */
export interface ResourceConfigs {
  readonly resource: ConfigResource
  readonly configs: readonly ConfigEntry[]
}

/** What changes of a resource's configurations. */
export interface ResourceChange {
  readonly resource: ConfigResource
  readonly ops: readonly AlterConfigOp[]
}

/** All dynamic configurations that a resource shall have. */
export interface ResourceReplacement {
  readonly resource: ConfigResource
  readonly configs: Readonly<Record<string, string>> | ReadonlyMap<string, string>
}

/** What describeConfigs() takes. */
export interface DescribeConfigsOptions extends AdminCallOptions {
  /** Only these names; all when absent. */
  readonly names?: readonly string[] | undefined
  readonly includeSynonyms?: boolean
  readonly includeDocumentation?: boolean
}

const operations = { set: 0, delete: 1, append: 2, subtract: 3 } as const

/** One change to one configuration: `append` and `subtract` are for lists. */
export interface AlterConfigOp {
  readonly name: string
  readonly op: keyof typeof operations
  /** For `delete` none is needed. */
  readonly value?: string | null | undefined
}

const resourceText = ({ type, name }: ConfigResource): string => `${type} ${name === '' ? '<default>' : name}`
const typeCode = ({ type }: ConfigResource): number => resourceTypeCodes[type]

/** A broker's own configuration and loggers are asked of that broker; everything else of any. */
const brokerOf = ({ type, name }: ConfigResource): number | undefined =>
  (type === 'broker' || type === 'broker-logger') && name !== '' ? Number(name) : undefined

interface ResourceAnswer {
  readonly errorCode: number
  readonly errorMessage: string | null
  readonly resourceType: number
  readonly resourceName: string
}

/** One request a broker that has to be asked; one outcome a resource. */
async function perResource<A extends ResourceAnswer>(
  context: AdminContext,
  what: string,
  resources: readonly ConfigResource[],
  options: AdminCallOptions,
  ask: (connection: BrokerConnection, resources: readonly ConfigResource[]) => Promise<readonly A[]>,
): Promise<Map<ConfigResource, Outcome<A>>> {
  const { cluster } = context
  const retry = callOptions(context, what, options)
  const byBroker = new Map<number | undefined, ConfigResource[]>()
  for (const resource of resources) {
    const nodeId = brokerOf(resource)
    const group = byBroker.get(nodeId)
    if (group === undefined) byBroker.set(nodeId, [resource])
    else group.push(resource)
  }
  const outcomes = new Map<ConfigResource, Outcome<A>>()
  const askOne = async (nodeId: number | undefined, group: readonly ConfigResource[]) => {
    try {
      await cluster.retry(retry, async () => {
        if (nodeId !== undefined && !cluster.metadata.brokers.has(nodeId)) await cluster.refresh(retry)
        const connection =
          nodeId === undefined ? await cluster.controllerConnection(retry) : await cluster.connectionTo(nodeId, 'general', retry)
        const answers = await ask(connection, group)
        for (const resource of group) {
          const answer = answers.find(
            ({ resourceType, resourceName }) => resourceType === typeCode(resource) && resourceName === resource.name,
          )
          const errorCode = answer === undefined ? errorTable.UNKNOWN_SERVER_ERROR.code : answer.errorCode
          if (errorCode === errorTable.NOT_CONTROLLER.code) {
            await cluster.refresh(retry)
            throw new BrokerError(errorCode, resourceText(resource), answer?.errorMessage)
          }
          if (answer !== undefined && errorCode === 0) outcomes.set(resource, { value: answer })
          else outcomes.set(resource, { error: new BrokerError(errorCode, resourceText(resource), answer?.errorMessage) })
        }
      })
    } catch (error) {
      if (options.signal?.aborted || cluster.closed) throw error
      for (const resource of group) outcomes.set(resource, failureOf(error))
    }
  }
  await Promise.all([...byBroker].map(([nodeId, group]) => askOne(nodeId, group)))
  return outcomes
}

const named = <V>(outcomes: ReadonlyMap<ConfigResource, Outcome<V>>) =>
  [...outcomes].map(([resource, outcome]) => [resourceText(resource), outcome] as const)

export async function describeConfigs(
  context: AdminContext,
  resources: readonly ConfigResource[],
  options: DescribeConfigsOptions,
): Promise<ResourceConfigs[]> {
  const { names, includeSynonyms = false, includeDocumentation = false } = options
  const outcomes = await perResource(context, 'describeConfigs', resources, options, async (connection, group) => {
    const response = await connection.send(DescribeConfigs, {
      resources: group.map((resource) => ({
        resourceType: typeCode(resource),
        resourceName: resource.name,
        configurationKeys: names ?? null,
      })),
      includeSynonyms,
      includeDocumentation,
    })
    return response.results
  })
  allOrThrow('describeConfigs', named(outcomes))
  return resources.map((resource) => ({
    resource,
    configs: (outcomes.get(resource)?.value?.configs ?? []).map((entry) => ({
      name: entry.name,
      value: entry.value,
      source: entry.configSource < 0 && entry.isDefault ? 'default-config' : sourceOf(entry.configSource),
      isReadOnly: entry.readOnly,
      isSensitive: entry.isSensitive,
      type: types[entry.configType] ?? 'unknown',
      synonyms: entry.synonyms.map(({ name, value, source }) => ({ name, value, source: sourceOf(source) })),
      documentation: entry.documentation,
    })),
  }))
}

export async function incrementalAlterConfigs(
  context: AdminContext,
  changes: readonly ResourceChange[],
  options: ValidateOnly,
): Promise<void> {
  const opsOf = new Map(changes.map(({ resource, ops }) => [resource, ops]))
  const outcomes = await perResource(context, 'incrementalAlterConfigs', [...opsOf.keys()], options, async (connection, group) => {
    const response = await connection.send(IncrementalAlterConfigs, {
      resources: group.map((resource) => ({
        resourceType: typeCode(resource),
        resourceName: resource.name,
        configs: opsOf.get(resource)!.map(({ name, op, value = null }) => ({ name, configOperation: operations[op], value })),
      })),
      validateOnly: options.validateOnly ?? false,
    })
    return response.responses
  })
  allOrThrow('incrementalAlterConfigs', named(outcomes))
}

export async function alterConfigs(context: AdminContext, changes: readonly ResourceReplacement[], options: ValidateOnly): Promise<void> {
  const configsOf = new Map(changes.map(({ resource, configs }) => [resource, configs]))
  const outcomes = await perResource(context, 'alterConfigs', [...configsOf.keys()], options, async (connection, group) => {
    const response = await connection.send(AlterConfigs, {
      resources: group.map((resource) => {
        const configs = configsOf.get(resource)!
        const entries: [string, string][] = configs instanceof Map ? [...configs] : Object.entries(configs)
        return {
          resourceType: typeCode(resource),
          resourceName: resource.name,
          configs: entries.map(([name, value]) => ({ name, value })),
        }
      }),
      validateOnly: options.validateOnly ?? false,
    })
    return response.responses
  })
  allOrThrow('alterConfigs', named(outcomes))
}

/** Before, it was ListClientMetricsResources. KIP-1142. */
const OLDEST_LIST_BY_TYPE = 1

export async function listConfigResources(
  context: AdminContext,
  types: readonly ConfigResourceType[],
  options: AdminCallOptions,
): Promise<{ type: ConfigResourceType | 'unknown'; name: string }[]> {
  const response = await context.cluster.requestAny(
    ListConfigResources,
    (version) => {
      const needsTypes = types.length !== 1 || types[0] !== 'client-metrics'
      if (needsTypes && version < OLDEST_LIST_BY_TYPE)
        throw new UnsupportedVersionError('the broker lists resources of client-metrics only')
      return { resourceTypes: types.map((type) => resourceTypeCodes[type]) }
    },
    callOptions(context, 'listConfigResources', options),
    ({ errorCode }) => checkErrorCode(errorCode, 'listConfigResources'),
  )
  return response.configResources.map(({ resourceName, resourceType }) => ({ type: resourceTypeOf(resourceType), name: resourceName }))
}
