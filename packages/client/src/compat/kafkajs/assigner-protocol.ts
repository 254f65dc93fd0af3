import { ByteReader, ByteWriter } from '@tidelog/core'
import type { Assignment, ISerializer, MemberAssignment, MemberMetadata } from './types-group.ts'

/**
 * What members of a group tell each other, as assigners of kafkajs read and write it: an int16 version, then
 *   metadata:    topics as array of strings, user data as bytes
 *   assignment:  array of (topic as string, array of int32), user data as bytes
 * Lengths are int16 for strings and int32 for the rest; what newer versions have behind it is left unread.
 */

function writeString(writer: ByteWriter, text: string): void {
  const bytes = Buffer.from(text, 'utf8')
  writer.int16(bytes.length)
  writer.bytes(bytes)
}

function writeBytes(writer: ByteWriter, bytes: Uint8Array | undefined): void {
  writer.int32(bytes?.length ?? 0)
  if (bytes !== undefined) writer.bytes(bytes)
}

const readString = (reader: ByteReader): string => reader.string(Math.max(0, reader.int16()))

function readBytes(reader: ByteReader): Buffer {
  const length = reader.remaining < 4 ? -1 : reader.int32()
  return length < 0 ? Buffer.alloc(0) : Buffer.from(reader.bytes(length))
}

function readArray<T>(reader: ByteReader, read: () => T): T[] {
  const items: T[] = []
  // Each item takes bytes of what is left, so a count from outside can not make more than fit.
  for (let left = reader.int32(); left > 0; left--) items.push(read())
  return items
}

const MemberMetadataSerializer: ISerializer<MemberMetadata> & {
  encode(value: Omit<MemberMetadata, 'userData'> & { userData?: Buffer }): Buffer
} = {
  encode({ version, topics, userData }) {
    const writer = new ByteWriter()
    writer.int16(version)
    writer.int32(topics.length)
    for (const topic of topics) writeString(writer, topic)
    writeBytes(writer, userData)
    return writer.toBuffer()
  },
  /** @throws MalformedError for bytes that are no metadata */
  decode(buffer) {
    const reader = new ByteReader(buffer)
    const version = reader.int16()
    const topics = readArray(reader, () => readString(reader))
    return { version, topics, userData: readBytes(reader) }
  },
}

const MemberAssignmentSerializer: ISerializer<MemberAssignment> & {
  encode(value: Omit<MemberAssignment, 'userData'> & { userData?: Buffer }): Buffer
} = {
  encode({ version, assignment, userData }) {
    const writer = new ByteWriter()
    const topics = Object.entries(assignment)
    writer.int16(version)
    writer.int32(topics.length)
    for (const [topic, partitions] of topics) {
      writeString(writer, topic)
      writer.int32(partitions.length)
      for (const partition of partitions) writer.int32(partition)
    }
    writeBytes(writer, userData)
    return writer.toBuffer()
  },
  /** null for no bytes. @throws MalformedError for bytes that are no assignment */
  decode(buffer) {
    const reader = new ByteReader(buffer)
    if (reader.remaining < 2) return null
    const version = reader.int16()
    const topics = readArray(reader, () => [readString(reader), readArray(reader, () => reader.int32())] as const)
    return { version, assignment: Object.fromEntries(topics) as Assignment, userData: readBytes(reader) }
  },
}

export const AssignerProtocol = { MemberMetadata: MemberMetadataSerializer, MemberAssignment: MemberAssignmentSerializer }
