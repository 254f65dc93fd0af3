import type { ClientError } from '../errors.ts'
import type { OnDelivery, RecordMetadata } from './producer-record.ts'

/** Hears what became of a record, once. Must not throw. */
export interface RecordListener {
  /** @param tag What was given with the record: its place among those of one call, or `SAME_FOR_ALL`. */
  settle(error: ClientError | undefined, metadata: RecordMetadata | undefined, tag: number): void
}

/**
 * Who hears of a record: a listener; or the function that settles its promise, which a rejected one settles too. Of a million sends under way
 * each keeps nothing but that.
 */
export type Delivery = RecordListener | ((metadata: RecordMetadata | Promise<never>) => void)

/** The tag where a delivery does not tell its records apart. */
export const SAME_FOR_ALL = -1

export function failDelivery(delivery: Delivery, error: ClientError, tag: number): void {
  if (typeof delivery === 'function') delivery(Promise.reject(error))
  else delivery.settle(error, undefined, tag)
}

/** Many records, one promise, which resolves when each of them has met its fate. */
export class BulkDelivery implements RecordListener {
  /** By tag. */
  readonly results: RecordMetadata[]
  readonly done: Promise<void>
  failure: ClientError | undefined
  #left: number
  #resolve!: () => void

  constructor(count: number) {
    this.results = new Array(count)
    this.#left = count
    this.done = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  settle(error: ClientError | undefined, metadata: RecordMetadata | undefined, tag: number): void {
    if (error === undefined) this.results[tag] = metadata!
    else this.failure ??= error
    if (--this.#left === 0) this.#resolve()
  }
}

/** A callback of the user's. One that throws is its author's defect: it comes out as any uncaught exception does, and the other callbacks still run. */
export class CallbackDelivery implements RecordListener {
  readonly callback: OnDelivery

  constructor(callback: OnDelivery) {
    this.callback = callback
  }

  settle(error: ClientError | undefined, metadata: RecordMetadata | undefined): void {
    try {
      this.callback(error, metadata)
    } catch (defect) {
      queueMicrotask(() => {
        throw defect
      })
    }
  }
}

/**
 * Who waits for which record of a batch, and the records' own times for the answer. Records that came with the same delivery one after the
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
    const timestamps = logAppendTimeMs >= 0 ? undefined : this.#timestamps
    const same = logAppendTimeMs >= 0 ? logAppendTimeMs : this.#firstTimestamp
    for (let run = 0; run < this.#starts.length; run++) {
      const delivery = this.#deliveries[run]
      if (delivery === undefined) continue
      const firstTag = this.#firstTags[run]!
      const start = this.#starts[run]!
      const end = this.#endOf(run)
      for (let index = start; index < end; index++) {
        const offset = baseOffset < 0 ? -1 : baseOffset + index
        const metadata = { topic, partition, offset, timestamp: timestamps === undefined ? same : timestamps[index]! }
        if (typeof delivery === 'function') delivery(metadata)
        else delivery.settle(undefined, metadata, tagOf(firstTag, index - start))
      }
    }
  }

  fail(error: ClientError): void {
    for (let run = 0; run < this.#starts.length; run++) {
      const delivery = this.#deliveries[run]
      if (delivery === undefined) continue
      const start = this.#starts[run]!
      const end = this.#endOf(run)
      for (let index = start; index < end; index++) failDelivery(delivery, error, tagOf(this.#firstTags[run]!, index - start))
    }
  }

  /** Those of the first `count` records, and those of the rest. */
  split(count: number): readonly [BatchDeliveries, BatchDeliveries] {
    const halves = [new BatchDeliveries(), new BatchDeliveries()] as const
    for (let run = 0; run < this.#starts.length; run++) {
      const start = this.#starts[run]!
      const end = this.#endOf(run)
      for (let index = start; index < end; index++) {
        const half = index < count ? halves[0] : halves[1]
        half.add(this.#deliveries[run], tagOf(this.#firstTags[run]!, index - start), this.#timestamps?.[index] ?? this.#firstTimestamp)
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

  /** Index in the batch of the record behind the run. */
  #endOf(run: number): number {
    return this.#starts[run + 1] ?? this.#count
  }
}

const tagOf = (firstTag: number, place: number): number => (firstTag === SAME_FOR_ALL ? SAME_FOR_ALL : firstTag + place)
