import { type ByteReader, ByteWriter, MalformedError, utf8Length, ZERO_UUID } from '@tidelog/core'
import { type Field, type FieldShape, type Fields, isField, isFields, type Nullable, type Primitive, type Shape } from './types.ts'

/** Reads and writes one version of a message. `read` throws MalformedError; `write` takes fields with a default as optional. */
export interface Codec<Out, In = Out> {
  read(reader: ByteReader): Out
  write(writer: ByteWriter, value: In): void
}

interface Context {
  readonly version: number
  readonly flexible: boolean
  /** int64 as bigint: nothing is rounded. For tools and tests; the broker works with numbers. */
  readonly exact: boolean
}

/** What a value of one shape costs at least on the wire: bounds an array's count before anything is allocated for it. */
interface Part {
  // The values behind a shape are known only to the declaration's type, so a codec works on `any`.
  // biome-ignore lint/suspicious/noExplicitAny: typed again by `Codec<OutOf<S>, InOf<S>>` where a codec leaves this file
  read(reader: ByteReader): any
  // biome-ignore lint/suspicious/noExplicitAny: as above
  write(writer: ByteWriter, value: any): void
  readonly minBytes: number
}

/** More tagged fields than any message declares by far; a longer list is an attack, not a newer peer. */
const maxTaggedFields = 1024
const maxStringBytes = 0x7fff
/** Longer arrays grow as they are read: a count alone makes no memory. */
const MAX_EXACT_ELEMENTS = 64

export function compose<Out, In>(shape: Shape, context: Context): Codec<Out, In> {
  return partOf(shape, context)
}

function partOf(shape: Shape, context: Context): Part {
  if (isFields(shape)) return structPart(shape, context)
  if (shape.kind === 'array') return arrayPart(partOf(shape.element, context), context.flexible, false)
  if (shape.kind === 'nullable') return nullablePart(shape, context)
  return primitivePart(shape, context, false)
}

// --- lengths ---------------------------------------------------------------------------------------------------------------------

/** Returns -1 for null. Compact lengths are one more than the length, so that 0 is null (KIP-482). */
type ReadLength = (reader: ByteReader) => number
type WriteLength = (writer: ByteWriter, length: number) => void
const compactLength: ReadLength = (reader) => reader.unsignedVarint() - 1
const shortLength: ReadLength = (reader) => reader.int16()
const intLength: ReadLength = (reader) => reader.int32()
const writeCompactLength: WriteLength = (writer, length) => writer.unsignedVarint(length + 1)
const writeShortLength: WriteLength = (writer, length) => {
  if (length > 0x7fff) throw new RangeError(`a string of ${length} bytes does not fit its int16 length`)
  writer.int16(length)
}
const writeIntLength: WriteLength = (writer, length) => writer.int32(length)

/** -1 alone means null; whatever else is negative is not a length. */
function checkLength(length: number, nullable: boolean, reader: ByteReader): number {
  if (length === -1) {
    if (!nullable) throw new MalformedError('null in a field that is not nullable')
    return -1
  }
  if (length < 0 || length > reader.remaining) throw new MalformedError(`length ${length}, but ${reader.remaining} bytes are left`)
  return length
}

// --- shapes ----------------------------------------------------------------------------------------------------------------------

function nullablePart(shape: Nullable, context: Context): Part {
  const nullable = context.version >= shape.since
  const of = shape.of
  if (isFields(of)) {
    const struct = structPart(of, context)
    if (!nullable) return struct
    return {
      minBytes: 1,
      read(reader) {
        const present = reader.int8()
        if (present !== 1 && present !== -1) throw new MalformedError(`a nullable struct starts with ${present}`)
        return present === 1 ? struct.read(reader) : null
      },
      write(writer, value) {
        writer.int8(value == null ? -1 : 1)
        if (value != null) struct.write(writer, value)
      },
    }
  }
  if (of.kind === 'array') return arrayPart(partOf(of.element, context), context.flexible, nullable)
  if (of.kind === 'nullable') throw new TypeError('nullable of nullable')
  return primitivePart(of, context, nullable)
}

