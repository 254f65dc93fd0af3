import type { Admin, AlterConfigOp } from '@tidelog/client'
import { connectionOptions, connectionProperties, readPropertiesFile } from '../clients.ts'
import { type CommandContext, CommandFailure, defineCommand } from '../command.ts'
import { type Entity, entityOf, entityOptions, ownSource, resourceOf, singular, sourceText } from '../configs/config-entities.ts'
import { configLine, parseAddedConfigs } from '../configs/config-text.ts'
import { javaFutureText } from '../java-error.ts'
import { flag, type OptionValues, text, UsageError } from '../option-table.ts'
import { type Cell, outputFormat, outputOption, renderRows } from '../rows.ts'
import { given } from '../rules.ts'

const options = {
  ...connectionOptions,
  ...outputOption,
  ...entityOptions,
  'bootstrap-controller': text('Taken as --bootstrap-server: brokers forward to the controller.', { value: 'host:port,…' }),
  describe: flag('Shows the configs that were set on the entity.'),
  alter: flag('Sets and removes configs of the entity.'),
  all: flag('With --describe: all configs, with defaults and what the brokers started with.'),
  'add-config': text('Configs to set: k1=v1,k2=[v1,v2]; brackets keep commas inside a value.', { value: 'k=v,…' }),
  'add-config-file': text('A properties file with configs to set.', { value: 'file' }),
  'delete-config': text('Configs to remove.', { value: 'k,…' }),
}
type Values = OptionValues<typeof options>

function check(values: Values): void {
  if (given(values, ['describe', 'alter']).length !== 1)
    throw new UsageError('Command must include exactly one action: --describe, --alter')
  if (given(values, ['bootstrap-server', 'bootstrap-controller']).length === 0)
    throw new CommandFailure('Either --bootstrap-server or --bootstrap-controller must be specified.')
  const entity = entityOf(values)
  if (!values.alter) {
    outputFormat(values.output)
    return
  }
  const changes = given(values, ['add-config', 'add-config-file', 'delete-config'])
  if (changes.length === 0)
    throw new CommandFailure('At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter')
  if (changes.includes('add-config') && changes.includes('add-config-file'))
    throw new CommandFailure('Only one of --add-config or --add-config-file must be specified')
  if (entity.name === undefined) throw new CommandFailure(`An entity name must be specified with --alter of ${entity.type}`)
}

/** kafka-configs. */
export const configs = defineCommand({
  name: 'configs',
  summary: 'Shows and changes configs of topics, brokers, groups and their like while they run.',
  options,
  check,
  async run(values, context, args) {
    const server = values['bootstrap-server'] ?? values['bootstrap-controller']
    const entity = entityOf(values)
    const ops = values.alter ? changesOf(values) : []
    const admin = await context.clients.admin(connectionProperties({ ...values, 'bootstrap-server': server }))
    try {
      if (values.alter) await alter(admin, entity, ops, context)
      else await describe(admin, entity, values, context)
      return 0
    } catch (error) {
      context.interrupted.throwIfAborted()
      context.stderr.write(`Error while executing config command with args '${args.join(' ')}'\n${javaFutureText(error)}\n`)
      return 1
    } finally {
      await admin.close()
    }
  },
})

/** @throws CommandFailure when what is to be added is not `key=value`. */
function changesOf(values: Values): AlterConfigOp[] {
  try {
    const added =
      values['add-config'] === undefined ? readPropertiesFile(values['add-config-file']) : parseAddedConfigs(values['add-config'])
    const deleted = (values['delete-config'] ?? '').split(',').map((name) => name.trim())
    return [
      ...[...added].map(([name, value]) => ({ name, op: 'set', value }) as const),
      ...deleted.filter((name) => name !== '').map((name) => ({ name, op: 'delete' }) as const),
    ]
  } catch (error) {
    throw new CommandFailure((error as Error).message)
  }
}

async function alter(
  admin: Admin,
  entity: Entity,
  ops: readonly AlterConfigOp[],
  { stdout, interrupted: signal }: CommandContext,
): Promise<void> {
  await admin.incrementalAlterConfigs([{ resource: resourceOf(entity), ops }], { signal })
  if (entity.name === '') stdout.write(`Completed updating default config for ${entity.type} in the cluster.\n`)
  else stdout.write(`Completed updating config for ${singular(entity.type)} ${entity.name}.\n`)
}

async function describe(admin: Admin, asked: Entity, values: Values, { stdout, interrupted: signal }: CommandContext): Promise<void> {
  const format = outputFormat(values.output)
  if (asked.name && !(await exists(admin, asked, signal))) {
    stdout.write(`The ${singular(asked.type)} '${asked.name}' doesn't exist and doesn't have dynamic config.\n`)
    return
  }
  const rows: Record<string, Cell>[] = []
  for (const entity of asked.name === undefined ? await allEntities(admin, asked, signal) : [asked]) {
    const [described] = await admin.describeConfigs([resourceOf(entity)], { includeSynonyms: true, signal })
    const entries = (described?.configs ?? [])
      .filter(({ source }) => values.all || source === ownSource(entity))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
    if (format !== 'table') {
      for (const { name, value, source, isSensitive } of entries)
        rows.push({
          entityType: entity.type,
          entityName: entity.name ?? '',
          name,
          value,
          source: sourceText(source),
          sensitive: isSensitive,
        })
      continue
    }
    const title =
      entity.name === ''
        ? `Default configs for ${entity.type} in the cluster`
        : `${values.all ? 'All' : 'Dynamic'} configs for ${singular(entity.type)} ${entity.name}`
    const lines = entries.map((entry) =>
      configLine({ ...entry, synonyms: entry.synonyms.map((synonym) => ({ ...synonym, source: sourceText(synonym.source) })) }),
    )
    stdout.write(`${title} are:\n${lines.join('')}`)
  }
  if (format !== 'table') stdout.write(renderRows(rows, ['entityType', 'entityName', 'name', 'value', 'source', 'sensitive'], format))
}

async function exists(admin: Admin, { type, name }: Entity, signal: AbortSignal): Promise<boolean> {
  if (type === 'topics') return (await admin.listTopics({ includeInternal: true, signal })).some((topic) => topic.name === name)
  if (type === 'brokers' || type === 'broker-loggers')
    return (await admin.describeCluster({ signal })).brokers.some(({ nodeId }) => String(nodeId) === name)
  const resourceType = resourceOf({ type, name }).type
  const configured = await admin.listConfigResources([resourceType], { signal })
  if (configured.some((resource) => resource.name === name)) return true
  return type === 'groups' && (await admin.listGroups({ signal })).some(({ groupId }) => groupId === name)
}

/** Every entity of the type; for brokers, the defaults come last. */
async function allEntities(admin: Admin, { type }: Entity, signal: AbortSignal): Promise<Entity[]> {
  const named = (names: readonly string[]) => names.map((name) => ({ type, name }))
  if (type === 'topics') return named((await admin.listTopics({ includeInternal: true, signal })).map(({ name }) => name))
  if (type === 'brokers' || type === 'broker-loggers') {
    const ids = (await admin.describeCluster({ signal })).brokers.map(({ nodeId }) => String(nodeId))
    return named(type === 'brokers' ? [...ids, ''] : ids)
  }
  const names = (await admin.listConfigResources([resourceOf({ type, name: undefined }).type], { signal })).map(({ name }) => name)
  if (type === 'groups') names.push(...(await admin.listGroups({ signal })).map(({ groupId }) => groupId))
  return named([...new Set(names)].sort())
}
