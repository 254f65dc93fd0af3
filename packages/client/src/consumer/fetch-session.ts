import { ZERO_UUID } from '@tidelog/core'
import { errorName, type FetchResponse } from '@tidelog/protocol'
import { PartitionMap, type TopicPartition } from '../topic-partition.ts'

/** What a fetch asks of one partition. */
export interface FetchWanted extends TopicPartition {
  /** ZERO_UUID where the broker gives none. */
  readonly topicId: string
  readonly fetchOffset: number
  readonly currentLeaderEpoch: number
  readonly partitionMaxBytes: number
}

interface TopicEntries<P> {
  readonly topic?: string
  readonly topicId?: string
  readonly partitions: P[]
}

/** The part of a Fetch that is the session's. */
export interface FetchSessionRequest {
  readonly sessionId: number
  readonly sessionEpoch: number
  readonly topics: TopicEntries<Omit<FetchWanted, 'topic' | 'topicId'>>[]
  readonly forgottenTopicsData: TopicEntries<number>[]
}

const NO_SESSION = 0
/** Begins a session with the partitions that the request names, and closes the one whose id it bears. */
const INITIAL_EPOCH = 0
/** Closes the session whose id it bears. */
export const FINAL_EPOCH = -1
const MAX_EPOCH = 2 ** 31 - 1

/**
 * The client's end of a fetch session with one broker: both remember what is fetched, so that a request names only what has changed since
 * the one before, and an answer only what is new. One request at a time. Source: KIP-227, KIP-516.
 */
export class FetchSession {
  #id = NO_SESSION
  #epoch = INITIAL_EPOCH
  /** What the broker remembers, if the request under way arrives. */
  #partitions = new PartitionMap<FetchWanted>()
  #topicsById = new Map<string, string>()
  #usesTopicIds = false

  /** 0: the broker keeps none. */
  get id(): number {
    return this.#id
  }

  /**
   * The next request, for all of `wanted` and nothing else.
   * @param usesTopicIds As the version says that is spoken; a session goes by one or the other, so a change begins another one.
   */
  next(wanted: readonly FetchWanted[], usesTopicIds: boolean): FetchSessionRequest {
    if (usesTopicIds !== this.#usesTopicIds) this.#epoch = INITIAL_EPOCH
    this.#usesTopicIds = usesTopicIds
    const isFull = this.#epoch === INITIAL_EPOCH
    const before = isFull ? new PartitionMap<FetchWanted>() : this.#partitions
    const changed: FetchWanted[] = []
    const partitions = new PartitionMap<FetchWanted>()
    const topicsById = new Map<string, string>()
    for (const one of wanted) {
      partitions.set(one, one)
      topicsById.set(one.topicId, one.topic)
      const known = before.get(one)
      if (known === undefined || isDifferent(known, one)) changed.push(one)
    }
    const forgotten: FetchWanted[] = []
    for (const known of before.values()) {
      const now = partitions.get(known)
      // A topic that was deleted and made again is another one to the broker.
      if (now === undefined || now.topicId !== known.topicId) forgotten.push(known)
    }
    this.#partitions = partitions
    this.#topicsById = topicsById
    return {
      sessionId: this.#id,
      sessionEpoch: this.#epoch,
      topics: this.#byTopic(changed, ({ partition, fetchOffset, currentLeaderEpoch, partitionMaxBytes }) => ({
        partition,
        fetchOffset,
        currentLeaderEpoch,
        partitionMaxBytes,
      })),
      forgottenTopicsData: this.#byTopic(forgotten, ({ partition }) => partition),
    }
  }

  /** The name of a topic in an answer; undefined for one that was not asked for. */
  topicOf({ topic, topicId }: { topic: string; topicId: string }): string | undefined {
    return topic === '' || topicId !== ZERO_UUID ? this.#topicsById.get(topicId) : topic
  }

  /**
   * Takes in the answer to the last request. @returns why it is of no use, when it is not: nothing in it may be taken, and the next request
   * begins a session of its own.
   */
  answered({ errorCode, sessionId, responses }: FetchResponse): string | undefined {
    if (errorCode !== 0) {
      const name = errorName(errorCode)
      if (name === 'FETCH_SESSION_ID_NOT_FOUND') this.#id = NO_SESSION
      this.#epoch = INITIAL_EPOCH
      return name
    }
    const isFull = this.#epoch === INITIAL_EPOCH
    let count = 0
    for (const { topic, topicId, partitions } of responses) {
      const name = this.topicOf({ topic, topicId })
      for (const { partitionIndex } of partitions) {
        if (name === undefined || !this.#partitions.has({ topic: name, partition: partitionIndex })) {
          this.#epoch = INITIAL_EPOCH
          return 'it has partitions that were not asked for'
        }
        count++
      }
    }
    if (isFull && count < this.#partitions.size) {
      this.#epoch = INITIAL_EPOCH
      return 'it leaves partitions out'
    }
    // The broker has no room for a session, or has closed it.
    if (sessionId === NO_SESSION) {
      this.#id = NO_SESSION
      this.#epoch = INITIAL_EPOCH
      return undefined
    }
    this.#id = sessionId
    this.#epoch = isFull || this.#epoch === MAX_EPOCH ? 1 : this.#epoch + 1
    return undefined
  }

  /** The request may or may not have arrived: the broker's memory is unknown. */
  failed(): void {
    this.#epoch = INITIAL_EPOCH
  }

  #byTopic<P>(wanted: readonly FetchWanted[], entryOf: (one: FetchWanted) => P): TopicEntries<P>[] {
    const topics = new Map<string, TopicEntries<P>>()
    for (const one of wanted) {
      const { topic, topicId } = one
      const key = this.#usesTopicIds ? topicId : topic
      const entries = topics.get(key)
      if (entries !== undefined) entries.partitions.push(entryOf(one))
      else topics.set(key, { ...(this.#usesTopicIds ? { topicId } : { topic }), partitions: [entryOf(one)] })
    }
    return [...topics.values()]
  }
}

const isDifferent = (a: FetchWanted, b: FetchWanted): boolean =>
  a.fetchOffset !== b.fetchOffset ||
  a.topicId !== b.topicId ||
  a.currentLeaderEpoch !== b.currentLeaderEpoch ||
  a.partitionMaxBytes !== b.partitionMaxBytes
