import { LazyMap } from '@tidelog/core'
import { KafkaError } from '@tidelog/protocol'
import type { ProducerSnapshotEntry } from './producer-snapshot.ts'
import { type GuardedBatch, VerificationGuard } from './verification-guard.ts'

/** Batches that are remembered for each producer: as many as a producer may have in flight with idempotence. */
const REMEMBERED_BATCHES = 5
const MAX_SEQUENCE = 0x7fffffff
const NO_SEQUENCE = -1
const NO_EPOCH = -1

/** What the log knows of a batch that carries a producer id. Offsets are the log's. */
export interface ProducerBatch {
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly firstOffset: number
  readonly lastOffset: number
  readonly maxTimestamp: number
  readonly isTransactional: boolean
  /** Set for a control batch that ends a transaction. */
  readonly marker?: TransactionMarker | undefined
  /** A control batch without a marker: compaction has emptied it. */
  readonly isControl: boolean
}

export interface TransactionMarker {
  readonly isAbort: boolean
  readonly coordinatorEpoch: number
}

export interface AppendedBatch {
  readonly lastSequence: number
  readonly lastOffset: number
  readonly offsetDelta: number
  readonly timestamp: number
}

export interface CompletedTransaction {
  readonly producerId: number
  readonly firstOffset: number
  readonly lastOffset: number
  readonly isAborted: boolean
  /** The last stable offset right behind the marker: where the oldest transaction that is open then begins, else behind the marker. */
  readonly lastStableOffset: number
}

/** Client: sequences and epochs are checked. Coordinator: epochs. Replication: the leader has checked. */
export type AppendOrigin = 'client' | 'coordinator' | 'replication'

interface ProducerEntry {
  epoch: number
  coordinatorEpoch: number
  lastTimestamp: number
  /** -1: no transaction is open. */
  currentTransactionFirstOffset: number
  /** Oldest first. */
  batches: AppendedBatch[]
}

export interface ActiveProducer {
  readonly producerId: number
  readonly producerEpoch: number
  /** -1 when no batch is known. */
  readonly lastSequence: number
  readonly lastTimestamp: number
  readonly coordinatorEpoch: number
  /** -1 when no transaction is open. */
  readonly currentTransactionStartOffset: number
}

/** The sequence `count` places after `sequence`: it wraps from 2^31 - 1 to 0. */
function advanceSequence(sequence: number, count: number): number {
  return sequence > MAX_SEQUENCE - count ? count - (MAX_SEQUENCE - sequence) - 1 : sequence + count
}

/**
 * Producers of one partition: their epochs and last batches, so that a batch sent twice is stored once, and their open transactions, from which
 * the last stable offset follows. Rules are those of Kafka 4.3's ProducerStateManager and ProducerAppendInfo; KIP-98.
 */
export class ProducerState {
  readonly #name: string
  readonly #entries = new LazyMap<number, ProducerEntry>()
  /** Of producers whose coordinator is being asked, or was asked and whose transaction has not begun. */
  readonly #guards = new LazyMap<number, VerificationGuard>()
  /** First offset of every open transaction, in order, and its producer. */
  #ongoing = new LazyMap<number, number>()
  /** Transactions that are over, whose marker is not below the high watermark yet. */
  #unreplicated: CompletedTransaction[] = []

  /** @param name The partition, for messages. */
  constructor(name: string) {
    this.#name = name
  }

  get size(): number {
    return this.#entries.size
  }

