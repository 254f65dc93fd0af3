const KIB = 1024
const MIB = 1024 * KIB

export interface BufferPoolLimits {
  /** Smaller buffers are not worth keeping. */
  readonly minBytes?: number
  /** Larger ones would rest too much memory on a rare need. */
  readonly maxBytes?: number
  /** Idle buffers kept for the next ones. */
  readonly maxIdleBytes?: number
}

/**
 * Memory for large buffers that live for a moment, used again and again: fresh memory costs a page fault every 4 KiB, and what V8 holds outside of its
 * heap a garbage collection every few megabytes, which is more than reading a socket or a file into it.
 * Giving a buffer back is optional; one that is dropped instead is the garbage collector's.
 */
export class BufferPool {
  readonly #minBytes: number
  readonly #maxBytes: number
  readonly #maxIdleBytes: number
  /** In order of their return. Sizes are powers of two up to a megabyte, then whole megabytes. */
  readonly #idle: ArrayBuffer[] = []
  readonly #lent = new WeakSet<ArrayBuffer>()
  #idleBytes = 0

  constructor({ minBytes = 32 * KIB, maxBytes = 16 * MIB, maxIdleBytes = 16 * MIB }: BufferPoolLimits = {}) {
    this.#minBytes = minBytes
    this.#maxBytes = maxBytes
    this.#maxIdleBytes = maxIdleBytes
  }

  /** A buffer of `bytes` with anything in it. */
  allocate(bytes: number): Buffer {
    if (bytes < this.#minBytes || bytes > this.#maxBytes) return Buffer.allocUnsafe(bytes)
    const size = bytes <= MIB ? 2 ** Math.ceil(Math.log2(bytes)) : Math.ceil(bytes / MIB) * MIB
    let memory = this.#takeIdle(size)
    if (memory === undefined) memory = Buffer.allocUnsafeSlow(size).buffer as ArrayBuffer
    else this.#idleBytes -= memory.byteLength
    this.#lent.add(memory)
    return Buffer.from(memory, 0, bytes)
  }

  /** Takes a buffer, or any view of it, back: nothing may refer to its bytes any more. Does nothing for one that did not come from the pool. */
  release(buffer: Uint8Array): void {
    const memory = buffer.buffer as ArrayBuffer
    if (!this.#lent.delete(memory)) return
    this.#idle.push(memory)
    this.#idleBytes += memory.byteLength
    while (this.#idleBytes > this.#maxIdleBytes) this.#idleBytes -= this.#idle.shift()!.byteLength
  }

  /** The smallest that is large enough; one that is more than twice as large is left for those who need it, and no small frame that is kept pins it down. */
  #takeIdle(size: number): ArrayBuffer | undefined {
    const idle = this.#idle
    let best = -1
    let bestBytes = 2 * size + 1
    for (let index = idle.length - 1; index >= 0 && bestBytes > size; index--) {
      const { byteLength } = idle[index]!
      if (byteLength < size || byteLength >= bestBytes) continue
      best = index
      bestBytes = byteLength
    }
    return best < 0 ? undefined : idle.splice(best, 1)[0]
  }
}
