import type { Clock } from '@tidelog/core'
import { batchHeader, type CodecName, estimateRecordBytes, type NewRecord } from '@tidelog/protocol'
import type { ClientError } from '../errors.ts'
import { type Deferred, deferred } from '../wait.ts'
import type { Delivery } from './delivery.ts'
import { MemoryBound } from './memory-bound.ts'
import { ProducerBatch, type ProducerIdAndEpoch } from './producer-batch.ts'

/** What waits for one partition, what is under way to it, and how its sequence numbers stand. */
export class PartitionQueue {
  readonly topic: string
  readonly partition: number
  /** Oldest first; only the last may be open. */
  readonly waiting: ProducerBatch[] = []
  /** In the order in which they were sent. */
  readonly inFlight: ProducerBatch[] = []
  /** The id and epoch that the sequence numbers count under; undefined before the first batch. */
  producer: ProducerIdAndEpoch | undefined
  nextSequence = 0
  lastAckedSequence = -1
  /** Whose batches the leader has in its log; -1: nobody's. */
  ackedProducerId = -1
  /**
   * Batches that carry numbers must get new ones as soon as nothing is in flight: `continue` after one that was refused for good,
   * `restart` from 0 under a newer epoch when nobody knows what the broker has.
   */
  renumber: 'continue' | 'restart' | undefined
  /** The number behind a batch that has failed and may have arrived all the same: the batch that carries it will tell. undefined: there is none. */
  unresolvedEnd: number | undefined
  /** Size of the last batch: what the next one probably needs. */
  lastBatchBytes = 0

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  /** Batches of it that are not done. */
  get length(): number {
    return this.waiting.length + this.inFlight.length
  }

  get hasRetries(): boolean {
    return this.waiting[0]?.isRetry ?? false
  }

  /** Does a batch wait, or is one under way, that carries a number of the current count? */
  get hasNumbered(): boolean {
    const isNumbered = ({ baseSequence, producer }: ProducerBatch) => baseSequence >= 0 && producer === this.producer
    return this.inFlight.some(isNumbered) || this.waiting.some(isNumbered)
  }

  /** Gives a batch that is about to be sent for the first time its place in the sequence. */
  assignSequence(batch: ProducerBatch, current: ProducerIdAndEpoch): void {
    if (this.producer !== current && this.inFlight.length === 0) {
      this.producer = current
      this.nextSequence = 0
      this.lastAckedSequence = -1
      this.unresolvedEnd = undefined
    }
    batch.producer = this.producer!
    batch.baseSequence = this.nextSequence
    this.nextSequence = batchHeader.addSequence(this.nextSequence, batch.recordsCount)
  }

  /** Does what `renumber` asks for. Nothing may be in flight. */
  renumberWaiting(current: ProducerIdAndEpoch): void {
    let sequence = 0
    if (this.renumber === 'continue') sequence = this.lastAckedSequence < 0 ? 0 : batchHeader.addSequence(this.lastAckedSequence, 1)
    else {
      this.producer = current
      this.lastAckedSequence = -1
    }
    this.renumber = undefined
    for (const batch of this.waiting) {
      if (batch.baseSequence < 0) continue
      batch.producer = this.producer!
      batch.baseSequence = sequence
      batch.stamp()
      sequence = batchHeader.addSequence(sequence, batch.recordsCount)
    }
    this.nextSequence = sequence
  }

  /** Back to its place among those that carry a number; before those that do not. */
  requeue(batch: ProducerBatch): void {
    let index = 0
    while (index < this.waiting.length && this.waiting[index]!.isRetry && this.waiting[index]!.id < batch.id) index++
    this.waiting.splice(index, 0, batch)
  }
}

export interface AccumulatorOptions {
  readonly batchSizeBytes: number
  readonly bufferMemoryBytes: number
  readonly codec: CodecName
  readonly level: number | undefined
  /** Every record belongs to a transaction. */
  readonly isTransactional: boolean
  readonly clock: Clock
  /** A batch has become full, or has had no room for the record that has just been appended to the next one. */
  readonly onSealed: () => void
}

interface FlushWaiter {
  readonly lastId: number
  readonly done: Deferred<void>
}

/** A batch begins with this much room unless the partition's last one tells better. */
const FIRST_BATCH_BYTES = 512

/** The builder reserves a little more than a record takes. */
const ROOM_TO_SPARE = 64
/** Batches' memory that is kept for use again. */
const MAX_SPARE_BUFFERS = 64

