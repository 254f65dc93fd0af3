/**
 * A map that is made with its first entry. V8 gives an empty one a table of 200 bytes, and most of a broker's thousands of partitions never have an entry in most
 * of theirs.
 */
export class LazyMap<K, V> {
  #map: Map<K, V> | undefined

  constructor(entries: Iterable<readonly [K, V]> = []) {
    for (const [key, value] of entries) this.set(key, value)
  }

  get size(): number {
    return this.#map?.size ?? 0
  }

  get(key: K): V | undefined {
    return this.#map?.get(key)
  }

  set(key: K, value: V): void {
    this.#map ??= new Map()
    this.#map.set(key, value)
  }

  delete(key: K): boolean {
    return this.#map?.delete(key) === true
  }

  clear(): void {
    this.#map = undefined
  }

  keys(): Iterable<K> {
    return this.#map?.keys() ?? []
  }

  values(): Iterable<V> {
    return this.#map?.values() ?? []
  }

  /** In the order in which the keys came, as a Map; entries may go meanwhile. */
  [Symbol.iterator](): Iterator<[K, V]> {
    return (this.#map ?? ([] as [K, V][]))[Symbol.iterator]()
  }
}
