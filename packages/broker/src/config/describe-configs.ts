import type { AnyConfigTable, ConfigRow } from '@tidelog/core'
import type { DescribeConfigsResponse } from '@tidelog/protocol'
import { logConfig, logConfigText } from '@tidelog/storage'
import { brokerConfig, shownWhenSet } from './broker-config.ts'
import { baseNameOf, type ConfigLayer, ConfigSource, configTypeIds, synonymsOf } from './config-layers.ts'
import { groupConfig } from './group-config.ts'

/** One configuration as DescribeConfigs and CreateTopics answer it. */
export type DescribedConfig = DescribeConfigsResponse['results'][number]['configs'][number]
type Synonym = DescribedConfig['synonyms'][number]

function entry(name: string, row: ConfigRow | undefined, value: string | null, synonyms: Synonym[], readOnly: boolean): DescribedConfig {
  const configSource = synonyms[0]?.source ?? ConfigSource.default
  // Kafka takes what it does not know for a secret; so do we.
  const isSensitive = row?.sensitive ?? true
  return {
    name,
    value: isSensitive ? null : value,
    readOnly,
    isDefault: configSource === ConfigSource.default,
    configSource,
    isSensitive,
    synonyms: isSensitive ? synonyms.map((synonym) => ({ ...synonym, value: null })) : synonyms,
    configType: row === undefined ? 0 : configTypeIds[row.type],
    documentation: row === undefined ? null : row.unused === undefined ? row.doc : `${row.doc} (No effect here: ${row.unused}.)`,
  }
}

/**
 * Where a broker configuration gets its value from, the source that wins first. What stands before the name itself is left out:
 * a broader synonym does not explain a narrower name. Source: kafka.server.ConfigHelper.
 */
function brokerSynonymsIn(layers: readonly ConfigLayer[], name: string): Synonym[] {
  const found = layers.flatMap(({ source, entries }) =>
    synonymsOf(name).flatMap((synonym) => (entries.has(synonym) ? [{ name: synonym, value: entries.get(synonym)!.trim(), source }] : [])),
  )
  const first = found.findIndex((synonym) => synonym.name === name)
  return first < 0 ? [] : found.slice(first)
}

/** Exact and canonical where the text is valid. An invalid one, left in the store by somebody else, is shown as it stands. */
function canonical(table: AnyConfigTable, name: string, text: string): string {
  try {
    return table.canonical(name, text)
  } catch {
    return text
  }
}

const topicNames: readonly string[] = logConfig.names.sort()
const groupNames: readonly string[] = groupConfig.names.sort()
const brokerNames: readonly string[] = brokerConfig.names.filter((name) => !shownWhenSet.has(name))

/** Whether a configuration was asked for. */
export type Wanted = (name: string) => boolean
export const everything: Wanted = () => true

/** @param layers The broker's, in order of precedence. */
export function describeTopic(overrides: ReadonlyMap<string, string>, layers: readonly ConfigLayer[], wanted: Wanted): DescribedConfig[] {
  const withoutDefaults = layers.filter(({ source }) => source !== ConfigSource.default)
  const brokerText = (name: string) => withoutDefaults.find(({ entries }) => entries.has(name))?.entries.get(name)
  return topicNames.filter(wanted).map((name) => {
    const row = logConfig.row(name)!
    const text = logConfigText(name, overrides, brokerText)
    const value = text === undefined ? row.defaultText! : canonical(logConfig, name, text)
    const [brokerName] = row.brokerNames
    const synonyms = brokerName === undefined ? [] : brokerSynonymsIn(layers, brokerName)
    if (overrides.has(name)) synonyms.unshift({ name, value, source: ConfigSource.topic })
    return entry(name, row, value, synonyms, false)
  })
}

/** Every configuration of a broker, also those it does not know. */
export function describeBroker(layers: readonly ConfigLayer[], wanted: Wanted): DescribedConfig[] {
  const names = new Set(brokerNames)
  for (const { source, entries } of layers) if (source !== ConfigSource.default) for (const name of entries.keys()) names.add(name)
  return [...names]
    .filter(wanted)
    .sort()
    .map((name) => {
      const described = describeBrokerConfig(name, layers)
      // What holds is shown as it was understood: 7 is 7.0 where it is a double.
      return brokerConfig.has(name) && described.value !== null
        ? { ...described, value: canonical(brokerConfig, name, described.value) }
        : described
    })
}

/** The dynamic configurations that hold for every broker. */
export function describeDefaultBroker(layer: ConfigLayer, wanted: Wanted): DescribedConfig[] {
  return [...layer.entries.keys()]
    .filter(wanted)
    .sort()
    .map((name) => describeBrokerConfig(name, [layer]))
}

function describeBrokerConfig(name: string, layers: readonly ConfigLayer[]): DescribedConfig {
  const row = brokerConfig.row(baseNameOf(name) ?? name)
  const value =
    layers
      .find(({ entries }) => entries.has(name))
      ?.entries.get(name)
      ?.trim() ?? null
  // A listener's own value is read-only in Kafka's answer, whatever its name allows.
  const readOnly = !brokerConfig.has(name) || row?.update === 'read-only'
  return entry(name, row, value, brokerSynonymsIn(layers, name), readOnly)
}

/** The configurations of a group: its own, and what the broker gives. */
export function describeGroup(own: ReadonlyMap<string, string>, brokerLayers: readonly ConfigLayer[], wanted: Wanted): DescribedConfig[] {
  return groupNames.filter(wanted).map((name) => {
    const row = groupConfig.row(name)!
    const source = row.brokerNames[0] ?? name
    const value = brokerLayers.find(({ entries }) => entries.has(source))?.entries.get(source) ?? row.defaultText!
    const synonyms: Synonym[] = [{ name: source, value, source: ConfigSource.default }]
    const ownText = own.get(name)
    if (ownText === undefined) return entry(name, row, value, synonyms, false)
    const ownValue = canonical(groupConfig, name, ownText)
    return entry(name, row, ownValue, [{ name, value: ownValue, source: ConfigSource.group }, ...synonyms], false)
  })
}