/** A codec's output per byte of input is assumed to be no better than this until batches have shown it. */
const WORST_RATIO = 1
const RATIO_STEP = 0.005
const RATIO_SAFETY = 1.05

/** Records on their way: gathered into batches by partition, counted against the memory bound, known until they are done. */
export class Accumulator {
  readonly memory: MemoryBound
  readonly #options: AccumulatorOptions
  readonly #queues = new Map<string, PartitionQueue[]>()
  /** Queues in which something waits, in the order in which they are served. */
  readonly active = new Set<PartitionQueue>()
  /** Not yet delivered and not failed; oldest first. */
  readonly #incomplete = new Set<ProducerBatch>()
  readonly #flushes: FlushWaiter[] = []
  readonly #spare: Buffer[] = []
  #nextId = 0
  #hasSealed = false
  /** Compressed size per byte, by the last batches. */
  #ratio = WORST_RATIO

  constructor(options: AccumulatorOptions) {
    this.#options = options
    this.memory = new MemoryBound(options.bufferMemoryBytes, options.clock)
  }

  /** Somebody waits for everything to leave. */
  get isFlushing(): boolean {
    return this.#flushes.length > 0
  }

  get incompleteCount(): number {
    return this.#incomplete.size
  }

  queueOf(topic: string, partition: number): PartitionQueue {
    let queues = this.#queues.get(topic)
    if (queues === undefined) {
      queues = []
      this.#queues.set(topic, queues)
    }
    let queue = queues[partition]
    if (queue === undefined) {
      queue = new PartitionQueue(topic, partition)
      queues[partition] = queue
    }
    return queue
  }

  hasTopic(topic: string): boolean {
    return this.#queues.get(topic)?.some((queue) => queue !== undefined && queue.length > 0) ?? false
  }

