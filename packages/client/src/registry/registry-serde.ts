import { InvalidOptionError, SerializationError } from '../errors.ts'
import type { Serde, SerdeContext } from '../serde/serde.ts'
import { BoundedMap } from './bounded-map.ts'
import type { NamedSchema, RegistrySchema, SchemaRegistry } from './schema-registry.ts'
import { type SubjectNameStrategy, topicNameStrategy } from './subject-names.ts'
import { HEADER_BYTES, readSchemaId } from './wire-format.ts'

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
  /** How many topics and schemas are remembered, the oldest forgotten first; 1,000 when absent. */
  readonly cacheCapacity?: number | undefined
}

export const registryOptionNames = [
  ...['registry', 'subjectNameStrategy', 'autoRegisterSchemas', 'useLatestVersion', 'normalizeSchemas', 'cacheCapacity'],
] as const

/** @returns The whole record: header as writeHeader() writes it at 0, then the body. */
export type EncodeFramed<T> = (value: T, schemaId: number) => Buffer
/** @param start Where the header ends. */
export type DecodeFramed<T> = (bytes: Buffer, start: number) => T

interface ByWriter<T> {
  readonly byWriter: (schema: RegistrySchema, referenced: readonly NamedSchema[]) => Promise<DecodeFramed<T>>
}

/** What a format adds to the way over the registry. */
export interface RegistryFormat<T> {
  /** The schema that a serializer registers; may register others first. Undefined: the serde was given none. */
  readonly schema: (() => RegistrySchema | Promise<RegistrySchema>) | undefined
  readonly recordName: string | undefined
  encoder(schema: RegistrySchema, referenced: readonly NamedSchema[]): EncodeFramed<T>
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
  const { registry, autoRegisterSchemas, useLatestVersion } = options as RegistrySerdeOptions
  if (autoRegisterSchemas === true && useLatestVersion === true) {
    throw new InvalidOptionError(
      'autoRegisterSchemas and useLatestVersion do not go together: a schema is registered or the newest one is used',
    )
  }
  if (registry === undefined) {
    const given = registryOptionNames.find((name) => name !== 'registry' && options[name as keyof object] !== undefined)
    if (given !== undefined) throw new InvalidOptionError(`${given} needs a registry`)
  }
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
  type Encode = (value: T) => Buffer
  const encoders = new BoundedMap<string, Encode | Promise<Encode>>(cacheCapacity)
  const decoders = new BoundedMap<number, DecodeFramed<T> | Promise<DecodeFramed<T>>>(cacheCapacity)

  const encoderFor = async (context: SerdeContext): Promise<Encode> => {
    const subject = subjectNameStrategy(context, format.recordName)
    if (useLatestVersion) {
      const latest = await registry.version(subject, 'latest')
      const encode = format.encoder(latest, await registry.referencesOf(latest))
      return (value) => encode(value, latest.id)
    }
    if (format.schema === undefined) throw new SerializationError('a serializer needs a schema, or useLatestVersion')
    const schema = await format.schema()
    const id = autoRegisterSchemas
      ? await registry.register(subject, schema, { normalize })
      : (await registry.lookup(subject, schema, { normalize })).id
    const encode = format.encoder(schema, await registry.referencesOf(schema))
    return (value) => encode(value, id)
  }
  const { reader } = format
  const decoderOf = async (id: number, { byWriter }: ByWriter<T>): Promise<DecodeFramed<T>> => {
    const schema = await registry.schemaById(id)
    return byWriter(schema, await registry.referencesOf(schema))
  }

  return {
    serialize(value, context) {
      const key = context.isKey ? `k${context.topic}` : `v${context.topic}`
      const encode = kept(encoders, key, () => encoderFor(context))
      return encode instanceof Promise ? encode.then((ready) => ready(value)) : encode(value)
    },
    deserialize(bytes) {
      const id = readSchemaId(bytes)
      if ('anyWriter' in reader) return reader.anyWriter(bytes, HEADER_BYTES)
      const decode = kept(decoders, id, () => decoderOf(id, reader))
      return decode instanceof Promise ? decode.then((ready) => ready(bytes, HEADER_BYTES)) : decode(bytes, HEADER_BYTES)
    },
  }
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
