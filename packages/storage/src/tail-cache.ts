import { batchHeader } from '@tidelog/protocol'
import { wholeBatches } from './segment.ts'
import { lastOffsetOf } from './stored-batch.ts'

const MIN_CHUNK_BYTES = 16 * 1024
const MAX_CHUNK_BYTES = 512 * 1024

/** A piece of memory with batches that follow each other in the log. Bytes below `used` never change, so readers get views of them. */
interface Chunk {
  readonly owner: LogTail
  readonly buffer: Buffer
  used: number
  /** Offset of the first batch, -1 while there is none that counts. */
  baseOffset: number
  /** Where each batch starts. */
  readonly batches: number[]
}

/** Bounds the memory of all tails of a broker: the oldest chunks go first, whosever they are. */
export class TailCache {
  readonly #maxBytes: number
  readonly #chunks = new Set<Chunk>()
  #bytes = 0

  /** @param maxBytes 0 keeps nothing. */
  constructor(maxBytes = 32 * 1024 * 1024) {
    this.#maxBytes = maxBytes
  }

  add(chunk: Chunk): void {
    this.#chunks.add(chunk)
    this.#bytes += chunk.buffer.length
    for (const oldest of this.#chunks) {
      if (this.#bytes <= this.#maxBytes) break
      oldest.owner.evict(oldest)
    }
  }

  remove(chunk: Chunk): void {
    if (this.#chunks.delete(chunk)) this.#bytes -= chunk.buffer.length
  }
}

/**
 * The latest batches of one log, in memory: appends are put together here and written to disk from here, so a live consumer reads what was just
 * written without touching the disk, and without a copy.
 */
export class LogTail {
  readonly #cache: TailCache
  /** Oldest first, without gaps. */
  #chunks: Chunk[] = []
  #nextChunkBytes = MIN_CHUNK_BYTES

  constructor(cache: TailCache) {
    this.#cache = cache
  }

  /** Room for `bytes` in one piece. `take` says how much of it was used. */
  reserve(bytes: number): TailSpace {
    const last = this.#chunks.at(-1)
    if (last !== undefined && last.buffer.length - last.used >= bytes) return new TailSpace(last)
    const chunk: Chunk = {
      owner: this,
      buffer: Buffer.allocUnsafeSlow(Math.max(bytes, this.#nextChunkBytes)),
      used: 0,
      baseOffset: -1,
      batches: [],
    }
    if (last !== undefined) this.#nextChunkBytes = Math.min(this.#nextChunkBytes * 2, MAX_CHUNK_BYTES)
    return new TailSpace(chunk)
  }

  /** Makes what was written from `space` part of the tail. */
  commit(space: TailSpace, firstOffset: number): void {
    const { chunk } = space
    if (chunk.baseOffset < 0) {
      chunk.baseOffset = firstOffset
      this.#chunks.push(chunk)
      this.#cache.add(chunk)
    }
    chunk.used = space.end
    for (const at of space.batches) chunk.batches.push(at)
  }

  /** As Segment.read; undefined when the tail does not reach back to `startOffset`. */
  read(startOffset: number, maxBytes: number, limitOffset: number, atLeastOneBatch: boolean): Buffer | undefined {
    const chunks = this.#chunks
    let index = chunks.length - 1
    while (index >= 0 && chunks[index]!.baseOffset > startOffset) index--
    if (index < 0) return undefined
    const { buffer, used, batches } = chunks[index]!
    let low = 0
    let high = batches.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (lastOffsetOf(buffer, batches[middle]!) < startOffset) low = middle + 1
      else high = middle
    }
    const at = batches[low]
    if (at === undefined) return undefined
    const allowed = atLeastOneBatch ? Math.max(maxBytes, batchHeader.sizeBytes(buffer, at)) : maxBytes
    const { batchesEnd } = wholeBatches(buffer, used, allowed, limitOffset, at)
    return buffer.subarray(at, batchesEnd)
  }

  evict(chunk: Chunk): void {
    this.#cache.remove(chunk)
    const index = this.#chunks.indexOf(chunk)
    // Those before it go too, so that no gap opens; in practice it is the first.
    for (const gone of this.#chunks.splice(0, index + 1)) this.#cache.remove(gone)
    if (this.#chunks.length === 0) this.#nextChunkBytes = MIN_CHUNK_BYTES
  }

  clear(): void {
    for (const chunk of this.#chunks) this.#cache.remove(chunk)
    this.#chunks = []
    this.#nextChunkBytes = MIN_CHUNK_BYTES
  }
}

/** Memory that appends are put together in before they are written. */
export class TailSpace {
  readonly chunk: Chunk
  /** Where each batch starts. */
  readonly batches: number[] = []
  readonly #start: number
  end: number

  constructor(chunk: Chunk) {
    this.chunk = chunk
    this.#start = chunk.used
    this.end = chunk.used
  }

  get buffer(): Buffer {
    return this.chunk.buffer
  }

  get written(): Buffer {
    return this.chunk.buffer.subarray(this.#start, this.end)
  }

  /** Copies a batch in; returns where it begins in `buffer`. */
  push(batch: Buffer): number {
    const at = this.end
    batch.copy(this.chunk.buffer, at)
    this.end += batch.length
    this.batches.push(at)
    return at
  }
}
