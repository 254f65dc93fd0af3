import { formatDouble, INT64_MAX, INT64_MIN, parseDouble } from './config-number.ts'
import { Password } from './password.ts'

/**
 * The configuration engine: a table of rows, one a name, drives parsing, validation, description and the reference page.
 * Texts are what users write and what tools print; values are what code reads. Error messages are worded as Kafka's tools show them.
 */
export type ConfigType = 'boolean' | 'class' | 'double' | 'int' | 'list' | 'long' | 'password' | 'short' | 'string'
export type Importance = 'high' | 'medium' | 'low'
/** read-only: only in server.properties; per-broker: may differ between brokers at run time; cluster-wide: also as a default of all brokers. */
export type UpdateMode = 'read-only' | 'per-broker' | 'cluster-wide'

/** A value that a configuration does not take. The message names the configuration and, unless it is secret, the value. */
export class ConfigError extends Error {
  override name = 'ConfigError'
  readonly configName: string
  constructor(configName: string, message: string) {
    super(message)
    this.configName = configName
  }
}

interface CommonOptions {
  readonly doc: string
  readonly importance: Importance
  readonly update?: UpdateMode
  /** Printed in the reference page, and the base of `.minutes` and `.hours` synonyms; the type does not depend on it. */
  readonly unit?: 'ms' | 's' | 'bytes'
  /** The broker's configurations that give a topic's or group's default, in order of precedence. */
  readonly brokerNames?: readonly string[]
  /** Why the row is accepted and has no effect. A row without a reason must have a reader (`npm run tidy`). */
  readonly unused?: string
  /** What the reference page says of valid values where `of`, `min` and `max` do not say it. */
  readonly valid?: string
}
export interface NumberOptions extends CommonOptions {
  /** Absent: the configuration must be given. */
  readonly default?: number | null
  readonly min?: number
  readonly max?: number
  /** A value outside [min, max] that is taken all the same, such as -1 for "the codec's default". */
  readonly also?: number
}
export interface LongOptions extends CommonOptions {
  readonly default?: number | bigint | null
  readonly min?: number
  readonly max?: number
}
export interface BooleanOptions extends CommonOptions {
  readonly default?: boolean | null
}
export interface StringOptions extends CommonOptions {
  readonly default?: string | null
  readonly of?: readonly string[]
  /** With `of`: compares without regard to case; the value is spelled as in `of`. */
  readonly ignoreCase?: boolean
  /** Refuses a text by returning what is wrong with it. */
  readonly check?: (text: string) => string | undefined
}
export interface ListOptions extends CommonOptions {
  readonly default?: readonly string[] | null
  readonly of?: readonly string[]
  readonly check?: (items: readonly string[]) => string | undefined
  /** Refuses a list without items. */
  readonly nonEmpty?: boolean
}

/** One configuration: how its text becomes a value, and what tools print of it. */
export interface ConfigRow<out T = unknown> {
  readonly type: ConfigType
  readonly default: T | undefined
  /** null where the default is "not set"; undefined where the configuration must be given. */
  readonly defaultText: string | null | undefined
  readonly doc: string
  readonly importance: Importance
  readonly update: UpdateMode
  readonly unit: CommonOptions['unit']
  readonly brokerNames: readonly string[]
  readonly sensitive: boolean
  readonly unused: string | undefined
  readonly valid: string
  /** @throws Reason without the configuration's name; `ConfigTable.parse` adds it. */
  readonly read: (text: string) => T
  /** The exact canonical text: `read` and back for every type but long, which keeps int64 whole. */
  readonly canonical: (text: string) => string
}

type Or<T, O> = O extends { default: null } ? T | null : T
type Choice<O> = O extends { of: readonly (infer S extends string)[] } ? S : string

/** Thrown by row readers, which know what is wrong but not the configuration's name. */
class Reason extends Error {
  readonly sentence: (name: string, text: string) => string
  constructor(sentence: (name: string, text: string) => string) {
    super()
    this.sentence = sentence
  }
}

/** @param shown The value as Kafka prints it where that is not the text itself: a parsed number, a list in brackets. */
const refuse = (why: string, shown?: string): never => {
  throw new Reason((name, text) => `Invalid value ${shown ?? text} for configuration ${name}: ${why}`)
}

const INT_RANGE = { int: [-2147483648n, 2147483647n], short: [-32768n, 32767n], long: [INT64_MIN, INT64_MAX] } as const

function readInteger(type: 'int' | 'short' | 'long', text: string): bigint {
  const trimmed = text.trim()
  const [min, max] = INT_RANGE[type]
  // 20 characters hold every int64 with its sign; the cap keeps BigInt from parsing megabytes of digits.
  const value = /^[+-]?\d{1,40}$/.test(trimmed) ? BigInt(trimmed.replace(/^\+/, '')) : refuse(`Not a number of type ${type.toUpperCase()}`)
  return value < min || value > max ? refuse(`Not a number of type ${type.toUpperCase()}`) : value
}

