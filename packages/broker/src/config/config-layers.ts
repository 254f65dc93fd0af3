import type { AnyConfigTable } from '@tidelog/core'
import { logConfig } from '@tidelog/storage'
import { brokerConfig } from './broker-config.ts'

/** Where a value comes from, by its number on the wire. Source: DescribeConfigsResponse.ConfigSource. */
export const ConfigSource = {
  topic: 1,
  broker: 2,
  defaultBroker: 3,
  staticBroker: 4,
  default: 5,
  group: 8,
} as const

/** A type's number on the wire; 0 is unknown. Source: DescribeConfigsResponse.ConfigType. */
export const configTypeIds = { boolean: 1, string: 2, int: 3, short: 4, long: 5, double: 6, list: 7, class: 8, password: 9 } as const

export interface ConfigLayer {
  readonly source: number
  readonly entries: ReadonlyMap<string, string>
}

/** What a table says where nothing is set; a row whose default is "not set" is left out. */
export function defaultsOf(table: AnyConfigTable): ReadonlyMap<string, string> {
  const defaults = new Map<string, string>()
  for (const [name, { defaultText }] of table.rows) if (typeof defaultText === 'string') defaults.set(name, defaultText)
  return defaults
}

/** `listener.name.NAME.` and perhaps a mechanism before a broker configuration's name: its value for that listener alone. KIP-103. */
export function baseNameOf(name: string): string | undefined {
  const rest = /^listener\.name\.[^.]+\.(.+)$/.exec(name)?.[1]
  if (rest === undefined) return undefined
  if (brokerConfig.has(rest)) return rest
  const withoutMechanism = rest.slice(rest.indexOf('.') + 1)
  return brokerConfig.has(withoutMechanism) ? withoutMechanism : rest
}

/** Broker configurations that say the same in other words (ms, minutes, hours), in order of precedence. */
const brokerSynonyms: ReadonlyMap<string, readonly string[]> = new Map(
  [...logConfig.rows.values()]
    .filter(({ brokerNames }) => brokerNames.length > 1)
    .flatMap(({ brokerNames }) => brokerNames.map((name) => [name, brokerNames])),
)

/** The names under which a broker configuration's value is looked for, the more specific first. */
export function synonymsOf(name: string): readonly string[] {
  const base = baseNameOf(name)
  return base === undefined ? (brokerSynonyms.get(name) ?? [name]) : [name, base]
}
