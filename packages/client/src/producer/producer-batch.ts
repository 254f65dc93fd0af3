import { BatchBuilder, batchHeader, type CodecName, type NewRecord } from '@tidelog/protocol'
import type { ClientError } from '../errors.ts'
import { BatchDeliveries, type Delivery } from './delivery.ts'

export interface ProducerIdAndEpoch {
  readonly producerId: number
  readonly producerEpoch: number
}

export interface NewBatch {
  readonly id: number
  /** Ids up to here (exclusive) are its own, for the parts that it may be split into. */
  readonly idEnd: number
  readonly topic: string
  readonly partition: number
  readonly createdMs: number
  readonly expectedBytes: number
  /** Memory of a batch before it, to build in. */
  readonly buffer?: Buffer | undefined
  readonly codec: CodecName
  readonly level: number | undefined
  readonly isTransactional: boolean
}

/** Records of one partition that travel together. Open until it is full or leaves; then bytes, sent as often as it takes. */
export class ProducerBatch {
  /** Rises with time within a partition. */
  readonly id: number
  readonly idEnd: number
  readonly topic: string
  readonly partition: number
  /** Monotonic. */
  readonly createdMs: number
  readonly #builder: BatchBuilder
  readonly codec: CodecName
  readonly isTransactional: boolean
  #deliveries = new BatchDeliveries()
  /** What of the producer's memory bound it holds. */
  reservedBytes = 0
  /** Nothing is appended any more. */
  isSealed = false
  /** The batch as it travels, once there. */
  bytes: Buffer | undefined
  /** It is being compressed off the loop. */
  isBuilding = false
  /** What it was sent with; a retry keeps it. -1: never sent, or not idempotent. */
  baseSequence = -1
  producer: ProducerIdAndEpoch | undefined
  attempts = 0
  /** Monotonic time before which it is not sent again. */
  notBeforeMs = 0
  /** The outcome of an attempt is unknown: it may have been appended. */
  isAmbiguous = false
  lastError: ClientError | undefined
  isDone = false

  constructor({ id, idEnd, topic, partition, createdMs, expectedBytes, buffer, codec, level, isTransactional }: NewBatch) {
    this.id = id
    this.idEnd = idEnd
    this.topic = topic
    this.partition = partition
    this.createdMs = createdMs
    this.codec = codec
    this.isTransactional = isTransactional
    this.#builder = new BatchBuilder({ codec, level, expectedBytes, buffer, isTransactional })
  }

  get builder(): BatchBuilder {
    return this.#builder
  }

  get recordsCount(): number {
    return this.#builder.recordsCount
  }

  /** Before compression. */
  get uncompressedBytes(): number {
    return this.#builder.sizeBytes
  }

  get isRetry(): boolean {
    return this.attempts > 0
  }

  /** @returns By how much it has become longer, before compression. */
  append(record: NewRecord, reservedBytes: number, delivery: Delivery | undefined, tag: number): number {
    const before = this.#builder.sizeBytes
    this.#builder.append(record)
    this.reservedBytes += reservedBytes
    this.#deliveries.add(delivery, tag, record.timestamp ?? -1)
    return this.#builder.sizeBytes - before
  }

  /** Makes the bytes, on the loop. */
  build(): void {
    const { producer, baseSequence } = this
    this.bytes = this.#builder.build({ producerId: producer?.producerId ?? -1, producerEpoch: producer?.producerEpoch ?? -1, baseSequence })
  }

  /** Stamps bytes that are there already. */
  stamp(): void {
    if (this.bytes === undefined || this.producer === undefined) return
    const { baseSequence, isTransactional } = this
    const { producerId, producerEpoch } = this.producer
    batchHeader.setProducerState(this.bytes, 0, { producerId, producerEpoch, baseSequence, isTransactional })
  }

  /** Hands each of the two halves its listeners. @param count Records of the first half. */
  splitDeliveries(first: ProducerBatch, second: ProducerBatch, count: number): void {
    const [ofFirst, ofSecond] = this.#deliveries.split(count)
    first.#deliveries = ofFirst
    second.#deliveries = ofSecond
  }

  /** @param baseOffset -1: unknown. @param logAppendTimeMs -1: the records keep their own times. */
  complete(baseOffset: number, logAppendTimeMs: number): void {
    this.isDone = true
    this.#deliveries.complete(this.topic, this.partition, baseOffset, logAppendTimeMs)
  }

  fail(error: ClientError): void {
    this.isDone = true
    this.#deliveries.fail(error)
  }
}
