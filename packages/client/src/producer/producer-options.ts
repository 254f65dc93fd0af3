import type { ConfigRow } from '@tidelog/core'
import type { Environment } from '../admin/admin-client.ts'
import type { ClientConfig } from '../config/client-config.ts'
import { checkOptionNames } from '../config/option-names.ts'
import { type ProducerConfig, type ProducerConfigOptions, producerConfig } from '../config/producer-config.ts'
import { InvalidOptionError } from '../errors.ts'
import type { SerializerOption } from '../serde/serde.ts'
import type { Partitioner } from './partitioner.ts'

/** Kafka's configurations in camelCase, times in ms, sizes in bytes. `bootstrapServers` is required. */
export interface ProducerOptions<K, V>
  extends Omit<ProducerConfigOptions, 'keySerializer' | 'valueSerializer' | 'partitionerClass'>,
    Environment {
  /** Without one a key is a string or bytes. */
  readonly keySerializer?: SerializerOption<K> | undefined
  /** Without one a value is a string or bytes. */
  readonly valueSerializer?: SerializerOption<V> | undefined
  /** Java's default partitioner when absent: murmur2 of the key, sticky without one. */
  readonly partitioner?: Partitioner<K, V> | undefined
}

const MOST_IN_FLIGHT_IN_ORDER = 5

/** @throws InvalidOptionError that names what is unknown, invalid, or does not go together. */
export function resolveProducerOptions(options: ProducerOptions<never, never>): ProducerConfig & { readonly isIdempotent: boolean } {
  const config: ClientConfig<Readonly<Record<string, ConfigRow>>> = producerConfig
  checkOptionNames(config, options, ['keySerializer', 'valueSerializer', 'partitioner'])
  const resolved = producerConfig.resolve({ ...options, keySerializer: undefined, valueSerializer: undefined })
  const conflicts: string[] = []
  if (resolved.acks !== 'all' && resolved.acks !== '-1') conflicts.push('acks is not all')
  if (resolved.retries === 0) conflicts.push('retries is 0')
  if (resolved['max.in.flight.requests.per.connection'] > MOST_IN_FLIGHT_IN_ORDER) {
    conflicts.push(`maxInFlightRequestsPerConnection is more than ${MOST_IN_FLIGHT_IN_ORDER}`)
  }
  // As in Java, the default gives way to what it does not go with; a wish does not.
  if (options.enableIdempotence === true && conflicts.length > 0) {
    throw new InvalidOptionError(`enableIdempotence does not go together with these: ${conflicts.join(', ')}`)
  }
  if (resolved['delivery.timeout.ms'] < resolved['linger.ms'] + resolved['request.timeout.ms']) {
    if (options.deliveryTimeoutMs !== undefined) {
      throw new InvalidOptionError('deliveryTimeoutMs must be at least lingerMs + requestTimeoutMs')
    }
    return {
      ...resolved,
      'delivery.timeout.ms': resolved['linger.ms'] + resolved['request.timeout.ms'],
      isIdempotent: resolved['enable.idempotence'] && conflicts.length === 0,
    }
  }
  return { ...resolved, isIdempotent: resolved['enable.idempotence'] && conflicts.length === 0 }
}
