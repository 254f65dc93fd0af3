/**
 * The entry point `tidelog/schema-registry`: a client of Confluent's Schema Registry and of those that speak its REST interface (Apicurio,
 * Karapace, Redpanda). The serdes of `tidelog/serdes/avro`, `…/protobuf` and `…/json-schema` take one.
 */
import { systemClock, systemRandom } from '@tidelog/core'
import type { Environment } from '../environment.ts'
import { InvalidOptionError, SchemaRegistryError } from '../errors.ts'
import { until, type WaitOptions } from '../wait.ts'
import { BoundedCache } from './bounded-map.ts'
import { RegistryHttp, type RegistryHttpOptions, type RegistryRequest } from './registry-http.ts'

export { SchemaRegistryError } from '../errors.ts'
export type { BasicAuth, BearerAuth, RegistryHttpOptions } from './registry-http.ts'
export { recordNameStrategy, type SubjectNameStrategy, topicNameStrategy, topicRecordNameStrategy } from './subject-names.ts'

/** The format of a schema. */
export type SchemaType = 'AVRO' | 'PROTOBUF' | 'JSON'
/** Which schemas a subject takes as its next version. */
export type CompatibilityLevel = 'NONE' | 'BACKWARD' | 'BACKWARD_TRANSITIVE' | 'FORWARD' | 'FORWARD_TRANSITIVE' | 'FULL' | 'FULL_TRANSITIVE'

/** A schema that another one uses, by the name that the other one calls it. */
export interface SchemaReference {
  readonly name: string
  readonly subject: string
  readonly version: number
}

/** A schema as a registry has it. */
export interface RegistrySchema {
  readonly schemaType: SchemaType
  /** Avro and JSON Schema: JSON. Protobuf: the .proto text, or the base64 of its FileDescriptorProto. */
  readonly schema: string
  /** Schemas that it uses. */
  readonly references: readonly SchemaReference[]
}

/** What a registry calls a schema. */
export interface RegisteredSchema {
  /** The same for equal schemas of all subjects. */
  readonly id: number
  /** The same in every registry; Confluent's have it since 7.9, others may not. */
  readonly guid?: string | undefined
}

/** A schema's place in the registry. */
export interface SubjectVersion extends RegistrySchema, RegisteredSchema {
  readonly subject: string
  readonly version: number
}

/** A schema together with the name by which others refer to it. */
export interface NamedSchema extends RegistrySchema {
  readonly name: string
}

/** Where the registry is, and how to reach it. `url` is required. */
export interface SchemaRegistryOptions extends RegistryHttpOptions, Environment {
  /** How many schemas, and how many ids, are remembered; 1,000 when absent. */
  readonly cacheCapacity?: number | undefined
}

/** What registering and looking up take. */
export interface RegisterOptions extends WaitOptions {
  /** The registry brings the schema into its normal form first, so that schemas that mean the same are one. */
  readonly normalize?: boolean | undefined
}
/** What deleting takes. */
export interface DeleteOptions extends WaitOptions {
  /** Also of what was deleted before; without it a deleted version keeps its id and can still be read by it. */
  readonly permanent?: boolean | undefined
}
/** What listing takes. */
export interface ListOptions extends WaitOptions {
  /** Also those that were deleted, and not for good. */
  readonly includeDeleted?: boolean | undefined
}

const optionNames: ReadonlySet<string> = new Set([
  ...['url', 'auth', 'tls', 'headers', 'timeoutMs', 'requestTimeoutMs', 'retries', 'retryBackoffMs', 'retryBackoffMaxMs'],
  ...['cacheCapacity', 'clock', 'random', 'logger'],
])
/** A schema must not use more others than this, directly and through them. */
const MAX_REFERENCED = 1000

/**
 * A registry's client. Answers that never change are remembered; calls that ask for the same share one request.
 * Every call throws a SchemaRegistryError for what the registry refuses or when it cannot be reached, a TimeoutError after `timeoutMs`, and a ClosedError once closed.
 */
export class SchemaRegistry {
  readonly #http: RegistryHttp
  readonly #schemas: BoundedCache<RegistrySchema>
  readonly #registered: BoundedCache<RegisteredSchema>
  readonly #versions: BoundedCache<SubjectVersion>

  /** @throws InvalidOptionError that names the option. */
  constructor(options: SchemaRegistryOptions) {
    for (const name of Object.keys(options)) if (!optionNames.has(name)) throw new InvalidOptionError(`unknown option ${name}`)
    const { clock = systemClock, random = systemRandom, cacheCapacity = 1000 } = options
    if (!(Number.isInteger(cacheCapacity) && cacheCapacity >= 1))
      throw new InvalidOptionError('cacheCapacity is not a whole number above 0')
    this.#http = new RegistryHttp(options, { clock, random })
    this.#schemas = new BoundedCache(cacheCapacity)
    this.#registered = new BoundedCache(cacheCapacity)
    this.#versions = new BoundedCache(cacheCapacity)
  }

