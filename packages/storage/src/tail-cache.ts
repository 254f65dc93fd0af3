import { batchHeader } from '@tidelog/protocol'
import { lastOffsetOf, wholeBatches } from './stored-batch.ts'

const MIN_CHUNK_BYTES = 1024
/** All chunks of a busy log are of this size, so that the memory of an old one is used for the next. */
export const MAX_CHUNK_BYTES = 1024 * 1024
/** So much is copied together from chunks that follow each other, so that a reader of many small appends need not ask for each chunk. */
const GATHERED_BYTES = 64 * 1024
/** Chunks come in powers of two and this fraction more, so that one of 1 MiB holds a batch of max.message.bytes. */
const CHUNK_MARGIN = 64
/** Memory of evicted chunks that is kept for new ones: fresh memory costs a page fault every 4 KiB. */
const MAX_SPARE_BYTES = 8 * 1024 * 1024

/** A piece of memory with batches that follow each other in the log. Bytes below `used` never change, so readers get views of them. */
interface Chunk {
  readonly owner: LogTail
  readonly buffer: Buffer
  used: number
  /** Offset of the first batch, -1 while there is none that counts. */
  baseOffset: number
  /** Where each batch starts. */
  batches: number[]
  /** A reader has a view of it: its memory is the garbage collector's, not ours to use again. */
  isShared: boolean
  /** A write from it is under way. */
  isWriting: boolean
}

/** Bounds the memory of all tails of a broker: the oldest chunks go first, whosever they are. */
export class TailCache {
  readonly #maxBytes: number
  readonly #chunks = new Set<Chunk>()
  #bytes = 0
  /** In the order in which they came: what nobody wanted for longest makes way, as sizes do that a log has grown out of. */
  readonly #spare: Buffer[] = []
  #spareBytes = 0

  /** @param maxBytes 0 keeps nothing. */
  constructor(maxBytes = 32 * 1024 * 1024) {
    this.#maxBytes = maxBytes
  }

  /** Memory for a chunk of at least `bytes`. */
  allocate(bytes: number): Buffer {
    let sizeBytes = MIN_CHUNK_BYTES
    while (sizeBytes + sizeBytes / CHUNK_MARGIN < bytes) sizeBytes *= 2
    sizeBytes += sizeBytes / CHUNK_MARGIN
    const spare = this.#spare.findLastIndex(({ length }) => length === sizeBytes)
    if (spare < 0) return Buffer.allocUnsafeSlow(sizeBytes)
    this.#spareBytes -= sizeBytes
    return this.#spare.splice(spare, 1)[0]!
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
    const { buffer } = chunk
    if (!this.#chunks.delete(chunk)) return
    this.#bytes -= buffer.length
    if (chunk.isShared || chunk.isWriting) return
    this.#spare.push(buffer)
    this.#spareBytes += buffer.length
    while (this.#spareBytes > MAX_SPARE_BYTES) this.#spareBytes -= this.#spare.shift()!.length
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

  /** Room for `bytes` in one piece, behind what is there if it fits. One at a time. */
  reserve(bytes: number): TailSpace {
    const last = this.#chunks.at(-1)
    if (last !== undefined && last.buffer.length - last.used >= bytes) {
      last.isWriting = true
      return new TailSpace(last)
    }
    const chunk: Chunk = {
      owner: this,
      buffer: this.#cache.allocate(Math.max(bytes, this.#nextChunkBytes)),
      used: 0,
      baseOffset: -1,
      batches: [],
      isShared: false,
      isWriting: true,
    }
    if (last !== undefined) this.#nextChunkBytes = Math.min(this.#nextChunkBytes * 2, MAX_CHUNK_BYTES)
    return new TailSpace(chunk)
  }

  /** Makes what was written from `space` part of the tail. */
  commit(space: TailSpace, firstOffset: number): void {
    const { chunk } = space
    chunk.isWriting = false
    chunk.used = space.end
    if (chunk.baseOffset >= 0) {
      for (const at of space.batches) chunk.batches.push(at)
      return
    }
    chunk.baseOffset = firstOffset
    // Exact: many logs never get a second batch or chunk, and pushing makes room for 17.
    chunk.batches = space.batches.slice()
    if (this.#chunks.length === 0) this.#chunks = [chunk]
    else this.#chunks.push(chunk)
    this.#cache.add(chunk)
  }

  /** As Segment.read; undefined when the tail does not reach back to `startOffset`. What lies in several small chunks is put together. */
  read(startOffset: number, maxBytes: number, limitOffset: number, atLeastOneBatch: boolean): Buffer | undefined {
    const chunks = this.#chunks
    let index = chunks.length - 1
    while (index >= 0 && chunks[index]!.baseOffset > startOffset) index--
    if (index < 0) return undefined
    const chunk = chunks[index]!
    const { buffer, used, batches } = chunk
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
    const records = buffer.subarray(at, batchesEnd)
    const more =
      batchesEnd === used ? this.#smallChunksFrom(index + 1, Math.min(maxBytes, GATHERED_BYTES) - records.length, limitOffset) : []
    if (more.length > 0) return Buffer.concat([records, ...more])
    if (batchesEnd > at) chunk.isShared = true
    return records
  }

  /** The batches of the chunks from number `index` on that fit into `maxBytes`. */
  #smallChunksFrom(index: number, maxBytes: number, limitOffset: number): Buffer[] {
    const found: Buffer[] = []
    let left = maxBytes
    for (let next = index; next < this.#chunks.length; next++) {
      const { buffer, used, batches } = this.#chunks[next]!
      const at = batches[0]!
      const { batchesEnd } = wholeBatches(buffer, used, left, limitOffset, at)
      if (batchesEnd === at) break
      found.push(buffer.subarray(at, batchesEnd))
      left -= batchesEnd - at
      if (batchesEnd < used) break
    }
    return found
  }

  evict(chunk: Chunk): void {
    this.#cache.remove(chunk)
    const index = this.#chunks.indexOf(chunk)
    // Those before it go too, so that no gap opens; in practice it is the first.
    for (const gone of this.#chunks.splice(0, index + 1)) this.#cache.remove(gone)
    if (this.#chunks.length === 0) this.#nextChunkBytes = MIN_CHUNK_BYTES
  }

  /** Forgets the batches before `offset`, and those that lie in one piece of memory with them. */
  dropBefore(offset: number): void {
    const last = this.#chunks.findLast(({ baseOffset }) => baseOffset < offset)
    if (last !== undefined) this.evict(last)
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
