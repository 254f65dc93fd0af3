const KIB = 1024
const MIB = 1024 * KIB
const MIN_POOLED_BYTES = 32 * KIB
/** A producer with a backlog sends a batch of a megabyte for each of several partitions at once. */
const MAX_POOLED_BYTES = 16 * MIB
/** Idle buffers kept for the next frames. */
const MAX_IDLE_BYTES = 32 * MIB
/** Frames whose bytes are still arriving may hold this much together in buffers of their declared size; others grow as bytes come. */
const MAX_AHEAD_BYTES = 32 * MIB
/** The buffer of a frame that may not run ahead begins with this much, or what has come times the growth. */
const FIRST_BYTES = 4 * KIB
const GROWTH = 4

/**
 * Memory for frames being received. Large frames come from a pool, since a garbage collection for every few megabytes costs more than reading
 * them; whoever is done with such a frame may give it back. What a peer declares and does not send is bounded over all connections.
 */
export class FrameMemory {
  /** By size: powers of two up to a megabyte, then whole megabytes. */
  readonly #idle = new Map<number, ArrayBuffer[]>()
  readonly #lent = new WeakSet<ArrayBuffer>()
  #idleBytes = 0
  #aheadBytes = 0

  /**
   * A buffer for a frame of `declared` bytes of which `received` are there: of that size, or smaller and to be grown.
   * `ahead` goes back with `arrived` when the frame is complete or dropped.
   */
  begin(declared: number, received: number): { buffer: Buffer; ahead: number } {
    if (received >= declared) return { buffer: this.#allocate(declared), ahead: 0 }
    if (declared <= MAX_POOLED_BYTES && this.#aheadBytes + declared <= MAX_AHEAD_BYTES) {
      this.#aheadBytes += declared
      return { buffer: this.#allocate(declared), ahead: declared }
    }
    return { buffer: this.#allocate(Math.min(declared, Math.max(FIRST_BYTES, received * GROWTH))), ahead: 0 }
  }

  arrived(ahead: number): void {
    this.#aheadBytes -= ahead
  }

  /** A larger buffer with the first `filled` bytes of `buffer`, which is given back. */
  grow(buffer: Buffer, filled: number, declared: number): Buffer {
    const grown = this.#allocate(Math.min(declared, buffer.length * GROWTH))
    buffer.copy(grown, 0, 0, filled)
    this.release(buffer)
    return grown
  }

  /** Takes a frame back: nothing may refer to its bytes any more. Does nothing for one that did not come from the pool. */
  release(frame: Buffer): void {
    const memory = frame.buffer as ArrayBuffer
    if (!this.#lent.delete(memory)) return
    const size = memory.byteLength
    if (this.#idleBytes + size > MAX_IDLE_BYTES) return
    this.#idleBytes += size
    const idle = this.#idle.get(size)
    if (idle === undefined) this.#idle.set(size, [memory])
    else idle.push(memory)
  }

  #allocate(bytes: number): Buffer {
    if (bytes < MIN_POOLED_BYTES || bytes > MAX_POOLED_BYTES) return Buffer.allocUnsafe(bytes)
    const size = bytes <= MIB ? 2 ** Math.ceil(Math.log2(bytes)) : Math.ceil(bytes / MIB) * MIB
    let memory = this.#idle.get(size)?.pop()
    if (memory === undefined) memory = Buffer.allocUnsafeSlow(size).buffer as ArrayBuffer
    else this.#idleBytes -= size
    this.#lent.add(memory)
    return Buffer.from(memory, 0, bytes)
  }
}
