import type { ConfigRow } from '@tidelog/core'
import type { ClientConfig } from '../config/client-config.ts'
import { type ConsumerConfig, type ConsumerConfigOptions, consumerConfig } from '../config/consumer-config.ts'
import { checkOptionNames } from '../config/option-names.ts'
import type { Environment } from '../environment.ts'
import { InvalidOptionError } from '../errors.ts'
import type { ConnectionOptions } from '../security/security.ts'
import { type DeserializerOption, deserializerOf } from '../serde/serde.ts'
import type { TopicPartition } from '../topic-partition.ts'
import type { Assignor } from './assignors/assignor.ts'
import { rangeAssignor } from './assignors/range-assignor.ts'
import { roundRobinAssignor } from './assignors/round-robin-assignor.ts'
import { cooperativeStickyAssignor, stickyAssignor } from './assignors/sticky-assignor.ts'
import type { ConsumerInterceptor } from './consumer-interceptor.ts'
import type { RecordDeserializers } from './consumer-record.ts'

/** Assignors that are here already, as Java has them. */
export type AssignorName = 'range' | 'roundrobin' | 'sticky' | 'cooperative-sticky'

/** Kafka's configurations in camelCase, times in ms, sizes in bytes. `bootstrapServers` is required; `groupId` for groups and commits. */
export interface ConsumerOptions<K, V>
  extends Omit<ConsumerConfigOptions, 'keyDeserializer' | 'valueDeserializer'>,
    ConnectionOptions,
    Environment {
  /** Without one a key is a Buffer. */
  readonly keyDeserializer?: DeserializerOption<K> | undefined
  /** Without one a value is a Buffer. */
  readonly valueDeserializer?: DeserializerOption<V> | undefined
  /** Best first, by name or of one's own; `['range', 'cooperative-sticky']` when absent. */
  readonly partitionAssignmentStrategy?: AssignorName | Assignor | readonly (AssignorName | Assignor | string)[] | undefined
  /** See what is handed out and committed. */
  readonly interceptors?: readonly ConsumerInterceptor<K, V>[] | undefined
}

/** Told, and awaited, when the group's assignment changes; never beside the code that reads records. */
export interface RebalanceListener {
  /** Partitions that are new; seek() works on them. */
  readonly onAssigned?: (partitions: readonly TopicPartition[]) => void | Promise<void>
  /** Partitions that are about to go; commit() still works for them. */
  readonly onRevoked?: (partitions: readonly TopicPartition[]) => void | Promise<void>
  /** Partitions that are gone already; onRevoked when absent. */
  readonly onLost?: (partitions: readonly TopicPartition[]) => void | Promise<void>
}

export interface ResolvedConsumerOptions<K, V> {
  readonly config: ConsumerConfig
  readonly assignors: readonly Assignor[]
  readonly deserializers: RecordDeserializers<K, V>
}

const assignorsByName: ReadonlyMap<string, Assignor> = new Map(
  [rangeAssignor, roundRobinAssignor, stickyAssignor, cooperativeStickyAssignor].map((assignor) => [assignor.name, assignor]),
)

/** @throws InvalidOptionError that names what is unknown, invalid, or does not go together. */
export function resolveConsumerOptions<K, V>(options: ConsumerOptions<K, V>): ResolvedConsumerOptions<K, V> {
  const table: ClientConfig<Readonly<Record<string, ConfigRow>>> = consumerConfig
  checkOptionNames(table, options, ['keyDeserializer', 'valueDeserializer', 'partitionAssignmentStrategy', 'interceptors'])
  const { keyDeserializer, valueDeserializer, partitionAssignmentStrategy = ['range', 'cooperative-sticky'] } = options
  const config = consumerConfig.resolve({
    ...options,
    keyDeserializer: undefined,
    valueDeserializer: undefined,
    partitionAssignmentStrategy: undefined,
  })
  checkProtocol(options, config['group.protocol'] === 'consumer')
  if (config['heartbeat.interval.ms'] >= config['session.timeout.ms']) {
    throw new InvalidOptionError('heartbeatIntervalMs must be lower than sessionTimeoutMs, by a factor of three or so')
  }
  const strategies = Array.isArray(partitionAssignmentStrategy)
    ? partitionAssignmentStrategy
    : [partitionAssignmentStrategy as AssignorName]
  if (strategies.length === 0) throw new InvalidOptionError('partitionAssignmentStrategy is empty')
  const assignors = strategies.map((strategy: AssignorName | Assignor) => (typeof strategy === 'object' ? strategy : assignorOf(strategy)))
  checkAssignors(assignors)
  return {
    config,
    assignors,
    deserializers: {
      key: keyDeserializer === undefined ? undefined : deserializerOf(keyDeserializer),
      value: valueDeserializer === undefined ? undefined : deserializerOf(valueDeserializer),
    },
  }
}

/** The group picks one by name, and the member joins in one way for all of them. */
function checkAssignors(assignors: readonly Assignor[]): void {
  const names = assignors.map(({ name }) => name)
  if (new Set(names).size < names.length)
    throw new InvalidOptionError(`partitionAssignmentStrategy: two assignors of ${names.join(', ')} have one name`)
  const hasCommon = (['eager', 'cooperative'] as const).some((protocol) =>
    assignors.every(({ supportedProtocols }) => supportedProtocols.includes(protocol)),
  )
  if (!hasCommon) throw new InvalidOptionError(`partitionAssignmentStrategy: ${names.join(', ')} have no way of rebalancing in common`)
}

/** As in Java's client, what belongs to one protocol is an error beside the other. */
function checkProtocol(options: object, isConsumerProtocol: boolean): void {
  const foreign = isConsumerProtocol ? classicOnly : consumerOnly
  for (const name of foreign) {
    if ((options as Readonly<Record<string, unknown>>)[name] === undefined) continue
    throw new InvalidOptionError(`${name} has no meaning with groupProtocol: '${isConsumerProtocol ? 'consumer' : 'classic'}'`)
  }
}

/** Under the consumer protocol brokers decide these, by configurations of the group. */
const classicOnly = ['partitionAssignmentStrategy', 'heartbeatIntervalMs', 'sessionTimeoutMs'] as const
const consumerOnly = ['groupRemoteAssignor'] as const

function assignorOf(name: string): Assignor {
  const assignor = assignorsByName.get(name)
  if (assignor === undefined) {
    throw new InvalidOptionError(
      `partitionAssignmentStrategy: no assignor is called ${name}; there are ${[...assignorsByName.keys()].join(', ')}`,
    )
  }
  return assignor
}