/** A struct that is a tagged field and may be null begins with a varint: 0 for null, else 1. Source: Kafka's MessageDataGenerator. */
function taggedNullableStruct(of: Fields, context: Context): Part {
  const struct = structPart(of, context)
  return {
    minBytes: 1,
    read: (reader) => (reader.unsignedVarint() === 0 ? null : struct.read(reader)),
    write(writer, value) {
      writer.unsignedVarint(value == null ? 0 : 1)
      if (value != null) struct.write(writer, value)
    },
  }
}

function arrayPart(element: Part, flexible: boolean, nullable: boolean): Part {
  const readLength = flexible ? compactLength : intLength
  const writeLength = flexible ? writeCompactLength : writeIntLength
  const elementBytes = Math.max(1, element.minBytes)
  return {
    minBytes: flexible ? 1 : 4,
    read(reader) {
      const count = checkLength(readLength(reader), nullable, reader)
      if (count === -1) return null
      if (count * elementBytes > reader.remaining) throw new MalformedError(`${count} elements do not fit into ${reader.remaining} bytes`)
      reader.takeElements(count)
      // Pushing would give the shortest array room for 17, and those of a few broker ids are kept for every partition.
      const values: unknown[] = count <= MAX_EXACT_ELEMENTS ? new Array(count) : []
      for (let i = 0; i < count; i++) values[i] = element.read(reader)
      return values
    },
    write(writer, values: readonly unknown[] | null) {
      if (values === null) {
        if (!nullable) throw new TypeError('null in an array that is not nullable')
        return writeLength(writer, -1)
      }
      writeLength(writer, values.length)
      for (let i = 0; i < values.length; i++) element.write(writer, values[i])
    },
  }
}

function primitivePart(shape: Primitive, { flexible, exact }: Context, nullable: boolean): Part {
  switch (shape.type) {
    case 'bool':
      return { minBytes: 1, read: (r) => r.boolean(), write: (w, v: boolean) => w.boolean(v) }
    case 'int8':
      return { minBytes: 1, read: (r) => r.int8(), write: (w, v: number) => w.int8(v) }
    case 'int16':
      return { minBytes: 2, read: (r) => r.int16(), write: (w, v: number) => w.int16(v) }
    case 'uint16':
      return { minBytes: 2, read: (r) => r.uint16(), write: (w, v: number) => w.uint16(v) }
    case 'int32':
      return { minBytes: 4, read: (r) => r.int32(), write: (w, v: number) => w.int32(v) }
    case 'uint32':
      return { minBytes: 4, read: (r) => r.uint32(), write: (w, v: number) => w.uint32(v) }
    case 'float64':
      return { minBytes: 8, read: (r) => r.float64(), write: (w, v: number) => w.float64(v) }
    case 'uuid':
      return { minBytes: 16, read: (r) => r.uuid(), write: (w, v: string) => w.uuid(v) }
    case 'int64':
      return exact
        ? { minBytes: 8, read: (r) => r.bigint64(), write: (w, v: bigint | number) => w.bigint64(BigInt(v)) }
        : { minBytes: 8, read: (r) => r.int64(), write: (w, v: number) => w.int64(v) }
    case 'string':
      return stringPart(flexible && !shape.legacyLength, nullable)
    case 'bytes':
    case 'records':
      return bytesPart(flexible, nullable)
  }
}

