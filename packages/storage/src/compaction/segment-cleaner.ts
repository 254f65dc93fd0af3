import type { Clock } from '@tidelog/core'
import { KafkaError, type RecordBatch } from '@tidelog/protocol'
import type { FileSystem } from '../file-system.ts'
import { lastOffsetOf } from '../stored-batch.ts'
import type { AbortedTransaction } from '../transaction-index.ts'
import { BatchFilter, type BatchRetention, type BatchRules } from './batch-filter.ts'
import { BatchReader } from './batch-reader.ts'
import { CleanedSegment } from './cleaned-segment.ts'
import { CleanedTransactions } from './cleaned-transactions.ts'
import { CleaningError } from './cleaning-error.ts'
import type { KeySeed } from './key-hash.ts'
import { OffsetMap } from './offset-map.ts'
import { Throttle } from './throttle.ts'

/** A closed segment, as it is on disk. */
export interface SourceSegment {
  readonly path: string
  readonly sizeBytes: number
  /** Transactions that were aborted and overlap it. */
  readonly aborted: readonly AbortedTransaction[]
}

interface Pace {
  /** Bytes to read or write at a time. */
  readonly chunkBytes: number
  /** Infinity sets no limit. */
  readonly bytesPerSecond: number
}

export interface MapRequest extends Pace {
  readonly segments: readonly (SourceSegment & {
    /** Position of a batch to begin with. */
    readonly from: number
    /** First offset of the next segment. */
    readonly endOffset: number
  })[]
  /** Where the part of the log begins that was not cleaned before. */
  readonly startOffset: number
  readonly slots: number
  /** Keys that are taken into the map at most. */
  readonly maxKeys: number
  readonly seed: KeySeed
  /** What records may take decompressed: of one batch, and of all batches in all requests from now on. */
  readonly maxBatchOutputBytes: number
  readonly maxOutputBytes: number
}

export interface BuiltMap {
  /** Every key's last offset up to here is known: that far the log can be cleaned. Before `startOffset` when nothing was read. */
  readonly latestOffset: number
  readonly keys: number
}

export interface GroupRequest extends Pace {
  readonly dir: string
  readonly baseOffset: number
  readonly segments: readonly (SourceSegment & {
    /** Tombstones of the old formats, which know no horizon, stay. */
    readonly keepsOldTombstones: boolean
  })[]
  /** Per producer that the log remembers: id, offset of its last batch of data (-1: none), epoch. */
  readonly producers: readonly (readonly [producerId: number, lastDataOffset: number, epoch: number])[]
  readonly nowMs: number
  readonly deleteRetentionMs: number
  /** Behind the last offset of the whole cleaning; the batch that ends there stays. */
  readonly endOffset: number
  readonly indexIntervalBytes: number
  /** When the last segment was last written to. */
  readonly modifiedMs: number
}

export interface CleanedGroup {
  /** Size of NNN.log.cleaned. */
  readonly sizeBytes: number
  readonly hasTransactionIndex: boolean
  /** Every batch stayed as it was. */
  readonly isUnchanged: boolean
  readonly bytesRead: number
  readonly recordsRead: number
  readonly recordsKept: number
}

/** Cleans one log; in this thread or another. */
export interface Cleaning {
  /** Reads the part of the log that was not cleaned before. Comes first, once a log. */
  buildMap(request: MapRequest): Promise<BuiltMap>
  /** Writes NNN.log.cleaned and its indexes, forced to disk, from segments that lie one behind the other; groups come in the order of the log. */
  cleanGroup(request: GroupRequest): Promise<CleanedGroup>
}

/** What is not a CleaningError yet comes of batches that cannot be read: decompressed, or walked over. */
async function cleaning<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof KafkaError) throw new CleaningError('damaged', error.message, { cause: error })
    throw error
  }
}