  /**
   * Registers a schema as the subject's newest version, unless the subject has it already. Remembered.
   * @returns Its id. @throws SchemaRegistryError with status 409 when it is not compatible with the versions before it
   */
  async register(subject: string, schema: RegistrySchema, options: RegisterOptions = {}): Promise<number> {
    return (await this.registerWithResponse(subject, schema, options)).id
  }

  /** As register(), with the GUID where the registry has them. */
  registerWithResponse(
    subject: string,
    schema: RegistrySchema,
    { normalize = false, signal }: RegisterOptions = {},
  ): Promise<RegisteredSchema> {
    const registering = this.#registered.get(`${normalize} ${keyOf(subject, schema)}`, async () => {
      const path = `/subjects/${encodeURIComponent(subject)}/versions${queryOf({ normalize })}`
      return registeredOf(await this.#http.call({ method: 'POST', path, body: bodyOf(schema) }))
    })
    return until(registering, signal)
  }

  /** The version under which a subject has a schema. Remembered. @throws SchemaRegistryError with status 404 when it has not */
  lookup(subject: string, schema: RegistrySchema, { normalize = false, signal }: RegisterOptions = {}): Promise<SubjectVersion> {
    const found = this.#versions.get(`lookup ${normalize} ${keyOf(subject, schema)}`, async () => {
      const path = `/subjects/${encodeURIComponent(subject)}${queryOf({ normalize })}`
      return versionOf(await this.#http.call({ method: 'POST', path, body: bodyOf(schema) }))
    })
    return until(found, signal)
  }

  /**
   * The schema with an id. Remembered.
   * @param format As Confluent's parameter: `serialized` for the descriptor of a Protobuf schema.
   */
  schemaById(id: number, { format, signal }: WaitOptions & { readonly format?: string | undefined } = {}): Promise<RegistrySchema> {
    return this.#schemaAt(`/schemas/ids/${id}${queryOf({ format })}`, signal)
  }

  /** The schema with a GUID, which is the same in every registry. Remembered. @throws SchemaRegistryError with status 404 when the registry does not have it */
  schemaByGuid(guid: string, { format, signal }: WaitOptions & { readonly format?: string | undefined } = {}): Promise<RegistrySchema> {
    return this.#schemaAt(`/schemas/guids/${encodeURIComponent(guid)}${queryOf({ format })}`, signal)
  }

  /** One version of a subject: what `latest` is may change, a numbered one is remembered. */
  version(subject: string, version: number | 'latest', { signal }: WaitOptions = {}): Promise<SubjectVersion> {
    const path = `/subjects/${encodeURIComponent(subject)}/versions/${version}`
    const load = async () => versionOf(await this.#http.call({ method: 'GET', path }))
    return until(version === 'latest' ? load() : this.#versions.get(`version ${version} ${subject}`, load), signal)
  }

  /** Everything that a schema refers to, directly or through others, each behind what it refers to itself. */
  async referencesOf(schema: RegistrySchema, options: WaitOptions = {}): Promise<NamedSchema[]> {
    const found = new Map<string, NamedSchema>()
    const seen = new Set<string>()
    const visit = async ({ references }: RegistrySchema): Promise<void> => {
      for (const { name, subject, version } of references) {
        if (seen.has(name)) continue
        seen.add(name)
        if (seen.size > MAX_REFERENCED) throw new SchemaRegistryError(`a schema refers to more than ${MAX_REFERENCED} others`)
        const referenced = await this.version(subject, version, options)
        await visit(referenced)
        found.set(name, { ...referenced, name })
      }
    }
    await visit(schema)
    return [...found.values()]
  }

  /** Names of the subjects, of those that begin with `prefix` when it is given. */
  async subjects({ prefix, includeDeleted, signal }: ListOptions & { readonly prefix?: string | undefined } = {}): Promise<string[]> {
    const query = queryOf({ subjectPrefix: prefix, deleted: includeDeleted })
    return listOf(await this.#http.call({ method: 'GET', path: `/subjects${query}`, signal }), 'string')
  }

  /** Numbers of a subject's versions. */
  async versions(subject: string, { includeDeleted, signal }: ListOptions = {}): Promise<number[]> {
    const query = queryOf({ deleted: includeDeleted })
    const path = `/subjects/${encodeURIComponent(subject)}/versions${query}`
    return listOf(await this.#http.call({ method: 'GET', path, signal }), 'number')
  }

  /** Deletes all versions of a subject. @returns Which. */
  async deleteSubject(subject: string, { permanent, signal }: DeleteOptions = {}): Promise<number[]> {
    const path = `/subjects/${encodeURIComponent(subject)}${queryOf({ permanent })}`
    return listOf(await this.#change({ method: 'DELETE', path, signal }), 'number')
  }

  /** @returns The number of the version that is gone. */
  async deleteVersion(subject: string, version: number | 'latest', { permanent, signal }: DeleteOptions = {}): Promise<number> {
    const path = `/subjects/${encodeURIComponent(subject)}/versions/${version}${queryOf({ permanent })}`
    const deleted = await this.#change({ method: 'DELETE', path, signal })
    if (typeof deleted !== 'number') throw unexpected(deleted)
    return deleted
  }

  /** Could a schema be a subject's next version? Compared with one version; `latest` when absent. */
  async isCompatible(
    subject: string,
    schema: RegistrySchema,
    { version = 'latest', signal }: WaitOptions & { readonly version?: number | 'latest' | undefined } = {},
  ): Promise<{ readonly isCompatible: boolean; readonly messages: readonly string[] }> {
    const path = `/compatibility/subjects/${encodeURIComponent(subject)}/versions/${version}?verbose=true`
    const answer = objectOf(await this.#http.call({ method: 'POST', path, body: bodyOf(schema), signal }))
    const { is_compatible: isCompatible, messages } = answer
    if (typeof isCompatible !== 'boolean') throw unexpected(answer)
    return { isCompatible, messages: Array.isArray(messages) ? messages.map(String) : [] }
  }

  /** How new versions must go with old ones: a subject's own rule, or without subject the registry's. */
  async compatibility(subject?: string, { signal }: WaitOptions = {}): Promise<CompatibilityLevel> {
    const answer = objectOf(await this.#http.call({ method: 'GET', path: configPath(subject), signal }))
    const level = answer.compatibilityLevel ?? answer.compatibility
    if (typeof level !== 'string') throw unexpected(answer)
    return level as CompatibilityLevel
  }

  /** Of a subject, or of all that have none of their own. */
  async setCompatibility(level: CompatibilityLevel, subject?: string, { signal }: WaitOptions = {}): Promise<void> {
    await this.#http.call({ method: 'PUT', path: configPath(subject), body: { compatibility: level }, signal })
  }

  /** Ends what is under way with a ClosedError and closes the connections. */
  close(): void {
    this.#http.close()
  }

  /** close(), for `using`. */
  [Symbol.dispose](): void {
    this.close()
  }

  #schemaAt(path: string, signal: AbortSignal | undefined): Promise<RegistrySchema> {
    const found = this.#schemas.get(path, async () => schemaOf(await this.#http.call({ method: 'GET', path })))
    return until(found, signal)
  }

  /** Something that makes remembered ids and versions wrong. */
  async #change(request: RegistryRequest): Promise<unknown> {
    const answer = await this.#http.call(request)
    this.#registered.clear()
    this.#versions.clear()
    return answer
  }
}

const keyOf = (subject: string, schema: RegistrySchema): string => JSON.stringify([subject, bodyOf(schema)])

const configPath = (subject: string | undefined): string => (subject === undefined ? '/config' : `/config/${encodeURIComponent(subject)}`)

function queryOf(parameters: Readonly<Record<string, string | boolean | undefined>>): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== false)
  return given.length === 0 ? '' : `?${given.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join('&')}`
}

/** As the registry takes it: AVRO and no references are what it assumes. */
function bodyOf({ schemaType, schema, references }: RegistrySchema): object {
  return { schema, ...(schemaType === 'AVRO' ? {} : { schemaType }), ...(references.length === 0 ? {} : { references }) }
}

const unexpected = (answer: unknown): SchemaRegistryError =>
  new SchemaRegistryError(`the schema registry's answer is not what it should be: ${JSON.stringify(answer)?.slice(0, 200)}`)

function objectOf(answer: unknown): Readonly<Record<string, unknown>> {
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) throw unexpected(answer)
  return answer as Readonly<Record<string, unknown>>
}

function listOf(answer: unknown, of: 'string'): string[]
function listOf(answer: unknown, of: 'number'): number[]
function listOf(answer: unknown, of: 'string' | 'number'): (string | number)[] {
  if (!Array.isArray(answer) || answer.some((item) => typeof item !== of)) throw unexpected(answer)
  return answer
}

function registeredOf(answer: unknown): RegisteredSchema {
  const { id, guid } = objectOf(answer)
  if (!isInt32(id)) throw unexpected(answer)
  return { id, ...(typeof guid === 'string' ? { guid } : {}) }
}

const isInt32 = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 31

function schemaOf(answer: unknown): RegistrySchema {
  const { schema, schemaType = 'AVRO', references } = objectOf(answer)
  if (typeof schema !== 'string' || (schemaType !== 'AVRO' && schemaType !== 'PROTOBUF' && schemaType !== 'JSON')) throw unexpected(answer)
  return { schema, schemaType, references: Array.isArray(references) ? references.map(referenceOf) : [] }
}

function referenceOf(answer: unknown): SchemaReference {
  const { name, subject, version } = objectOf(answer)
  if (typeof name !== 'string' || typeof subject !== 'string' || !isInt32(version)) throw unexpected(answer)
  return { name, subject, version }
}

function versionOf(answer: unknown): SubjectVersion {
  const { subject, version } = objectOf(answer)
  if (typeof subject !== 'string' || !isInt32(version)) throw unexpected(answer)
  return { ...schemaOf(answer), ...registeredOf(answer), subject, version }
}
