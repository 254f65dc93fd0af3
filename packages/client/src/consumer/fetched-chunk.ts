import type { Offload } from '@tidelog/core'
import { iterateBatches, type KafkaRecord, type RecordBatch, readEndTxnMarker, readRecords, uncompressBatch } from '@tidelog/protocol'
import { CorruptRecordError } from '../errors.ts'
import type { TopicPartition } from '../topic-partition.ts'
import { ConsumerRecord, type RecordDeserializers, type RecordOrigin } from './consumer-record.ts'
import type { Position } from './position.ts'

export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: number
}

/** What a chunk knows of its partition's state, and how it tells how far the user has got. */
export interface ChunkPartition extends TopicPartition {
  position: Position | undefined
  /** Where the fetch that brought the chunk began. */
  readonly fetchOffset: number
}

export interface ChunkOptions<K, V> {
  readonly deserializers: RecordDeserializers<K, V>
  readonly checkCrcs: boolean
  /** Of a read_committed fetch; null: nothing is left out. */
  readonly abortedTransactions: readonly AbortedTransaction[] | null
  readonly offload: Offload
}

/** A batch must not hold more than this: the bytes come from outside. */
const MAX_UNCOMPRESSED_BYTES = 256 * 1024 * 1024

/** The records that one fetch brought of one partition; batches are checked and decompressed when they are reached. */
export class FetchedChunk<K, V> {
  readonly state: ChunkPartition
  readonly sizeBytes: number
  /** Offset behind its last batch. */
  readonly endOffset: number
  readonly #options: ChunkOptions<K, V>
  readonly #batches: readonly RecordBatch[]
  #nextBatch = 0
  #records: Iterator<KafkaRecord> | undefined
  #origin: RecordOrigin<K, V> | undefined
  /** The current batch's offset range ends here: a position within it may lie behind its last record. */
  #batchEndOffset: number
  #batchLeaderEpoch = -1
  /** A batch that is being decompressed. */
  #preparing: Promise<void> | undefined
  #failure: unknown
  readonly #aborted: readonly AbortedTransaction[]
  #nextAborted = 0
  readonly #abortedProducers = new Set<number>()

  /** @throws CorruptRecordError when the bytes do not begin with a batch */
  constructor(state: ChunkPartition, records: Buffer, options: ChunkOptions<K, V>) {
    this.state = state
    this.sizeBytes = records.length
    this.#options = options
    try {
      this.#batches = [...iterateBatches(records)]
    } catch (error) {
      throw this.#corrupt(error)
    }
    const last = this.#batches.at(-1)
    this.endOffset = last === undefined ? state.fetchOffset : nextOffsetOf(last)
    if (!Number.isSafeInteger(this.endOffset)) throw this.#corrupt(new Error('an offset is beyond ±(2^53−1)'))
    this.#batchEndOffset = state.fetchOffset
    this.#aborted = [...(options.abortedTransactions ?? [])].sort((a, b) => a.firstOffset - b.firstOffset)
  }

  get isEmpty(): boolean {
    return this.#batches.length === 0
  }

