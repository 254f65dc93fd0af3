import { SerializationError } from '../errors.ts'

/**
 * Under which subject a registry keeps the schema of a topic's keys or values.
 * @param recordName The schema's own name: Avro's full name, Protobuf's message, JSON Schema's title; undefined when it has none.
 */
export type SubjectNameStrategy = (context: { readonly topic: string; readonly isKey: boolean }, recordName: string | undefined) => string

/** `TOPIC-key`, `TOPIC-value`: one schema a topic. The default. */
export const topicNameStrategy: SubjectNameStrategy = ({ topic, isKey }) => `${topic}-${isKey ? 'key' : 'value'}`

/** The record's name: one schema for all topics that hold such records. */
export const recordNameStrategy: SubjectNameStrategy = (_, recordName) => named(recordName)

/** `TOPIC-RECORD`: a topic that holds records of several schemas. */
export const topicRecordNameStrategy: SubjectNameStrategy = ({ topic }, recordName) => `${topic}-${named(recordName)}`

function named(recordName: string | undefined): string {
  if (recordName === undefined) throw new SerializationError('the schema has no name, which this subject name strategy needs')
  return recordName
}
