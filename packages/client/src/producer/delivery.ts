import type { ClientError } from '../errors.ts'
import type { OnDelivery, RecordMetadata } from './producer-record.ts'

/** Hears what became of a record, once. Must not throw. */
export interface Delivery {
  /** @param tag What was given with the record: its place among those of one call, or `SAME_FOR_ALL`. */
  settle(error: ClientError | undefined, metadata: RecordMetadata | undefined, tag: number): void
}

/** The tag where a delivery does not tell its records apart. */
export const SAME_FOR_ALL = -1

/** One record, one promise. */
export class PromiseDelivery implements Delivery {
  readonly promise: Promise<RecordMetadata>
  #resolve!: (metadata: RecordMetadata) => void
  #reject!: (error: unknown) => void

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  settle(error: ClientError | undefined, metadata: RecordMetadata | undefined): void {
    if (error === undefined) this.#resolve(metadata!)
    else this.#reject(error)
  }

  /** The record was not taken. */
  refuse(error: unknown): void {
    this.#reject(error)
  }
}

/** Many records, one promise, which resolves when each of them has met its fate. */
export class BulkDelivery implements Delivery {
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
export class CallbackDelivery implements Delivery {
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
    this.#each((delivery, tag, index) => {
      const offset = baseOffset < 0 ? -1 : baseOffset + index
      const timestamp = timestamps === undefined ? same : timestamps[index]!
      delivery.settle(undefined, { topic, partition, offset, timestamp }, tag)
    })
  }

  fail(error: ClientError): void {
    this.#each((delivery, tag) => delivery.settle(error, undefined, tag))
  }

  /** Those of the first `count` records, and those of the rest. */
  split(count: number): readonly [BatchDeliveries, BatchDeliveries] {
    const halves = [new BatchDeliveries(), new BatchDeliveries()] as const
    for (let run = 0; run < this.#starts.length; run++) {
      const start = this.#starts[run]!
      const end = this.#starts[run + 1] ?? this.#count
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

  #each(settle: (delivery: Delivery, tag: number, index: number) => void): void {
    for (let run = 0; run < this.#starts.length; run++) {
      const delivery = this.#deliveries[run]
      if (delivery === undefined) continue
      const firstTag = this.#firstTags[run]!
      const start = this.#starts[run]!
      const end = this.#starts[run + 1] ?? this.#count
      for (let index = start; index < end; index++) settle(delivery, tagOf(firstTag, index - start), index)
    }
  }
}

const tagOf = (firstTag: number, place: number): number => (firstTag === SAME_FOR_ALL ? SAME_FOR_ALL : firstTag + place)
