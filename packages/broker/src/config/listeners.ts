import { ConfigError } from '@tidelog/core'
import type { BrokerConfig } from './broker-config.ts'

export type SecurityProtocol = 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL'

/** One address of a broker. */
export interface Endpoint {
  readonly listenerName: string
  readonly securityProtocol: SecurityProtocol
  /** Empty: every interface when listening; without brackets for IPv6. */
  readonly host: string
  /** 0: a free port when listening; what is advertised for it is the port that was bound. */
  readonly port: number
}

export interface Listeners {
  readonly listeners: readonly Endpoint[]
  /** What `advertised.listeners` says, or the listeners themselves. A listener of Kafka's controllers is in neither. */
  readonly advertised: readonly Endpoint[]
  readonly interBrokerListenerName: string
}

/** The configurations that an address depends on. */
export type ListenerConfig = Pick<
  BrokerConfig,
  | 'listeners'
  | 'advertised.listeners'
  | 'listener.security.protocol.map'
  | 'controller.listener.names'
  | 'inter.broker.listener.name'
  | 'security.inter.broker.protocol'
>

const PROTOCOLS: readonly string[] = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL']
const MAP = 'listener.security.protocol.map'

function securityProtocols(config: ListenerConfig): ReadonlyMap<string, SecurityProtocol> {
  const map = new Map<string, SecurityProtocol>()
  for (const entry of config[MAP].split(',')) {
    if (entry.trim() === '') continue
    const colon = entry.lastIndexOf(':')
    const name = entry.slice(0, colon).trim().toUpperCase()
    const protocol = entry.slice(colon + 1).trim()
    if (colon < 1) throw new ConfigError(MAP, `Error parsing configuration property '${MAP}': ${entry} is not NAME:PROTOCOL`)
    if (!PROTOCOLS.includes(protocol)) throw new ConfigError(MAP, `Invalid security protocol \`${protocol}\` defined in ${MAP}`)
    map.set(name, protocol as SecurityProtocol)
  }
  return map
}

function endpoint(text: string, protocols: ReadonlyMap<string, SecurityProtocol>, invalid: (why: string) => ConfigError): Endpoint {
  const match = /^([^:/]+):\/\/(?:\[([0-9a-zA-Z%.:]*)\]|([0-9a-zA-Z\-%._]*)):(\d{1,6})$/.exec(text.trim())
  if (match === null) throw invalid(`Unable to parse ${text} to a broker endpoint`)
  const [, name = '', ipv6, plain, digits] = match
  const port = Number(digits)
  if (port > 65_535) throw invalid(`the port of ${text} must be between 0 and 65535`)
  const listenerName = name.toUpperCase()
  const securityProtocol = protocols.get(listenerName)
  if (securityProtocol === undefined) throw invalid(`No security protocol defined for listener ${listenerName}`)
  return { listenerName, securityProtocol, host: ipv6 ?? plain ?? '', port }
}

/** The endpoints of one configuration, without those of Kafka's controllers. */
function endpoints(configName: 'listeners' | 'advertised.listeners', texts: readonly string[], config: ListenerConfig): Endpoint[] {
  const invalid = (why: string) =>
    new ConfigError(configName, `Error creating broker listeners from ${configName} '${texts.join(',')}': ${why}`)
  const controllers = new Set(config['controller.listener.names'].map((name) => name.toUpperCase()))
  const protocols = securityProtocols(config)
  const ours = texts.filter((text) => !controllers.has(text.split(':', 1)[0]!.trim().toUpperCase()))
  const parsed = ours.map((text) => endpoint(text, protocols, invalid))
  if (new Set(parsed.map(({ listenerName }) => listenerName)).size < parsed.length)
    throw invalid('Each listener must have a different name')
  return parsed
}

function interBrokerListenerName(config: ListenerConfig, advertised: readonly Endpoint[]): string {
  const name = (config['inter.broker.listener.name'] ?? config['security.inter.broker.protocol']).toUpperCase()
  if (!advertised.some(({ listenerName }) => listenerName === name))
    throw new ConfigError(
      'inter.broker.listener.name',
      `inter.broker.listener.name must be a listener name defined in advertised.listeners. The valid options based on currently configured listeners are ${advertised.map(({ listenerName }) => listenerName).join(',')}`,
    )
  return name
}

/**
 * The addresses a broker listens on and tells others.
 * @throws ConfigError naming `listeners`, `advertised.listeners`, `inter.broker.listener.name` or the protocol map
 */
export function listenersOf(config: ListenerConfig): Listeners {
  const listeners = endpoints('listeners', config.listeners, config)
  if (listeners.length === 0)
    throw new ConfigError(
      'listeners',
      `Invalid value ${config.listeners.join(',')} for configuration listeners: no listener is left for a broker`,
    )
  const bound = listeners.filter(({ port }) => port !== 0)
  if (new Set(bound.map(({ host, port }) => `${host} ${port}`)).size < bound.length)
    throw new ConfigError('listeners', `Each listener must have a different port, listeners: ${config.listeners.join(',')}`)
  const given = config['advertised.listeners']
  const advertised = given === null ? listeners : endpoints('advertised.listeners', given, config)
  for (const { listenerName, host } of advertised) {
    if (!listeners.some((listener) => listener.listenerName === listenerName))
      throw new ConfigError(
        'advertised.listeners',
        `advertised.listeners listener names must be equal to or a subset of the ones defined in listeners. Found ${listenerName}. The valid options based on the current configuration are ${listeners.map((listener) => listener.listenerName).join(',')}`,
      )
    if (given !== null && host === '0.0.0.0')
      throw new ConfigError(
        'advertised.listeners',
        'advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address.',
      )
  }
  return { listeners, advertised, interBrokerListenerName: interBrokerListenerName(config, advertised) }
}

/** @throws ConfigError for a listener with TLS or SASL, which is refused rather than opened without them */
export function refuseUnservedListeners({ listeners }: Listeners): void {
  const unserved = listeners.find(({ securityProtocol }) => securityProtocol !== 'PLAINTEXT')
  if (unserved === undefined) return
  const { listenerName, securityProtocol } = unserved
  throw new ConfigError('listeners', `listeners: ${listenerName} asks for ${securityProtocol}, and only PLAINTEXT is served yet`)
}

/**
 * Refuses what may not become of a running broker's listeners.
 * @throws ConfigError when a listener that stays would get another security protocol. Source: kafka.server.DynamicListenerConfig.
 */
export function checkListenerChange(before: Listeners, after: Listeners): void {
  for (const { listenerName, securityProtocol } of after.listeners) {
    const known = before.listeners.find((listener) => listener.listenerName === listenerName)
    if (known !== undefined && known.securityProtocol !== securityProtocol)
      throw new ConfigError(MAP, `Security protocol cannot be updated for existing listener ${listenerName}`)
  }
}
