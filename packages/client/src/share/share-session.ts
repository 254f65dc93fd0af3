import { PartitionMap, type TopicPartition } from '../topic-partition.ts'
import { PartitionAcknowledgements } from './acknowledgements.ts'

/** A partition that shall be fetched. */
export interface SharedPartition extends TopicPartition {
  readonly topicId: string
}

/** The part of a request that is the session's. */
export interface ShareSessionRequest {
  readonly shareSessionEpoch: number
  readonly topics: {
    topicId: string
    partitions: { partitionIndex: number; acknowledgementBatches: ReturnType<PartitionAcknowledgements['batches']> }[]
  }[]
  readonly forgottenTopicsData: { topicId: string; partitions: number[] }[]
}

/** Begins a session with the partitions that the request names. It can acknowledge nothing: whatever was acquired before has been let go. */
const INITIAL_EPOCH = 0
const FINAL_EPOCH = -1
const MAX_EPOCH = 2 ** 31 - 1

/**
 * A share session with one broker, from its first request to the failure that ends it: what the broker remembers of this member, which is what to fetch for it and
 * what it has acquired. Records belong to the session that acquired them; when it ends, the broker releases them. One request at a time. Source: KIP-932.
 */
export class ShareSession {
  #epoch = INITIAL_EPOCH
  #isOver = false
  #partitions = new PartitionMap<SharedPartition>()
  /** What is to be sent with the next request. */
  #acknowledgements = new PartitionMap<PartitionAcknowledgements>()
  readonly #onPending: (acknowledgements: PartitionAcknowledgements) => void

  /** @param onPending Hears of acknowledgements that wait to be sent, once for all that will travel together. */
  constructor(onPending: (acknowledgements: PartitionAcknowledgements) => void) {
    this.#onPending = onPending
  }

  /** The broker knows it. */
  get isOpen(): boolean {
    return this.#epoch !== INITIAL_EPOCH && !this.#isOver
  }

  /** Nothing that it acquired is ours any more. */
  get isOver(): boolean {
    return this.#isOver
  }

  get hasAcknowledgements(): boolean {
    return this.#acknowledgements.size > 0
  }

  /** Those that the next request will bring. */
  acknowledgementsOf(partition: SharedPartition): PartitionAcknowledgements {
    let found = this.#acknowledgements.get(partition)
    if (found === undefined) {
      found = new PartitionAcknowledgements({ topic: partition.topic, partition: partition.partition }, partition.topicId)
      this.#acknowledgements.set(partition, found)
      this.#onPending(found)
    }
    return found
  }

  /** Takes what is to be sent. */
  takeAcknowledgements(): PartitionAcknowledgements[] {
    const taken = [...this.#acknowledgements.values()]
    this.#acknowledgements = new PartitionMap()
    return taken
  }

  /** A fetch of all of `wanted` and nothing else. */
  fetch(wanted: readonly SharedPartition[], acknowledgements: readonly PartitionAcknowledgements[]): ShareSessionRequest {
    const now = new PartitionMap(wanted.map((partition) => [partition, partition]))
    const isSame = (partition: SharedPartition, other: SharedPartition | undefined) => other?.topicId === partition.topicId
    const added = wanted.filter((partition) => !isSame(partition, this.#partitions.get(partition)))
    const gone = [...this.#partitions.values()].filter((partition) => !isSame(partition, now.get(partition)))
    this.#partitions = now
    return {
      shareSessionEpoch: this.#epoch,
      topics: topicRows(added, acknowledgements),
      forgottenTopicsData: [...byTopicId(gone)].map(([topicId, entries]) => ({
        topicId,
        partitions: entries.map(({ partition }) => partition),
      })),
    }
  }

  /** @param isLast The broker forgets the session, and releases what it has acquired and not acknowledged. */
  acknowledge(acknowledgements: readonly PartitionAcknowledgements[], isLast = false): Omit<ShareSessionRequest, 'forgottenTopicsData'> {
    return { shareSessionEpoch: isLast ? FINAL_EPOCH : this.#epoch, topics: topicRows([], acknowledgements) }
  }

  /** The broker has answered a request, and counts on. */
  advance(): void {
    this.#epoch = this.#epoch === MAX_EPOCH ? 1 : this.#epoch + 1
  }

  end(): void {
    this.#isOver = true
  }
}

function topicRows(
  added: readonly SharedPartition[],
  acknowledgements: readonly PartitionAcknowledgements[],
): ShareSessionRequest['topics'] {
  const rows = new Map<string, Map<number, ReturnType<PartitionAcknowledgements['batches']>>>()
  const rowsOf = (topicId: string) => {
    const known = rows.get(topicId)
    if (known !== undefined) return known
    const made = new Map<number, ReturnType<PartitionAcknowledgements['batches']>>()
    rows.set(topicId, made)
    return made
  }
  for (const { topicId, partition } of added) rowsOf(topicId).set(partition, [])
  for (const one of acknowledgements) rowsOf(one.topicId).set(one.partition.partition, one.batches())
  return [...rows].map(([topicId, partitions]) => ({
    topicId,
    partitions: [...partitions].map(([partitionIndex, acknowledgementBatches]) => ({ partitionIndex, acknowledgementBatches })),
  }))
}

function byTopicId(partitions: Iterable<SharedPartition>): Map<string, SharedPartition[]> {
  const rows = new Map<string, SharedPartition[]>()
  for (const partition of partitions) {
    const known = rows.get(partition.topicId)
    if (known === undefined) rows.set(partition.topicId, [partition])
    else known.push(partition)
  }
  return rows
}
