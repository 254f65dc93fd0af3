import { messageOf, type Offload } from '@tidelog/core'
import {
  BatchBuilder,
  iterateBatches,
  type RecordBatch,
  RecordCursor,
  readEndTxnMarker,
  readRecords,
  uncompressBatch,
} from '@tidelog/protocol'
import { CorruptRecordError } from '../errors.ts'
import type { TopicPartition } from '../topic-partition.ts'
import { ConsumerRecord, type OpenBatch, type RecordDeserializers, type RecordReaders, readersFor } from './consumer-record.ts'
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
  readonly #readers: RecordReaders<K, V>
  /** The batch that the cursor walks over. */
  #open: OpenBatch<K, V> | undefined
  readonly #cursor = new RecordCursor()
  /** Records of batches that are done. */
  #handedOut = 0
  /** How many records the open batch holds, and how many of them were not handed out: they lie before the position. */
  #openCount = 0
  #openSkipped = 0
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
    this.#readers = readersFor(state.topic, options.deserializers)
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

  /** How many records have been handed out. */
  get handedOut(): number {
    return this.#handedOut + this.#openCount - this.#cursor.left - this.#openSkipped
  }

  /**
   * The next record, and the state's position behind it; undefined when there is none left, or none yet: then `preparing` says when.
   * @throws CorruptRecordError
   */
  next(): ConsumerRecord<K, V> | undefined {
    while (this.#hasOpen()) {
      const next = this.#nextOf(this.#open!, this.state.position!.offset)
      if (next === undefined) continue
      this.state.position = { offset: next.offset + 1, leaderEpoch: this.#batchLeaderEpoch }
      return next
    }
    return undefined
  }

  /**
   * As next(), until `into` holds `max` records.
   * @throws CorruptRecordError; the position is behind what has been taken before
   */
  take(max: number, into: ConsumerRecord<K, V>[]): void {
    while (into.length < max && this.#hasOpen()) {
      const open = this.#open!
      let { offset } = this.state.position!
      try {
        while (into.length < max) {
          const next = this.#nextOf(open, offset)
          if (next === undefined) break
          into.push(next)
          offset = next.offset + 1
        }
      } finally {
        this.#moveTo(offset)
      }
    }
  }

  /** A batch is being handed out, and needs nothing more for that. */
  get isOpen(): boolean {
    return this.#open !== undefined
  }

  /** Resolves when the batch that next() waits for is decompressed, or has failed to be, which the following next() throws. */
  get preparing(): Promise<void> | undefined {
    return this.#preparing
  }

  /** Opens the next batch unless one is open. False: there is none, or none yet. */
  #hasOpen(): boolean {
    while (this.#open === undefined) {
      if (this.#preparing !== undefined) return false
      if (this.#failure !== undefined) throw this.#corrupt(this.#failure)
      if (!this.#openBatch()) return false
    }
    return true
  }

  /** The open batch's next record at `offset` or behind it; undefined: that was all of it, and the position is behind the batch. */
  #nextOf(open: OpenBatch<K, V>, offset: number): ConsumerRecord<K, V> | undefined {
    const cursor = this.#cursor
    try {
      while (cursor.next()) {
        // A fetch from the middle of a batch brings all of it.
        if (open.baseOffset + cursor.offsetDelta >= offset) return new ConsumerRecord(open, cursor)
        this.#openSkipped++
      }
    } catch (error) {
      this.#openSkipped++
      throw this.#corrupt(error, offset)
    }
    this.#open = undefined
    this.#handedOut = this.handedOut
    this.#openCount = 0
    this.#openSkipped = 0
    this.#moveTo(this.#batchEndOffset)
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
    let uncompressed: Buffer | Promise<Buffer>
    try {
      uncompressed = uncompressBatch(batch, { maxOutputBytes: MAX_UNCOMPRESSED_BYTES }, this.#options.offload)
      if (!(uncompressed instanceof Promise)) {
        this.#walk(batch, uncompressed)
        return true
      }
    } catch (error) {
      throw this.#corrupt(error)
    }
    this.#preparing = uncompressed
      .then((bytes) => this.#walk(batch, bytes))
      .catch((error) => {
        this.#failure = error
      })
      .finally(() => {
        this.#preparing = undefined
      })
    return true
  }

  /** Goes before the first record of a batch. */
  #walk(batch: RecordBatch, uncompressed: Buffer): void {
    const isCurrent = batch.magic >= 2
    const { topic, partition } = this.state
    const { header, records } = isCurrent ? { header: batch, records: uncompressed } : asCurrentFormat(batch, uncompressed)
    this.#cursor.reset(records, header.recordsCount)
    this.#openCount = header.recordsCount
    this.#open = {
      topic,
      partition,
      leaderEpoch: this.#batchLeaderEpoch,
      timestampType: header.isLogAppendTime ? 'LogAppendTime' : 'CreateTime',
      readers: this.#readers,
      bytes: records,
      baseOffset: header.baseOffset,
      baseTimestamp: header.baseTimestamp,
      logAppendTime: header.isLogAppendTime ? header.maxTimestamp : -1,
    }
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

  #corrupt(cause: unknown, offset = this.state.position?.offset ?? this.state.fetchOffset): CorruptRecordError {
    const { topic, partition } = this.state
    return new CorruptRecordError({ topic, partition, offset }, messageOf(cause), cause)
  }
}

/** Messages of format v0 or v1 as records: few logs still hold any, so they take the same way as all others, and pay for it. */
function asCurrentFormat(batch: RecordBatch, uncompressed: Buffer): { header: RecordBatch; records: Buffer } {
  const messages = [...readRecords(batch, { maxOutputBytes: MAX_UNCOMPRESSED_BYTES, uncompressed })]
  const builder = new BatchBuilder({ baseOffset: messages[0]!.offset, expectedBytes: uncompressed.length })
  for (const message of messages) builder.append(message, message.offset)
  const [header] = iterateBatches(builder.build())
  return { header: header!, records: header!.payload }
}

/** Under the old formats a message bears the offset of the last one in it. */
const nextOffsetOf = (batch: RecordBatch): number => (batch.magic >= 2 ? batch.nextOffset : batch.baseOffset + 1)

/** Does the marker in a control batch end a transaction by aborting it? */
function endsByAbort(batch: RecordBatch): boolean {
  for (const record of readRecords(batch, { maxOutputBytes: MAX_UNCOMPRESSED_BYTES })) return readEndTxnMarker(record)?.type === 'abort'
  return false
}
