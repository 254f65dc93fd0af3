import { brokerConfig } from './broker-config.ts'
import { baseNameOf } from './config-layers.ts'

/** Limits that a listener may have of its own; all others hold for it from a start on, or not at all. KIP-402, KIP-612. */
const limits = ['max.connections', 'max.connection.creation.rate'] as const
export type ListenerLimit = (typeof limits)[number]

/** Those of a listener's own configurations that all brokers may share. Source: kafka.server.DynamicBrokerConfig. */
export const sharedByBrokers: ReadonlySet<string> = new Set([...limits, 'num.network.threads'])

type Texts = ReadonlyMap<string, string>

/** The values of single listeners among a broker's configurations. */
export function listenerValuesIn(entries: Texts): Map<string, string> {
  return new Map([...entries].filter(([name]) => baseNameOf(name) !== undefined))
}

/** @throws ConfigError for a value that its configuration does not take */
export function checkListenerValues(entries: Texts): void {
  for (const [name, text] of listenerValuesIn(entries)) {
    const base = baseNameOf(name)!
    if (brokerConfig.has(base)) brokerConfig.parse(base, text)
  }
}

/** A listener's own limit; undefined when it has none. A listener's names are written in small letters. */
export function limitOf(ofListeners: Texts, listenerName: string, limit: ListenerLimit): number | undefined {
  const text = ofListeners.get(`listener.name.${listenerName.toLowerCase()}.${limit}`)
  return text === undefined ? undefined : brokerConfig.parse(limit, text)
}
