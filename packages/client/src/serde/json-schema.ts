/** The entry point `tidelog/serdes/json-schema`; needs the package `ajv`. */
import { Ajv, type Options as AjvOptions } from 'ajv'
import { Ajv2019 } from 'ajv/dist/2019.js'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { InvalidOptionError, SerializationError } from '../errors.ts'
import type { NamedSchema, RegistrySchema, SchemaReference } from '../registry/schema-registry.ts'
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
export interface JsonSchemaOptions extends RegistrySerdeOptions {
  /** A JSON Schema of draft 7, 2019-09 or 2020-12, as an object or as JSON. A deserializer over a registry can do without: the writer's counts then. */
  readonly schema?: object | string | undefined
  /** Schemas in the registry that `schema` refers to; the name of each is its URI in `$ref`. */
  readonly references?: readonly SchemaReference[] | undefined
  /** False: what is written and read is not checked against the schema. */
  readonly validate?: boolean | undefined
  /** Gives what compiles schemas, such as an Ajv that knows formats; called once a schema. */
  readonly ajv?: ((options: AjvOptions) => Ajv) | undefined
}

type Check = (value: unknown) => void

/**
 * JSON that is checked against a schema, on both ways.
 * @throws InvalidOptionError; SerializationError for a schema that is none
 */
export function jsonSchema<T = unknown>(options: JsonSchemaOptions): Serde<T> {
  checkSerdeOptions(options, ['schema', 'references', 'validate', 'ajv'])
  const { registry, schema, references = [] } = options
  const own: RegistrySchema | undefined =
    schema === undefined
      ? undefined
      : { schemaType: 'JSON', schema: typeof schema === 'string' ? schema : JSON.stringify(schema), references }
  if (registry === undefined) {
    if (own === undefined) throw new InvalidOptionError('schema is missing: without a registry JSON Schema cannot do without')
    const check = checkOf(own, [], options)
    const decode = decoderOf<T>(check)
    return dataOnly({ serialize: encoderOf<T>(check, NO_PREFIX), deserialize: (bytes: Buffer) => decode(bytes, 0) })
  }
  return registrySerde<T>(
    {
      schema: own === undefined ? undefined : () => own,
      recordName: own === undefined ? undefined : titleOf(own),
      encoder: (by, referenced, prefix) => encoderOf(checkOf(by, referenced, options), prefix),
      reader: {
        async byWriter(by, referenced) {
          return decoderOf(own === undefined ? checkOf(by, referenced, options) : checkOf(own, await registry.referencesOf(own), options))
        },
      },
    },
    { ...options, registry },
  )
}

function encoderOf<T>(check: Check, prefix: Uint8Array): EncodeFramed<T> {
  return (value) => {
    check(value)
    const text = JSON.stringify(value)
    if (text === undefined) throw new SerializationError(`JSON has no text for ${typeof value}`)
    const record = Buffer.allocUnsafe(prefix.length + Buffer.byteLength(text))
    record.set(prefix)
    record.write(text, prefix.length)
    return record
  }
}

function decoderOf<T>(check: Check): DecodeFramed<T> {
  return (bytes, start) => {
    const value: unknown = JSON.parse(bytes.toString('utf8', start))
    check(value)
    return value as T
  }
}

function checkOf({ schemaType, schema }: RegistrySchema, referenced: readonly NamedSchema[], options: JsonSchemaOptions): Check {
  if (schemaType !== 'JSON') throw new SerializationError(`the schema is not JSON Schema but ${schemaType}`)
  if (options.validate === false) return () => {}
  const parsed = parsedSchema(schema)
  try {
    const ajv = (options.ajv ?? newAjv(parsed))({ strict: false, allErrors: false, logger: false })
    for (const { name, schema: text } of referenced) ajv.addSchema(parsedSchema(text), name)
    const validate = ajv.compile(parsed)
    return (value) => {
      if (validate(value)) return
      throw new SerializationError(`the value does not fit its schema: ${ajv.errorsText(validate.errors, { dataVar: 'value' })}`)
    }
  } catch (error) {
    throw new SerializationError(`no JSON Schema that can be used: ${(error as Error).message}`, error)
  }
}

function newAjv(schema: object): (options: AjvOptions) => Ajv {
  const dialect = '$schema' in schema ? String(schema.$schema) : ''
  if (dialect.includes('2020-12')) return (options) => new Ajv2020(options)
  if (dialect.includes('2019-09')) return (options) => new Ajv2019(options)
  return (options) => new Ajv(options)
}

function parsedSchema(text: string): object {
  let schema: unknown
  try {
    schema = JSON.parse(text)
  } catch (error) {
    throw new SerializationError('a JSON Schema is JSON, and this is not', error)
  }
  // `true` and `false` are schemas too, by themselves of no use.
  return typeof schema === 'object' && schema !== null ? schema : { not: schema === true ? false : {} }
}

function titleOf({ schema }: RegistrySchema): string | undefined {
  const { title } = parsedSchema(schema) as { readonly title?: unknown }
  return typeof title === 'string' ? title : undefined
}
