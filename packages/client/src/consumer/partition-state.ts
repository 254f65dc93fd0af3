import type { OffsetSpec } from '../cluster/list-offsets.ts'
import { Spread } from '../metrics.ts'
import type { TopicPartition } from '../topic-partition.ts'
import type { FetchedChunk } from './fetched-chunk.ts'
import type { Position } from './position.ts'

/** A leader in one of its epochs; -1 where it is not known. */
export interface LeaderAndEpoch {
  readonly leaderId: number
  readonly leaderEpoch: number
}

/** Everything a consumer knows of a partition that is assigned to it. */
export class PartitionState<K = unknown, V = unknown> implements TopicPartition {
  readonly topic: string
  readonly partition: number
  /** What the user gets next; undefined until a committed offset or a reset has told. */
  position: Position | undefined
  /** Where the next fetch starts: behind what is buffered. */
  fetchOffset = -1
  /** Fetched and not handed out, in order. */
  readonly chunks: FetchedChunk<K, V>[] = []
  /** The position to look up; undefined: by the committed offset, then by `auto.offset.reset`. */
  resetTo: OffsetSpec | undefined
  /** It changes when the user goes elsewhere: what was handed out before says nothing any more. */
  generation = 0
  /** It changes when the buffer is dropped as well: an answer to a fetch of before is not taken. */
  fetchGeneration = 0
  /** Of the topic that the position is one in: of the one that was last fetched from; undefined: nothing has been. */
  topicId: string | undefined
  isPaused = false
  /** Held back for want of a handler, not by the user: see run(). */
  isBusy = false
  committed: number | undefined
  /** As the last answer told; -1: unknown. */
  highWatermark = -1
  /** Where this consumer's reading ends for now: the high watermark, or the last stable offset under read_committed; -1: unknown. */
  endOffset = -1
  logStartOffset = -1
  /** Monotonic time before which it is not fetched, after an error. */
  notBeforeMs = 0
  failures = 0
  /** A replica that the leader said is closer, and until when that holds. KIP-392. */
  preferredReplica: { readonly nodeId: number; readonly untilMs: number } | undefined
  /** The leader whose log is known to hold the position; undefined: to be checked before the next fetch. KIP-320. */
  checkedLeader: LeaderAndEpoch | undefined
  /** For the metrics, as they have been seen. */
  readonly lags = new Spread()
  readonly leads = new Spread()
  #consumed: Position | undefined
  /** Of chunks that are gone. */
  #handedOut = 0
  /** How many of the records handed out newlyHandedOut() has told of. */
  #counted = 0

  constructor({ topic, partition }: TopicPartition) {
    this.topic = topic
    this.partition = partition
  }

  get needsPosition(): boolean {
    return this.position === undefined
  }

  /** Up to here the user is done: automatic commits go this far, and never beyond the position, which may have gone back meanwhile. */
  get consumed(): Position | undefined {
    return this.#consumed
  }

  set consumed(to: Position | undefined) {
    const { position } = this
    this.#consumed = to === undefined || position === undefined ? undefined : to.offset > position.offset ? position : to
  }

  /** Offsets between the position and the end of what this consumer may read; undefined: not known yet. */
  get lag(): number | undefined {
    return this.position === undefined || this.endOffset < 0 ? undefined : Math.max(0, this.endOffset - this.position.offset)
  }

  /** Offsets between the log's start and the position; undefined: not known yet. */
  get lead(): number | undefined {
    return this.position === undefined || this.logStartOffset < 0 ? undefined : Math.max(0, this.position.offset - this.logStartOffset)
  }

  get bufferedBytes(): number {
    let bytes = 0
    for (const { sizeBytes } of this.chunks) bytes += sizeBytes
    return bytes
  }

  /** Offsets between the position and the end of what is buffered: no fewer than there are records. */
  get bufferedOffsets(): number {
    return this.position === undefined || this.chunks.length === 0 ? 0 : this.fetchOffset - this.position.offset
  }

  /** The first chunk has been handed out. */
  shiftChunk(): void {
    this.#handedOut += this.chunks.shift()?.handedOut ?? 0
  }

  /** How many records have been handed out since this was asked last. */
  newlyHandedOut(): number {
    const handedOut = this.#handedOut + (this.chunks[0]?.handedOut ?? 0)
    const count = handedOut - this.#counted
    this.#counted = handedOut
    return count
  }

  /** Goes on from another offset, as the user wants it; what is buffered and what is under way is dropped. */
  seek(position: Position): void {
    this.generation++
    this.moveTo(position)
  }

  /** Has the position looked up, as the user wants it. */
  reset(to: OffsetSpec | undefined): void {
    this.generation++
    this.lookUp(to)
  }

  /** Goes on from where the log has it: found by a lookup, or behind what has been truncated. What was handed out before stays the user's. */
  moveTo(position: Position): void {
    this.#drop()
    this.position = position
    this.consumed = position
    this.fetchOffset = position.offset
    this.resetTo = undefined
    this.checkedLeader = undefined
  }

  /** Has the position looked up, since the log has none such. */
  lookUp(to: OffsetSpec | undefined): void {
    this.#drop()
    this.position = undefined
    this.consumed = undefined
    this.resetTo = to
  }

  /** Forgets what is buffered, so that it is fetched again. */
  refetch(): void {
    this.#drop()
    this.fetchOffset = this.position?.offset ?? -1
  }

  #drop(): void {
    this.fetchGeneration++
    this.#handedOut += this.chunks[0]?.handedOut ?? 0
    this.chunks.length = 0
  }
}