interface Range {
  readonly min?: number
  readonly max?: number
  readonly also?: number
}

function checkRange(value: bigint | number, { min, max, also }: Range): void {
  const shown = typeof value === 'bigint' ? String(value) : formatDouble(value)
  if (also !== undefined) {
    if (Number(value) !== also && (value < min! || value > max!))
      refuse(`Value must be between ${min} and ${max} or equal to ${also}`, shown)
    return
  }
  if (min !== undefined && value < min) refuse(`Value must be at least ${min}`, shown)
  if (max !== undefined && value > max) refuse(`Value must be no more than ${max}`, shown)
}

/** Both ends of a safe integer stand for everything beyond them: a long such as 9223372036854775807 means "no limit". */
function saturate(value: bigint): number {
  const nearest = Number(value)
  return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, nearest))
}

function rangeText({ min, max, also }: Range): string {
  if (min === undefined && max === undefined) return ''
  const range = max === undefined ? `[${min},...]` : min === undefined ? `[...,${max}]` : `[${min},...,${max}]`
  return also === undefined ? range : `${range} or ${also}`
}

function row<T>(
  type: ConfigType,
  options: CommonOptions & { readonly default?: unknown },
  defaultText: string | null | undefined,
  read: (text: string) => T,
  canonical: (text: string) => string,
  valid = '',
): ConfigRow<T> {
  return {
    type,
    default: defaultText === undefined ? undefined : defaultText === null ? (null as T) : read(defaultText),
    defaultText,
    doc: options.doc,
    importance: options.importance,
    update: options.update ?? 'read-only',
    unit: options.unit,
    brokerNames: options.brokerNames ?? [],
    sensitive: type === 'password',
    unused: options.unused,
    valid: options.valid ?? valid,
    read,
    canonical,
  }
}

const textOf = (value: unknown): string | null | undefined => (value === undefined || value === null ? value : String(value))

function integer(type: 'int' | 'short', options: NumberOptions): ConfigRow<number> {
  const read = (text: string) => {
    const value = readInteger(type, text)
    checkRange(value, options)
    return Number(value)
  }
  return row(type, options, textOf(options.default), read, (text) => String(read(text)), rangeText(options))
}

export function int<const O extends NumberOptions>(options: O): ConfigRow<Or<number, O>> {
  return integer('int', options) as ConfigRow<Or<number, O>>
}

export function short<const O extends NumberOptions>(options: O): ConfigRow<Or<number, O>> {
  return integer('short', options) as ConfigRow<Or<number, O>>
}

/**
 * An int64. Its value is a safe integer: what lies beyond ±(2^53−1) reads as ±(2^53−1), which for limits in bytes, ms or
 * messages means the same ("never reached"). Its canonical text is exact.
 */
export function long<const O extends LongOptions>(options: O): ConfigRow<Or<number, O>> {
  const exact = (text: string) => {
    const value = readInteger('long', text)
    checkRange(value, options)
    return value
  }
  const read = (text: string) => saturate(exact(text))
  const canonical = (text: string) => exact(text).toString()
  return row('long', options, textOf(options.default), read, canonical, rangeText(options)) as ConfigRow<Or<number, O>>
}

export function double<const O extends NumberOptions>(options: O): ConfigRow<Or<number, O>> {
  const read = (text: string) => {
    const value = parseDouble(text) ?? refuse('Not a number of type DOUBLE')
    checkRange(value, options)
    return value
  }
  const defaultText = typeof options.default === 'number' ? formatDouble(options.default) : textOf(options.default)
  return row('double', options, defaultText, read, (text) => formatDouble(read(text)), rangeText(options)) as ConfigRow<Or<number, O>>
}

export function boolean<const O extends BooleanOptions>(options: O): ConfigRow<Or<boolean, O>> {
  const read = (text: string) => {
    const lower = text.trim().toLowerCase()
    return lower === 'true' ? true : lower === 'false' ? false : refuse('Expected value to be either true or false')
  }
  return row('boolean', options, textOf(options.default), read, (text) => String(read(text))) as ConfigRow<Or<boolean, O>>
}

function readString(text: string, { of, ignoreCase, check }: StringOptions): string {
  const trimmed = text.trim()
  const problem = check?.(trimmed)
  if (problem !== undefined) refuse(problem)
  if (of === undefined || of.includes(trimmed)) return trimmed
  const other = ignoreCase ? of.find((name) => name.toLowerCase() === trimmed.toLowerCase()) : undefined
  return other ?? refuse(`String must be one of${ignoreCase ? ' (case insensitive)' : ''}: ${of.join(', ')}`)
}

export function string<const O extends StringOptions>(options: O): ConfigRow<Or<Choice<O>, O>> {
  const read = (text: string) => readString(text, options)
  const { of, ignoreCase } = options
  const valid = of === undefined ? '' : `${ignoreCase ? '(case insensitive) ' : ''}[${of.join(', ')}]`
  return row('string', options, options.default, read, (text) => text.trim(), valid) as ConfigRow<Or<Choice<O>, O>>
}

