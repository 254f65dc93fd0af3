import { messageOf } from '@tidelog/core'
import { headersAt, type RecordCursor, type RecordHeader } from '@tidelog/protocol'
import { SerializationError } from '../errors.ts'
import { type Deserializer, isKnownSynchronous, type RangeReader, rangeReaderOf } from '../serde/serde.ts'

/** How a consumer reads keys and values; undefined leaves them as bytes. */
export interface RecordDeserializers<K, V> {
  readonly key: Deserializer<K> | undefined
  readonly value: Deserializer<V> | undefined
}

/** Deserializers of the user's own may return promises: their results are had before a record is handed out. */
export const needsEagerDecoding = <K, V>({ key, value }: RecordDeserializers<K, V>): boolean =>
  (key !== undefined && !isKnownSynchronous(key)) || (value !== undefined && !isKnownSynchronous(value))

/** What makes keys and values of bytes, for the records of one topic. */
export interface RecordReaders<K, V> {
  readonly key: RangeReader<K | Promise<K>>
  readonly value: RangeReader<V | Promise<V>>
  /** They may return promises, or do what must not be done twice: what they made goes along with a record. */
  readonly keepsResults: boolean
}

export const readersFor = <K, V>(topic: string, deserializers: RecordDeserializers<K, V>): RecordReaders<K, V> => ({
  key: rangeReaderOf(deserializers.key, { topic, isKey: true }),
  value: rangeReaderOf(deserializers.value, { topic, isKey: false }),
  keepsResults: needsEagerDecoding(deserializers),
})

/** The records of one batch, uncompressed, and what they have in common. */
export interface OpenBatch<K, V> {
  readonly topic: string
  readonly partition: number
  readonly leaderEpoch: number
  readonly timestampType: 'CreateTime' | 'LogAppendTime'
  readonly readers: RecordReaders<K, V>
  readonly bytes: Buffer
  readonly baseOffset: number
  readonly baseTimestamp: number
  /** Under LogAppendTime, the timestamp of them all; else -1. */
  readonly logAppendTime: number
}

/** Where a record lies in its batch's bytes: what a cursor knows of it. */
type RecordPlace = Pick<RecordCursor, 'offsetDelta' | 'timestampDelta' | 'keyAt' | 'keyLength' | 'valueAt' | 'valueLength' | 'end'>

/** Stands for a key or value that has not been asked for: a deserializer may return anything. */
const UNREAD = Symbol('unread')

/** What a deserializer threw or rejected with, to be thrown when it is asked for. */
class Unreadable {
  readonly error: SerializationError
  constructor(error: SerializationError) {
    this.error = error
  }
}

type Decoded<T> = T | null | typeof UNREAD | Unreadable

/**
 * A record as a view on the fetched batch: key, value and headers are decoded when they are asked for. Bytes that it hands out, and the record
 * itself, keep in memory what they were fetched with for as long as they are referenced (see `fetchMaxBytes`): what you keep for long, `detach()`.
 */
export class ConsumerRecord<K = Buffer, V = Buffer> {
  readonly #batch: OpenBatch<K, V>
  readonly #offsetDelta: number
  readonly #timestampDelta: number
  readonly #keyAt: number
  readonly #keyLength: number
  readonly #valueAt: number
  readonly #valueLength: number
  readonly #end: number
  #key: Decoded<K> = UNREAD
  #value: Decoded<V> = UNREAD

  /** @internal */
  constructor(batch: OpenBatch<K, V>, { offsetDelta, timestampDelta, keyAt, keyLength, valueAt, valueLength, end }: RecordPlace) {
    this.#batch = batch
    this.#offsetDelta = offsetDelta
    this.#timestampDelta = timestampDelta
    this.#keyAt = keyAt
    this.#keyLength = keyLength
    this.#valueAt = valueAt
    this.#valueLength = valueLength
    this.#end = end
  }

  get topic(): string {
    return this.#batch.topic
  }
  get partition(): number {
    return this.#batch.partition
  }
  get offset(): number {
    return this.#batch.baseOffset + this.#offsetDelta
  }
  /** Ms since the Unix epoch; -1: none. */
  get timestamp(): number {
    const { logAppendTime, baseTimestamp } = this.#batch
    return logAppendTime >= 0 ? logAppendTime : baseTimestamp + this.#timestampDelta
  }
  /** CreateTime: `timestamp` is the producer's; LogAppendTime: the broker's. */
  get timestampType(): 'CreateTime' | 'LogAppendTime' {
    return this.#batch.timestampType
  }
  /** Epoch of the leader that appended it; -1: unknown. */
  get leaderEpoch(): number {
    return this.#batch.leaderEpoch
  }
  /** As they are, uncopied; null: the record has no key. */
  get keyBytes(): Buffer | null {
    return this.#keyLength < 0 ? null : this.#batch.bytes.subarray(this.#keyAt, this.#keyAt + this.#keyLength)
  }
  /** As they are, uncopied; null: a tombstone. */
  get valueBytes(): Buffer | null {
    return this.#valueLength < 0 ? null : this.#batch.bytes.subarray(this.#valueAt, this.#valueAt + this.#valueLength)
  }

