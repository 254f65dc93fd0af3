import type { ConsumerGroupSettings } from '@tidelog/coordinator'
import { ConfigError, type Logger } from '@tidelog/core'
import type { ClusterConfigs, ConfigEntity, MetadataImage } from '@tidelog/metadata'
import { checkTopicName, DEFAULT_ENTITY, desanitize, sanitize } from '@tidelog/metadata'
import { KafkaError } from '@tidelog/protocol'
import { type LogConfig, logConfig, resolveLogConfig } from '@tidelog/storage'
import { alteredBrokerConfigs, alteredTopicConfigs, type ConfigOp, checkTopicConfigs, replacing } from './alter-configs.ts'
import { type BrokerConfig, type BrokerConfigName, brokerConfig, throttles } from './broker-config.ts'
import type { BrokerText } from './check-change.ts'
import { baseNameOf, type ConfigLayer, ConfigSource, defaultsOf } from './config-layers.ts'
import {
  type DescribedConfig,
  describeBroker,
  describeDefaultBroker,
  describeGroup,
  describeTopic,
  everything,
  type Wanted,
} from './describe-configs.ts'
import { alteredGroupConfigs, consumerGroupSettings } from './group-settings.ts'
import { listenerValuesIn } from './listener-values.ts'
import { type Listeners, listenersOf } from './listeners.ts'
import type { ParsedBrokerConfig } from './parse-broker-config.ts'

/** Kinds of resources by their number on the wire. Source: ConfigResource.Type. */
export const ConfigResourceType = { topic: 2, broker: 4, brokerLogger: 8, clientMetrics: 16, group: 32 } as const

export interface ConfigResource {
  readonly type: number
  /** A broker's id as text, empty for what holds for every broker. */
  readonly name: string
}

/** @param topic Whose effective configuration may have changed; undefined: every topic's. It must not throw. */
export type LogConfigListener = (topic: string | undefined) => void

/** Who opens and closes a running broker's listeners. */
export interface ListenerControl {
  /** Opens those that are missing, ahead of a change that is not written yet. @throws ConfigError when one cannot be bound; all is as before then */
  prepare(after: Listeners): Promise<void>
  /** The live configuration has changed, or a change that was prepared has not come: what it says is open shall be, and nothing else. It must not reject. */
  apply(): Promise<void>
}

interface ConfigServiceOptions {
  readonly parsed: ParsedBrokerConfig
  readonly nodeId: number
  readonly image: Pick<MetadataImage, 'configs' | 'topic'>
  readonly logger: Logger
}

/** Kafka knows no default of a throttle. */
const brokerDefaults = new Map([...defaultsOf(brokerConfig)].filter(([name]) => !throttles.has(name)))

/** An unknown name has no value that is not valid. */
function isValid(name: string, text: string): boolean {
  try {
    if (brokerConfig.has(name)) brokerConfig.parse(name, text)
    return true
  } catch (error) {
    if (error instanceof ConfigError) return false
    throw error
  }
}

const groupEntity = (groupId: string): ConfigEntity => ({ type: 'groups', name: sanitize(groupId) })

const invalidRequest = (message: string) => new KafkaError('INVALID_REQUEST', message)

/**
 * One broker's configurations: what server.properties says, what the store says over it, and what follows for each topic.
 * A dynamic change holds at once: the broker's live `config` is rewritten, and who keeps logs is told. KIP-226, KIP-339.
 */
export class ConfigService {
  /** The broker's effective configuration; the object stays, its values change. */
  readonly config: BrokerConfig
  readonly #options: ConfigServiceOptions
  readonly #configs: ClusterConfigs
  /** Valid dynamic values of this broker by name. */
  readonly #dynamic = new Map<string, string>()
  /** By a topic's overrides, which are replaced and never changed: all partitions of a topic share one. */
  #logConfigs = new WeakMap<ReadonlyMap<string, string>, LogConfig>()
  readonly #logListeners = new Set<LogConfigListener>()
  #listenerControl: ListenerControl | undefined
  /** Until what follows from the last change of this broker's configuration is done. */
  #applying: Promise<void> = Promise.resolve()
  /** Changes of this broker's configuration, one after the other. */
  #altering: Promise<void> = Promise.resolve()
  readonly #unsubscribe: () => void

