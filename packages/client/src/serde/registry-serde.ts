import { InvalidOptionError, SerializationError } from '../errors.ts'
import { BoundedMap } from '../registry/bounded-map.ts'
import type { NamedSchema, RegisteredSchema, RegistrySchema, SchemaRegistry } from '../registry/schema-registry.ts'
import { type SubjectNameStrategy, topicNameStrategy } from '../registry/subject-names.ts'
import type { DeserializerContext, Serde, SerdeContext, SerializerContext } from './serde.ts'
import {
  guidOf,
  readMessageIndexes,
  readWriterSchema,
  schemaGuidBytes,
  schemaHeaderOf,
  schemaIdBytes,
  type WriterSchema,
  writerSchemaEnd,
} from './wire-format.ts'

/** What the serdes of all formats take besides their schema. */
export interface RegistrySerdeOptions {
  /** Records then carry the id of their schema, as Confluent's serializers write it. Without a registry they are the bare format. */
  readonly registry?: SchemaRegistry | undefined
  /** `topicNameStrategy` when absent. */
  readonly subjectNameStrategy?: SubjectNameStrategy | undefined
  /** The serializer registers its schema; true when absent. Kafka's `auto.register.schemas`. */
  readonly autoRegisterSchemas?: boolean | undefined
  /** The serializer writes by the subject's newest schema, whatever its own is. Does not go with `autoRegisterSchemas: true`. Kafka's `use.latest.version`. */
  readonly useLatestVersion?: boolean | undefined
  /** The registry compares and keeps schemas in their normal form. Kafka's `normalize.schemas`. */
  readonly normalizeSchemas?: boolean | undefined
  /**
   * Where the serializer says by which schema a record was written: `prefix`, when absent, puts the schema's id in front of the bytes; `header` puts its GUID into a
   * header, `__key_schema_id` or `__value_schema_id`, and leaves the bytes bare. Deserializers read both. Kafka's `value.schema.id.serializer`.
   */
  readonly schemaIdSerializer?: 'prefix' | 'header' | undefined
  /** How many topics and schemas are remembered, the oldest forgotten first; 1,000 when absent. */
  readonly cacheCapacity?: number | undefined
}

export const registryOptionNames = [
  ...['registry', 'subjectNameStrategy', 'autoRegisterSchemas', 'useLatestVersion', 'normalizeSchemas', 'schemaIdSerializer'],
  'cacheCapacity',
] as const

/** What a serializer of no registry, or one that names schemas in headers, puts in front of a value. */
export const NO_PREFIX: Uint8Array = new Uint8Array(0)

/** @returns The prefix that the encoder was made with, and the value's bytes behind it. */
export type EncodeFramed<T> = (value: T) => Buffer
/** @param start Where the prefix ends. */
export type DecodeFramed<T> = (bytes: Buffer, start: number) => T

interface ByWriter<T> {
  readonly byWriter: (schema: RegistrySchema, referenced: readonly NamedSchema[]) => Promise<DecodeFramed<T>>
}

/** What a format adds to the way over the registry. */
export interface RegistryFormat<T> {
  /** The schema that a serializer registers; may register others first. Undefined: the serde was given none. */
  readonly schema: (() => RegistrySchema | Promise<RegistrySchema>) | undefined
  readonly recordName: string | undefined
  /** Protobuf's, as messageIndexBytes() gives them; they go behind the schema's id. */
  readonly messageIndexes?: Uint8Array
  encoder(schema: RegistrySchema, referenced: readonly NamedSchema[], prefix: Uint8Array): EncodeFramed<T>
  /** How to read what was written by a schema; or by any, which then need not be looked up. */
  readonly reader: ByWriter<T> | { readonly anyWriter: DecodeFramed<T> }
}

/** @throws InvalidOptionError for an option that is none of `names`, or options that do not go together */
export function checkSerdeOptions(options: object, names: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (!names.includes(name) && !(registryOptionNames as readonly string[]).includes(name)) {
      throw new InvalidOptionError(`unknown option ${name}`)
    }
  }
  const { registry, autoRegisterSchemas, useLatestVersion, schemaIdSerializer = 'prefix' } = options as RegistrySerdeOptions
  if (autoRegisterSchemas === true && useLatestVersion === true) {
    throw new InvalidOptionError(
      'autoRegisterSchemas and useLatestVersion do not go together: a schema is registered or the newest one is used',
    )
  }
  if (schemaIdSerializer !== 'prefix' && schemaIdSerializer !== 'header') {
    throw new InvalidOptionError(`schemaIdSerializer: ${schemaIdSerializer} is neither prefix nor header`)
  }
  if (registry === undefined) {
    const given = registryOptionNames.find((name) => name !== 'registry' && options[name as keyof object] !== undefined)
    if (given !== undefined) throw new InvalidOptionError(`${given} needs a registry`)
  }
}

/** How the records of a topic are written. */
interface Writer<T> {
  readonly encode: EncodeFramed<T>
  /** For the record's header; undefined: the prefix says it. */
  readonly header: Uint8Array | undefined
}