/** The name of a Java class. It is kept as text and never loaded. */
export function className<const O extends StringOptions>(options: O): ConfigRow<Or<string, O>> {
  const read = (text: string) => readString(text, options)
  return row('class', options, options.default, read, read) as ConfigRow<Or<string, O>>
}

/** A secret: its value prints as [hidden] wherever it goes, and tools get null. */
export function password<const O extends StringOptions>(options: O): ConfigRow<Or<Password, O>> {
  const read = (text: string) => new Password(readString(text, options))
  return row('password', options, options.default, read, (text) => text.trim()) as ConfigRow<Or<Password, O>>
}

/** Items of a list's text, trimmed; an empty text has none. */
export const splitList = (text: string): string[] => (text.trim() === '' ? [] : text.split(',').map((item) => item.trim()))

/** Items joined by commas. Of equal items one is kept. KIP-1161. */
export function list<const O extends ListOptions>(options: O): ConfigRow<Or<Choice<O>[], O>> {
  const { of, check, nonEmpty } = options
  const read = (text: string): string[] => {
    const items = splitList(text)
    if (nonEmpty && items.length === 0) throw new Reason((name) => `Configuration '${name}' must not be empty.`)
    if (items.includes('')) throw new Reason((name) => `Configuration '${name}' values must not be empty.`)
    if (of !== undefined && !items.every((item) => of.includes(item))) refuse(`String must be one of: ${of.join(', ')}`)
    const problem = check?.(items)
    if (problem !== undefined) refuse(problem, `[${items.join(', ')}]`)
    return [...new Set(items)]
  }
  const defaultText = options.default === undefined || options.default === null ? options.default : options.default.join(',')
  const valid = of === undefined ? '' : `[${of.join(', ')}]`
  return row('list', options, defaultText, read, (text) => splitList(text).join(','), valid) as unknown as ConfigRow<Or<Choice<O>[], O>>
}

type Rows = Readonly<Record<string, ConfigRow>>
type ValueOf<R> = R extends ConfigRow<infer T> ? T : never
/** The values of a table by name. */
export type ConfigOf<T> = T extends ConfigTable<infer R> ? { readonly [K in keyof R]: ValueOf<R[K]> } : never

/** A table whose rows are not known by type: what describes, documents and checks any table. */
export interface AnyConfigTable {
  readonly rows: ReadonlyMap<string, ConfigRow>
  row(name: string): ConfigRow | undefined
  canonical(name: string, text: string): string
}

/** Rows by name, in the order of their declaration. Names that come from outside are looked up in a Map. */
export class ConfigTable<const R extends Rows> implements AnyConfigTable {
  readonly rows: ReadonlyMap<string, ConfigRow>

  constructor(rows: R) {
    this.rows = new Map(Object.entries(rows))
  }

  get names(): (keyof R & string)[] {
    return [...this.rows.keys()]
  }

  has(name: string): name is keyof R & string {
    return this.rows.has(name)
  }

  row(name: string): ConfigRow | undefined {
    return this.rows.get(name)
  }

  /**
   * The value of one configuration, `text` undefined meaning its default.
   * @throws ConfigError for an unknown name, an invalid value, or a missing value without default.
   */
  parse<K extends keyof R & string>(name: K, text?: string): ValueOf<R[K]> {
    return this.#read(name, text, (row) => (text === undefined ? this.#default(name, row) : row.read(text))) as ValueOf<R[K]>
  }

  /** The canonical text of a value: exact for every int64, lists joined by commas, doubles as Java prints them. @throws as parse */
  canonical(name: string, text: string): string {
    return this.#read(name, text, (row) => row.canonical(text))
  }

  /** Every value of the table: `textOf` gives what is set, else the default holds. @throws ConfigError, as parse */
  resolve(textOf: (name: string) => string | undefined): ConfigOf<ConfigTable<R>> {
    const values: Record<string, unknown> = Object.create(null)
    for (const name of this.names) values[name] = this.parse(name, textOf(name))
    return values as ConfigOf<ConfigTable<R>>
  }

  #default(name: string, row: ConfigRow): unknown {
    if (row.default !== undefined) return row.default
    throw new ConfigError(name, `Missing required configuration "${name}" which has no default value.`)
  }

  #read<T>(name: string, text: string | undefined, read: (row: ConfigRow) => T): T {
    const row = this.rows.get(name)
    if (row === undefined) throw new ConfigError(name, `Unknown configuration ${name}`)
    try {
      return read(row)
    } catch (error) {
      if (!(error instanceof Reason)) throw error
      throw new ConfigError(name, error.sentence(name, row.sensitive ? '[hidden]' : (text ?? 'null')))
    }
  }
}

/** Declares a table; `ConfigOf<typeof table>` is the type of its values. */
export function configTable<const R extends Rows>(rows: R): ConfigTable<R> {
  return new ConfigTable(rows)
}