  constructor(options: ConfigServiceOptions) {
    this.#options = options
    this.config = options.parsed.config
    this.#configs = options.image.configs
    this.#unsubscribe = this.#configs.onChange((entity) => this.#changed(entity))
    this.#applyToBroker()
  }

  /** A topic's effective configuration. An override in the store that is not valid is passed over with a warning. */
  logConfigOf(topic: string): LogConfig {
    const stored = this.#configs.topic(topic)
    const known = this.#logConfigs.get(stored)
    if (known !== undefined) return known
    const resolved = this.#resolve(topic, stored)
    this.#logConfigs.set(stored, resolved)
    return resolved
  }

  #resolve(topic: string, stored: ReadonlyMap<string, string>): LogConfig {
    const overrides = new Map([...stored].filter(([name]) => logConfig.has(name)))
    for (;;) {
      try {
        return resolveLogConfig(overrides, this.#brokerText)
      } catch (error) {
        if (!(error instanceof ConfigError) || !overrides.delete(error.configName)) throw error
        this.#options.logger.warn('a stored configuration of a topic is not valid and has no effect', { topic, reason: error.message })
      }
    }
  }

  /** What holds for a group of the consumer protocol. */
  consumerGroupSettings(groupId: string): ConsumerGroupSettings {
    return consumerGroupSettings(this.#configs.get(groupEntity(groupId)), this.config)
  }

  /** Ids of groups that have configurations of their own. */
  groupsWithConfigs(): string[] {
    return [...this.#configs.names('groups')].filter((name) => this.#configs.get({ type: 'groups', name }).size > 0).map(desanitize)
  }

  /** @returns What ends the subscription. */
  onLogConfigChange(listener: LogConfigListener): () => void {
    this.#logListeners.add(listener)
    return () => this.#logListeners.delete(listener)
  }

  /** Brings the broker's listeners in line with what the store says, now and after each change. */
  async controlListeners(control: ListenerControl): Promise<void> {
    this.#listenerControl = control
    await control.apply()
  }

  /** @throws KafkaError INVALID_CONFIG when a topic could not be created with these overrides */
  validateTopicConfigs(overrides: ReadonlyMap<string, string>): void {
    checkTopicConfigs(overrides, this.#brokerText)
  }

  /** A topic's configurations with these overrides, sorted by name: what CreateTopics answers from version 5 on. KIP-525. */
  describeTopicConfigs(overrides: ReadonlyMap<string, string>, wanted: Wanted = everything): DescribedConfig[] {
    return describeTopic(overrides, this.#layers(), wanted)
  }

  /**
   * A resource's configurations, sorted by name.
   * @throws KafkaError UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC_EXCEPTION, INVALID_REQUEST (another broker's, a kind that has none)
   */
  describe({ type, name }: ConfigResource, wanted: Wanted = everything): DescribedConfig[] {
    switch (type) {
      case ConfigResourceType.topic:
        checkTopicName(name)
        if (this.#options.image.topic(name) === undefined) throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', '')
        return this.describeTopicConfigs(this.#configs.topic(name), wanted)
      case ConfigResourceType.broker:
        if (name === '') return describeDefaultBroker(this.#defaultLayer(), wanted)
        this.#checkNodeId(name, { as: 'Broker', orEmpty: ' or empty string' })
        return describeBroker(this.#layers(), wanted)
      case ConfigResourceType.group:
        if (name === '') throw invalidRequest('Group name must not be empty')
        return describeGroup(this.#configs.get(groupEntity(name)), this.#layers(), wanted)
      case ConfigResourceType.brokerLogger:
        throw invalidRequest('Broker loggers are not served: the log level is set where the broker is started')
      default:
        throw invalidRequest(`Unsupported resource type: ${type}`)
    }
  }

  /**
   * Changes single configurations, durably unless `validateOnly`; resolves when they hold.
   * @throws KafkaError as `describe`; INVALID_CONFIG for a topic's values, INVALID_REQUEST for a broker's, as in Kafka
   */
  async alter(resource: ConfigResource, ops: readonly ConfigOp[], options: { validateOnly: boolean }): Promise<void> {
    return this.#alter(resource, () => ops, options)
  }

  /** Replaces all dynamic configurations of a resource. @throws as `alter` */
  async replace(resource: ConfigResource, values: ReadonlyMap<string, string>, options: { validateOnly: boolean }): Promise<void> {
    return this.#alter(resource, (current) => replacing(current, values), options)
  }

  close(): void {
    this.#unsubscribe()
    this.#logListeners.clear()
  }

  async #alter(
    { type, name }: ConfigResource,
    opsOn: (current: ReadonlyMap<string, string>) => readonly ConfigOp[],
    { validateOnly }: { validateOnly: boolean },
  ): Promise<void> {
    const { entity, change } = this.#alteration(type, name)
    const altered = (current: ReadonlyMap<string, string>) => change(current, opsOn(current))
    if (validateOnly) {
      altered(this.#configs.get(entity))
      return
    }
    if (entity.type === 'brokers') await this.#alterBroker(entity, altered)
    else await this.#configs.alter(entity, altered)
    this.#options.logger.info('dynamic configurations were changed', { ...entity, names: [...this.#configs.get(entity).keys()].join(',') })
  }

  /** What a change of this resource writes to, and how it is checked. */
  #alteration(
    type: number,
    name: string,
  ): { entity: ConfigEntity; change: (current: ReadonlyMap<string, string>, ops: readonly ConfigOp[]) => ReadonlyMap<string, string> } {
    switch (type) {
      case ConfigResourceType.topic:
        if (name === '') throw invalidRequest('Default topic resources are not allowed.')
        checkTopicName(name)
        if (this.#options.image.topic(name) === undefined) {
          throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `The topic '${name}' does not exist.`)
        }
        return {
          entity: { type: 'topics', name },
          change: (current, ops) => alteredTopicConfigs(current, ops, this.#brokerText),
        }
      case ConfigResourceType.broker: {
        const scope = name === '' ? 'all' : 'one'
        if (scope === 'one') this.#checkNodeId(name, { as: 'Node', orEmpty: '' })
        return {
          entity: { type: 'brokers', name: scope === 'all' ? DEFAULT_ENTITY : name },
          change: (current, ops) =>
            alteredBrokerConfigs(current, ops, { scope, before: this.config, after: (next) => this.#textAfter(name, next) }),
        }
      }
      case ConfigResourceType.group:
        if (name === '') throw invalidRequest('Default group resources are not allowed.')
        return { entity: groupEntity(name), change: (current, ops) => alteredGroupConfigs(current, ops, this.config) }
      case ConfigResourceType.brokerLogger:
        throw invalidRequest('Broker loggers are not served: the log level is set where the broker is started')
      default:
        throw invalidRequest(`Unknown resource type ${type}`)
    }
  }

  /** In turn: what is opened for one change is settled before the next one is looked at. */
  #alterBroker(entity: ConfigEntity, altered: (current: ReadonlyMap<string, string>) => ReadonlyMap<string, string>): Promise<void> {
    const done = this.#altering.then(async () => {
      const next = altered(this.#configs.get(entity))
      const text = this.#textAfter(entity.name === DEFAULT_ENTITY ? '' : entity.name, next)
      try {
        await this.#listenerControl?.prepare(listenersOf(brokerConfig.resolve(text)))
        await this.#configs.alter(entity, altered)
        await this.#applying
      } catch (error) {
        await this.#listenerControl?.apply()
        throw error instanceof ConfigError ? invalidRequest(error.message) : error
      }
    })
    this.#altering = done.catch(() => {})
    return done
  }

  #checkNodeId(name: string, { as, orEmpty }: { as: 'Broker' | 'Node'; orEmpty: string }): void {
    if (!/^[+-]?\d{1,10}$/.test(name)) throw invalidRequest(`${as} id must be an integer, but it is: ${name}`)
    const { nodeId } = this.#options
    if (Number(name) !== nodeId) throw invalidRequest(`Unexpected broker id, expected ${nodeId}${orEmpty}, but received ${name}`)
  }

  #changed({ type, name }: ConfigEntity): void {
    if (type === 'topics') this.#tellLogs(name)
    if (type !== 'brokers' || (name !== DEFAULT_ENTITY && name !== String(this.#options.nodeId))) return
    this.#applyToBroker()
    this.#tellLogs(undefined)
    this.#applying = this.#listenerControl?.apply() ?? Promise.resolve()
  }

  #tellLogs(topic: string | undefined): void {
    for (const listener of [...this.#logListeners]) listener(topic)
  }

  /** Rewrites the live configuration. What may not change at run time stays; a stored value that is not valid is passed over. */
  #applyToBroker(): void {
    const live = this.config as Record<BrokerConfigName, unknown>
    this.#dynamic.clear()
    this.#logConfigs = new WeakMap()
    for (const name of brokerConfig.names) {
      if (brokerConfig.row(name)?.update === 'read-only') continue
      const text = this.#validDynamicText(name)
      if (text !== undefined) this.#dynamic.set(name, text)
      live[name] = brokerConfig.parse(name, this.#brokerText(name))
    }
    const { entries, ofListeners } = this.#options.parsed
    ofListeners.clear()
    for (const layer of [entries, this.#configs.broker(DEFAULT_ENTITY), this.#configs.broker(this.#options.nodeId)])
      for (const [name, text] of listenerValuesIn(layer)) if (isValid(baseNameOf(name)!, text)) ofListeners.set(name, text)
  }

  /** What would hold for this broker with other dynamic values in one place. @param brokerId Whose they are; empty: those of all brokers. */
  #textAfter(brokerId: string, next: ReadonlyMap<string, string>): BrokerText {
    const own = brokerId === '' ? this.#configs.broker(this.#options.nodeId) : next
    const all = brokerId === '' ? next : this.#configs.broker(DEFAULT_ENTITY)
    return (name) => {
      if (brokerConfig.row(name)?.update !== 'read-only')
        for (const text of [own.get(name), all.get(name)]) if (text !== undefined && isValid(name, text)) return text
      return this.#options.parsed.entries.get(name)
    }
  }

  /** This broker's own dynamic value, or the one of all brokers. */
  #validDynamicText(name: BrokerConfigName): string | undefined {
    for (const entity of [this.#options.nodeId, DEFAULT_ENTITY] as const) {
      const text = this.#configs.broker(entity).get(name)
      if (text === undefined) continue
      try {
        brokerConfig.parse(name, text)
        return text
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error
        this.#options.logger.warn('a stored configuration of this broker is not valid and has no effect', { reason: error.message })
      }
    }
    return undefined
  }

  /** What is set for a broker configuration: dynamically, else in server.properties. */
  readonly #brokerText = (name: string): string | undefined => this.#dynamic.get(name) ?? this.#options.parsed.entries.get(name)

  #defaultLayer(): ConfigLayer {
    return { source: ConfigSource.defaultBroker, entries: this.#configs.broker(DEFAULT_ENTITY) }
  }

  #layers(): ConfigLayer[] {
    return [
      { source: ConfigSource.broker, entries: this.#configs.broker(this.#options.nodeId) },
      this.#defaultLayer(),
      { source: ConfigSource.staticBroker, entries: this.#options.parsed.entries },
      { source: ConfigSource.default, entries: brokerDefaults },
    ]
  }
}
