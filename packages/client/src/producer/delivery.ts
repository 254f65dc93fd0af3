import type { ClientError } from '../errors.ts'
import type { OnDelivery, RecordMetadata } from './producer-record.ts'

/** Records that came one after the other with the same listener, and have arrived. */
export class DeliveredRun {
  /** Tag of the first of them; the others' follow, or are all `SAME_FOR_ALL`. */
  readonly firstTag: number
  readonly count: number
  readonly #batch: DeliveredBatch
  readonly #firstIndex: number

  constructor(batch: DeliveredBatch, firstIndex: number, firstTag: number, count: number) {
    this.firstTag = firstTag
    this.count = count
    this.#batch = batch
    this.#firstIndex = firstIndex
  }

  metadataAt(place: number): RecordMetadata {
    return metadataOf(this.#batch, this.#firstIndex + place)
  }
}

interface DeliveredBatch {
  readonly topic: string
  readonly partition: number
  /** -1: unknown. */
  readonly baseOffset: number
  readonly timestamp: number
  /** By index in the batch, where they differ. */
  readonly timestamps: readonly number[] | undefined
}

function metadataOf({ topic, partition, baseOffset, timestamp, timestamps }: DeliveredBatch, index: number): RecordMetadata {
  const offset = baseOffset < 0 ? -1 : baseOffset + index
  return { topic, partition, offset, timestamp: timestamps === undefined ? timestamp : timestamps[index]! }
}

/** Hears what became of records, of each once. Must not throw. */
export interface RecordListener {
  delivered(run: DeliveredRun): void
  failed(error: ClientError, firstTag: number, count: number): void
}

/**
 * Who hears of a record: a listener; or the function that settles its promise, which a rejected one settles too. Of a million sends under way
 * each keeps nothing but that.
 */
export type Delivery = RecordListener | ((metadata: RecordMetadata | Promise<never>) => void)

/** The tag where a listener does not tell its records apart. */
export const SAME_FOR_ALL = -1

/** The record cannot be put into a batch. */
export function failDelivery(delivery: Delivery, error: ClientError, tag: number): void {
  if (typeof delivery === 'function') delivery(Promise.reject(error))
  else delivery.failed(error, tag, 1)
}

/** Many records, one promise, which resolves when each of them has met its fate. Their tags are 0 to count − 1. */
export class BulkDelivery implements RecordListener {
  readonly done: Promise<void>
  failure: ClientError | undefined
  readonly #count: number
  readonly #runs: DeliveredRun[] = []
  #left: number
  #resolve!: () => void

