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

  add(firstOffset: number, lastOffset: number, code: Code): void {
    const last = this.#ranges.at(-1)
    if (last !== undefined && last.code === code && last.lastOffset + 1 === firstOffset) last.lastOffset = lastOffset
    else this.#ranges.push({ firstOffset, lastOffset, code })
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

  /** Of records, gaps left out. */
  offsets(): number[] {
    const ranges = this.#ranges.filter(({ code }) => code !== acknowledgeCodes.gap)
    return ranges
      .flatMap(({ firstOffset, lastOffset }) => Array.from({ length: lastOffset - firstOffset + 1 }, (_, index) => firstOffset + index))
      .sort((a, b) => a - b)
  }
}
