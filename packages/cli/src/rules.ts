import { UsageError } from './option-table.ts'

type Values = Readonly<Record<string, unknown>>

/** Rules between options that Kafka's tools share, in their words. An option counts as given when it is neither false, undefined nor empty. */
export function isGiven(values: Values, name: string): boolean {
  const value = values[name]
  return value !== undefined && value !== false && !(Array.isArray(value) && value.length === 0)
}

export function given(values: Values, names: readonly string[]): string[] {
  return names.filter((name) => isGiven(values, name))
}

/** @throws UsageError when `name` was not given. */
export function requireOption(values: Values, ...names: string[]): void {
  for (const name of names) if (!isGiven(values, name)) throw new UsageError(`Missing required argument "[${name}]"`)
}

/** @throws UsageError when `used` was given together with one of `invalid`. */
export function refuseTogether(values: Values, used: string, invalid: readonly string[]): void {
  if (!isGiven(values, used)) return
  for (const other of given(values, invalid)) throw new UsageError(`Option "[${used}]" can't be used with option "[${other}]"`)
}
