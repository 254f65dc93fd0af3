import type { ClientError } from '../errors.ts'
import type { TopicPartition } from '../topic-partition.ts'

/** What is said of an acquired record for good: it has been dealt with, is for somebody else to try, or for nobody. */
export type AcknowledgeType = 'accept' | 'release' | 'reject'

/** As the wire has them. A gap is an acquired offset without a record; renewing asks for more time (KIP-1222). */
export const acknowledgeCodes = { gap: 0, accept: 1, release: 2, reject: 3, renew: 4 } as const
type Code = (typeof acknowledgeCodes)[keyof typeof acknowledgeCodes]

/** What became of acknowledgements of one partition. */
export interface AcknowledgementOutcome extends TopicPartition {
  /** Of the records that were acknowledged, in order. */
  readonly offsets: readonly number[]
  /** Why they have no effect: the records will be delivered again. undefined: the broker has taken them. */
  readonly error: ClientError | undefined
}

interface Range {
  readonly firstOffset: number
  lastOffset: number
  readonly code: Code
  /** Of records that were handed out; else as many as a broker pretends there are. */
  readonly isOfRecords: boolean
}

/** Acknowledgements of one partition that travel together. Settled once, with their error or none. */
export class PartitionAcknowledgements {
  readonly partition: TopicPartition
  readonly topicId: string
  readonly settled: Promise<ClientError | undefined>
  #settle!: (error: ClientError | undefined) => void
  readonly #ranges: Range[] = []

  constructor(partition: TopicPartition, topicId: string) {
    this.partition = partition
    this.topicId = topicId
    this.settled = new Promise((resolve) => {
      this.#settle = resolve
    })
  }

  /** Of a record that was handed out. */
  add(offset: number, code: Code): void {
    this.#append({ firstOffset: offset, lastOffset: offset, code, isOfRecords: true })
  }

  /** Of acquired offsets that nobody gets to see: gaps, and what cannot be read. */
  addRange(firstOffset: number, lastOffset: number, code: Code): void {
    this.#append({ firstOffset, lastOffset, code, isOfRecords: false })
  }

  settle(error: ClientError | undefined): void {
    this.#settle(error)
  }

  /** As a request has them: by offset, a type for all of a range. */
  batches(): { firstOffset: number; lastOffset: number; acknowledgeTypes: number[] }[] {
    return [...this.#ranges]
      .sort((a, b) => a.firstOffset - b.firstOffset)
      .map(({ firstOffset, lastOffset, code }) => ({ firstOffset, lastOffset, acknowledgeTypes: [code] }))
  }

  /** Of the records that were handed out. */
  offsets(): number[] {
    return this.#ranges
      .filter(({ isOfRecords }) => isOfRecords)
      .flatMap(({ firstOffset, lastOffset }) => Array.from({ length: lastOffset - firstOffset + 1 }, (_, index) => firstOffset + index))
      .sort((a, b) => a - b)
  }

  #append(range: Range): void {
    const last = this.#ranges.at(-1)
    const goesOn = last !== undefined && last.code === range.code && last.isOfRecords === range.isOfRecords
    if (goesOn && last.lastOffset + 1 === range.firstOffset) last.lastOffset = range.lastOffset
    else this.#ranges.push(range)
  }
}