  /**
   * @param reservedBytes What was reserved for the record: `estimateRecordBytes` of it.
   * @returns What it has added to its batch as it will travel, so far as that is known.
   */
  append(queue: PartitionQueue, record: NewRecord, reservedBytes: number, delivery: Delivery | undefined, tag: number): number {
    this.closeIfFull(queue, reservedBytes)
    let batch = queue.waiting.at(-1)
    if (batch === undefined || batch.isSealed) {
      batch = this.#newBatch(queue, reservedBytes)
      queue.waiting.push(batch)
      this.active.add(queue)
    }
    const bytes = batch.append(record, reservedBytes, delivery, tag)
    if (this.#sizeWith(batch, 0) >= this.#options.batchSizeBytes) this.#seal(batch)
    const travelling = bytes * this.#travelling
    if (this.#hasSealed) {
      this.#hasSealed = false
      this.#options.onSealed()
    }
    return travelling
  }

  /** Seals the queue's open batch when `moreBytes` would make it too large. */
  closeIfFull(queue: PartitionQueue, moreBytes: number): boolean {
    const open = queue.waiting.at(-1)
    if (open === undefined || open.isSealed || this.#sizeWith(open, moreBytes) <= this.#options.batchSizeBytes) return false
    this.#seal(open)
    return true
  }

  #seal(batch: ProducerBatch): void {
    batch.isSealed = true
    this.#hasSealed = true
  }

  /** Takes note of a batch's compressed size, from which the next ones are filled. */
  observe(batch: ProducerBatch): void {
    if (batch.codec === 'none' || batch.bytes === undefined) return
    const observed = batch.bytes.length / Math.max(1, batch.uncompressedBytes)
    this.#ratio = observed > this.#ratio ? Math.min(WORST_RATIO, observed) : Math.max(observed, this.#ratio - RATIO_STEP)
  }

  /** Two batches in place of one that was too large for the broker, at its place in the queue; undefined when it holds one record only. */
  split(batch: ProducerBatch, records: readonly NewRecord[]): readonly [ProducerBatch, ProducerBatch] | undefined {
    if (records.length < 2) return undefined
    const middle = Math.ceil(records.length / 2)
    const make = (part: readonly NewRecord[], id: number, idEnd: number): ProducerBatch => {
      const { topic, partition, createdMs, codec } = batch
      const { level, isTransactional } = this.#options
      const expectedBytes = FIRST_BATCH_BYTES
      const half = new ProducerBatch({ id, idEnd, topic, partition, createdMs, codec, level, isTransactional, expectedBytes })
      for (const record of part) half.append(record, estimateRecordBytes(record), undefined, 0)
      half.isSealed = true
      half.attempts = batch.attempts
      return half
    }
    const middleId = (batch.id + batch.idEnd) / 2
    const first = make(records.slice(0, middle), batch.id, middleId)
    const second = make(records.slice(middle), middleId, batch.idEnd)
    batch.splitDeliveries(first, second, middle)
    first.baseSequence = batch.baseSequence
    first.producer = batch.producer
    second.producer = batch.producer
    second.baseSequence = batch.baseSequence < 0 ? -1 : batchHeader.addSequence(batch.baseSequence, middle)
    // What the halves hold of the memory bound is, together, what the whole held.
    second.reservedBytes = batch.reservedBytes - Math.min(first.reservedBytes, batch.reservedBytes)
    first.reservedBytes = batch.reservedBytes - second.reservedBytes
    this.#incomplete.delete(batch)
    this.#incomplete.add(first)
    this.#incomplete.add(second)
    return [first, second]
  }

  complete(batch: ProducerBatch, baseOffset: number, logAppendTimeMs: number): void {
    if (batch.isDone) return
    batch.complete(baseOffset, logAppendTimeMs)
    if (baseOffset >= 0 && batch.attempts === 1) this.#recycle(batch)
    this.#finished(batch)
  }

  fail(batch: ProducerBatch, error: ClientError): void {
    if (batch.isDone) return
    batch.fail(error)
    this.#finished(batch)
  }

  /** Fails everything that waits, not what is in flight. @returns whether some of it carried a sequence number */
  failWaiting(error: ClientError): boolean {
    let hadNumber = false
    for (const queue of this.active) {
      for (const batch of queue.waiting.splice(0)) {
        hadNumber ||= batch.baseSequence >= 0
        this.fail(batch, error)
      }
    }
    this.active.clear()
    return hadNumber
  }

  failAll(error: ClientError): void {
    this.failWaiting(error)
    for (const batch of [...this.#incomplete]) this.fail(batch, error)
  }

  /** Resolves when everything that has been appended up to now is done, one way or the other. */
  flushed(): Promise<void> {
    if (this.#incomplete.size === 0) return Promise.resolve()
    const waiter = { lastId: this.#nextId - 1, done: deferred() }
    this.#flushes.push(waiter)
    return waiter.done.promise
  }

  /**
   * Keeps the memory of a batch for the next one. Only where nothing can still be reading it: the broker has answered, so all of it has left
   * the socket, and it was sent on no other.
   */
  #recycle({ builder }: ProducerBatch): void {
    const { buffer } = builder
    const isFull = buffer.length >= this.#options.batchSizeBytes && buffer.length <= 2 * this.#options.batchSizeBytes
    if (isFull && this.#spare.length < MAX_SPARE_BUFFERS) this.#spare.push(buffer)
  }

  #finished(batch: ProducerBatch): void {
    this.#incomplete.delete(batch)
    this.memory.release(batch.reservedBytes)
    if (this.#flushes.length === 0) return
    let oldest = Number.POSITIVE_INFINITY
    for (const { id } of this.#incomplete) oldest = Math.min(oldest, id)
    while (this.#flushes.length > 0 && Math.floor(oldest) > this.#flushes[0]!.lastId) this.#flushes.shift()!.done.resolve()
  }

  #newBatch(queue: PartitionQueue, firstRecordBytes: number): ProducerBatch {
    const { clock, codec, level, isTransactional, batchSizeBytes } = this.#options
    // A batch that was more than half full tells of load: the next one is given room for a full one at once.
    const willFill = queue.lastBatchBytes > batchSizeBytes / 2
    const probable = willFill ? Math.max(batchSizeBytes, queue.lastBatchBytes) : queue.lastBatchBytes
    const batch = new ProducerBatch({
      id: this.#nextId++,
      idEnd: this.#nextId,
      topic: queue.topic,
      partition: queue.partition,
      createdMs: clock.monotonic(),
      buffer: willFill ? this.#spare.pop() : undefined,
      expectedBytes: ROOM_TO_SPARE + Math.max(FIRST_BATCH_BYTES, firstRecordBytes + batchHeader.BATCH_OVERHEAD_BYTES, probable),
      codec,
      level,
      isTransactional,
    })
    this.#incomplete.add(batch)
    return batch
  }

  /** How large the batch will probably travel with `moreBytes` in it. */
  #sizeWith(batch: ProducerBatch, moreBytes: number): number {
    return (batch.uncompressedBytes + moreBytes) * this.#travelling
  }

  /** Size per byte of what travels, on the safe side. */
  get #travelling(): number {
    return this.#options.codec === 'none' ? 1 : Math.min(WORST_RATIO, this.#ratio * RATIO_SAFETY)
  }
}
