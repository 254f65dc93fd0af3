import { KafkaError } from '../errors.ts'
import type { KafkaRecord } from './kafka-record.ts'
import { type Message, messageBytes, type NewMessage, readMessage, writeMessage } from './message.ts'
import { iterateBatches, type RecordBatch } from './record-batch.ts'

const noHeaders: KafkaRecord['headers'] = []

/** A message that wraps none, as a record. */
export function asRecord({ offset, timestamp, key, value }: Message): KafkaRecord {
  return { offset, timestamp, key, value, headers: noHeaders }
}

/** The message of a batch of magic 0 or 1, which may be a wrapper. */
export function messageOf({ buffer, at, sizeBytes }: RecordBatch): Message {
  return readMessage(buffer, at, sizeBytes)
}

/** The compressed message set in a wrapper. */
export function wrapped({ value }: Message): Buffer {
  if (value === null) throw new KafkaError('INVALID_RECORD', 'Found invalid compressed record set with null value')
  return value
}

/** The records of a message set that a wrapper held, uncompressed. */
export function unwrap(outer: Message, inner: Buffer): KafkaRecord[] {
  const messages: Message[] = []
  let end = 0
  for (const batch of iterateBatches(inner)) {
    end = batch.at + batch.sizeBytes
    if (batch.magic !== outer.magic) {
      throw new KafkaError('INVALID_RECORD', `Log record's magic ${batch.magic} does not match outer magic ${outer.magic}`)
    }
    batch.ensureValid()
    const message = messageOf(batch)
    if (message.codecId !== 0) {
      throw new KafkaError('INVALID_RECORD', 'Compressed outer record should not have an inner record with a compression attribute set')
    }
    messages.push(message)
  }
  if (end !== inner.length) throw new KafkaError('INVALID_RECORD', 'a message inside of a compressed message set is cut off')
  const last = messages.at(-1)
  if (last === undefined) throw new KafkaError('INVALID_RECORD', 'Found invalid compressed record set with no inner records')
  if (outer.magic === 0) return messages.map(asRecord)
  // Some clients leave the wrapper's offset at 0 when they produce.
  const baseOffset = outer.offset === 0 ? 0 : outer.offset - last.offset
  return messages.map((message) => ({
    ...asRecord(message),
    offset: baseOffset + message.offset,
    timestamp: outer.isLogAppendTime ? outer.timestamp : message.timestamp,
  }))
}

/** A message set of `messages`, as they are. */
export function writeMessageSet(messages: readonly NewMessage[]): Buffer {
  const buffer = Buffer.allocUnsafe(messages.reduce((bytes, message) => bytes + messageBytes(message), 0))
  let at = 0
  for (const message of messages) at = writeMessage(buffer, at, message)
  return buffer
}
