import type { Clock, Random } from '@tidelog/core'

/** One partition of a fetch, as the request or its session names it: by name up to version 12, by id from 13 on. */
export interface FetchPartition {
  readonly topic: string
  readonly topicId: string
  readonly partition: number
  fetchOffset: number
  maxBytes: number
  currentLeaderEpoch: number
  lastFetchedEpoch: number
}

/** What a session must know of an answer to tell whether the next one differs. */
export interface FetchedPartition {
  readonly errorCode: number
  readonly highWatermark: number
  readonly logStartOffset: number
  readonly recordsBytes: number
  /** The fetcher's log has diverged and must be told, records or not. */
  readonly diverged: boolean
}

interface CachedPartition extends FetchPartition {
  /** As answered last; -1 where the next answer must name the partition whatever happens. */
  answeredHighWatermark: number
  answeredLogStartOffset: number
}

interface Session {
  readonly id: number
  readonly privileged: boolean
  readonly usesTopicIds: boolean
  readonly createdMs: number
  /** In the order in which they are served: what has just sent records goes to the end. */
  readonly partitions: Map<string, CachedPartition>
  epoch: number
  lastUsedMs: number
}

export interface FetchSessionRequest {
  readonly sessionId: number
  readonly sessionEpoch: number
  readonly usesTopicIds: boolean
  /** A follower's session outlives consumers' when the cache is full. */
  readonly fromFollower: boolean
  readonly partitions: readonly FetchPartition[]
  readonly forgotten: readonly { topic: string; topicId: string; partition: number }[]
}

/** The partitions to read for one request, and what its answer has to say of them. */
export interface FetchContext {
  /** FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH or FETCH_SESSION_TOPIC_ID_ERROR: the answer holds nothing else. */
  readonly error?: 'FETCH_SESSION_ID_NOT_FOUND' | 'INVALID_FETCH_SESSION_EPOCH' | 'FETCH_SESSION_TOPIC_ID_ERROR'
  readonly partitions: readonly FetchPartition[]
  /** Given what was read, in the order of `partitions`: the session's id (0: none) and which of them the answer names. */
  finish(fetched: readonly FetchedPartition[]): { sessionId: number; includes: (index: number) => boolean }
}

const initialEpoch = 0
const finalEpoch = -1
const noSession = 0
const EVICTABLE_AFTER_MS = 120_000
/** All sessions together: beyond this many partitions a full fetch gets no session, so that a hostile client cannot fill the memory. */
const MAX_CACHED_PARTITIONS = 250_000

const keyOf = ({ topic, topicId, partition }: { topic: string; topicId: string; partition: number }) => `${partition} ${topic}${topicId}`
const everyPartition = { sessionId: noSession, includes: () => true }

/**
 * Remembers each fetcher's partitions, so that its next requests name only what changes and its answers only what is new. At most
 * `max.incremental.fetch.session.cache.slots` sessions; a full cache evicts what is stale, then what is smaller, else the fetch gets none.
 * Source: KIP-227.
 */
export class FetchSessions {
  readonly #clock: Clock
  readonly #random: Random
  readonly #maxSlots: () => number
  readonly #sessions = new Map<number, Session>()
  #cachedPartitions = 0

  constructor({ clock, random, maxSlots }: { clock: Clock; random: Random; maxSlots: () => number }) {
    this.#clock = clock
    this.#random = random
    this.#maxSlots = maxSlots
  }

  get size(): number {
    return this.#sessions.size
  }