function stringPart(compact: boolean, nullable: boolean): Part {
  const readLength = compact ? compactLength : shortLength
  const writeLength = compact ? writeCompactLength : writeShortLength
  return {
    minBytes: compact ? 1 : 2,
    read(reader) {
      const length = checkLength(readLength(reader), nullable, reader)
      // As in Kafka, compact strings are no longer than others.
      if (length > maxStringBytes) throw new MalformedError(`a string of ${length} bytes`)
      return length === -1 ? null : reader.string(length)
    },
    write(writer, text: string | null) {
      if (text === null) {
        if (!nullable) throw new TypeError('null in a string that is not nullable')
        return writeLength(writer, -1)
      }
      writeLength(writer, utf8Length(text))
      writer.string(text)
    },
  }
}

function bytesPart(compact: boolean, nullable: boolean): Part {
  const readLength = compact ? compactLength : intLength
  const writeLength = compact ? writeCompactLength : writeIntLength
  return {
    minBytes: compact ? 1 : 4,
    read(reader) {
      const length = checkLength(readLength(reader), nullable, reader)
      return length === -1 ? null : reader.bytes(length)
    },
    write(writer, value: Uint8Array | readonly Uint8Array[] | null) {
      if (value === null) {
        if (!nullable) throw new TypeError('null in bytes that are not nullable')
        return writeLength(writer, -1)
      }
      if (value instanceof Uint8Array) {
        writeLength(writer, value.byteLength)
        writer.bytes(value)
        return
      }
      let length = 0
      for (const slice of value) length += slice.byteLength
      writeLength(writer, length)
      for (const slice of value) writer.bytes(slice)
    },
  }
}

// --- structs ---------------------------------------------------------------------------------------------------------------------

interface Member {
  readonly name: string
  readonly part: Part
  /** Stands in for a field that is left out when encoding; undefined where the caller must give one. */
  readonly fallback: unknown
}

function structPart(fields: Fields, context: Context): Part {
  const layout: { name: string; read: ((reader: ByteReader) => unknown) | null; fallback: unknown }[] = []
  const plain: Member[] = []
  const taggedMembers = new Map<number, Member>()
  for (const [name, shape] of Object.entries(fields)) {
    const declared = fieldOf(shape)
    const present = context.version >= declared.from && context.version <= declared.to
    const fallback = isField(shape) ? fallbackOf(declared, context.exact) : undefined
    if (!present) {
      layout.push({ name, read: null, fallback })
      continue
    }
    const { of, tag } = declared
    const isTaggedStruct = tag !== undefined && !isFields(of) && of.kind === 'nullable' && isFields(of.of)
    const part = isTaggedStruct ? taggedNullableStruct(of.of as Fields, context) : partOf(of, context)
    if (declared.tag === undefined) {
      plain.push({ name, part, fallback })
      layout.push({ name, read: part.read, fallback })
    } else if (context.flexible) {
      taggedMembers.set(declared.tag, { name, part, fallback })
      layout.push({ name, read: null, fallback })
    } else layout.push({ name, read: null, fallback })
  }
  const inTagOrder = [...taggedMembers].sort(([a], [b]) => a - b)
  const { flexible } = context
  return {
    minBytes: plain.reduce((sum, { part }) => sum + part.minBytes, flexible ? 1 : 0),
    read(reader) {
      const struct: Record<string, unknown> = {}
      // Every field of every version, in the declared order, so that all versions of a message share one hidden class.
      for (let i = 0; i < layout.length; i++) {
        const { name, read, fallback } = layout[i]!
        struct[name] = read === null ? fallback : read(reader)
      }
      if (flexible) readTagged(reader, struct, taggedMembers)
      return struct
    },
    write(writer, struct: Record<string, unknown>) {
      for (let i = 0; i < plain.length; i++) {
        const { name, part, fallback } = plain[i]!
        const value = struct[name]
        if (value === undefined && fallback === undefined) throw new TypeError(`field ${name} is missing`)
        part.write(writer, value === undefined ? fallback : value)
      }
      if (flexible) writeTagged(writer, struct, inTagOrder)
    },
  }
}

