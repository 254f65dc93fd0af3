import type { ConfigRow } from '@tidelog/core'
import { type AdminConfigOptions, adminConfig } from './config/admin-config.ts'
import type { ClientConfig } from './config/client-config.ts'
import { type ConsumerConfigOptions, consumerConfig } from './config/consumer-config.ts'
import { fromPropertiesMark } from './config/option-names.ts'
import { type ProducerConfigOptions, producerConfig } from './config/producer-config.ts'
import { InvalidOptionError } from './errors.ts'
import { type Partitioner, roundRobinPartitioner } from './producer/partitioner.ts'
import { type Serde, serdesByClassName } from './serde/serde.ts'

/** Options for any of the clients; each takes what concerns it. */
export type PropertiesOptions = Omit<ProducerConfigOptions, SerdeName> &
  Omit<ConsumerConfigOptions, SerdeName> &
  AdminConfigOptions & { readonly partitioner?: Partitioner }
type SerdeName = 'keySerializer' | 'valueSerializer' | 'partitionerClass' | 'keyDeserializer' | 'valueDeserializer'

const configs: readonly ClientConfig<Readonly<Record<string, ConfigRow>>>[] = [producerConfig, consumerConfig, adminConfig]

const serdeClass = /(?:^|\.)(\w+?)(?:Des|S)erializer$/
const assignorClass = /(?:^|\.)(\w+?)Assignor$/
const assignorNames: ReadonlyMap<string, string> = new Map([
  ['Range', 'range'],
  ['RoundRobin', 'roundrobin'],
  ['Sticky', 'sticky'],
  ['CooperativeSticky', 'cooperative-sticky'],
])

/**
 * Options from Kafka's dotted names, such as a tool's or application's properties file holds: `{ 'bootstrap.servers': …, acks: '1' }`.
 * Kafka's own serializer and assignor classes become ours; names that only a JVM gives a meaning are taken without effect.
 * @throws InvalidOptionError for a name that no client knows, or a class that is not Kafka's own
 */
export function fromProperties(properties: ReadonlyMap<string, string> | Readonly<Record<string, string>>): PropertiesOptions {
  const options: Record<string | symbol, unknown> = { [fromPropertiesMark]: true }
  const entries: Iterable<readonly [string, string]> = properties instanceof Map ? properties : Object.entries(properties)
  for (const [name, text] of entries) {
    const option = configs.map((config) => config.optionOf(name)).find((found) => found !== undefined)
    if (option === undefined) throw new InvalidOptionError(`unknown configuration ${name}`)
    if (name === 'partitioner.class') options.partitioner = partitionerOf(name, text)
    else options[option] = parsed(name, text)
  }
  return options as PropertiesOptions
}

function parsed(name: string, text: string): unknown {
  if (name.endsWith('.serializer') || name.endsWith('.deserializer')) return serdeOf(name, text)
  if (name === 'partition.assignment.strategy') return text.split(',').map((one) => assignorOf(name, one.trim()))
  return text
}

function serdeOf(name: string, className: string): Serde<never> {
  const serde = serdesByClassName.get(serdeClass.exec(className)?.[1] ?? '')
  if (serde === undefined) throw new InvalidOptionError(`${name}: ${className} is none of Kafka's own; give a function in the options`)
  return serde
}

function partitionerOf(name: string, className: string): Partitioner | undefined {
  if (className === '') return undefined
  if (/(^|\.)RoundRobinPartitioner$/.test(className)) return roundRobinPartitioner()
  throw new InvalidOptionError(`${name}: ${className} is none of Kafka's own; give a function in the options`)
}

function assignorOf(name: string, className: string): string {
  const known = [...assignorNames.values()].includes(className) ? className : assignorNames.get(assignorClass.exec(className)?.[1] ?? '')
  if (known === undefined) throw new InvalidOptionError(`${name}: ${className} is none of Kafka's own; give an object in the options`)
  return known
}
