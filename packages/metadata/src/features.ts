import { KafkaError } from '@tidelog/protocol'

/** Levels of a feature that a broker can run, both ends inclusive. A cluster in which level 0 is finalized does without the feature. */
export interface FeatureRange {
  readonly minVersion: number
  readonly maxVersion: number
  /** What a new cluster finalizes. */
  readonly defaultLevel: number
}

/** By name, in the order in which ApiVersions lists them. */
export type SupportedFeatures = ReadonlyMap<string, FeatureRange>

/**
 * Every feature this software knows. One is advertised, and finalized in new clusters, from the change on that serves all of its levels:
 * Java clients take a finalized level as a promise. Source: GroupVersion and TransactionVersion of Kafka 4.3.
 */
const features: readonly (FeatureRange & { readonly name: string; readonly isServed: boolean })[] = [
  // 1: the consumer rebalance protocol. KIP-848.
  { name: 'group.version', minVersion: 0, maxVersion: 1, defaultLevel: 1, isServed: true },
  // 1: flexible versions of transaction state records; 2: an epoch a transaction, partitions added by Produce. KIP-890.
  { name: 'transaction.version', minVersion: 0, maxVersion: 2, defaultLevel: 2, isServed: true },
]

/** What this software serves. */
export const supportedFeatures: SupportedFeatures = new Map(
  features.filter(({ isServed }) => isServed).map(({ name, isServed: _, ...range }) => [name, range]),
)

/** What a new cluster finalizes: level by feature. */
export function defaultFeatureLevels(supported: SupportedFeatures): Map<string, number> {
  return new Map([...supported].filter(([, { defaultLevel }]) => defaultLevel > 0).map(([name, { defaultLevel }]) => [name, defaultLevel]))
}

export type FeatureUpgradeType = 'upgrade' | 'safe-downgrade' | 'unsafe-downgrade' | 'unknown'

export interface FeatureUpdate {
  readonly feature: string
  readonly level: number
  readonly upgradeType: FeatureUpgradeType
}

/** Where a range of levels was registered; `label` names it in errors. */
export interface FeatureSupporter {
  readonly label: string
  readonly features: ReadonlyMap<string, { readonly minVersion: number; readonly maxVersion: number }>
}

/**
 * The finalized levels after `updates`; of two for one feature the later one holds.
 * @param supporters The controller first, then every broker: all of them must be able to run a level.
 * @throws KafkaError INVALID_UPDATE_VERSION for the first that cannot be; none of them is made then. Source: FeatureControlManager of Kafka 4.3.
 */
export function planFeatureUpdates(
  updates: readonly FeatureUpdate[],
  levels: ReadonlyMap<string, number>,
  supporters: readonly FeatureSupporter[],
): Map<string, number> {
  const planned = new Map(levels)
  for (const { feature, level, upgradeType } of new Map(updates.map((update) => [update.feature, update])).values()) {
    const reason = reasonAgainst({ feature, level, upgradeType }, levels.get(feature) ?? 0, supporters)
    if (reason !== undefined) {
      throw new KafkaError(
        'INVALID_UPDATE_VERSION',
        'The update failed for all features since the following feature had an error: ' +
          `Invalid update version ${level} for feature ${feature}. ${reason}`,
      )
    }
    if (level === 0) planned.delete(feature)
    else planned.set(feature, level)
  }
  return planned
}

function reasonAgainst(
  { feature, level, upgradeType }: FeatureUpdate,
  current: number,
  supporters: readonly FeatureSupporter[],
): string | undefined {
  if (upgradeType === 'unknown') return 'The controller does not support the given upgrade type.'
  if (level < 0) return 'A feature version cannot be less than 0.'
  for (const { label, features } of supporters) {
    const { minVersion, maxVersion } = features.get(feature) ?? { minVersion: 0, maxVersion: 0 }
    if (level >= minVersion && level <= maxVersion) continue
    if (maxVersion === 0) return `${label} does not support this feature.`
    return `${label} only supports versions ${minVersion === maxVersion ? minVersion : `${minVersion}-${maxVersion}`}`
  }
  if (level < current && upgradeType === 'upgrade') {
    return "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade."
  }
  if (level > current && upgradeType !== 'upgrade') return "Can't downgrade to a newer version."
  if (!supporters[0]?.features.has(feature)) return `Feature ${feature} not found.`
  return undefined
}
