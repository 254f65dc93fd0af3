import type { ConsumedBatch } from '../../consumer/consumed-batch.ts'
import type { ConsumerRecord } from '../../consumer/consumer-record.ts'
import { headersByName } from './headers.ts'
import type { Batch, KafkaMessage } from './types-consumer.ts'

type OurRecord = ConsumerRecord<Buffer, Buffer>

/** The message format of all brokers that are still about. */
const MAGIC = 2

/** A record as kafkajs's message: numbers in digits, headers by name, a list where a name comes several times. */
function messageOf(record: OurRecord): KafkaMessage {
  const message = {
    magicByte: MAGIC,
    attributes: 0,
    timestamp: String(record.timestamp),
    offset: String(record.offset),
    key: record.key,
    value: record.value,
    headers: headersByName(record.headers),
    isControlRecord: false,
  }
  return message
}

/** What one fetch brought of a partition, as kafkajs shows it. */
export class FetchedBatch implements Batch {
  readonly topic: string
  readonly partition: number
  readonly highWatermark: string
  readonly messages: KafkaMessage[]
  /** Of the first and the last message, or of what is not for users behind it. */
  readonly #first: number
  readonly #last: number
  readonly #highWatermark: number

  constructor({ topic, partition, highWatermark, records, nextOffset }: ConsumedBatch<Buffer, Buffer>) {
    this.topic = topic
    this.partition = partition
    this.highWatermark = String(highWatermark)
    this.messages = records.map(messageOf)
    this.#first = records[0]!.offset
    this.#last = nextOffset - 1
    this.#highWatermark = highWatermark
  }

  isEmpty(): boolean {
    return this.messages.length === 0
  }

  firstOffset(): string {
    return String(this.#first)
  }

  lastOffset(): string {
    return String(this.#last)
  }

  /** How far its last message is from the end of the partition. */
  offsetLag(): string {
    return String(this.#highWatermark - 1 - this.#last)
  }

  /** How far its first message is from the end of the partition. */
  offsetLagLow(): string {
    return String(this.#highWatermark - 1 - this.#first)
  }
}
