import type { ConfigRow } from '@tidelog/core'
import type { ClientConfig } from '../config/client-config.ts'
import { checkOptionNames } from '../config/option-names.ts'
import { type ShareConsumerConfig, type ShareConsumerConfigOptions, shareConsumerConfig } from '../config/share-consumer-config.ts'
import type { RecordDeserializers } from '../consumer/consumer-record.ts'
import type { Environment } from '../environment.ts'
import { InvalidOptionError } from '../errors.ts'
import type { ConnectionOptions } from '../security/security.ts'
import { type DeserializerOption, deserializerOf } from '../serde/serde.ts'
import type { AcknowledgementOutcome } from './acknowledgements.ts'

/** Kafka's configurations in camelCase, times in ms, sizes in bytes. `bootstrapServers` and `groupId` are required. */
export interface ShareConsumerOptions<K, V>
  extends Omit<ShareConsumerConfigOptions, 'keyDeserializer' | 'valueDeserializer'>,
    ConnectionOptions,
    Environment {
  /** Without one a key is a Buffer. */
  readonly keyDeserializer?: DeserializerOption<K> | undefined
  /** Without one a value is a Buffer. */
  readonly valueDeserializer?: DeserializerOption<V> | undefined
  /** `shareAcknowledgementMode` in short. */
  readonly acknowledgement?: 'implicit' | 'explicit' | undefined
  /** Hears what became of acknowledgements, a partition at a time. What it throws, the next read throws. */
  readonly onAcknowledged?: ((outcome: AcknowledgementOutcome) => void) | undefined
}

export interface ResolvedShareConsumerOptions<K, V> {
  readonly config: ShareConsumerConfig
  readonly groupId: string
  readonly deserializers: RecordDeserializers<K, V>
}

/** @throws InvalidOptionError that names what is unknown, missing or invalid. */
export function resolveShareConsumerOptions<K, V>(options: ShareConsumerOptions<K, V>): ResolvedShareConsumerOptions<K, V> {
  const table: ClientConfig<Readonly<Record<string, ConfigRow>>> = shareConsumerConfig
  checkOptionNames(table, options, ['keyDeserializer', 'valueDeserializer', 'acknowledgement', 'onAcknowledged'])
  const { keyDeserializer, valueDeserializer, acknowledgement, shareAcknowledgementMode = acknowledgement } = options
  if (acknowledgement !== undefined && acknowledgement !== shareAcknowledgementMode)
    throw new InvalidOptionError('acknowledgement and shareAcknowledgementMode are one option, and differ')
  const config = shareConsumerConfig.resolve({
    ...options,
    shareAcknowledgementMode,
    keyDeserializer: undefined,
    valueDeserializer: undefined,
  })
  const groupId = config['group.id']
  if (groupId === null || groupId === '') throw new InvalidOptionError('a share consumer needs a groupId')
  return {
    config,
    groupId,
    deserializers: {
      key: keyDeserializer === undefined ? undefined : deserializerOf(keyDeserializer),
      value: valueDeserializer === undefined ? undefined : deserializerOf(valueDeserializer),
    },
  }
}
