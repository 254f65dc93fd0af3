/** Indexes of closed segments that are in memory. */
interface Loaded {
  readonly indexBytes: number
  unloadIndexes(): void
}

/** Bounds what indexes of closed segments take in memory: those not used for longest are dropped and read again when they are needed. */
export class IndexMemory {
  readonly #maxBytes: number
  readonly #loaded = new Map<Loaded, number>()
  #bytes = 0

  constructor(maxBytes = 16 * 1024 * 1024) {
    this.#maxBytes = maxBytes
  }

  /** Notes that `segment`'s indexes are in memory and were used just now. */
  touch(segment: Loaded): void {
    this.forget(segment)
    this.#loaded.set(segment, segment.indexBytes)
    this.#bytes += segment.indexBytes
    for (const [oldest] of this.#loaded) {
      if (this.#bytes <= this.#maxBytes || oldest === segment) break
      this.forget(oldest)
      oldest.unloadIndexes()
    }
  }

  forget(segment: Loaded): void {
    const bytes = this.#loaded.get(segment)
    if (bytes === undefined) return
    this.#loaded.delete(segment)
    this.#bytes -= bytes
  }
}
