import type { FeatureMetadata, FeatureUpdate } from '@tidelog/client'
import { javaHashOrder } from '@tidelog/core'
import { connectionOptions, connectionProperties } from '../clients.ts'
import { type CommandContext, CommandFailure } from '../command.ts'
import { dependenciesOf, knownReleases, latestRelease, levelsOf, metadataLevelOf, metadataVersionOf } from '../features/release-levels.ts'
import { javaMessage } from '../java-error.ts'
import { flag, list, type OptionValues, text, UsageError } from '../option-table.ts'
import { outputFormat, outputOption, renderRows } from '../rows.ts'
import { defineSubcommands, subcommand } from '../subcommands.ts'

const shared = { ...connectionOptions }
type Shared = OptionValues<typeof shared>
type UpgradeType = NonNullable<FeatureUpdate['upgradeType']>

const METADATA_VERSION = 'metadata.version'
const dryRun = { 'dry-run': flag('Validates the change and makes none.') }
const unsafe = { unsafe: flag('Also when metadata may be lost for ever.') }
const wanted = {
  feature: list('A level to go to; may be repeated.', { value: 'feature=level' }),
  'release-version': text("Goes to the levels of that release of Kafka, metadata.version included, which only Kafka's own clusters have.", {
    value: 'release',
  }),
  metadata: text('Accepted, deprecated: the level of metadata.version, as a release.', { value: 'release', hidden: true }),
}

/** kafka-features. */
export const features = defineSubcommands({
  name: 'features',
  summary: 'Shows and changes the feature levels that the cluster runs.',
  options: shared,
  mistake: (message) => `Command line error: ${message}. Type --help for help.`,
  subcommands: {
    describe: subcommand(shared, {
      summary: 'Shows every feature: the levels that can be run, and the one that is.',
      options: { ...outputOption },
      run: async (values, context) => {
        const format = outputFormat(values.output)
        const metadata = await withAdmin(values, context, (admin) => admin.describeFeatures({ signal: context.interrupted }))
        const rows = rowsOf(metadata)
        context.stdout.write(format === 'table' ? rows.map(lineOf).join('') : renderRows(rows, Object.keys(rows[0] ?? {}), format))
        return 0
      },
    }),
    upgrade: subcommand(shared, {
      summary: 'Raises levels.',
      options: { ...wanted, ...dryRun },
      run: (values, context) => update('upgrade', values, context, wantedUpdates(values, 'upgrade', context)),
    }),
    downgrade: subcommand(shared, {
      summary: 'Lowers levels.',
      options: { ...wanted, ...dryRun, ...unsafe },
      run: (values, context) => update('downgrade', values, context, wantedUpdates(values, downgradeType(values.unsafe), context)),
    }),
    disable: subcommand(shared, {
      summary: 'Lets the cluster run without features, which is level 0.',
      options: { feature: list('A feature; may be repeated.', { value: 'feature' }), ...dryRun, ...unsafe },
      run: (values, context) => {
        const upgradeType = downgradeType(values.unsafe)
        const updates = values.feature.map((feature) => ({ feature, maxVersionLevel: 0, upgradeType }))
        return update('disable', values, context, updates)
      },
    }),
    'version-mapping': subcommand(shared, {
      summary: 'Tells the levels that belong to a release of Kafka.',
      options: { 'release-version': text('Such as 4.2 or 4.0-IV1; the newest stable one when absent.', { value: 'release' }) },
      run: async (values, { stdout }) => {
        const release = values['release-version'] ?? latestRelease
        const metadataLevel = checkedLevelOf(release)
        stdout.write(`${METADATA_VERSION}=${metadataLevel} (${release})\n`)
        for (const [name, level] of levelsOf(metadataLevel)) stdout.write(`${name}=${level}\n`)
        return 0
      },
    }),
    'feature-dependencies': subcommand(shared, {
      summary: 'Tells what levels of other features a level needs.',
      options: { feature: list('A level; may be repeated.', { value: 'feature=level', required: true }) },
      run: async (values, { stdout }) => {
        for (const word of values.feature) stdout.write(dependencies(...nameAndLevel(word)))
        return 0
      },
    }),
  },
})

async function withAdmin<T>(
  values: Shared,
  { clients }: CommandContext,
  use: (admin: Awaited<ReturnType<CommandContext['clients']['admin']>>) => Promise<T>,
): Promise<T> {
  if (values['bootstrap-server'] === undefined)
    throw new UsageError('You must specify either --bootstrap-controller or --bootstrap-server.')
  const admin = await clients.admin(connectionProperties(values))
  try {
    return await use(admin)
  } finally {
    await admin.close()
  }
}

/** A row a feature, in order of name. */
function rowsOf({ supportedFeatures, finalizedFeatures, finalizedFeaturesEpoch }: FeatureMetadata) {
  return [...supportedFeatures]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([feature, { minVersion, maxVersion }]) => {
      const level = (value: number) => (feature === METADATA_VERSION ? (metadataVersionOf(value) ?? `UNKNOWN [${value}]`) : String(value))
      return {
        feature,
        supportedMinVersion: level(minVersion),
        supportedMaxVersion: level(maxVersion),
        finalizedVersionLevel: level(finalizedFeatures.get(feature)?.maxVersionLevel ?? 0),
        epoch: finalizedFeaturesEpoch ?? null,
      }
    })
}

const FEATURE_WIDTH = 40
const LEVEL_WIDTH = 15

