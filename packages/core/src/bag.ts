/** A member's place in a bag; whoever added it gives it up. */
export interface BagPlace {
  /** Takes the member out; nothing happens when it is out already. */
  leave(): void
}

class Place<T> implements BagPlace {
  readonly member: T
  readonly #places: Place<T>[]
  /** Where in `#places`; -1 once it has left. */
  index: number

  constructor(member: T, places: Place<T>[]) {
    this.member = member
    this.#places = places
    this.index = places.length
    places.push(this)
  }

  leave(): void {
    if (this.index < 0) return
    const last = this.#places.pop()!
    if (last !== this) {
      this.#places[this.index] = last
      last.index = this.index
    }
    this.index = -1
  }
}

/**
 * Members that come and go all the time, in no order. A Set would make itself a new table whenever its last member leaves, or holes fill the old one, and a dropped
 * table that has grown old keeps the next one, and all that was in it, from V8's quick collections. Here the last member takes the place of the one that leaves.
 */
export class Bag<T> {
  readonly #places: Place<T>[] = []

  get size(): number {
    return this.#places.length
  }

  add(member: T): BagPlace {
    return new Place(member, this.#places)
  }

  /** Visits every member. The visited one may leave meanwhile, as may those visited before; what is added is not visited. */
  visit(each: (member: T) => void): void {
    for (let index = this.#places.length - 1; index >= 0; index--) each(this.#places[index]!.member)
  }

  clear(): void {
    for (const place of this.#places) place.index = -1
    this.#places.length = 0
  }
}
