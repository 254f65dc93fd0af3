import type { ConfigEntry, ConfigResource, ConfigResourceType, ConfigSource as OurSource } from '../../admin/configs.ts'
import { ConfigResourceTypes, ConfigSource } from './enums.ts'
import { KafkaJSNonRetriableError } from './errors.ts'
import type { Link } from './link.ts'
import { firstFailureOf } from './partial-failures.ts'
import type { Admin, AdminEventsByName } from './types-admin.ts'
import type { ConfigEntries, DescribeConfigResponse, IResourceConfig, ResourceConfigQuery } from './types-admin-requests.ts'

const typeNames: ReadonlyMap<number, ConfigResourceType> = new Map([
  [ConfigResourceTypes.TOPIC, 'topic'],
  [ConfigResourceTypes.BROKER, 'broker'],
  [ConfigResourceTypes.BROKER_LOGGER, 'broker-logger'],
])

const sources: ReadonlyMap<OurSource, ConfigSource> = new Map([
  ['dynamic-topic-config', ConfigSource.TOPIC_CONFIG],
  ['dynamic-broker-config', ConfigSource.DYNAMIC_BROKER_CONFIG],
  ['dynamic-default-broker-config', ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG],
  ['static-broker-config', ConfigSource.STATIC_BROKER_CONFIG],
  ['default-config', ConfigSource.DEFAULT_CONFIG],
  ['dynamic-broker-logger-config', ConfigSource.DYNAMIC_BROKER_LOGGER_CONFIG],
])
const sourceOf = (source: OurSource): ConfigSource => sources.get(source) ?? ConfigSource.UNKNOWN

type Named = { readonly type: number; readonly name: string }

/** @throws KafkaJSNonRetriableError unless each is of a type that there is, and has a name */
function checkResources(resources: unknown): asserts resources is readonly Named[] {
  if (!Array.isArray(resources)) throw new KafkaJSNonRetriableError(`resources must be an array, and not ${resources}`)
  if (resources.length === 0) throw new KafkaJSNonRetriableError('resources is empty')
  for (const resource of resources) {
    if (!typeNames.has(resource?.type)) throw new KafkaJSNonRetriableError(`${resource?.type} is no type of resource`)
    if (!resource.name || typeof resource.name !== 'string') throw new KafkaJSNonRetriableError(`${resource.name} is no name of a resource`)
  }
}

const resourceOf = ({ type, name }: Named): ConfigResource => ({ type: typeNames.get(type)!, name })

/** Configurations of kafkajs's Admin. */
export class AdminConfigs {
  readonly #link: Link<AdminEventsByName>

  constructor(link: Link<AdminEventsByName>) {
    this.#link = link
  }

  /** @throws KafkaJSProtocolError of the first resource that has one */
  async describe({ resources, includeSynonyms = false }: Parameters<Admin['describeConfigs']>[0]): Promise<DescribeConfigResponse> {
    checkResources(resources)
    const invalid = resources.find(({ configNames }: ResourceConfigQuery) => configNames != null && !Array.isArray(configNames))
    if (invalid !== undefined) throw new KafkaJSNonRetriableError(`configNames of ${invalid.name} must be an array`)
    const described = await Promise.all(resources.map((resource) => this.#describe(resource, includeSynonyms)))
    return { resources: described } as DescribeConfigResponse
  }

  async #describe(query: ResourceConfigQuery, includeSynonyms: boolean): Promise<DescribeConfigResponse['resources'][number]> {
    const names = query.configNames?.length ? { names: query.configNames } : {}
    const [found] = await this.#link.once(() => this.#link.admin.describeConfigs([resourceOf(query)], { includeSynonyms, ...names }))
    return {
      errorCode: 0,
      errorMessage: '',
      resourceType: query.type,
      resourceName: query.name,
      configEntries: found!.configs.map(entryOf),
    }
  }

  /** Replaces all of each resource. @throws KafkaJSProtocolError of the first resource that has one */
  async alter({ resources, validateOnly = false }: Parameters<Admin['alterConfigs']>[0]): Promise<unknown> {
    checkResources(resources)
    for (const { name, configEntries } of resources as readonly IResourceConfig[]) {
      if (!Array.isArray(configEntries)) throw new KafkaJSNonRetriableError(`configEntries of ${name} must be an array`)
      if (configEntries.some((entry) => typeof entry.name !== 'string' || typeof entry.value !== 'string'))
        throw new KafkaJSNonRetriableError(`an entry of configEntries of ${name} must have a name and a value, both texts`)
    }
    const changes = (resources as readonly IResourceConfig[]).map((resource) => ({
      resource: resourceOf(resource),
      configs: new Map(resource.configEntries.map(({ name, value }) => [name, value])),
    }))
    await this.#link.open()
    try {
      await this.#link.admin.alterConfigs(changes, { validateOnly })
    } catch (error) {
      throw firstFailureOf(error)
    }
    return {
      resources: resources.map(({ type, name }) => ({ errorCode: 0, errorMessage: null, resourceType: type, resourceName: name })),
    }
  }
}

const entryOf = ({ name, value, isReadOnly, isSensitive, source, synonyms }: ConfigEntry): ConfigEntries => ({
  configName: name,
  configValue: value as string,
  readOnly: isReadOnly,
  isDefault: source === 'default-config',
  configSource: sourceOf(source),
  isSensitive,
  configSynonyms: synonyms.map((synonym) => ({
    configName: synonym.name,
    configValue: synonym.value as string,
    configSource: sourceOf(synonym.source),
  })),
})