function lineOf(row: ReturnType<typeof rowsOf>[number]): string {
  const [min, max, finalized] = [row.supportedMinVersion, row.supportedMaxVersion, row.finalizedVersionLevel].map((one) =>
    one.padEnd(LEVEL_WIDTH),
  )
  return (
    `Feature: ${row.feature.padEnd(FEATURE_WIDTH)}  SupportedMinVersion: ${min}  SupportedMaxVersion: ${max}  ` +
    `FinalizedVersionLevel: ${finalized}  Epoch: ${row.epoch ?? '-'}\n`
  )
}

const downgradeType = (isUnsafe: boolean): UpgradeType => (isUnsafe ? 'unsafe-downgrade' : 'safe-downgrade')

function wantedUpdates(values: OptionValues<typeof wanted>, upgradeType: UpgradeType, { stdout }: CommandContext): FeatureUpdate[] {
  const { feature: words, metadata } = values
  const release = values['release-version']
  if (release !== undefined) {
    if (metadata !== undefined || words.length > 0) throw new CommandFailure('Can not specify `release-version` with other feature flags.')
    const metadataLevel = checkedLevelOf(release)
    const levels = [...levelsOf(metadataLevel)].filter(([, level]) => level > 0 || upgradeType !== 'upgrade')
    return [[METADATA_VERSION, metadataLevel] as const, ...levels].map(([feature, maxVersionLevel]) => ({
      feature,
      maxVersionLevel,
      upgradeType,
    }))
  }
  const updates: FeatureUpdate[] = []
  if (metadata !== undefined) {
    stdout.write(' `metadata` flag is deprecated and may be removed in a future release.\n')
    updates.push({ feature: METADATA_VERSION, maxVersionLevel: checkedLevelOf(metadata), upgradeType })
  }
  for (const word of words) {
    const [feature, maxVersionLevel] = nameAndLevel(word)
    updates.push({ feature, maxVersionLevel, upgradeType })
  }
  return updates
}

/** @throws CommandFailure for a release that is not known */
function checkedLevelOf(release: string): number {
  const level = metadataLevelOf(release)
  if (level !== undefined) return level
  throw new CommandFailure(`Unknown metadata.version '${release}'. Supported metadata.version are: ${knownReleases()}`)
}

/** @throws CommandFailure for what is not feature=level */
function nameAndLevel(word: string): [name: string, level: number] {
  const equals = word.indexOf('=')
  if (equals < 0) throw new CommandFailure(`Can't parse feature=level string ${word}: equals sign not found.`)
  const level = word.slice(equals + 1).trim()
  if (!/^[+-]?\d+$/.test(level) || Number(level) < -32_768 || Number(level) > 32_767) {
    throw new CommandFailure(`Can't parse feature=level string ${word}: unable to parse ${level} as a short.`)
  }
  return [word.slice(0, equals).trim(), Number(level)]
}

function dependencies(name: string, level: number): string {
  if (name === METADATA_VERSION) {
    const release = metadataVersionOf(level)
    if (release === undefined) throw new CommandFailure(`Unknown metadata.version ${level}`)
    return `${name}=${level} (${release}) has no dependencies.\n`
  }
  const needed = dependenciesOf(name, level)
  if (needed === 'no feature') throw new CommandFailure(`Unknown feature: ${name}`)
  if (needed === 'no level') throw new CommandFailure(`No feature:${name} with feature level ${level}`)
  if (needed.length === 0) return `${name}=${level} has no dependencies.\n`
  return `${name}=${level} requires:\n${needed.map((one) => `    ${one}\n`).join('')}`
}

/** Asks for all of them together, and prints a line each, in order of name. */
async function update(
  verb: 'upgrade' | 'downgrade' | 'disable',
  values: Shared & { readonly 'dry-run': boolean },
  context: CommandContext,
  updates: readonly FeatureUpdate[],
): Promise<number> {
  const { stdout, interrupted: signal } = context
  if (updates.length === 0) throw new CommandFailure(`You must specify at least one feature to ${verb}`)
  const byName = new Map(updates.map((one) => [one.feature, one]))
  for (const [index, { feature }] of updates.entries()) {
    if (updates.findIndex((one) => one.feature === feature) < index)
      throw new CommandFailure(`Feature ${feature} was specified more than once.`)
  }
  const validateOnly = values['dry-run']
  // The broker names the first that it refuses, in the order of Java's map.
  const ordered = javaHashOrder([...byName.keys()]).map((name) => byName.get(name)!)
  const reasons = await withAdmin(values, context, (admin) =>
    admin.updateFeatures(ordered, { validateOnly, signal }).then(
      () => new Map<string, unknown>(),
      (error: unknown) => {
        signal.throwIfAborted()
        const { failures } = error as { failures?: ReadonlyMap<string, unknown> }
        return new Map<string, unknown>(failures ?? updates.map(({ feature }) => [feature, error]))
      },
    ),
  )
  for (const [name, { maxVersionLevel: level }] of [...byName].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const reason = reasons.get(name)
    const goal = verb === 'disable' ? '' : ` to ${level}`
    if (reason === undefined) stdout.write(`${name} ${validateOnly ? 'can be' : 'was'} ${verb}d${goal}.\n`)
    else stdout.write(`${validateOnly ? 'Can not' : 'Could not'} ${verb} ${name}${goal}. ${javaMessage(reason)}\n`)
  }
  if (reasons.size > 0) throw new CommandFailure(`${reasons.size} out of ${updates.length} operation(s) failed.`)
  return 0
}
