import type { OffsetSpec } from '../cluster/list-offsets.ts'
import type { TopicPartition } from '../topic-partition.ts'
import type { FetchedChunk } from './fetched-chunk.ts'
import type { Position } from './position.ts'

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
  /** It changes with every seek: an answer to a fetch of before is dropped. */
  generation = 0
  isPaused = false
  /** Held back for want of a handler, not by the user: see run(). */
  isBusy = false
  /** Up to here the user is done: automatic commits go this far. */
  consumed: Position | undefined
  committed: number | undefined
  highWatermark = -1
  lastStableOffset = -1
  logStartOffset = -1
  /** Monotonic time before which it is not fetched, after an error. */
  notBeforeMs = 0
  failures = 0
  /** A replica that the leader said is closer, and until when that holds. KIP-392. */
  preferredReplica: { readonly nodeId: number; readonly untilMs: number } | undefined

  constructor({ topic, partition }: TopicPartition) {
    this.topic = topic
    this.partition = partition
  }

  get needsPosition(): boolean {
    return this.position === undefined
  }

  get bufferedBytes(): number {
    let bytes = 0
    for (const { sizeBytes } of this.chunks) bytes += sizeBytes
    return bytes
  }

  /** Goes on from another offset; what is buffered and what is under way is dropped. */
  seek(position: Position): void {
    this.#drop()
    this.position = position
    this.consumed = position
    this.fetchOffset = position.offset
    this.resetTo = undefined
  }

  /** Has the position looked up. */
  reset(to: OffsetSpec | undefined): void {
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
    this.generation++
    this.chunks.length = 0
  }
}
