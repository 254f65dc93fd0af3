import type { KafkaRecord, RecordHeader } from '@tidelog/protocol'
import { SerializationError } from '../errors.ts'
import { type Deserializer, isKnownSynchronous } from '../serde/serde.ts'

/** How a consumer reads keys and values; undefined leaves them as bytes. */
export interface RecordDeserializers<K, V> {
  readonly key: Deserializer<K> | undefined
  readonly value: Deserializer<V> | undefined
}

/** Deserializers of the user's own may return promises: their results are had before a record is handed out. */
export const needsEagerDecoding = <K, V>({ key, value }: RecordDeserializers<K, V>): boolean =>
  (key !== undefined && !isKnownSynchronous(key)) || (value !== undefined && !isKnownSynchronous(value))

/** What the records of one batch have in common. */
export interface RecordOrigin<K, V> {
  readonly topic: string
  readonly partition: number
  readonly leaderEpoch: number
  readonly timestampType: 'CreateTime' | 'LogAppendTime'
  readonly deserializers: RecordDeserializers<K, V>
}

type Decoded<T> = { readonly value: T | null } | { readonly error: unknown }

/**
 * A record as a view on the fetched batch: key, value and headers are decoded when they are asked for. Bytes that it hands out keep the
 * whole batch (up to `maxPartitionFetchBytes`) in memory for as long as they are referenced; copy what you keep with `Buffer.from(bytes)`.
 */
export class ConsumerRecord<K = Buffer, V = Buffer> {
  readonly #record: KafkaRecord
  readonly #origin: RecordOrigin<K, V>
  #key: Decoded<K> | undefined
  #value: Decoded<V> | undefined

  constructor(record: KafkaRecord, origin: RecordOrigin<K, V>) {
    this.#record = record
    this.#origin = origin
  }

  get topic(): string {
    return this.#origin.topic
  }
  get partition(): number {
    return this.#origin.partition
  }
  get offset(): number {
    return this.#record.offset
  }
  /** Ms since the Unix epoch; -1: none. */
  get timestamp(): number {
    return this.#record.timestamp
  }
  get timestampType(): 'CreateTime' | 'LogAppendTime' {
    return this.#origin.timestampType
  }
  /** Epoch of the leader that appended it; -1: unknown. */
  get leaderEpoch(): number {
    return this.#origin.leaderEpoch
  }
  get keyBytes(): Buffer | null {
    return this.#record.key
  }
  get valueBytes(): Buffer | null {
    return this.#record.value
  }
  /** In their order, duplicates kept. */
  get headers(): readonly RecordHeader[] {
    return this.#record.headers
  }

  /** @throws SerializationError */
  get key(): K | null {
    this.#key ??= this.#decode(this.#record.key, this.#origin.deserializers.key, true)
    return taken(this.#key)
  }

  /** null for a tombstone. @throws SerializationError */
  get value(): V | null {
    this.#value ??= this.#decode(this.#record.value, this.#origin.deserializers.value, false)
    return taken(this.#value)
  }

  /** Decodes key and value now, awaiting deserializers that return promises; what fails is thrown when it is asked for. */
  async decode(): Promise<void> {
    const { key, value } = this.#origin.deserializers
    this.#key = await this.#decodeAsync(this.#record.key, key, true)
    this.#value = await this.#decodeAsync(this.#record.value, value, false)
  }

  toString(): string {
    return `${this.topic}-${this.partition}@${this.offset}`
  }

  #decode<T>(bytes: Buffer | null, deserializer: Deserializer<T> | undefined, isKey: boolean): Decoded<T> {
    if (bytes === null || deserializer === undefined) return { value: bytes as T | null }
    try {
      return { value: deserializer(bytes, { topic: this.topic, isKey }) as T }
    } catch (error) {
      return { error: this.#failure(error, isKey) }
    }
  }

  async #decodeAsync<T>(bytes: Buffer | null, deserializer: Deserializer<T> | undefined, isKey: boolean): Promise<Decoded<T>> {
    if (bytes === null || deserializer === undefined) return { value: bytes as T | null }
    try {
      const value = deserializer(bytes, { topic: this.topic, isKey })
      return { value: value instanceof Promise ? await value : value }
    } catch (error) {
      return { error: this.#failure(error, isKey) }
    }
  }

  #failure(cause: unknown, isKey: boolean): SerializationError {
    const why = cause instanceof Error ? cause.message : String(cause)
    return new SerializationError(`the ${isKey ? 'key' : 'value'} of ${this} cannot be read: ${why}`, cause)
  }
}

function taken<T>(decoded: Decoded<T>): T | null {
  if ('error' in decoded) throw decoded.error
  return decoded.value
}
