import { messageOf } from '@tidelog/core'
import type { NewRecord } from '@tidelog/protocol'
import { SerializationError } from '../errors.ts'
import {
  defaultSerializer,
  type HeaderInput,
  ignoresContext,
  type Serializer,
  type SerializerContext,
  type SerializerOption,
  serializerOf,
} from '../serde/serde.ts'
import { type HeadersInput, headerListOf, headersOf, type ProducerRecord } from './producer-record.ts'

export interface RecordSerializerOptions<K, V> {
  readonly keySerializer?: SerializerOption<K> | undefined
  readonly valueSerializer?: SerializerOption<V> | undefined
}

/** Makes of users' records those that go into batches. */
export class RecordSerializer<K, V> {
  readonly #serializeKey: Serializer<K>
  readonly #serializeValue: Serializer<V>
  /** A serializer may look at a record's headers, or add to them. */
  readonly #showsHeaders: boolean
  #keyContext: SerializerContext = { topic: '', isKey: true }
  #valueContext: SerializerContext = { topic: '', isKey: false }

  constructor({ keySerializer = defaultSerializer, valueSerializer = defaultSerializer }: RecordSerializerOptions<K, V>) {
    this.#serializeKey = serializerOf(keySerializer)
    this.#serializeValue = serializerOf(valueSerializer)
    this.#showsHeaders = !(ignoresContext(this.#serializeKey) && ignoresContext(this.#serializeValue))
  }

  /**
   * A promise only when a serializer returns one.
   * @param timestamp The record's own, or now.
   * @throws SerializationError, as the promise
   */
  serialize(record: ProducerRecord<K, V>, timestamp: number): NewRecord | Promise<NewRecord> {
    const { topic, key, value } = record
    const shown = this.#showsHeaders ? headerListOf(record.headers) : undefined
    const headers = shown ?? record.headers
    try {
      if (record.timestamp != null) checkTimestamp(record.timestamp)
      const keyBytes = key == null ? null : this.#serializeKey(key, this.#contextOf(topic, true, shown))
      const valueBytes = value == null ? null : this.#serializeValue(value, this.#contextOf(topic, false, shown))
      if (keyBytes instanceof Promise || valueBytes instanceof Promise) {
        return Promise.all([keyBytes, valueBytes])
          .then(([k, v]) => newRecord(timestamp, k, v, headers))
          .catch((error) => {
            throw serializationError(topic, error)
          })
      }
      return newRecord(timestamp, keyBytes, valueBytes, headers)
    } catch (error) {
      throw serializationError(topic, error)
    }
  }

  /** The same one for a run of records of one topic, where headers are not shown. */
  #contextOf(topic: string, isKey: boolean, headers: HeaderInput[] | undefined): SerializerContext {
    if (headers !== undefined) return { topic, isKey, headers }
    const last = isKey ? this.#keyContext : this.#valueContext
    if (last.topic === topic) return last
    const context = { topic, isKey }
    if (isKey) this.#keyContext = context
    else this.#valueContext = context
    return context
  }
}

const newRecord = (timestamp: number, key: Uint8Array | null, value: Uint8Array | null, headers: HeadersInput | undefined): NewRecord =>
  headers === undefined ? { timestamp, key, value } : { timestamp, key, value, headers: headersOf(headers) }

/** @throws RangeError */
function checkTimestamp(timestamp: number): void {
  if (!Number.isSafeInteger(timestamp) || timestamp < 0)
    throw new RangeError(`timestamp ${timestamp} is not a whole number of ms since the Unix epoch`)
}

const serializationError = (topic: string, cause: unknown): SerializationError =>
  cause instanceof SerializationError
    ? cause
    : new SerializationError(`a record for ${topic} cannot be serialized: ${messageOf(cause)}`, cause)