  constructor(count: number) {
    this.#count = count
    this.#left = count
    this.done = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  /** By tag. Made when it is asked for: objects that wait for a call to end outlive a collection, and then cost much more. */
  get results(): RecordMetadata[] {
    const results = new Array<RecordMetadata>(this.#count)
    for (const run of this.#runs) for (let place = 0; place < run.count; place++) results[run.firstTag + place] = run.metadataAt(place)
    return results
  }

  delivered(run: DeliveredRun): void {
    this.#runs.push(run)
    this.#settled(run.count)
  }

  failed(error: ClientError, _firstTag: number, count: number): void {
    this.failure ??= error
    this.#settled(count)
  }

  #settled(count: number): void {
    this.#left -= count
    if (this.#left === 0) this.#resolve()
  }
}

/** A callback of the user's. One that throws is its author's defect: it comes out as any uncaught exception does, and the other callbacks still run. */
export class CallbackDelivery implements RecordListener {
  readonly #callback: OnDelivery

  constructor(callback: OnDelivery) {
    this.#callback = callback
  }

  delivered(run: DeliveredRun): void {
    for (let place = 0; place < run.count; place++) this.#call(undefined, run.metadataAt(place))
  }

  failed(error: ClientError, _firstTag: number, count: number): void {
    for (let place = 0; place < count; place++) this.#call(error, undefined)
  }

  #call(error: ClientError | undefined, metadata: RecordMetadata | undefined): void {
    try {
      this.#callback(error, metadata)
    } catch (defect) {
      queueMicrotask(() => {
        throw defect
      })
    }
  }
}

/**
 * Who waits for which record of a batch, and the records' own times for the answer. Records that came with the same listener one after the
 * other are one run: most come by the thousand. A run is an index in three lists, for those that come one by one.
 */
export class BatchDeliveries {
  readonly #deliveries: (Delivery | undefined)[] = []
  /** Tag of the run's first record. */
  readonly #firstTags: number[] = []
  /** Index in the batch of the run's first record. */
  readonly #starts: number[] = []
  #lastTag = 0
  #count = 0
  #firstTimestamp = 0
  /** By index, from when a record has another time than the first. */
  #timestamps: number[] | undefined

  /** For the batch's next record. */
  add(delivery: Delivery | undefined, tag: number, timestamp: number): void {
    const index = this.#count++
    this.#addTimestamp(index, timestamp)
    const continues = index > 0 && this.#deliveries.at(-1) === delivery && (tag === SAME_FOR_ALL || tag === this.#lastTag + 1)
    if (!continues) {
      this.#deliveries.push(delivery)
      this.#firstTags.push(tag)
      this.#starts.push(index)
    }
    this.#lastTag = tag
  }

  /** @param baseOffset -1: unknown. @param logAppendTimeMs -1: the records keep their own times. */
  complete(topic: string, partition: number, baseOffset: number, logAppendTimeMs: number): void {
    const hasOwnTimes = logAppendTimeMs < 0
    const timestamp = hasOwnTimes ? this.#firstTimestamp : logAppendTimeMs
    const batch = { topic, partition, baseOffset, timestamp, timestamps: hasOwnTimes ? this.#timestamps : undefined }
    for (let run = 0; run < this.#starts.length; run++) {
      const delivery = this.#take(run)
      if (delivery === undefined) continue
      const start = this.#starts[run]!
      if (typeof delivery === 'function') delivery(metadataOf(batch, start))
      else delivery.delivered(new DeliveredRun(batch, start, this.#firstTags[run]!, this.#endOf(run) - start))
    }
  }

  fail(error: ClientError): void {
    for (let run = 0; run < this.#starts.length; run++) {
      const delivery = this.#take(run)
      if (typeof delivery === 'function') delivery(Promise.reject(error))
      else delivery?.failed(error, this.#firstTags[run]!, this.#endOf(run) - this.#starts[run]!)
    }
  }

  /** Those of the first `count` records, and those of the rest. */
  split(count: number): readonly [BatchDeliveries, BatchDeliveries] {
    const halves = [new BatchDeliveries(), new BatchDeliveries()] as const
    for (let run = 0; run < this.#starts.length; run++) {
      const start = this.#starts[run]!
      const end = this.#endOf(run)
      const firstTag = this.#firstTags[run]!
      for (let index = start; index < end; index++) {
        const half = index < count ? halves[0] : halves[1]
        const tag = firstTag === SAME_FOR_ALL ? SAME_FOR_ALL : firstTag + index - start
        half.add(this.#deliveries[run], tag, this.#timestamps?.[index] ?? this.#firstTimestamp)
      }
    }
    return halves
  }

  #addTimestamp(index: number, timestamp: number): void {
    if (index === 0) this.#firstTimestamp = timestamp
    else if (this.#timestamps !== undefined) this.#timestamps.push(timestamp)
    else if (timestamp !== this.#firstTimestamp) {
      this.#timestamps = new Array<number>(index).fill(this.#firstTimestamp)
      this.#timestamps.push(timestamp)
    }
  }

  /** Lets go of it: a list that has grown old would keep what is long done from being collected. */
  #take(run: number): Delivery | undefined {
    const delivery = this.#deliveries[run]
    this.#deliveries[run] = undefined
    return delivery
  }

  /** Index in the batch of the record behind the run. */
  #endOf(run: number): number {
    return this.#starts[run + 1] ?? this.#count
  }
}
