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

  /**
   * Decodes key and value now; what fails is thrown when it is asked for.
   * @returns A promise only when a deserializer has returned one.
   */
  decode(): Promise<void> | undefined {
    const { key, value } = this.#origin.deserializers
    const ownKey = this.#decodeNow(this.#record.key, key, true)
    const ownValue = this.#decodeNow(this.#record.value, value, false)
    if (ownKey instanceof Promise || ownValue instanceof Promise) return this.#decodeLater(ownKey, ownValue)
    this.#key = ownKey
    this.#value = ownValue
    return undefined
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

  async #decodeLater(key: Decoded<K> | Promise<Decoded<K>>, value: Decoded<V> | Promise<Decoded<V>>): Promise<void> {
    this.#key = await key
    this.#value = await value
  }

  /** The promise never rejects. */
  #decodeNow<T>(bytes: Buffer | null, deserializer: Deserializer<T> | undefined, isKey: boolean): Decoded<T> | Promise<Decoded<T>> {
    const decoded = this.#decode<T | Promise<T>>(bytes, deserializer, isKey)
    if ('error' in decoded || !(decoded.value instanceof Promise)) return decoded as Decoded<T>
    return decoded.value.then(
      (value) => ({ value }),
      (error) => ({ error: this.#failure(error, isKey) }),
    )
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

/** Decodes records in order. @returns A promise only when a deserializer has returned one. */
export function decodeAll(records: readonly ConsumerRecord<unknown, unknown>[]): Promise<void> | undefined {
  for (const [index, record] of records.entries()) {
    const decoding = record.decode()
    if (decoding !== undefined) return decodeRest(decoding, records, index + 1)
  }
  return undefined
}

async function decodeRest(first: Promise<void>, records: readonly ConsumerRecord<unknown, unknown>[], from: number): Promise<void> {
  await first
  for (let index = from; index < records.length; index++) {
    const decoding = records[index]!.decode()
    if (decoding !== undefined) await decoding
  }
}
