import type { ConfigRow } from '@tidelog/core'
import { InvalidOptionError } from '../errors.ts'
import type { ClientConfig } from './client-config.ts'

const environmentNames = ['clock', 'random', 'logger', 'observer', 'tls', 'sasl', 'proxy', 'socketFactory']

/** Marks options that come from a properties file: it may be shared by clients of different kinds, so each overlooks what is another's. */
export const fromPropertiesMark = Symbol('fromProperties')

/** @throws InvalidOptionError that names an option which the client does not have. */
export function checkOptionNames(
  config: ClientConfig<Readonly<Record<string, ConfigRow>>>,
  options: object,
  others: readonly string[],
): void {
  if (fromPropertiesMark in options) return
  for (const name of Object.keys(options)) {
    if (config.has(name) || environmentNames.includes(name) || others.includes(name)) continue
    const hint = config.optionOf(name) ? `; its name here is ${config.optionOf(name)}, and fromProperties() takes Kafka's names` : ''
    throw new InvalidOptionError(`unknown option ${name}${hint}`)
  }
}