/**
 * The serde of a format over a registry. What it must ask the registry for it asks once: then, and only then, it returns a promise.
 * Calls for the same topic or schema wait for the same answer; a failure is not remembered.
 */
export function registrySerde<T>(
  format: RegistryFormat<T>,
  {
    registry,
    subjectNameStrategy = topicNameStrategy,
    cacheCapacity = 1000,
    ...options
  }: RegistrySerdeOptions & { readonly registry: SchemaRegistry },
): Serde<T> {
  const { useLatestVersion = false, autoRegisterSchemas = !useLatestVersion, normalizeSchemas: normalize = false } = options
  const { reader, messageIndexes = NO_PREFIX } = format
  const writers = new BoundedMap<string, Writer<T> | Promise<Writer<T>>>(cacheCapacity)
  const decoders = new BoundedMap<WriterSchema, DecodeFramed<T> | Promise<DecodeFramed<T>>>(cacheCapacity)

  const writerBy = async (schema: RegistrySchema, { id, guid }: RegisteredSchema): Promise<Writer<T>> => {
    const isInHeader = options.schemaIdSerializer === 'header'
    if (isInHeader && guid === undefined) {
      throw new SerializationError(`the schema registry has no GUID for schema ${id}, which names a schema in a record's headers`)
    }
    const prefix = isInHeader ? NO_PREFIX : schemaIdBytes(id, messageIndexes)
    return {
      encode: format.encoder(schema, await registry.referencesOf(schema), prefix),
      header: isInHeader ? schemaGuidBytes(guid!, messageIndexes) : undefined,
    }
  }
  const writerFor = async (context: SerdeContext): Promise<Writer<T>> => {
    const subject = subjectNameStrategy(context, format.recordName)
    if (useLatestVersion) {
      const latest = await registry.version(subject, 'latest')
      return writerBy(latest, latest)
    }
    if (format.schema === undefined) throw new SerializationError('a serializer needs a schema, or useLatestVersion')
    const schema = await format.schema()
    const registered = autoRegisterSchemas
      ? registry.registerWithResponse(subject, schema, { normalize })
      : registry.lookup(subject, schema, { normalize })
    return writerBy(schema, await registered)
  }
  const decoderOf = async (writer: WriterSchema, { byWriter }: ByWriter<T>): Promise<DecodeFramed<T>> => {
    const schema = typeof writer === 'number' ? await registry.schemaById(writer) : await registry.schemaByGuid(guidOf(writer))
    return byWriter(schema, await registry.referencesOf(schema))
  }

  return {
    serialize(value, context) {
      const key = context.isKey ? `k${context.topic}` : `v${context.topic}`
      const writer = kept(writers, key, () => writerFor(context))
      return writer instanceof Promise ? writer.then((ready) => written(ready, value, context)) : written(writer, value, context)
    },
    deserialize(bytes, context) {
      const header = schemaHeader(context)
      const source = header ?? bytes
      let end = writerSchemaEnd(source)
      if (messageIndexes.length > 0) ({ end } = readMessageIndexes(source, end))
      const start = header === undefined ? end : 0
      if ('anyWriter' in reader) return reader.anyWriter(bytes, start)
      const writer = readWriterSchema(source)
      const decode = kept(decoders, writer, () => decoderOf(writer, reader))
      return decode instanceof Promise ? decode.then((ready) => ready(bytes, start)) : decode(bytes, start)
    },
  }
}

/** Writes a value, and the header that names its schema; one that a record brought along from elsewhere would name another. */
function written<T>({ encode, header }: Writer<T>, value: T, context: SerializerContext): Buffer {
  const bytes = encode(value)
  const { headers } = context
  if (headers === undefined) {
    if (header !== undefined) throw new SerializationError('whoever calls has no headers, where the schema would be named')
    return bytes
  }
  if (header === undefined && headers.length === 0) return bytes
  const key = schemaHeaderOf(context)
  for (let index = headers.length - 1; index >= 0; index--) if (headers[index]!.key === key) headers.splice(index, 1)
  if (header !== undefined) headers.push({ key, value: header })
  return bytes
}

/** What the last header of the name says; null in it says nothing, as for Confluent's deserializers. */
function schemaHeader(context: DeserializerContext): Buffer | undefined {
  const { headers } = context
  if (headers === undefined || headers.length === 0) return undefined
  const key = schemaHeaderOf(context)
  return headers.findLast((header) => header.key === key)?.value ?? undefined
}

/** The value of a key, or the promise of it that is under way, or a new one. */
function kept<K, V>(map: BoundedMap<K, V | Promise<V>>, key: K, load: () => Promise<V>): V | Promise<V> {
  const known = map.get(key)
  if (known !== undefined) return known
  const loading = load()
  map.set(key, loading)
  loading.then(
    (value) => map.set(key, value),
    () => map.delete(key),
  )
  return loading
}
