import { readPropertiesFile } from '../clients.ts'
import { UsageError } from '../option-table.ts'

/**
 * Settings of a console tool's client. From weakest to strongest: the tool's own default, the properties file, the tool's option when it
 * was given, `--command-property`.
 */
export class ClientProperties {
  readonly #properties: Map<string, string>
  readonly #words: ReadonlyMap<string, string>

  constructor(file: string | undefined, words: ReadonlyMap<string, string>) {
    this.#properties = readPropertiesFile(file)
    this.#words = words
    for (const [name, value] of words) this.#properties.set(name, value)
  }

  /** An option of the tool that stands for the setting `name`. */
  option(name: string, given: string | number | undefined, otherwise?: string | number): void {
    if (given !== undefined && !this.#words.has(name)) this.#properties.set(name, String(given))
    else if (otherwise !== undefined && !this.#properties.has(name)) this.#properties.set(name, String(otherwise))
  }

  get(name: string): string | undefined {
    return this.#properties.get(name)
  }

  set(name: string, value: string): void {
    this.#properties.set(name, value)
  }

  all(): ReadonlyMap<string, string> {
    return this.#properties
  }
}

/** Kafka renamed options and takes the old names for a while, with a warning, but not both. @throws UsageError */
export function renamed<T>(names: readonly [today: string, before: string], today: T | undefined, before: T | undefined): T | undefined {
  const isGiven = (value: T | undefined) => value !== undefined && !(Array.isArray(value) && value.length === 0)
  if (isGiven(today) && isGiven(before))
    throw new UsageError(`Options ${names.map((name) => `--${name}`).join(' and ')} cannot be specified together.`)
  return isGiven(before) ? before : today
}
