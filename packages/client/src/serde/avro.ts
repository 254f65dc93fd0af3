/** The entry point `tidelog/serdes/avro`; needs the package `avsc`. */
import avsc from 'avsc'
import { InvalidOptionError, SerializationError } from '../errors.ts'
import type { NamedSchema, RegistrySchema, SchemaReference } from '../registry/schema-registry.ts'
import { boundsCheckOf } from './avro-bounds.ts'
import {
  checkSerdeOptions,
  type DecodeFramed,
  type EncodeFramed,
  NO_PREFIX,
  type RegistrySerdeOptions,
  registrySerde,
} from './registry-serde.ts'
import { dataOnly, type Serde } from './serde.ts'

/** Without a registry, `schema` is required. */
export interface AvroOptions extends RegistrySerdeOptions {
  /** An Avro schema, as an object or as JSON. A deserializer over a registry can do without: it then reads records as they were written. */
  readonly schema?: avsc.Schema | undefined
  /** Schemas in the registry that `schema` names without defining them. */
  readonly references?: readonly SchemaReference[] | undefined
  /** Avro's `long` as `number`, when absent, or as `bigint`, exact beyond 2^53 − 1. */
  readonly longs?: 'number' | 'bigint' | undefined
  /** Of avsc: `logicalTypes`, `wrapUnions`, … */
  readonly avsc?: Omit<Partial<avsc.ForSchemaOptions>, 'registry'> | undefined
}

/**
 * Avro's binary form. Values are checked against the schema; what was written by another schema is resolved to `schema` by Avro's rules.
 * @throws InvalidOptionError; SerializationError for a schema that is none
 */
export function avro<T = unknown>(options: AvroOptions): Serde<T> {
  checkSerdeOptions(options, ['schema', 'references', 'longs', 'avsc'])
  const { registry, schema, references = [] } = options
  if (registry === undefined) {
    if (schema === undefined) throw new InvalidOptionError('schema is missing: without a registry Avro cannot do without')
    const type = typeOf({ schemaType: 'AVRO', schema: textOf(schema), references: [] }, [], options)
    const decode = decoderOf<T>(type, type)
    return dataOnly({ serialize: encoderOf<T>(type, NO_PREFIX), deserialize: (bytes: Buffer) => decode(bytes, 0) })
  }
  const own: RegistrySchema | undefined = schema === undefined ? undefined : { schemaType: 'AVRO', schema: textOf(schema), references }
  return registrySerde<T>(
    {
      schema: own === undefined ? undefined : () => own,
      recordName: own === undefined ? undefined : nameOf(parsed(own.schema)),
      encoder: (by, referenced, prefix) => encoderOf(typeOf(by, referenced, options), prefix),
      reader: {
        async byWriter(by, referenced) {
          const writer = typeOf(by, referenced, options)
          return decoderOf(writer, own === undefined ? writer : typeOf(own, await registry.referencesOf(own), options))
        },
      },
    },
    { ...options, registry },
  )
}

/** Where a record's first encoding begins; the next ones begin with the size of the largest. */
const FIRST_SIZE_BYTES = 256

function encoderOf<T>(type: avsc.Type, prefix: Uint8Array): EncodeFramed<T> {
  let sizeBytes = FIRST_SIZE_BYTES
  return (value) => {
    let target = Buffer.allocUnsafe(sizeBytes)
    let end = type.encode(value, target, prefix.length)
    if (end < 0) {
      // Minus the number of bytes that were missing.
      sizeBytes = target.length - end
      target = Buffer.allocUnsafe(sizeBytes)
      end = type.encode(value, target, prefix.length)
    }
    target.set(prefix)
    return target.subarray(0, end)
  }
}

function decoderOf<T>(writer: avsc.Type, reader: avsc.Type): DecodeFramed<T> {
  const resolver = writer === reader || writer.equals(reader) ? undefined : reader.createResolver(writer)
  const checkBounds = boundsCheckOf(writer)
  return (bytes, start) => {
    checkBounds?.(bytes, start)
    const { value, offset } = reader.decode(bytes, start, resolver)
    if (offset !== bytes.length) {
      throw new SerializationError(offset < 0 ? 'the bytes are cut short' : `${bytes.length - offset} bytes follow the value`)
    }
    return value
  }
}

function typeOf({ schemaType, schema }: RegistrySchema, referenced: readonly NamedSchema[], { longs, avsc: more }: AvroOptions): avsc.Type {
  if (schemaType !== 'AVRO') throw new SerializationError(`the schema is not Avro's but ${schemaType}`)
  // avsc adds every name that a schema defines, so that those behind it find it.
  const registry: Record<string, avsc.Type> = longs === 'bigint' ? { long: exactLong } : {}
  const settings = { omitRecordMethods: true, ...more, registry }
  try {
    for (const each of referenced) avsc.Type.forSchema(parsed(each.schema), settings)
    return avsc.Type.forSchema(parsed(schema), settings)
  } catch (error) {
    throw error instanceof SerializationError ? error : new SerializationError(`no Avro schema: ${(error as Error).message}`, error)
  }
}

const textOf = (schema: avsc.Schema): string => (typeof schema === 'string' ? schema : JSON.stringify(schema))

/** A schema's JSON; a bare name such as `string` is one too. */
function parsed(text: string): avsc.Schema {
  try {
    return JSON.parse(text)
  } catch {
    if (/^\w+$/.test(text)) return text
    throw new SerializationError('an Avro schema is JSON, and this is not')
  }
}

/** The full name by Avro's rules, or a primitive's. */
function nameOf(schema: avsc.Schema): string | undefined {
  if (typeof schema === 'string') return schema
  const { name, namespace, type } = schema as { readonly name?: string; readonly namespace?: string; readonly type?: string }
  if (name === undefined) return typeof type === 'string' ? type : undefined
  return name.includes('.') || !namespace ? name : `${namespace}.${name}`
}

const exactLong = avsc.types.LongType.__with({
  fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
  toBuffer(value: bigint) {
    const bytes = Buffer.allocUnsafe(8)
    bytes.writeBigInt64LE(value)
    return bytes
  },
  fromJSON: BigInt,
  toJSON: (value: bigint) => Number(value),
  isValid: (value: unknown) => typeof value === 'bigint' && BigInt.asIntN(64, value) === value,
  compare: (a: bigint, b: bigint) => (a === b ? 0 : a < b ? -1 : 1),
})
