import { invariant } from '@tidelog/core'
import { hashKey, type KeySeed } from './key-hash.ts'

const WORDS_PER_HASH = 4
/** A slot's hash of 16 bytes and its offset of 8: what Kafka's takes, too. */
const SLOT_BYTES = 24

/**
 * The last offset of every key, in memory of a fixed size: a table of hashes and offsets, no key and no object among them. Where a slot is taken the next
 * one is tried.
 */
export class OffsetMap {
  readonly slots: number
  /** The last offset that the map knows of: beyond it, nothing is said of any record. -1 at first. */
  latestOffset = -1
  readonly #seed: KeySeed
  readonly #hashes: Int32Array
  /** Offset + 1; 0 where the slot is free. Doubles, which hold every offset there is. */
  readonly #offsets: Float64Array
  readonly #hash = new Int32Array(WORDS_PER_HASH)
  #size = 0

  constructor(slots: number, seed: KeySeed) {
    this.slots = slots
    this.#seed = seed
    this.#hashes = new Int32Array(slots * WORDS_PER_HASH)
    this.#offsets = new Float64Array(slots)
  }

  /** How many slots fit into so much memory. */
  static slotsIn(bytes: number): number {
    return Math.floor(bytes / SLOT_BYTES)
  }

  /** Keys in the map. */
  get size(): number {
    return this.#size
  }

  /** Notes that the key at `at` was last seen at `offset`. There must be a free slot, or the key be known. */
  put(buffer: Uint8Array, at: number, length: number, offset: number): void {
    const slot = this.#find(buffer, at, length)
    invariant(slot >= 0, `the map of ${this.slots} keys is full`)
    if (this.#offsets[slot] === 0) {
      this.#size++
      this.#hashes.set(this.#hash, slot * WORDS_PER_HASH)
    }
    this.#offsets[slot] = offset + 1
    this.latestOffset = offset
  }

  /** The last offset of the key at `at`; -1 when it is not in the map. */
  get(buffer: Uint8Array, at: number, length: number): number {
    const slot = this.#find(buffer, at, length)
    return slot < 0 ? -1 : this.#offsets[slot]! - 1
  }

  /** The key's slot, else the free one that it would get, else -1. */
  #find(buffer: Uint8Array, at: number, length: number): number {
    const hash = this.#hash
    hashKey(buffer, at, length, this.#seed, hash)
    const hashes = this.#hashes
    const offsets = this.#offsets
    let slot = (hash[0]! >>> 0) % this.slots
    for (let tried = 0; tried < this.slots; tried++) {
      if (offsets[slot] === 0) return slot
      const word = slot * WORDS_PER_HASH
      if (hashes[word] === hash[0] && hashes[word + 1] === hash[1] && hashes[word + 2] === hash[2] && hashes[word + 3] === hash[3])
        return slot
      if (++slot === this.slots) slot = 0
    }
    return -1
  }
}
