/** A map that forgets its oldest entry when it is full. A get costs what a Map's does: age is that of the entry, not of its last use. */
export class BoundedMap<K, V> {
  readonly #entries = new Map<K, V>()
  readonly #capacity: number

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: K): V | undefined {
    return this.#entries.get(key)
  }

  set(key: K, value: V): void {
    if (!this.#entries.has(key) && this.#entries.size >= this.#capacity) {
      const [oldest] = this.#entries.keys()
      this.#entries.delete(oldest as K)
    }
    this.#entries.set(key, value)
  }

  delete(key: K): void {
    this.#entries.delete(key)
  }

  clear(): void {
    this.#entries.clear()
  }
}

/** Results of asynchronous work by key: work under way is shared, and what failed is done anew when it is asked for again. */
export class BoundedCache<V> {
  readonly #values: BoundedMap<string, Promise<V>>

  constructor(capacity: number) {
    this.#values = new BoundedMap(capacity)
  }

  get(key: string, load: () => Promise<V>): Promise<V> {
    const known = this.#values.get(key)
    if (known !== undefined) return known
    const loading = load()
    this.#values.set(key, loading)
    loading.catch(() => {
      if (this.#values.get(key) === loading) this.#values.delete(key)
    })
    return loading
  }

  clear(): void {
    this.#values.clear()
  }
}
