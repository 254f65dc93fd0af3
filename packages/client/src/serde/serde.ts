import { viewOf } from '@tidelog/core'
import type { RecordHeader } from '@tidelog/protocol'
import { SerializationError } from '../errors.ts'

/**
 * Turns a key or a value into bytes; null stays null (a tombstone).
 * A serializer may return a promise: send() and sendMany() then await it, enqueue() cannot.
 */
export type Serializer<T> = (data: T, context: SerializerContext) => Uint8Array | null | Promise<Uint8Array | null>
/** The bytes are a view on the fetched batch, valid for as long as it is referenced; copy what you keep (`Buffer.from(bytes)`). */
export type Deserializer<T> = (bytes: Buffer, context: DeserializerContext) => T | Promise<T>

/** What a key or value belongs to. */
export interface SerdeContext {
  readonly topic: string
  readonly isKey: boolean
}

/** A header of a record that is on its way to a topic. */
export interface HeaderInput {
  readonly key: string
  /** Text becomes UTF-8. */
  readonly value: Uint8Array | string | null
}

/** What a serializer knows of the record. */
export interface SerializerContext extends SerdeContext {
  /** The record's headers in their order, a list of this record's own that a serializer may change. The key's serializer goes first. Absent: whoever calls has none to give. */
  readonly headers?: HeaderInput[] | undefined
}

/** What a deserializer knows of the record. */
export interface DeserializerContext extends SerdeContext {
  /** The record's headers in their order, read when they are asked for. Absent: whoever calls has none to give. @throws SerializationError when their bytes make no sense */
  readonly headers?: readonly RecordHeader[] | undefined
}

/** Both directions in one value, so that one name configures producers and consumers: `keySerializer: string`. */
export interface Serde<T> {
  /** For a producer. */
  readonly serialize: Serializer<T>
  /** For a consumer. */
  readonly deserialize: Deserializer<T>
}

/** What the options take: a serde, or just the direction that the client needs. */
export type SerializerOption<T> = Serializer<T> | Pick<Serde<T>, 'serialize'>
/** As SerializerOption. */
export type DeserializerOption<T> = Deserializer<T> | Pick<Serde<T>, 'deserialize'>

export const serializerOf = <T>(option: SerializerOption<T>): Serializer<T> => (typeof option === 'function' ? option : option.serialize)
export const deserializerOf = <T>(option: DeserializerOption<T>): Deserializer<T> =>
  typeof option === 'function' ? option : option.deserialize

const neverPromises = new WeakSet<Deserializer<unknown>>()
export const isKnownSynchronous = (deserializer: Deserializer<unknown>): boolean => neverPromises.has(deserializer)

/**
 * Says of a serde, or of a deserializer by itself, that it never returns a promise. A consumer then decodes a record when its key or
 * value is asked for; others it decodes, and awaits, before it hands the record out. Ours are known as such.
 */
export function synchronous<S extends Deserializer<unknown> | { readonly deserialize: Deserializer<unknown> }>(serde: S): S {
  neverPromises.add(typeof serde === 'function' ? serde : serde.deserialize)
  return serde
}

/** Ours that look at nothing but their data: they are spared a context of their own for each record. */
const ignoringContext = new WeakSet<Serializer<never> | Deserializer<unknown>>()
export const ignoresContext = (serializer: Serializer<never>): boolean => ignoringContext.has(serializer)

/** As `synchronous`, of a serde of ours that looks at nothing but its data. */
export function dataOnly<S extends { readonly serialize: Serializer<never>; readonly deserialize: Deserializer<unknown> }>(serde: S): S {
  ignoringContext.add(serde.serialize)
  ignoringContext.add(serde.deserialize)
  return synchronous(serde)
}

/** The record that a key or value is of. */
export interface RecordOrigin {
  readonly topic: string
  readonly headers: readonly RecordHeader[]
}

class OriginContext implements DeserializerContext {
  readonly topic: string
  readonly isKey: boolean
  readonly #record: RecordOrigin

  constructor(record: RecordOrigin, isKey: boolean) {
    this.topic = record.topic
    this.isKey = isKey
    this.#record = record
  }

  get headers(): readonly RecordHeader[] {
    return this.#record.headers
  }
}

/** Reads a key or value of a record where it lies in a larger buffer, from `at` up to `end`. */
export type RangeReader<T> = (buffer: Buffer, at: number, end: number, record: RecordOrigin) => T
/** Of those of ours that need no view on their bytes, which may cost more than what they make of them. */
const rangeReaders = new WeakMap<Deserializer<unknown>, RangeReader<unknown>>()

function readingRanges<T, S extends { readonly serialize: Serializer<never>; readonly deserialize: Deserializer<T> }>(
  serde: S,
  rangeReader: (buffer: Buffer, at: number, end: number) => T,
): S {
  rangeReaders.set(serde.deserialize, rangeReader)
  return dataOnly(serde)
}

const view = (buffer: Buffer, at: number, end: number): Buffer => viewOf(buffer.buffer, buffer.byteOffset + at, end - at)
const text = (buffer: Buffer, at: number, end: number): string => buffer.toString('utf8', at, end)