  /**
   * The next record, and the state's position behind it; undefined when there is none left, or none yet: then `preparing` says when.
   * @throws CorruptRecordError
   */
  next(): ConsumerRecord<K, V> | undefined {
    for (;;) {
      if (this.#preparing !== undefined) return undefined
      const record = this.#nextOfBatch()
      if (record !== undefined) return record
      if (!this.#openBatch()) return undefined
    }
  }

  /** Resolves when the batch that next() waits for is decompressed, or has failed to be, which the following next() throws. */
  get preparing(): Promise<void> | undefined {
    return this.#preparing
  }

  #nextOfBatch(): ConsumerRecord<K, V> | undefined {
    if (this.#failure !== undefined) throw this.#corrupt(this.#failure)
    const { state } = this
    const position = state.position!
    while (this.#records !== undefined) {
      let result: IteratorResult<KafkaRecord>
      try {
        result = this.#records.next()
      } catch (error) {
        throw this.#corrupt(error)
      }
      if (result.done) {
        this.#records = undefined
        this.#moveTo(this.#batchEndOffset)
        return undefined
      }
      const { offset } = result.value
      // A fetch from the middle of a batch brings all of it.
      if (offset < position.offset) continue
      state.position = { offset: offset + 1, leaderEpoch: this.#batchLeaderEpoch }
      return new ConsumerRecord(result.value, this.#origin!)
    }
    return undefined
  }

  /** Behind a batch, also when its last records are gone, aborted or not for users. */
  #moveTo(offset: number): void {
    const { state } = this
    if (state.position !== undefined && offset > state.position.offset) state.position = { offset, leaderEpoch: this.#batchLeaderEpoch }
  }

  /** False: there is no further batch. */
  #openBatch(): boolean {
    const batch = this.#batches[this.#nextBatch++]
    if (batch === undefined) return false
    this.#batchEndOffset = nextOffsetOf(batch)
    this.#batchLeaderEpoch = batch.magic >= 2 ? batch.partitionLeaderEpoch : -1
    if (this.#batchEndOffset <= this.state.position!.offset) return true
    if (this.#options.checkCrcs && !batch.isCrcValid) throw this.#corrupt(new Error('its CRC does not fit'))
    if (batch.magic >= 2 && this.#isLeftOut(batch)) {
      this.#moveTo(this.#batchEndOffset)
      return true
    }
    const { topic, partition } = this.state
    this.#origin = {
      topic,
      partition,
      leaderEpoch: this.#batchLeaderEpoch,
      timestampType: batch.magic >= 2 && batch.isLogAppendTime ? 'LogAppendTime' : 'CreateTime',
      deserializers: this.#options.deserializers,
    }
    let uncompressed: Buffer | Promise<Buffer>
    try {
      uncompressed = uncompressBatch(batch, { maxOutputBytes: MAX_UNCOMPRESSED_BYTES }, this.#options.offload)
    } catch (error) {
      throw this.#corrupt(error)
    }
    if (!(uncompressed instanceof Promise)) {
      this.#records = readRecords(batch, { maxOutputBytes: MAX_UNCOMPRESSED_BYTES, uncompressed })
      return true
    }
    this.#preparing = uncompressed.then(
      (bytes) => {
        this.#records = readRecords(batch, { maxOutputBytes: MAX_UNCOMPRESSED_BYTES, uncompressed: bytes })
        this.#preparing = undefined
      },
      (error) => {
        this.#failure = error
        this.#preparing = undefined
      },
    )
    return true
  }

  /** Control batches are never for users; batches of aborted transactions are not under read_committed. KIP-98. */
  #isLeftOut(batch: RecordBatch): boolean {
    if (this.#options.abortedTransactions === null) return batch.isControl
    for (
      let next = this.#aborted[this.#nextAborted];
      next !== undefined && next.firstOffset <= batch.lastOffset;
      next = this.#aborted[this.#nextAborted]
    ) {
      this.#abortedProducers.add(next.producerId)
      this.#nextAborted++
    }
    if (batch.isControl) {
      if (this.#abortedProducers.has(batch.producerId) && endsByAbort(batch)) this.#abortedProducers.delete(batch.producerId)
      return true
    }
    return batch.isTransactional && this.#abortedProducers.has(batch.producerId)
  }

  #corrupt(cause: unknown): CorruptRecordError {
    const { topic, partition, position, fetchOffset } = this.state
    const offset = position?.offset ?? fetchOffset
    return new CorruptRecordError({ topic, partition, offset }, cause instanceof Error ? cause.message : String(cause), cause)
  }
}

/** Under the old formats a message bears the offset of the last one in it. */
const nextOffsetOf = (batch: RecordBatch): number => (batch.magic >= 2 ? batch.nextOffset : batch.baseOffset + 1)

/** Does the marker in a control batch end a transaction by aborting it? */
function endsByAbort(batch: RecordBatch): boolean {
  for (const record of readRecords(batch, { maxOutputBytes: MAX_UNCOMPRESSED_BYTES })) return readEndTxnMarker(record)?.type === 'abort'
  return false
}