  /** First offset of the oldest transaction that is open, or whose end is not replicated; undefined when there is none. */
  get firstUnstableOffset(): number | undefined {
    let first = this.#firstOngoing
    for (const { firstOffset } of this.#unreplicated) if (first === undefined || firstOffset < first) first = firstOffset
    return first
  }

  /** The largest producer id that is known here; -1 when none is. */
  get highestProducerId(): number {
    let highest = -1
    for (const producerId of this.#entries.keys()) if (producerId > highest) highest = producerId
    return highest
  }

  /** The remembered batch that `batch` repeats, or undefined. */
  findDuplicate(batch: { producerId: number; producerEpoch: number; baseSequence: number; count: number }): AppendedBatch | undefined {
    const entry = this.#entries.get(batch.producerId)
    if (entry === undefined || entry.epoch !== batch.producerEpoch) return undefined
    const lastSequence = advanceSequence(batch.baseSequence, batch.count - 1)
    return entry.batches.find((known) => known.lastSequence === lastSequence && known.offsetDelta === batch.count - 1)
  }

  /** The guard that a batch needs to open a transaction; undefined when its producer has one open. */
  guardFor(batch: GuardedBatch): VerificationGuard | undefined {
    const entry = this.#entries.get(batch.producerId)
    if (entry !== undefined && entry.currentTransactionFirstOffset >= 0 && entry.epoch === batch.producerEpoch) return undefined
    const known = this.#guards.get(batch.producerId)
    if (known !== undefined) {
      known.cover(batch)
      return known
    }
    const guard = new VerificationGuard(batch)
    this.#guards.set(batch.producerId, guard)
    return guard
  }

  /**
   * Checks batches of one append and takes them in, all or none.
   * @param guard Given: a batch that opens a transaction must carry the guard of its producer; null: it carries none.
   * @returns Transactions that they end.
   * @throws KafkaError OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE, TRANSACTION_COORDINATOR_FENCED.
   */
  append(batches: readonly ProducerBatch[], origin: AppendOrigin, guard?: VerificationGuard | null): CompletedTransaction[] {
    const completed: CompletedTransaction[] = []
    if (batches.length === 1) {
      this.#check(this.#entries.get(batches[0]!.producerId), batches[0]!, origin, guard)
      this.#take(batches[0]!, completed)
      return completed
    }
    const before = new Map<number, ProducerEntry | undefined>()
    const ongoing = new LazyMap(this.#ongoing)
    const unreplicated = [...this.#unreplicated]
    try {
      for (const batch of batches) {
        const entry = this.#entries.get(batch.producerId)
        if (!before.has(batch.producerId)) before.set(batch.producerId, entry && { ...entry, batches: [...entry.batches] })
        this.#check(entry, batch, origin, guard)
        this.#take(batch, completed)
      }
    } catch (error) {
      for (const [producerId, entry] of before) {
        if (entry === undefined) this.#entries.delete(producerId)
        else this.#entries.set(producerId, entry)
      }
      this.#ongoing = ongoing
      this.#unreplicated = unreplicated
      throw error
    }
    return completed
  }

  onHighWatermark(highWatermark: number): void {
    if (this.#unreplicated.length > 0) this.#unreplicated = this.#unreplicated.filter(({ lastOffset }) => lastOffset >= highWatermark)
  }

  /** Forgets ended transactions that DeleteRecords or retention has removed. Producers stay, so that they go on without a gap, and so do open transactions, which may get more records. */
  onLogStart(logStartOffset: number): void {
    this.#unreplicated = this.#unreplicated.filter(({ lastOffset }) => lastOffset >= logStartOffset)
  }

  /** Forgets producers that have been silent for `expirationMs` and have no open transaction, and guards that nobody has used since the last time. */
  removeExpired(nowMs: number, expirationMs: number): void {
    for (const [producerId, entry] of this.#entries) if (isExpired(entry, nowMs, expirationMs)) this.#entries.delete(producerId)
    for (const [producerId, guard] of this.#guards) {
      if (guard.isOld) this.#guards.delete(producerId)
      guard.isOld = true
    }
  }

  clear(): void {
    this.#entries.clear()
    this.#guards.clear()
    this.#ongoing.clear()
    this.#unreplicated = []
  }

  /** Begins from a snapshot, without producers that have expired meanwhile. */
  restore(entries: readonly ProducerSnapshotEntry[], nowMs: number, expirationMs: number): void {
    this.clear()
    const open: [number, number][] = []
    for (const saved of entries) {
      const { lastSequence, lastOffset, offsetDelta, timestamp } = saved
      const entry: ProducerEntry = {
        epoch: saved.producerEpoch,
        coordinatorEpoch: saved.coordinatorEpoch,
        lastTimestamp: timestamp,
        currentTransactionFirstOffset: saved.currentTransactionFirstOffset,
        batches: lastOffset < 0 ? [] : [{ lastSequence, lastOffset, offsetDelta, timestamp }],
      }
      if (isExpired(entry, nowMs, expirationMs)) continue
      this.#entries.set(saved.producerId, entry)
      if (entry.currentTransactionFirstOffset >= 0) open.push([entry.currentTransactionFirstOffset, saved.producerId])
    }
    this.#ongoing = new LazyMap(open.sort(([first], [second]) => first - second))
  }

  /** Remembers what lies before a producer's first known batch, as far as its memory goes. @param batches In the order of the log. */
  recall(batches: readonly ProducerBatch[]): void {
    for (const batch of batches.toReversed()) {
      const entry = this.#entries.get(batch.producerId)
      const first = entry?.batches[0]
      if (entry === undefined || first === undefined || batch.isControl || batch.producerEpoch !== entry.epoch) continue
      if (batch.lastOffset < first.lastOffset && entry.batches.length < REMEMBERED_BATCHES) entry.batches.unshift(appendedBatch(batch))
    }
  }

  snapshot(): ProducerSnapshotEntry[] {
    const entries: ProducerSnapshotEntry[] = []
    for (const [producerId, entry] of this.#entries) {
      const last = entry.batches.at(-1)
      entries.push({
        producerId,
        producerEpoch: entry.epoch,
        lastSequence: last?.lastSequence ?? NO_SEQUENCE,
        lastOffset: last?.lastOffset ?? -1,
        offsetDelta: last?.offsetDelta ?? 0,
        timestamp: entry.lastTimestamp,
        coordinatorEpoch: entry.coordinatorEpoch,
        currentTransactionFirstOffset: entry.currentTransactionFirstOffset,
      })
    }
    return entries
  }

  activeProducers(): ActiveProducer[] {
    return this.snapshot().map((entry) => ({
      producerId: entry.producerId,
      producerEpoch: entry.producerEpoch,
      lastSequence: entry.lastSequence,
      lastTimestamp: entry.timestamp,
      coordinatorEpoch: entry.coordinatorEpoch,
      currentTransactionStartOffset: entry.currentTransactionFirstOffset,
    }))
  }

  get #firstOngoing(): number | undefined {
    for (const firstOffset of this.#ongoing.keys()) return firstOffset
    return undefined
  }

  #check(entry: ProducerEntry | undefined, batch: ProducerBatch, origin: AppendOrigin, guard: VerificationGuard | null | undefined): void {
    if (origin === 'replication') return
    const { producerId, producerEpoch } = batch
    if (entry !== undefined && producerEpoch < entry.epoch) {
      throw new KafkaError(
        'INVALID_PRODUCER_EPOCH',
        `Epoch of producer ${producerId} at offset ${batch.firstOffset} in ${this.#name} is ${producerEpoch}, which is smaller than the last seen epoch ${entry.epoch}`,
      )
    }
    if (batch.isControl) {
      const { marker } = batch
      if (marker !== undefined && entry !== undefined && entry.coordinatorEpoch > marker.coordinatorEpoch) {
        throw new KafkaError(
          'TRANSACTION_COORDINATOR_FENCED',
          `Invalid coordinator epoch for producerId ${producerId} at offset ${batch.firstOffset} in partition ${this.#name}: ${marker.coordinatorEpoch} (zombie), ${entry.coordinatorEpoch} (current)`,
        )
      }
      return
    }
    if (batch.isTransactional && guard !== undefined) this.#checkGuard(entry, batch, guard)
    if (origin === 'client') this.#checkSequence(entry, batch)
    if (entry !== undefined && entry.currentTransactionFirstOffset >= 0 && !batch.isTransactional) {
      throw new KafkaError(
        'INVALID_TXN_STATE',
        `Expected transactional write from producer ${producerId} at offset ${batch.firstOffset} in partition ${this.#name}`,
      )
    }
  }

  #checkGuard(entry: ProducerEntry | undefined, { producerId, producerEpoch }: ProducerBatch, guard: VerificationGuard | null): void {
    if (entry !== undefined && entry.currentTransactionFirstOffset >= 0 && entry.epoch === producerEpoch) return
    if (guard?.isVerified && guard.producerEpoch === producerEpoch && this.#guards.get(producerId) === guard) return
    throw new KafkaError('INVALID_TXN_STATE', `Record was not part of an ongoing transaction of producer ${producerId} in ${this.#name}`)
  }

  #checkSequence(entry: ProducerEntry | undefined, batch: ProducerBatch): void {
    const guard = batch.isTransactional ? this.#guards.get(batch.producerId) : undefined
    if (guard !== undefined) checkFirstSequence(guard, entry, batch, this.#name)
    // Nothing is known of the producer: it may be new, or its records are gone. Any sequence will do.
    if (entry === undefined || entry.epoch === NO_EPOCH) return
    const { producerId, producerEpoch, baseSequence } = batch
    if (producerEpoch !== entry.epoch) {
      if (baseSequence === 0) return
      throw new KafkaError(
        'OUT_OF_ORDER_SEQUENCE_NUMBER',
        `Invalid sequence number for new epoch of producer ${producerId} at offset ${batch.firstOffset} in partition ${this.#name}: ${producerEpoch} (request epoch), ${baseSequence} (seq. number), ${entry.epoch} (current producer epoch)`,
      )
    }
    const lastSequence = entry.batches.at(-1)?.lastSequence ?? NO_SEQUENCE
    if (baseSequence === lastSequence + 1 || (baseSequence === 0 && lastSequence === MAX_SEQUENCE)) return
    throw new KafkaError(
      'OUT_OF_ORDER_SEQUENCE_NUMBER',
      `Out of order sequence number for producer ${producerId} at offset ${batch.firstOffset} in partition ${this.#name}: ${baseSequence} (incoming seq. number), ${lastSequence} (current end sequence number)`,
    )
  }

  /** A marker of version 2 has the epoch of the transaction that comes next, whose batches may wait for the coordinator already. */
  #isForNext({ producerId, producerEpoch, marker }: ProducerBatch): boolean {
    const guard = this.#guards.get(producerId)
    return marker !== undefined && guard?.isV2 === true && guard.producerEpoch >= producerEpoch
  }

  #take(batch: ProducerBatch, completed: CompletedTransaction[]): void {
    const { producerId, producerEpoch } = batch
    if (batch.isControl && batch.marker === undefined) return
    if (batch.isTransactional && !this.#isForNext(batch)) this.#guards.delete(producerId)
    let entry = this.#entries.get(producerId)
    if (entry === undefined) {
      entry = { epoch: NO_EPOCH, coordinatorEpoch: -1, lastTimestamp: -1, currentTransactionFirstOffset: -1, batches: [] }
      this.#entries.set(producerId, entry)
    }
    if (entry.epoch !== producerEpoch) {
      entry.epoch = producerEpoch
      entry.batches = []
    }
    entry.lastTimestamp = batch.maxTimestamp
    if (batch.marker !== undefined) {
      entry.coordinatorEpoch = batch.marker.coordinatorEpoch
      const firstOffset = entry.currentTransactionFirstOffset
      // A marker without data has no bearing on the last stable offset and gets no entry in the transaction index.
      if (firstOffset >= 0) {
        entry.currentTransactionFirstOffset = -1
        this.#ongoing.delete(firstOffset)
        const { lastOffset, marker } = batch
        const lastStableOffset = this.#firstOngoing ?? lastOffset + 1
        const transaction = { producerId, firstOffset, lastOffset, isAborted: marker.isAbort, lastStableOffset }
        completed.push(transaction)
        this.#unreplicated.push(transaction)
      }
      return
    }
    if (entry.batches.length === REMEMBERED_BATCHES) entry.batches.shift()
    entry.batches.push(appendedBatch(batch))
    if (batch.isTransactional && entry.currentTransactionFirstOffset < 0) {
      entry.currentTransactionFirstOffset = batch.firstOffset
      this.#ongoing.set(batch.firstOffset, producerId)
    }
  }
}

function appendedBatch({ baseSequence, firstOffset, lastOffset, maxTimestamp }: ProducerBatch): AppendedBatch {
  const offsetDelta = lastOffset - firstOffset
  // Coordinators append in others' transactions without a sequence.
  const lastSequence = baseSequence === NO_SEQUENCE ? NO_SEQUENCE : advanceSequence(baseSequence, offsetDelta)
  return { lastSequence, lastOffset, offsetDelta, timestamp: maxTimestamp }
}

/** What a producer has sent before the first batch of a transaction must not be missing. KIP-890. */
function checkFirstSequence(guard: VerificationGuard, entry: ProducerEntry | undefined, batch: ProducerBatch, name: string): void {
  const { producerId, firstOffset, baseSequence } = batch
  if (guard.isV2 && baseSequence !== 0 && entry === undefined) {
    throw new KafkaError(
      'OUT_OF_ORDER_SEQUENCE_NUMBER',
      `Invalid sequence number for producer ${producerId} at offset ${firstOffset} in partition ${name}: ${baseSequence} (incoming seq. number). Expected sequence 0 for transactions v2 idempotent producer with no existing state.`,
    )
  }
  if (guard.producerEpoch === batch.producerEpoch && baseSequence > guard.lowestSequence) {
    throw new KafkaError(
      'OUT_OF_ORDER_SEQUENCE_NUMBER',
      `Out of order sequence number for producer ${producerId} at offset ${firstOffset} in partition ${name}: ${baseSequence} (incoming seq. number), ${guard.lowestSequence} (earliest seen sequence)`,
    )
  }
}

function isExpired(entry: ProducerEntry, nowMs: number, expirationMs: number): boolean {
  return entry.currentTransactionFirstOffset < 0 && nowMs - entry.lastTimestamp >= expirationMs
}
