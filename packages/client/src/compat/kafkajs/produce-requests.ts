import type { RecordMetadata as OurMetadata, ProducerRecord as OurRecord } from '../../producer/producer-record.ts'
import type { HeaderInput } from '../../serde/serde.ts'
import type { TopicPartition } from '../../topic-partition.ts'
import { codecNameOf } from './compression.ts'
import { KafkaJSNonRetriableError } from './errors.ts'
import { int64Of } from './offset-arguments.ts'
import type { IHeaders } from './types-client.ts'
import type { Message, RecordMetadata, TopicMessages } from './types-producer.ts'

const ALL = -1

/** @throws KafkaJSNonRetriableError that says what is wrong with the call */
export function checkBatch(
  topicMessages: readonly TopicMessages[],
  { acks, compression, isIdempotent }: { readonly acks: number; readonly compression: number; readonly isIdempotent: boolean },
): void {
  if (topicMessages.some(({ topic }) => !topic)) throw new KafkaJSNonRetriableError('a topic has no name')
  if (isIdempotent && acks !== ALL) {
    throw new KafkaJSNonRetriableError(`acks=${acks} does not go with an idempotent producer: it needs those of all in-sync replicas`)
  }
  if (codecNameOf(compression) === undefined) throw new KafkaJSNonRetriableError(`there is no compression ${compression}`)
  for (const { topic, messages } of topicMessages) {
    if (!Array.isArray(messages)) throw new KafkaJSNonRetriableError(`messages for topic ${topic} must be an array`)
    const without = messages.find(({ value }) => value === undefined)
    if (without !== undefined) {
      throw new KafkaJSNonRetriableError(`a message for topic ${topic} has no value; null is one: ${JSON.stringify(without)}`)
    }
  }
}

export type PlacedRecord = OurRecord<unknown, unknown> & { readonly partition: number; readonly timestamp: number }

/** A message as one of our records, in the partition that was chosen for it. @throws KafkaJSNonRetriableError for a timestamp or a header that is none */
export function recordOf(topic: string, { key, value, headers, timestamp }: Message, partition: number, nowMs: number): PlacedRecord {
  return {
    topic,
    partition: Number(partition),
    key: key ?? null,
    value,
    timestamp: timestamp ? int64Of(timestamp) : nowMs,
    ...(headers === undefined || headers === null ? {} : { headers: headersOf(headers) }),
  }
}

/** A list of values is as many headers of that name. @throws KafkaJSNonRetriableError */
function headersOf(headers: IHeaders): HeaderInput[] {
  return Object.entries(headers).flatMap(([key, value]) => (Array.isArray(value) ? value : [value]).map((one) => headerOf(key, one)))
}

function headerOf(key: string, value: unknown): HeaderInput {
  if (value === undefined || value === null) return { key, value: null }
  if (typeof value === 'string' || value instanceof Uint8Array) return { key, value }
  throw new KafkaJSNonRetriableError(`header ${key} must be a text or a Buffer, and not ${typeof value}`)
}

/** One result a partition, with the first offset there, in the order of topics and partitions. */
export function resultsOf(
  records: readonly PlacedRecord[],
  metadata: readonly OurMetadata[],
  logStartOffsetOf: (partition: TopicPartition) => number,
): RecordMetadata[] {
  const byTopic = new Map<string, Map<number, { baseOffset: number; logAppendTime: number }>>()
  for (const [index, { offset, timestamp }] of metadata.entries()) {
    const record = records[index]!
    let partitions = byTopic.get(record.topic)
    if (partitions === undefined) {
      partitions = new Map()
      byTopic.set(record.topic, partitions)
    }
    const known = partitions.get(record.partition)
    // The broker says what time it was only where it is the broker's time that counts.
    const logAppendTime = timestamp === record.timestamp ? -1 : timestamp
    if (known === undefined || offset < known.baseOffset) partitions.set(record.partition, { baseOffset: offset, logAppendTime })
  }
  return [...byTopic].flatMap(([topicName, partitions]) =>
    [...partitions]
      .sort(([a], [b]) => a - b)
      .map(([partition, { baseOffset, logAppendTime }]) => ({
        topicName,
        partition,
        errorCode: 0,
        baseOffset: String(baseOffset),
        logAppendTime: String(logAppendTime),
        logStartOffset: String(logStartOffsetOf({ topic: topicName, partition })),
      })),
  )
}
