import type { ConfigRow } from '@tidelog/core'
import type { ClientConfig } from '../config/client-config.ts'
import { checkOptionNames } from '../config/option-names.ts'
import { type ProducerConfig, type ProducerConfigOptions, producerConfig } from '../config/producer-config.ts'
import type { Environment } from '../environment.ts'
import { InvalidOptionError } from '../errors.ts'
import type { ConnectionOptions } from '../security/security.ts'
import type { SerializerOption } from '../serde/serde.ts'
import type { Partitioner } from './partitioner.ts'
import type { ProducerInterceptor } from './producer-interceptor.ts'

/** Kafka's configurations in camelCase, times in ms, sizes in bytes. `bootstrapServers` is required. */
export interface ProducerOptions<K, V>
  extends Omit<ProducerConfigOptions, 'keySerializer' | 'valueSerializer' | 'partitionerClass'>,
    ConnectionOptions,
    Environment {
  /** Without one a key is a string or bytes. */
  readonly keySerializer?: SerializerOption<K> | undefined
  /** Without one a value is a string or bytes. */
  readonly valueSerializer?: SerializerOption<V> | undefined
  /** Java's default partitioner when absent: murmur2 of the key, sticky without one. */
  readonly partitioner?: Partitioner<K, V> | undefined
  /** See every record on its way and what became of it. */
  readonly interceptors?: readonly ProducerInterceptor<K, V>[] | undefined
}

const MOST_IN_FLIGHT_IN_ORDER = 5

/** @throws InvalidOptionError that names what is unknown, invalid, or does not go together. */
export function resolveProducerOptions<K, V>(options: ProducerOptions<K, V>): ProducerConfig & { readonly isIdempotent: boolean } {
  const config: ClientConfig<Readonly<Record<string, ConfigRow>>> = producerConfig
  checkOptionNames(config, options, ['keySerializer', 'valueSerializer', 'partitioner', 'interceptors'])
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
  const isIdempotent = resolved['enable.idempotence'] && conflicts.length === 0
  if (resolved['transactional.id'] !== null && !isIdempotent) {
    const why = resolved['enable.idempotence'] ? conflicts.join(', ') : 'enableIdempotence is false'
    throw new InvalidOptionError(`transactionalId does not go together with these: ${why}`)
  }
  if (resolved['transaction.two.phase.commit.enable']) {
    throw new InvalidOptionError(
      'transactionTwoPhaseCommitEnable: KIP-939 is unfinished in Kafka 4.3 (InitProducerId 6 is unstable), and not served',
    )
  }
  if (resolved['delivery.timeout.ms'] < resolved['linger.ms'] + resolved['request.timeout.ms']) {
    if (options.deliveryTimeoutMs !== undefined) {
      throw new InvalidOptionError('deliveryTimeoutMs must be at least lingerMs + requestTimeoutMs')
    }
    return {
      ...resolved,
      'delivery.timeout.ms': resolved['linger.ms'] + resolved['request.timeout.ms'],
      isIdempotent,
    }
  }
  return { ...resolved, isIdempotent }
}
