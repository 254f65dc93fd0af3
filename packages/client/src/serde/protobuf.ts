/** The entry point `tidelog/serdes/protobuf`; needs the package `@bufbuild/protobuf`, whose `protoc-gen-es` makes message types of .proto files. */
import { type DescFile, type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf'
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import { InvalidOptionError } from '../errors.ts'
import type { RegistrySchema, SchemaReference, SchemaRegistry } from '../registry/schema-registry.ts'
import { checkSerdeOptions, type RegistrySerdeOptions, registrySerde } from './registry-serde.ts'
import { dataOnly, type Serde } from './serde.ts'
import { messageIndexBytes } from './wire-format.ts'

/** `message` is required. */
export interface ProtobufOptions<Desc extends DescMessage> extends RegistrySerdeOptions {
  /** What protoc-gen-es calls `OrderSchema`. */
  readonly message: Desc
  /** Under which subject an imported file is registered; its own path when absent. */
  readonly referenceSubjectName?: ((file: string) => string) | undefined
}

/** Imported files that every registry knows. */
const builtin = ['google/protobuf/', 'google/type/', 'confluent/']

/**
 * Protobuf's binary form of one message type. A reader needs no writer's schema: fields that it does not know are kept and written again.
 * The index of the message in its writer's file is written and skipped, not compared.
 * @throws InvalidOptionError
 */
export function protobuf<Desc extends DescMessage>(options: ProtobufOptions<Desc>): Serde<MessageShape<Desc>> {
  checkSerdeOptions(options, ['message', 'referenceSubjectName'])
  const { message, registry, referenceSubjectName = (file: string) => file } = options
  if (message?.kind !== 'message') throw new InvalidOptionError('message is missing: the schema of a message, as protoc-gen-es makes it')
  if (registry === undefined) {
    return dataOnly({
      serialize: (value: MessageShape<Desc>) => toBinary(message, value),
      deserialize: (bytes: Buffer) => fromBinary(message, bytes),
    })
  }
  return registrySerde<MessageShape<Desc>>(
    {
      schema: () => registered(message.file, registry, referenceSubjectName, options),
      recordName: message.typeName,
      messageIndexes: messageIndexBytes(indexesOf(message)),
      encoder: (_, __, prefix) => (value) => {
        const body = toBinary(message, value)
        const record = Buffer.allocUnsafe(prefix.length + body.length)
        record.set(prefix)
        record.set(body, prefix.length)
        return record
      },
      reader: { anyWriter: (bytes, start) => fromBinary(message, bytes.subarray(start)) },
    },
    { ...options, registry },
  )
}

/** Where a message stands in its file: the index of the outermost message, then of the one in it, and so on. */
function indexesOf(message: DescMessage): number[] {
  const { parent } = message
  return parent === undefined ? [message.file.messages.indexOf(message)] : [...indexesOf(parent), parent.nestedMessages.indexOf(message)]
}

/** A file's schema for the registry, which gets to know the files that it imports first. */
async function registered(
  file: DescFile,
  registry: SchemaRegistry,
  subjectOf: (file: string) => string,
  options: RegistrySerdeOptions,
): Promise<RegistrySchema> {
  const { useLatestVersion = false, autoRegisterSchemas = !useLatestVersion, normalizeSchemas: normalize = false } = options
  const references: SchemaReference[] = []
  for (const imported of file.dependencies) {
    const name = imported.proto.name
    if (builtin.some((prefix) => name.startsWith(prefix))) continue
    const schema = await registered(imported, registry, subjectOf, options)
    const subject = subjectOf(name)
    if (autoRegisterSchemas) await registry.register(subject, schema, { normalize })
    const { version } = await registry.lookup(subject, schema, { normalize })
    references.push({ name, subject, version })
  }
  const bytes = toBinary(FileDescriptorProtoSchema, file.proto)
  return { schemaType: 'PROTOBUF', schema: Buffer.from(bytes).toString('base64'), references }
}