/** How to read what `deserializer` reads; bytes as they are without one. */
export function rangeReaderOf<T>(deserializer: Deserializer<T> | undefined, context: SerdeContext): RangeReader<T | Promise<T>> {
  if (deserializer === undefined) return view as RangeReader<unknown> as RangeReader<T>
  const own = rangeReaders.get(deserializer) as RangeReader<T> | undefined
  if (own !== undefined) return own
  if (ignoringContext.has(deserializer)) return (buffer, at, end) => deserializer(view(buffer, at, end), context)
  return (buffer, at, end, record) => deserializer(view(buffer, at, end), new OriginContext(record, context.isKey))
}

const asBuffer = (data: Uint8Array): Buffer => (Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength))

function fixedWidth<T>(name: string, width: number, write: (buffer: Buffer, value: T) => void, read: (buffer: Buffer) => T): Serde<T> {
  return dataOnly({
    serialize(value: T) {
      const buffer = Buffer.allocUnsafe(width)
      write(buffer, value)
      return buffer
    },
    deserialize(buffer: Buffer) {
      if (buffer.length !== width) throw new SerializationError(`${name} takes ${width} bytes, these are ${buffer.length}`)
      return read(buffer)
    },
  })
}

/** UTF-8, as Kafka's StringSerializer. */
export const string: Serde<string> = readingRanges(
  {
    serialize: (data: string) => Buffer.from(data, 'utf8'),
    deserialize: (data: Buffer) => data.toString('utf8'),
  },
  text,
)
/** Bytes as they are. */
export const bytes: { readonly serialize: Serializer<Uint8Array>; readonly deserialize: Deserializer<Buffer> } = readingRanges(
  {
    serialize: asBuffer,
    deserialize: (data: Buffer) => data,
  },
  view,
)
/** Big-endian, as Kafka's ShortSerializer. */
export const int16: Serde<number> = fixedWidth(
  'int16',
  2,
  (buffer, value) => void buffer.writeInt16BE(value),
  (buffer) => buffer.readInt16BE(),
)
/** Big-endian, as Kafka's IntegerSerializer. */
export const int32: Serde<number> = fixedWidth(
  'int32',
  4,
  (buffer, value) => void buffer.writeInt32BE(value),
  (buffer) => buffer.readInt32BE(),
)
/** Big-endian, as Kafka's LongSerializer. A number must be a safe integer, in both directions; `bigint64` takes them all. */
export const int64: Serde<number> = fixedWidth(
  'int64',
  8,
  (buffer, value) => {
    if (!Number.isSafeInteger(value)) throw new SerializationError(`${value} is not a safe integer`)
    buffer.writeBigInt64BE(BigInt(value))
  },
  (buffer) => {
    const value = Number(buffer.readBigInt64BE())
    if (!Number.isSafeInteger(value)) throw new SerializationError('the int64 is beyond ±(2^53−1); read it with bigint64')
    return value
  },
)
/** As `int64`, exact for every value. */
export const bigint64: Serde<bigint> = fixedWidth(
  'bigint64',
  8,
  (buffer, value) => void buffer.writeBigInt64BE(value),
  (buffer) => buffer.readBigInt64BE(),
)
/** As Kafka's FloatSerializer. */
export const float32: Serde<number> = fixedWidth(
  'float32',
  4,
  (buffer, value) => void buffer.writeFloatBE(value),
  (buffer) => buffer.readFloatBE(),
)
/** As Kafka's DoubleSerializer. */
export const float64: Serde<number> = fixedWidth(
  'float64',
  8,
  (buffer, value) => void buffer.writeDoubleBE(value),
  (buffer) => buffer.readDoubleBE(),
)
/** One byte, as Kafka's BooleanSerializer. */
export const boolean: Serde<boolean> = fixedWidth(
  'boolean',
  1,
  (buffer, value) => void buffer.writeUInt8(value ? 1 : 0),
  (buffer) => buffer.readUInt8() !== 0,
)
/** 36 characters of text, as Kafka's UUIDSerializer. */
export const uuid: Serde<string> = string

/** UTF-8 JSON. `json<Order>()` says what it holds; nothing checks it. */
export function json<T = unknown>(): Serde<T> {
  return readingRanges(
    {
      serialize(value: T) {
        const json = JSON.stringify(value)
        if (json === undefined) throw new SerializationError(`JSON has no text for ${typeof value}`)
        return Buffer.from(json, 'utf8')
      },
      deserialize: (data: Buffer) => JSON.parse(data.toString('utf8')) as T,
    },
    (buffer, at, end) => JSON.parse(text(buffer, at, end)) as T,
  )
}

/** What a client uses where no serde is configured: bytes stay bytes, text becomes UTF-8. */
export const defaultSerializer: Serializer<unknown> = (data) => {
  if (typeof data === 'string') return Buffer.from(data, 'utf8')
  if (data instanceof Uint8Array) return asBuffer(data)
  throw new SerializationError(`without a serializer a key or value is a string or bytes, not ${typeof data}`)
}
ignoringContext.add(defaultSerializer)

/** Kafka's serializer classes that a properties file may name. */
export const serdesByClassName: ReadonlyMap<string, Serde<never>> = new Map<string, Serde<never>>(
  (
    [
      ['String', string],
      ['ByteArray', bytes],
      ['Bytes', bytes],
      ['ByteBuffer', bytes],
      ['Short', int16],
      ['Integer', int32],
      ['Long', int64],
      ['Float', float32],
      ['Double', float64],
      ['Boolean', boolean],
      ['UUID', uuid],
    ] as const
  ).map(([name, serde]) => [name, serde as unknown as Serde<never>]),
)