function readTagged(reader: ByteReader, struct: Record<string, unknown>, members: ReadonlyMap<number, Member>): void {
  const count = reader.unsignedVarint()
  if (count > maxTaggedFields) throw new MalformedError(`${count} tagged fields`)
  let previousTag = -1
  for (let i = 0; i < count; i++) {
    const tag = reader.unsignedVarint()
    if (tag <= previousTag) throw new MalformedError(`tag ${tag} after tag ${previousTag}`)
    previousTag = tag
    const size = reader.unsignedVarint()
    if (size > reader.remaining) throw new MalformedError(`tagged field of ${size} bytes, but ${reader.remaining} are left`)
    const end = reader.position + size
    const member = members.get(tag)
    if (member === undefined) reader.bytes(size)
    else {
      struct[member.name] = member.part.read(reader)
      if (reader.position !== end) throw new MalformedError(`tagged field ${member.name} is not ${size} bytes long`)
    }
  }
}

function writeTagged(writer: ByteWriter, struct: Record<string, unknown>, members: readonly (readonly [number, Member])[]): void {
  let count = 0
  for (const [, { name, fallback }] of members) if (!isDefault(struct[name], fallback)) count++
  writer.unsignedVarint(count)
  if (count === 0) return
  for (const [tag, { name, part, fallback }] of members) {
    const value = struct[name]
    if (isDefault(value, fallback)) continue
    const content = new ByteWriter()
    part.write(content, value)
    writer.unsignedVarint(tag)
    writer.unsignedVarint(content.byteLength)
    for (const chunk of content.toBuffers()) writer.bytes(chunk)
  }
}

// --- defaults --------------------------------------------------------------------------------------------------------------------

const everyVersion = { kind: 'field', from: 0, to: Number.MAX_SAFE_INTEGER, fallback: undefined, tag: undefined } as const
const fieldOf = (shape: FieldShape): Field => (isField(shape) ? shape : { ...everyVersion, of: shape })

const frozenEmpty: readonly unknown[] = Object.freeze([])
const emptyBytes = Buffer.alloc(0)

function fallbackOf(declared: Field, exact: boolean): unknown {
  if (declared.fallback === undefined) return zeroOf(declared.of, exact)
  const inner = 'kind' in declared.of && declared.of.kind === 'nullable' ? declared.of.of : declared.of
  const isInt64 = 'kind' in inner && inner.kind === 'primitive' && inner.type === 'int64'
  return exact && isInt64 && typeof declared.fallback === 'number' ? exactInt64(declared.fallback) : declared.fallback
}

/** Long.MAX_VALUE is declared as 2^63, the nearest number there is. */
const exactInt64 = (value: number): bigint => (value >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(value))

function zeroOf(shape: Shape, exact: boolean): unknown {
  if (isFields(shape)) {
    return Object.fromEntries(
      Object.entries(shape).map(([name, member]) => {
        const declared = fieldOf(member)
        return [name, fallbackOf(declared, exact)]
      }),
    )
  }
  if (shape.kind === 'array') return frozenEmpty
  if (shape.kind === 'nullable') return isFields(shape.of) ? null : zeroOf(shape.of, exact)
  switch (shape.type) {
    case 'bool':
      return false
    case 'int64':
      return exact ? 0n : 0
    case 'uuid':
      return ZERO_UUID
    case 'string':
      return ''
    case 'bytes':
    case 'records':
      return emptyBytes
    default:
      return 0
  }
}

function isDefault(value: unknown, fallback: unknown): boolean {
  if (value === undefined || value === fallback) return true
  if (value === null || fallback === null) return false
  if (Array.isArray(value)) return Array.isArray(fallback) && value.length === 0 && fallback.length === 0
  if (value instanceof Uint8Array) return fallback instanceof Uint8Array && value.byteLength === 0 && fallback.byteLength === 0
  if (typeof value !== 'object' || typeof fallback !== 'object') return false
  return Object.entries(fallback as object).every(([name, zero]) => isDefault((value as Record<string, unknown>)[name], zero))
}
