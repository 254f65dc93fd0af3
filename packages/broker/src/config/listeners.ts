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

const PROTOCOLS: readonly string[] = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL']
const MAP = 'listener.security.protocol.map'

function securityProtocols(config: BrokerConfig): ReadonlyMap<string, SecurityProtocol> {
  const map = new Map<string, SecurityProtocol>()
  for (const entry of config[MAP].split(',')) {
    if (entry.trim() === '') continue
    const colon = entry.lastIndexOf(':')
    const name = entry.slice(0, colon).trim().toUpperCase()
    const protocol = entry.slice(colon + 1).trim()
    if (colon < 1 || !PROTOCOLS.includes(protocol))
      throw new ConfigError(MAP, `Invalid value ${config[MAP]} for configuration ${MAP}: ${entry} is not NAME:PROTOCOL`)
    map.set(name, protocol as SecurityProtocol)
  }
  return map
}

function endpoint(configName: string, text: string, protocols: ReadonlyMap<string, SecurityProtocol>): Endpoint {
  const invalid = (why: string) => new ConfigError(configName, `Invalid value ${text} for configuration ${configName}: ${why}`)
  const match = /^([^:/]+):\/\/(?:\[([0-9a-zA-Z%.:]*)\]|([0-9a-zA-Z\-%._]*)):(\d{1,6})$/.exec(text.trim())
  if (match === null) throw invalid('it is not NAME://HOST:PORT')
  const [, name = '', ipv6, plain, digits] = match
  const port = Number(digits)
  if (port > 65_535) throw invalid('the port must be between 0 and 65535')
  const listenerName = name.toUpperCase()
  const securityProtocol = protocols.get(listenerName)
  if (securityProtocol === undefined) throw invalid(`No security protocol defined for listener ${listenerName}`)
  return { listenerName, securityProtocol, host: ipv6 ?? plain ?? '', port }
}

/** The endpoints of one configuration, without those of Kafka's controllers. */
function endpoints(configName: string, texts: readonly string[], config: BrokerConfig): Endpoint[] {
  const controllers = new Set(config['controller.listener.names'].map((name) => name.toUpperCase()))
  const protocols = securityProtocols(config)
  const ours = texts.filter((text) => !controllers.has(text.split(':', 1)[0]!.trim().toUpperCase()))
  const parsed = ours.map((text) => endpoint(configName, text, protocols))
  if (new Set(parsed.map(({ listenerName }) => listenerName)).size < parsed.length)
    throw new ConfigError(configName, `Each listener must have a different name, ${configName}: ${texts.join(',')}`)
  return parsed
}

function interBrokerListenerName(config: BrokerConfig, advertised: readonly Endpoint[]): string {
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
 * @throws ConfigError naming `listeners`, `advertised.listeners`, `inter.broker.listener.name` or the protocol map; also for a
 * listener with TLS or SASL, which is refused rather than opened without them.
 */
export function listenersOf(config: BrokerConfig): Listeners {
  const listeners = endpoints('listeners', config.listeners, config)
  if (listeners.length === 0)
    throw new ConfigError(
      'listeners',
      `Invalid value ${config.listeners.join(',')} for configuration listeners: no listener is left for a broker`,
    )
  const bound = listeners.filter(({ port }) => port !== 0)
  if (new Set(bound.map(({ host, port }) => `${host} ${port}`)).size < bound.length)
    throw new ConfigError('listeners', `Each listener must have a different port, listeners: ${config.listeners.join(',')}`)
  const unserved = listeners.find(({ securityProtocol }) => securityProtocol !== 'PLAINTEXT')
  if (unserved !== undefined)
    throw new ConfigError(
      'listeners',
      `listeners: ${unserved.listenerName} asks for ${unserved.securityProtocol}, and only PLAINTEXT is served yet`,
    )
  const given = config['advertised.listeners']
  const advertised = given === null ? listeners : endpoints('advertised.listeners', given, config)
  for (const { listenerName, host } of advertised) {
    if (!listeners.some((listener) => listener.listenerName === listenerName))
      throw new ConfigError('advertised.listeners', `advertised.listeners: ${listenerName} is not one of listeners`)
    if (given !== null && host === '0.0.0.0')
      throw new ConfigError(
        'advertised.listeners',
        'advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address.',
      )
  }
  return { listeners, advertised, interBrokerListenerName: interBrokerListenerName(config, advertised) }
}
