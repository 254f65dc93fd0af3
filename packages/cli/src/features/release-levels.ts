/**
 * Which feature levels belong to which release of Kafka: facts of Kafka 4.3's MetadataVersion and Feature, that is, what its kafka-features
 * version-mapping prints.
 */

/** The first metadata.version there is a name for; each later one is one level higher. */
const FIRST_METADATA_LEVEL = 7
const metadataVersions = [
  ...['3.3-IV3', '3.4-IV0', '3.5-IV0', '3.5-IV1', '3.5-IV2', '3.6-IV0', '3.6-IV1', '3.6-IV2', '3.7-IV0', '3.7-IV1', '3.7-IV2', '3.7-IV3'],
  ...['3.7-IV4', '3.8-IV0', '3.9-IV0', '4.0-IV0', '4.0-IV1', '4.0-IV2', '4.0-IV3', '4.1-IV0', '4.1-IV1', '4.2-IV0', '4.2-IV1', '4.3-IV0'],
  '4.4-IV0',
]
/** The newest that a cluster uses by itself. */
export const latestRelease = '4.3-IV0'

interface KnownFeature {
  readonly name: string
  /** From which metadata.version on it is at which level; the last is its highest. */
  readonly from: readonly (readonly [release: string, level: number])[]
  /** By level: what it needs, as the tool prints it. */
  readonly needs?: ReadonlyMap<number, readonly string[]>
}

const knownFeatures: readonly KnownFeature[] = [
  { name: 'kraft.version', from: [['3.9-IV0', 1]] },
  { name: 'transaction.version', from: [['4.0-IV2', 2]] },
  { name: 'group.version', from: [['4.0-IV0', 1]] },
  { name: 'eligible.leader.replicas.version', from: [['4.1-IV0', 1]], needs: new Map([[1, ['metadata.version=23 (4.0-IV1)']]]) },
  { name: 'share.version', from: [['4.2-IV0', 1]] },
  { name: 'streams.version', from: [['4.2-IV1', 1]] },
]

/** `4.2` stands for the newest of its versions. Undefined for one that is not known. */
export function metadataLevelOf(release: string): number | undefined {
  const exact = metadataVersions.indexOf(release)
  const index = exact >= 0 ? exact : metadataVersions.findLastIndex((known) => known.startsWith(`${release}-IV`))
  return index < 0 ? undefined : FIRST_METADATA_LEVEL + index
}

export const metadataVersionOf = (level: number): string | undefined => metadataVersions[level - FIRST_METADATA_LEVEL]

export const knownReleases = (): string => metadataVersions.join(', ')

/** Level by feature, without metadata.version itself. */
export function levelsOf(metadataLevel: number): Map<string, number> {
  const levelIn = ({ from }: KnownFeature) => from.findLast(([release]) => metadataLevelOf(release)! <= metadataLevel)?.[1] ?? 0
  return new Map(knownFeatures.map((feature) => [feature.name, levelIn(feature)]))
}

/** What that level of a feature needs; 'no feature' and 'no level' when there is no such thing. */
export function dependenciesOf(name: string, level: number): readonly string[] | 'no feature' | 'no level' {
  const feature = knownFeatures.find((known) => known.name === name)
  if (feature === undefined) return 'no feature'
  if (level < 0 || level > feature.from.at(-1)![1]) return 'no level'
  return feature.needs?.get(level) ?? []
}