  begin(request: FetchSessionRequest): FetchContext {
    const { sessionId, sessionEpoch } = request
    if (sessionEpoch === initialEpoch || sessionEpoch === finalEpoch) {
      const old = this.#sessions.get(sessionId)
      if (old !== undefined) this.#remove(old)
      if (sessionEpoch === finalEpoch) return { partitions: request.partitions, finish: () => everyPartition }
      return { partitions: request.partitions, finish: (fetched) => ({ ...everyPartition, sessionId: this.#create(request, fetched) }) }
    }
    const session = this.#sessions.get(sessionId)
    if (session === undefined) return failed('FETCH_SESSION_ID_NOT_FOUND')
    if (session.epoch !== sessionEpoch) return failed('INVALID_FETCH_SESSION_EPOCH')
    if (session.usesTopicIds !== request.usesTopicIds) return failed('FETCH_SESSION_TOPIC_ID_ERROR')
    return this.#continue(session, request)
  }

  #continue(session: Session, request: FetchSessionRequest): FetchContext {
    for (const partition of request.partitions) {
      const key = keyOf(partition)
      const cached = session.partitions.get(key)
      if (cached === undefined) {
        session.partitions.set(key, { ...partition, answeredHighWatermark: -1, answeredLogStartOffset: -1 })
        this.#cachedPartitions++
      } else {
        cached.fetchOffset = partition.fetchOffset
        cached.maxBytes = partition.maxBytes
        cached.currentLeaderEpoch = partition.currentLeaderEpoch
        cached.lastFetchedEpoch = partition.lastFetchedEpoch
      }
    }
    // What comes in both lists goes, as in Kafka.
    for (const partition of request.forgotten) {
      if (session.partitions.delete(keyOf(partition))) this.#cachedPartitions--
    }
    if (session.partitions.size === 0) {
      this.#remove(session)
      return { partitions: [], finish: () => everyPartition }
    }
    if (this.#cachedPartitions > MAX_CACHED_PARTITIONS) {
      this.#remove(session)
      return failed('FETCH_SESSION_ID_NOT_FOUND')
    }
    session.lastUsedMs = this.#clock.monotonic()
    session.epoch = session.epoch === 2 ** 31 - 1 ? 1 : session.epoch + 1
    const partitions = [...session.partitions.values()]
    return { partitions, finish: (fetched) => ({ sessionId: session.id, includes: whatIsNew(session, partitions, fetched) }) }
  }

  #create(request: FetchSessionRequest, fetched: readonly FetchedPartition[]): number {
    const size = request.partitions.length
    if (this.#cachedPartitions + size > MAX_CACHED_PARTITIONS || !this.#makeRoom(request.fromFollower, size)) return noSession
    const nowMs = this.#clock.monotonic()
    const session: Session = {
      id: this.#newId(),
      privileged: request.fromFollower,
      usesTopicIds: request.usesTopicIds,
      createdMs: nowMs,
      partitions: new Map(),
      epoch: 1,
      lastUsedMs: nowMs,
    }
    for (const [index, partition] of request.partitions.entries()) {
      const { errorCode, highWatermark, logStartOffset } = fetched[index]!
      session.partitions.set(keyOf(partition), {
        ...partition,
        answeredHighWatermark: errorCode === 0 ? highWatermark : -1,
        answeredLogStartOffset: logStartOffset,
      })
    }
    this.#sessions.set(session.id, session)
    this.#cachedPartitions += session.partitions.size
    return session.id
  }

  #makeRoom(privileged: boolean, size: number): boolean {
    const maxSlots = this.#maxSlots()
    if (maxSlots <= 0) return false
    if (this.#sessions.size < maxSlots) return true
    const nowMs = this.#clock.monotonic()
    let stalest: Session | undefined
    let smallest: Session | undefined
    for (const session of this.#sessions.values()) {
      if (stalest === undefined || session.lastUsedMs < stalest.lastUsedMs) stalest = session
      const evictable = !session.privileged && (privileged || nowMs - session.createdMs > EVICTABLE_AFTER_MS)
      if (evictable && (smallest === undefined || session.partitions.size < smallest.partitions.size)) smallest = session
    }
    if (stalest !== undefined && nowMs - stalest.lastUsedMs > EVICTABLE_AFTER_MS) this.#remove(stalest)
    else if (smallest !== undefined && (privileged || smallest.partitions.size < size)) this.#remove(smallest)
    else return false
    return true
  }

  #remove(session: Session): void {
    if (this.#sessions.delete(session.id)) this.#cachedPartitions -= session.partitions.size
  }

  #newId(): number {
    for (;;) {
      const id = 1 + this.#random.int(2 ** 31 - 1)
      if (!this.#sessions.has(id)) return id
    }
  }
}

function failed(error: NonNullable<FetchContext['error']>): FetchContext {
  return { error, partitions: [], finish: () => everyPartition }
}

function whatIsNew(
  session: Session,
  partitions: readonly FetchPartition[],
  fetched: readonly FetchedPartition[],
): (index: number) => boolean {
  const isNew = partitions.map((partition, index) => {
    const answer = fetched[index]!
    const cached = partition as CachedPartition
    const changed =
      answer.recordsBytes > 0 ||
      answer.errorCode !== 0 ||
      answer.diverged ||
      cached.answeredHighWatermark !== answer.highWatermark ||
      cached.answeredLogStartOffset !== answer.logStartOffset
    // After an error the next answer names the partition again, whatever it holds.
    cached.answeredHighWatermark = answer.errorCode === 0 ? answer.highWatermark : -1
    cached.answeredLogStartOffset = answer.logStartOffset
    if (answer.recordsBytes > 0) {
      // Served last time, so it comes last the next time: a small answer must not starve the partitions behind it.
      const key = keyOf(partition)
      if (session.partitions.delete(key)) session.partitions.set(key, cached)
    }
    return changed
  })
  return (index) => isNew[index]!
}
