/**
 * Command-line options as rows of a table. The same table parses the arguments, types the result and prints `--help`.
 *
 * The rules are those of jopt-simple, on which Kafka's tools are built, so that scripts written for them run here unchanged:
 * `--name value`, `--name=value`, any unambiguous beginning of a name, options repeated, and a required value taken as it is even
 * when it begins with a dash (`--shift-by -10`). Words that belong to no option are left to the command,
 * and Kafka's tools ignore them. No parser from npm does all of these:
 * docs/decisions/dependencies.md.
 */

type Kind = 'flag' | 'string' | 'number' | 'list' | 'optional'

export interface Option<K extends Kind = Kind> {
  readonly kind: K
  readonly help: string
  /** How the value is called in `--help`. */
  readonly value?: string
  readonly required?: boolean
  /** Left out of `--help`: accepted since Kafka's tools accept it. */
  readonly hidden?: boolean
}

export type OptionTable = Readonly<Record<string, Option>>

type ValueOf<O extends Option> = O['kind'] extends 'flag'
  ? boolean
  : O['kind'] extends 'number'
    ? number | undefined
    : O['kind'] extends 'list'
      ? readonly string[]
      : string | undefined

/** A flag is a boolean, a list is empty when not given, anything else is undefined; of `optional`, '' is the option without its value. */
export type OptionValues<T extends OptionTable> = { readonly [N in keyof T]: ValueOf<T[N]> }

type Details = Omit<Option, 'kind' | 'help'>

export const flag = (help: string, details: Details = {}): Option<'flag'> => ({ kind: 'flag', help, ...details })
export const text = (help: string, details: Details = {}): Option<'string'> => ({ kind: 'string', help, ...details })
/** A whole number within ±(2^53−1). */
export const number = (help: string, details: Details = {}): Option<'number'> => ({ kind: 'number', help, ...details })
/** May be given more than once. */
export const list = (help: string, details: Details = {}): Option<'list'> => ({ kind: 'list', help, ...details })
/** With or without a value. */
export const optional = (help: string, details: Details = {}): Option<'optional'> => ({ kind: 'optional', help, ...details })

/** The arguments are wrong: the command prints this, its usage, and exits with 1. */
export class UsageError extends Error {}

/**
 * Reads `args` by `table`.
 * @throws UsageError naming the option, for one that is unknown, ambiguous, without its value, with a bad number, or given twice where one is meant.
 */
export function parseOptions<T extends OptionTable>(table: T, args: readonly string[]): OptionValues<T> {
  return walk(table, args).values
}

/** The words among `args` that belong to no option. @throws UsageError */
export function wordsOf(table: OptionTable, args: readonly string[]): string[] {
  return walk(table, args).words
}

function walk<T extends OptionTable>(table: T, args: readonly string[]): { values: OptionValues<T>; words: string[] } {
  const values: Record<string, boolean | number | string | string[] | undefined> = {}
  const words: string[] = []
  for (const [name, { kind }] of Object.entries(table)) values[name] = kind === 'flag' ? false : kind === 'list' ? [] : undefined
  for (let i = 0; i < args.length; i++) {
    const word = args[i] as string
    if (word === '--') {
      words.push(...args.slice(i + 1))
      break
    }
    if (!looksLikeOption(word)) {
      words.push(word)
      continue
    }
    const equals = word.indexOf('=')
    const given = word.slice(word.startsWith('--') ? 2 : 1, equals === -1 ? undefined : equals)
    const name = resolveName(table, given)
    const { kind } = table[name] as Option
    if (kind === 'flag') {
      values[name] = true
      continue
    }
    let value = equals === -1 ? undefined : word.slice(equals + 1)
    const next = args[i + 1]
    if (value === undefined && next !== undefined && (kind !== 'optional' || !looksLikeOption(next))) {
      value = next
      i++
    }
    if (value === undefined && kind !== 'optional') throw new UsageError(`Option ${name} requires an argument`)
    if (kind === 'list') (values[name] as string[]).push(value as string)
    else if (values[name] !== undefined) throw new UsageError(`Found multiple arguments for option ${name}, but you asked for only one`)
    else values[name] = kind === 'number' ? parseNumber(name, value as string) : (value ?? '')
  }
  return { values: values as OptionValues<T>, words }
}

/** @throws UsageError when an option that the table calls required is missing. */
export function checkRequired(table: OptionTable, values: Readonly<Record<string, unknown>>): void {
  for (const [name, { required }] of Object.entries(table)) {
    if (required && values[name] === undefined) throw new UsageError(`Missing required argument "[${name}]"`)
  }
}

function looksLikeOption(word: string): boolean {
  return word.startsWith('-') && word !== '-'
}

function resolveName(table: OptionTable, given: string): string {
  if (Object.hasOwn(table, given)) return given
  const matching = given === '' ? [] : Object.keys(table).filter((name) => name.startsWith(given))
  if (matching.length === 1) return matching[0] as string
  if (matching.length === 0) throw new UsageError(`${given} is not a recognized option`)
  throw new UsageError(`${given} is ambiguous: it may mean ${matching.map((name) => `--${name}`).join(', ')}`)
}

function parseNumber(name: string, value: string): number {
  const parsed = /^[+-]?\d+$/.test(value) ? Number(value) : Number.NaN
  if (!Number.isSafeInteger(parsed)) throw new UsageError(`Cannot parse argument '${value}' of option ${name}`)
  return parsed
}

const columnGap = 2
const lineWidth = 100

/** The table as text: a row an option, sorted by name, its help folded to the width of a terminal. */
export function describeOptions(table: OptionTable): string {
  const rows = Object.entries(table)
    .filter(([, { hidden }]) => !hidden)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { kind, value = defaultValueNames[kind], help, required }]) => {
      const argument = kind === 'flag' ? '' : kind === 'optional' ? ` [${value}]` : ` <${value}>`
      return [`--${name}${argument}`, required ? `Required. ${help}` : help] as const
    })
  const width = Math.min(38, Math.max(...rows.map(([left]) => left.length)))
  const indent = ' '.repeat(width + columnGap)
  return rows
    .map(([left, help]) => {
      const folded = fold(help, lineWidth - indent.length).join(`\n${indent}`)
      return left.length > width ? `${left}\n${indent}${folded}\n` : `${left.padEnd(width + columnGap)}${folded}\n`
    })
    .join('')
}

const defaultValueNames: Record<Kind, string> = { flag: '', string: 'text', number: 'number', list: 'text', optional: 'text' }

function fold(line: string, width: number): string[] {
  const lines: string[] = []
  let current = ''
  for (const word of line.split(' ')) {
    if (current !== '' && current.length + 1 + word.length > width) {
      lines.push(current)
      current = word
    } else current = current === '' ? word : `${current} ${word}`
  }
  lines.push(current)
  return lines
}