/** The work itself. Rejects with CleaningErrors. Rules are those of Kafka 4.3's Cleaner. */
export class SegmentCleaner implements Cleaning {
  readonly #fs: FileSystem
  readonly #throttle: Throttle
  readonly #signal: AbortSignal | undefined
  #map = new OffsetMap(1, [0, 0, 0, 0])
  #filter = new BatchFilter({ maxBatchOutputBytes: 0, maxOutputBytes: 0 })
  #transactions = new CleanedTransactions()
  #cleaned: CleanedSegment | undefined

  /** @param signal Ends the work with a CleaningError `gone`. */
  constructor(fs: FileSystem, clock: Clock, signal?: AbortSignal) {
    this.#fs = fs
    this.#throttle = new Throttle(clock, signal)
    this.#signal = signal
  }

  buildMap(request: MapRequest): Promise<BuiltMap> {
    return cleaning(() => this.#buildMap(request))
  }

  cleanGroup(request: GroupRequest): Promise<CleanedGroup> {
    return cleaning(() => this.#cleanGroup(request))
  }

  async #buildMap(request: MapRequest): Promise<BuiltMap> {
    const { segments, startOffset, slots, maxKeys, seed, chunkBytes, maxBatchOutputBytes, maxOutputBytes } = request
    const map = new OffsetMap(slots, seed)
    this.#map = map
    this.#filter = new BatchFilter({ maxBatchOutputBytes, maxOutputBytes })
    this.#throttle.bytesPerSecond = request.bytesPerSecond
    this.#transactions = new CleanedTransactions((transaction) => this.#cleaned?.addAborted(transaction))
    const transactions = new CleanedTransactions()
    const reader = new BatchReader(this.#fs, chunkBytes)
    for (const { path, sizeBytes, aborted, from, endOffset } of segments) {
      transactions.add(aborted)
      let isFull = false
      const note = (batch: RecordBatch): boolean => {
        if (!this.#noteKeys(batch, transactions, { startOffset, maxKeys })) {
          isFull = true
          return false
        }
        const lastOffset = lastOffsetOf(batch.buffer, batch.at)
        if (lastOffset >= startOffset) map.latestOffset = lastOffset
        return true
      }
      await reader.read(
        { path, from, to: sizeBytes },
        (bytes) => this.#pause(bytes),
        (batch) => this.#whenReady(batch, note),
      )
      if (isFull) break
      // Offsets that compaction has left out belong to the segment as well.
      map.latestOffset = Math.max(map.latestOffset, endOffset - 1)
    }
    return { latestOffset: map.latestOffset, keys: map.size }
  }

  /** Takes a batch's keys into the map; false when it can take no more. */
  #noteKeys(
    batch: RecordBatch,
    transactions: CleanedTransactions,
    { startOffset, maxKeys }: { startOffset: number; maxKeys: number },
  ): boolean {
    const isNew = batch.magic === 2
    if (isNew && batch.isControl) {
      transactions.onControlBatch(batch)
      return true
    }
    // Records of an aborted transaction were never there: an older one of the same key stays the newest.
    if (isNew && transactions.onBatch(batch.lastOffset, batch.producerId, batch.isTransactional)) return true
    const map = this.#map
    return this.#filter.visitKeys(batch, (offset, records, keyAt, keyLength) => {
      if (keyLength < 0 || offset < startOffset) return true
      if (map.size >= maxKeys) return false
      map.put(records, keyAt, keyLength, offset)
      return true
    })
  }

  async #cleanGroup(request: GroupRequest): Promise<CleanedGroup> {
    const { dir, baseOffset, segments, chunkBytes, indexIntervalBytes } = request
    this.#throttle.bytesPerSecond = request.bytesPerSecond
    const cleaned = await CleanedSegment.create(this.#fs, { dir, baseOffset, indexIntervalBytes, chunkBytes })
    this.#cleaned = cleaned
    const totals = { bytesRead: 0, recordsRead: 0, recordsKept: 0 }
    let isUnchanged = true
    try {
      const producers = new Map(request.producers.map(([id, lastDataOffset, epoch]) => [id, { lastDataOffset, epoch }]))
      const reader = new BatchReader(this.#fs, chunkBytes)
      for (const { path, sizeBytes, aborted, keepsOldTombstones } of segments) {
        this.#transactions.add(aborted)
        const clean = (batch: RecordBatch): boolean | Promise<boolean> => {
          const rules = this.#rulesFor(batch, { ...request, producers, keepsOldTombstones })
          const { bytes, recordsRead, recordsKept } = this.#filter.filter(batch, rules)
          totals.bytesRead += batch.sizeBytes
          totals.recordsRead += recordsRead
          totals.recordsKept += recordsKept
          if (bytes?.buffer !== batch.buffer.buffer) isUnchanged = false
          if (bytes === undefined) return true
          const written = cleaned.append(bytes)
          return written === undefined ? true : written.then(() => this.#pause(bytes.length)).then(() => true)
        }
        await reader.read(
          { path, from: 0, to: sizeBytes },
          (bytes) => this.#pause(bytes),
          (batch) => this.#whenReady(batch, clean),
        )
      }
      const { hasTransactionIndex } = await cleaned.finish(request.modifiedMs)
      return { sizeBytes: cleaned.sizeBytes, hasTransactionIndex, isUnchanged, ...totals }
    } finally {
      this.#cleaned = undefined
      await cleaned.abandon()
    }
  }

  /** What becomes of a batch. Batches of the old formats have neither producers nor transactions. */
  #rulesFor(
    batch: RecordBatch,
    context: Pick<GroupRequest, 'nowMs' | 'deleteRetentionMs' | 'endOffset'> & {
      readonly producers: ReadonlyMap<number, { readonly lastDataOffset: number; readonly epoch: number }>
      readonly keepsOldTombstones: boolean
    },
  ): BatchRules {
    const { nowMs, deleteRetentionMs, endOffset, producers, keepsOldTombstones } = context
    const isNew = batch.magic === 2
    const horizonMs = isNew ? batch.deleteHorizonMs : undefined
    const isPastHorizon = horizonMs !== undefined && nowMs >= horizonMs
    const keepsTombstones = isNew ? !isPastHorizon : keepsOldTombstones
    const isControl = isNew && batch.isControl
    const canGo = isControl
      ? this.#transactions.onControlBatch(batch)
      : this.#transactions.onBatch(lastOffsetOf(batch.buffer, batch.at), isNew ? batch.producerId : -1, isNew && batch.isTransactional)
    const discardsRecords = isControl ? canGo && isPastHorizon : canGo
    const producer = isNew && batch.hasProducerId ? producers.get(batch.producerId) : undefined
    const isLastOfProducer =
      producer !== undefined &&
      (producer.lastDataOffset >= 0
        ? batch.lastOffset === producer.lastDataOffset
        : batch.isControl && batch.producerEpoch === producer.epoch)
    let retention: BatchRetention = discardsRecords ? 'delete' : 'delete-empty'
    if (isLastOfProducer || lastOffsetOf(batch.buffer, batch.at) + 1 === endOffset) retention = 'retain-empty'
    const map = this.#map
    return {
      retention,
      discardsRecords,
      isMarkerOfEmptyTransaction: isControl && canGo,
      retains: (offset, records, keyAt, keyLength, isTombstone) => {
        if (offset > map.latestOffset) return true
        if (keyLength < 0) return false
        return offset >= map.get(records, keyAt, keyLength) && (!isTombstone || keepsTombstones)
      },
      newDeleteHorizonMs: nowMs + deleteRetentionMs,
    }
  }

  #whenReady(batch: RecordBatch, visit: (batch: RecordBatch) => boolean | Promise<boolean>): boolean | Promise<boolean> {
    const preparing = this.#filter.prepare(batch)
    return preparing === undefined ? visit(batch) : preparing.then(() => visit(batch))
  }

  /** Between reads and writes: the limit of their rate, and the end of all work. */
  async #pause(bytes: number): Promise<void> {
    await this.#throttle.note(bytes)
    if (this.#signal?.aborted === true) throw new CleaningError('gone', 'the cleaning was ended')
  }
}
