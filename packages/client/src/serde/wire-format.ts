/**
 * How a record names the schema of its key or value, as Confluent's serializers write it:
 *
 *   magic byte   int8    0: the schema's id in the registry follows; 1: its GUID, the same in every registry
 *   schema id    int32   big-endian; or GUID, 16 bytes
 *   indexes      Protobuf only: which message of the schema's file. Count, then that many indexes, outermost message first, all zigzag
 *                varints; the first message of a file, [0], is the single byte 0.
 *
 * It stands in front of the key or value (with an id, usually), or by itself in a header of the record (with a GUID), `__key_schema_id` or `__value_schema_id`; the
 * header counts where there are both. What a header has behind it is not looked at.
 */
import { SerializationError } from '../errors.ts'

const ID_FOLLOWS = 0
const GUID_FOLLOWS = 1
const ID_BYTES = 4
const GUID_BYTES = 16
/** Messages nest no deeper than this; the count comes from outside. */
const MAX_INDEXES = 64
const MAX_VARINT_BYTES = 5

/** The header that names the schema of a record's key or value. */
export const schemaHeaderOf = ({ isKey }: { readonly isKey: boolean }): string => (isKey ? '__key_schema_id' : '__value_schema_id')

/** @param indexes Of Protobuf, as messageIndexBytes() gives them. */
export function schemaIdBytes(schemaId: number, indexes: Uint8Array): Buffer {
  const target = Buffer.alloc(1 + ID_BYTES + indexes.length, ID_FOLLOWS)
  target.writeInt32BE(schemaId, 1)
  target.set(indexes, 1 + ID_BYTES)
  return target
}

/** @param guid 32 hexadecimal digits in groups, as a registry gives it. @throws SerializationError when it is none */
export function schemaGuidBytes(guid: string, indexes: Uint8Array): Buffer {
  if (!/^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i.test(guid)) throw new SerializationError(`${guid} is no GUID`)
  return Buffer.concat([Buffer.of(GUID_FOLLOWS), Buffer.from(guid.replaceAll('-', ''), 'hex'), indexes])
}

/** Which schema something was written by: its id; or its GUID, the 16 bytes as latin1 text, which are a key in memory and no more. */
export type WriterSchema = number | string

/** The text that a registry is asked with. */
export function guidOf(writer: string): string {
  const digits = Buffer.from(writer, 'latin1').toString('hex')
  return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)].join('-')
}

/** @throws SerializationError when the bytes do not begin with a schema's id or GUID */
export function readWriterSchema(bytes: Buffer): WriterSchema {
  const end = writerSchemaEnd(bytes)
  return bytes[0] === ID_FOLLOWS ? bytes.readInt32BE(1) : bytes.toString('latin1', 1, end)
}

/** Where what readWriterSchema() reads has its end. @throws as it */
export function writerSchemaEnd(bytes: Buffer): number {
  const magic = bytes[0]
  if (magic !== undefined && magic !== ID_FOLLOWS && magic !== GUID_FOLLOWS) {
    throw new SerializationError(`the first byte is ${magic}, and 0 or 1 where a schema's id or GUID follows`)
  }
  const end = 1 + (magic === GUID_FOLLOWS ? GUID_BYTES : ID_BYTES)
  if (bytes.length < end)
    throw new SerializationError(`${bytes.length} bytes are too few for a schema's ${magic === GUID_FOLLOWS ? 'GUID' : 'id'}`)
  return end
}

function zigzag(value: number): number[] {
  const written: number[] = []
  let rest = value * 2
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) written.push((rest % 0x80) | 0x80)
  written.push(rest)
  return written
}

export function messageIndexBytes(indexes: readonly number[]): Buffer {
  if (indexes.length === 1 && indexes[0] === 0) return Buffer.of(0)
  return Buffer.from([indexes.length, ...indexes].flatMap(zigzag))
}

/**
 * @param start Where the indexes begin.
 * @returns The indexes, and where the message begins. @throws SerializationError
 */
export function readMessageIndexes(bytes: Buffer, start: number): { readonly indexes: readonly number[]; readonly end: number } {
  let position = start
  const next = (): number => {
    let value = 0
    for (let count = 0; count < MAX_VARINT_BYTES; count++) {
      const byte = bytes[position++]
      if (byte === undefined) throw new SerializationError('the message indexes are cut short')
      value += (byte & 0x7f) * 2 ** (7 * count)
      if (byte < 0x80) {
        if (value % 2 !== 0) throw new SerializationError('a message index is negative')
        return value / 2
      }
    }
    throw new SerializationError(`a message index takes more than ${MAX_VARINT_BYTES} bytes`)
  }
  const count = next()
  if (count === 0) return { indexes: [0], end: position }
  if (count > MAX_INDEXES) throw new SerializationError(`${count} message indexes are more than ${MAX_INDEXES}`)
  const indexes: number[] = []
  for (let index = 0; index < count; index++) indexes.push(next())
  return { indexes, end: position }
}
