import type { ConfigRow } from '@tidelog/core'
import { InvalidOptionError } from '../errors.ts'
import type { ClientConfig } from './client-config.ts'

const environmentNames = ['clock', 'random', 'logger']

/** @throws InvalidOptionError that names an option which the client does not have. */
export function checkOptionNames(
  config: ClientConfig<Readonly<Record<string, ConfigRow>>>,
  options: object,
  others: readonly string[],
): void {
  for (const name of Object.keys(options)) {
    if (config.has(name) || environmentNames.includes(name) || others.includes(name)) continue
    const hint = config.optionOf(name) ? `; its name here is ${config.optionOf(name)} (fromProperties() takes Kafka's names)` : ''
    throw new InvalidOptionError(`unknown option ${name}${hint}`)
  }
}
