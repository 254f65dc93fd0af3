/**
 * How a record names the schema of its key or value, as Confluent's serializers write it:
 *
 *   magic byte   int8    0
 *   schema id    int32   big-endian
 *   indexes      Protobuf only: which message of the schema's file. Count, then that many indexes, outermost message first, all zigzag
 *                varints; the first message of a file, [0], is the single byte 0.
 *   body         the rest
 */
import { SerializationError } from '../errors.ts'

const MAGIC = 0
export const HEADER_BYTES = 5
/** Messages nest no deeper than this; the count comes from outside. */
const MAX_INDEXES = 64
const MAX_VARINT_BYTES = 5

/** Writes magic byte and id at the start of `target`. */
export function writeHeader(target: Buffer, schemaId: number): void {
  target[0] = MAGIC
  target.writeInt32BE(schemaId, 1)
}

/** @throws SerializationError when the bytes do not begin with a schema's id */
export function readSchemaId(bytes: Buffer): number {
  if (bytes.length < HEADER_BYTES) throw new SerializationError(`${bytes.length} bytes are too few for a schema's id`)
  if (bytes[0] !== MAGIC) throw new SerializationError(`the first byte is ${bytes[0]}, and 0 where a schema's id follows`)
  return bytes.readInt32BE(1)
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
