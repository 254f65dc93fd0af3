import { type AnyConfigTable, ConfigError, splitList } from '@tidelog/core'
import { KafkaError } from '@tidelog/protocol'
import { checkLogConfig, logConfig, resolveLogConfig } from '@tidelog/storage'
import { type BrokerConfig, brokerConfig, throttles } from './broker-config.ts'
import { type BrokerText, checkChange } from './check-change.ts'
import { baseNameOf } from './config-layers.ts'
import { sharedByBrokers } from './listener-values.ts'
import { securityConfigs } from './rows/security-configs.ts'

/** What IncrementalAlterConfigs does to one configuration. KIP-339. */
export interface ConfigOp {
  readonly name: string
  readonly operation: 'set' | 'delete' | 'append' | 'subtract'
  /** null only with delete. */
  readonly value: string | null
}

type Texts = ReadonlyMap<string, string>

/** A variable that a provider would resolve by reading a file or the environment. KIP-297. */
const PROVIDER_VARIABLE = /\$\{[^{}:]*:[^{}]*\}/

const invalidConfig = (message: string) => new KafkaError('INVALID_CONFIG', message)
const invalidRequest = (message: string) => new KafkaError('INVALID_REQUEST', message)

/** Runs `check`; its ConfigError becomes a KafkaError that carries the same sentence. */
export function refusing(refusal: (message: string) => KafkaError, check: () => void): void {
  try {
    check()
  } catch (error) {
    throw error instanceof ConfigError ? refusal(error.message) : error
  }
}

/** Values are stored and used as they are, so one that asks to be looked up elsewhere is refused instead of kept as a trap. */
function refuseVariables(ops: readonly ConfigOp[]): void {
  const variable = ops.find(({ value }) => value !== null && PROVIDER_VARIABLE.test(value))
  if (variable !== undefined)
    throw invalidConfig(
      `Invalid value for configuration ${variable.name}: variables of config providers are not served, values are taken as they are`,
    )
}

/** A list with items added or taken away. Where nothing is set, Kafka begins with the table's default. */
function changedList(table: AnyConfigTable, current: Texts, { name, operation, value }: ConfigOp): string {
  const row = table.row(name)
  if (row?.type !== 'list') throw invalidConfig(`Can't ${operation.toUpperCase()} to key ${name} because its type is not LIST.`)
  const before = splitList(current.get(name) ?? row.defaultText ?? '')
  const items = splitList(value ?? '')
  const after = operation === 'append' ? [...new Set([...before, ...items])] : before.filter((item) => !items.includes(item))
  return after.join(',')
}

/** A resource's configurations after `ops`, not yet validated. @throws KafkaError INVALID_CONFIG for a list operation on what is no list */
export function applyOps(table: AnyConfigTable, current: Texts, ops: readonly ConfigOp[]): Map<string, string> {
  const next = new Map(current)
  for (const op of ops) {
    if (op.operation === 'delete') next.delete(op.name)
    else next.set(op.name, op.operation === 'set' ? op.value! : changedList(table, current, op))
  }
  return next
}

/** A legacy AlterConfigs as operations: what is not named goes. */
export function replacing(current: Texts, values: Texts): ConfigOp[] {
  const gone = [...current.keys()].filter((name) => !values.has(name))
  return [
    ...gone.map((name) => ({ name, operation: 'delete', value: null }) as const),
    ...[...values].map(([name, value]) => ({ name, operation: 'set', value }) as const),
  ]
}

/**
 * Refuses configurations a topic cannot have.
 * @param brokerText As for `resolveLogConfig`.
 * @throws KafkaError INVALID_CONFIG in Kafka's words
 */
export function checkTopicConfigs(configs: Texts, brokerText: (name: string) => string | undefined): void {
  for (const name of configs.keys()) if (!logConfig.has(name)) throw invalidConfig(`Unknown topic config name: ${name}`)
  refusing(invalidConfig, () => {
    const resolved = resolveLogConfig(configs, brokerText)
    checkLogConfig(resolved)
    if (resolved['remote.storage.enable'])
      throw invalidConfig('Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.')
  })
}

/**
 * A topic's overrides after `ops`. Names that the topic already has and nobody knows, as an adopted one may, stay and do not stand in the way.
 * @throws KafkaError INVALID_CONFIG
 */
export function alteredTopicConfigs(current: Texts, ops: readonly ConfigOp[], brokerText: (name: string) => string | undefined): Texts {
  refuseVariables(ops)
  const next = applyOps(logConfig, current, ops)
  const touched = new Set(ops.map(({ name }) => name))
  checkTopicConfigs(new Map([...next].filter(([name]) => logConfig.has(name) || touched.has(name))), brokerText)
  return next
}

/** Names whose change must not be kept: what they configure is not served, and some are secrets or name files and addresses. */
function refuseSecurity(names: readonly string[]): void {
  const refused = names.filter((name) => securityConfigs.has(baseNameOf(name) ?? name))
  if (refused.length > 0)
    throw invalidConfig(`Cannot update these configs dynamically, TLS, SASL and config providers are not served: [${refused.join(', ')}]`)
}

/**
 * A broker's (or all brokers') dynamic configurations after `ops`. An unknown name is kept, as in Kafka.
 * @param scope 'one' for a broker's own, 'all' for those of every broker.
 * @param before What holds now. @param after What would hold with these.
 * @throws KafkaError INVALID_REQUEST as Kafka 4.3; INVALID_CONFIG for security configurations and provider variables
 */
export function alteredBrokerConfigs(
  current: Texts,
  ops: readonly ConfigOp[],
  { scope, before, after }: { scope: 'one' | 'all'; before: BrokerConfig; after: (next: Texts) => BrokerText },
): Texts {
  const setting = ops.filter(({ operation }) => operation !== 'delete')
  const names = setting.map(({ name }) => name)
  refuseSecurity(names)
  refuseVariables(ops)
  const known = (name: string) => brokerConfig.row(baseNameOf(name) ?? name)
  const readOnly = names.filter((name) => known(name)?.update === 'read-only')
  if (readOnly.length > 0) throw invalidRequest(`Cannot update these configs dynamically: [${readOnly.join(', ')}]`)
  const perBroker = scope === 'all' ? names.filter(isOfOneBroker) : []
  if (perBroker.length > 0)
    throw invalidRequest(`Cannot update these configs at default cluster level, broker id must be specified: [${perBroker.join(', ')}]`)
  const next = applyOps(brokerConfig, current, ops)
  refusing(invalidRequest, () => {
    for (const [name, text] of next) {
      const base = baseNameOf(name) ?? name
      if (brokerConfig.has(base)) brokerConfig.parse(base, text)
    }
    for (const [name, text] of next)
      if (isConnectionLimit(name) && Number(text) === 0) throw new ConfigError(name, `Invalid ${baseNameOf(name) ?? name} 0`)
    checkChange(before, after(next))
  })
  return next
}

/** A limit that would keep everybody out. */
const isConnectionLimit = (name: string): boolean => ['max.connections', 'max.connection.creation.rate'].includes(baseNameOf(name) ?? name)

/** Whether a configuration cannot be set for all brokers at once. */
function isOfOneBroker(name: string): boolean {
  const base = baseNameOf(name)
  if (base !== undefined) return !sharedByBrokers.has(base)
  return !throttles.has(name) && brokerConfig.row(name)?.update === 'per-broker'
}
