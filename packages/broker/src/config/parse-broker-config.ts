import { ConfigError } from '@tidelog/core'
import { checkLogConfig, resolveLogConfig } from '@tidelog/storage'
import { type BrokerConfig, brokerConfig } from './broker-config.ts'
import { checkCleaner } from './check-cleaner.ts'
import { contradictions } from './contradictions.ts'
import { checkListenerValues, listenerValuesIn } from './listener-values.ts'
import { listenersOf, refuseUnservedListeners } from './listeners.ts'

export interface ParsedBrokerConfig {
  readonly config: BrokerConfig
  /** What is set, by name, as text: server.properties with overrides, plus what follows from it (node.id and broker.id go together). */
  readonly entries: ReadonlyMap<string, string>
  /** Live, as `config`: values of single listeners, by their whole names. */
  readonly ofListeners: Map<string, string>
  /** One sentence each, for the log: unknown names, names that change nothing here although a user may expect it. */
  readonly warnings: readonly string[]
}

/** Prefixes under which plug-ins and listeners have configurations of their own. */
const PREFIXES = /^(listener\.name\.[^.]+\.|rsm\.config\.|rlmm\.config\.|config\.providers\.|metrics\.context\.|client\.quota\.callback\.)/

/** A broker that is alone has one replica to give, so Kafka's defaults for internal topics could never be met. design.md 13. */
const ALONE = [
  'offsets.topic.replication.factor',
  'transaction.state.log.replication.factor',
  'transaction.state.log.min.isr',
  'share.coordinator.state.topic.replication.factor',
  'share.coordinator.state.topic.min.isr',
] as const

const isSet = (entries: ReadonlyMap<string, string>, name: string): boolean => (entries.get(name) ?? '').trim() !== ''

/** node.id and broker.id are one number under two names. @throws ConfigError when they differ */
function nodeIdOf(entries: ReadonlyMap<string, string>): number {
  const brokerId = brokerConfig.parse('broker.id', entries.get('broker.id'))
  const nodeId = entries.has('node.id') ? brokerConfig.parse('node.id', entries.get('node.id')) : undefined
  if (nodeId !== undefined && brokerId >= 0 && brokerId !== nodeId)
    throw new ConfigError('node.id', `You must set \`node.id\` to the same value as \`broker.id\`: ${nodeId} is not ${brokerId}`)
  return nodeId ?? (brokerId >= 0 ? brokerId : brokerConfig.parse('node.id'))
}

/** What may not be started because ignoring it would leave the broker open or not be what was asked for. */
function refuseUnserved(config: BrokerConfig): void {
  const roles = config['process.roles']
  if (roles.length > 0 && !roles.includes('broker'))
    throw new ConfigError('process.roles', `process.roles=${roles.join(',')}: Tidelog starts brokers and needs no separate controllers`)
  if (config['authorizer.class.name'] !== '')
    throw new ConfigError(
      'authorizer.class.name',
      'authorizer.class.name: no authorizer is served yet; without the line everybody may do everything',
    )
  if (config['remote.log.storage.system.enable'])
    throw new ConfigError('remote.log.storage.system.enable', 'remote.log.storage.system.enable: tiered storage is not served')
}

function warningsOf(given: ReadonlyMap<string, string>, config: BrokerConfig): string[] {
  const warnings: string[] = []
  const skipped = config.listeners.filter((text) => config['controller.listener.names'].includes(text.split(':', 1)[0]!))
  if (skipped.length > 0) warnings.push(`listeners: ${skipped.join(',')} belongs to Kafka's controllers and is not opened`)
  for (const name of given.keys())
    if (!brokerConfig.has(name) && !PREFIXES.test(name)) warnings.push(`${name} is not a configuration of a Kafka broker: ignored`)
  for (const name of [
    'zookeeper.connect',
    'config.providers',
    'create.topic.policy.class.name',
    'alter.config.policy.class.name',
    'client.quota.callback.class',
  ] as const)
    if (isSet(given, name)) warnings.push(`${name} has no effect: ${brokerConfig.row(name)?.unused}`)
  for (const name of ALONE)
    if (given.has(name) && brokerConfig.parse(name, given.get(name)) > 1)
      warnings.push(`${name}=${given.get(name)} is taken as 1: this broker is alone`)
  return warnings
}

/**
 * Turns the properties of server.properties (with overrides merged in) into a broker's configuration.
 * @throws ConfigError naming the configuration whose value is not valid, or whose effect is not served and could not be ignored safely.
 */
export function parseBrokerConfig(properties: Readonly<Record<string, string>> | ReadonlyMap<string, string>): ParsedBrokerConfig {
  const given = new Map<string, string>(properties instanceof Map ? properties : Object.entries(properties))
  const entries = new Map(given)
  const nodeId = String(nodeIdOf(given))
  entries.set('node.id', nodeId).set('broker.id', nodeId)
  for (const name of ALONE) {
    if (given.has(name)) brokerConfig.parse(name, given.get(name))
    entries.set(name, '1')
  }
  const config = brokerConfig.resolve((name) => entries.get(name))
  refuseUnserved(config)
  for (const [name, message] of contradictions(config)) throw new ConfigError(name, message)
  refuseUnservedListeners(listenersOf(config))
  checkListenerValues(entries)
  checkLogConfig(resolveLogConfig(new Map(), (name) => entries.get(name)))
  checkCleaner((name) => entries.get(name))
  return { config, entries, ofListeners: listenerValuesIn(entries), warnings: warningsOf(given, config) }
}
