import { BufferPool } from '@tidelog/core'

const KIB = 1024
const MIB = 1024 * KIB
/** A producer with a backlog sends a batch of a megabyte for each of several partitions at once. */
const MAX_POOLED_BYTES = 16 * MIB
/** Frames whose bytes are still arriving may hold this much together in buffers of their declared size; others grow as bytes come. */
const MAX_AHEAD_BYTES = 16 * MIB
/** The buffer of a frame that may not run ahead begins with this much, or what has come times the growth. */
const FIRST_BYTES = 4 * KIB
const GROWTH = 4

/**
 * Memory for frames being received. Large frames come from a pool; whoever is done with such a frame may give it back. What a peer declares and does
 * not send is bounded over all connections.
 */
export class FrameMemory {
  readonly #pool = new BufferPool({ maxBytes: MAX_POOLED_BYTES })
  #aheadBytes = 0

  /**
   * A buffer for a frame of `declared` bytes of which `received` are there: of that size, or smaller and to be grown.
   * `ahead` goes back with `arrived` when the frame is complete or dropped.
   */
  begin(declared: number, received: number): { buffer: Buffer; ahead: number } {
    if (received >= declared) return { buffer: this.#pool.allocate(declared), ahead: 0 }
    if (declared <= MAX_POOLED_BYTES && this.#aheadBytes + declared <= MAX_AHEAD_BYTES) {
      this.#aheadBytes += declared
      return { buffer: this.#pool.allocate(declared), ahead: declared }
    }
    return { buffer: this.#pool.allocate(Math.min(declared, Math.max(FIRST_BYTES, received * GROWTH))), ahead: 0 }
  }

  arrived(ahead: number): void {
    this.#aheadBytes -= ahead
  }

  /** A larger buffer with the first `filled` bytes of `buffer`, which is given back. */
  grow(buffer: Buffer, filled: number, declared: number): Buffer {
    const grown = this.#pool.allocate(Math.min(declared, buffer.length * GROWTH))
    buffer.copy(grown, 0, 0, filled)
    this.release(buffer)
    return grown
  }

  /** Takes a frame back: nothing may refer to its bytes any more. Does nothing for one that did not come from the pool. */
  release(frame: Buffer): void {
    this.#pool.release(frame)
  }
}