  /** In their order, duplicates kept. @throws SerializationError when their bytes make no sense */
  get headers(): readonly RecordHeader[] {
    try {
      return headersAt(this.#batch.bytes, this.#valueAt + Math.max(0, this.#valueLength), this.#end)
    } catch (error) {
      throw this.#failure('headers', error)
    }
  }

  /** null: the record has none. @throws SerializationError */
  get key(): K | null {
    if (this.#key === UNREAD) this.#key = this.#read('key', this.#batch.readers.key, this.#keyAt, this.#keyLength) as Decoded<K>
    return taken(this.#key)
  }

  /** null for a tombstone. @throws SerializationError */
  get value(): V | null {
    if (this.#value === UNREAD) this.#value = this.#read('value', this.#batch.readers.value, this.#valueAt, this.#valueLength) as Decoded<V>
    return taken(this.#value)
  }

  /**
   * Decodes key and value now; the promise, if there is one, waits for deserializers that return promises. What fails is thrown when it is
   * asked for.
   */
  decode(): Promise<void> | undefined {
    const { key: readKey, value: readValue } = this.#batch.readers
    const key = this.#read('key', readKey, this.#keyAt, this.#keyLength)
    const value = this.#read('value', readValue, this.#valueAt, this.#valueLength)
    if (key instanceof Promise || value instanceof Promise) return this.#settle(key, value)
    this.#key = key
    this.#value = value
    return undefined
  }

  /**
   * The same record on a copy of its own bytes, which keeps nothing else of what was fetched in memory. What a deserializer of your own has made of
   * them goes along as it is.
   */
  detach(): ConsumerRecord<K, V> {
    const start = this.#keyAt
    const bytes = Buffer.from(this.#batch.bytes.subarray(start, this.#end))
    const detached = new ConsumerRecord<K, V>(
      { ...this.#batch, bytes },
      {
        offsetDelta: this.#offsetDelta,
        timestampDelta: this.#timestampDelta,
        keyAt: 0,
        keyLength: this.#keyLength,
        valueAt: this.#valueAt - start,
        valueLength: this.#valueLength,
        end: this.#end - start,
      },
    )
    if (this.#batch.readers.keepsResults) {
      detached.#key = this.#key
      detached.#value = this.#value
    }
    return detached
  }

  /** `topic-partition@offset` */
  toString(): string {
    return `${this.topic}-${this.partition}@${this.offset}`
  }

  async #settle(key: Decoded<K> | Promise<K>, value: Decoded<V> | Promise<V>): Promise<void> {
    // Both are watched at once, so that neither rejects while nobody listens.
    const settledKey = this.#settled('key', key)
    const settledValue = this.#settled('value', value)
    this.#key = await settledKey
    this.#value = await settledValue
  }

  #settled<T>(what: string, decoded: Decoded<T> | Promise<T>): Decoded<T> | Promise<Decoded<T>> {
    if (!(decoded instanceof Promise)) return decoded
    return decoded.catch((error: unknown) => new Unreadable(this.#failure(what, error)))
  }

  #read<T>(what: string, read: RangeReader<T | Promise<T>>, at: number, length: number): Decoded<T> | Promise<T> {
    if (length < 0) return null
    try {
      return read(this.#batch.bytes, at, at + length, this)
    } catch (error) {
      return new Unreadable(this.#failure(what, error))
    }
  }

  #failure(what: string, cause: unknown): SerializationError {
    const why = messageOf(cause)
    return new SerializationError(`the ${what} of ${this} cannot be read: ${why}`, cause)
  }
}

/** @returns What must be waited for: the deserializers that have returned promises. */
export function decodeAll<K, V>(records: readonly ConsumerRecord<K, V>[]): Promise<void> | undefined {
  for (const [index, record] of records.entries()) {
    const decoding = record.decode()
    if (decoding !== undefined) return decodeRest(decoding, records, index + 1)
  }
  return undefined
}

/** One after the other: a deserializer that asks a registry is to find the answer that the record before has brought. */
async function decodeRest<K, V>(first: Promise<void>, records: readonly ConsumerRecord<K, V>[], from: number): Promise<void> {
  await first
  for (let index = from; index < records.length; index++) await records[index]!.decode()
}

function taken<T>(decoded: Decoded<T>): T | null {
  if (decoded instanceof Unreadable) throw decoded.error
  return decoded as T | null
}
