/** A moment at which something happens unless it is put off or cancelled first. Made once, moved as often as needed. */
export interface Deadline<S> {
  /** Monotonic ms; Infinity while nothing is due. */
  dueMs: number
  /** Where the heap keeps it: its position, -1 outside, and the time it is sorted by, at most `dueMs`. */
  index: number
  sortMs: number
  /** Gets the step that is being made at that moment. */
  readonly onDue: (step: S) => void
}

export const newDeadline = <S>(onDue: (step: S) => void): Deadline<S> => ({ dueMs: Infinity, index: -1, sortMs: 0, onDue })

/**
 * The deadlines of one coordinator partition, earliest first. Putting a deadline off, which every heartbeat does, only notes the new time:
 * the entry sinks when it comes to the top.
 */
export class DeadlineHeap<S> {
  readonly #heap: Deadline<S>[] = []

  set(deadline: Deadline<S>, dueMs: number): void {
    deadline.dueMs = dueMs
    if (deadline.index < 0) {
      deadline.sortMs = dueMs
      this.#place(deadline, this.#heap.length)
      this.#rise(deadline)
    } else if (dueMs < deadline.sortMs) {
      deadline.sortMs = dueMs
      this.#rise(deadline)
    }
  }

  cancel(deadline: Deadline<S>): void {
    if (deadline.index < 0) return
    deadline.dueMs = Infinity
    const { index } = deadline
    deadline.index = -1
    const last = this.#heap.pop()!
    if (last === deadline) return
    this.#place(last, index)
    this.#rise(last)
    this.#sink(last)
  }

  /** Monotonic ms of the earliest deadline, Infinity without any. */
  get nextMs(): number {
    for (;;) {
      const top = this.#heap[0]
      if (top === undefined) return Infinity
      if (top.sortMs >= top.dueMs) return top.dueMs
      top.sortMs = top.dueMs
      this.#sink(top)
    }
  }

  /** Takes out the earliest deadline that is due at `nowMs`, if there is one. */
  take(nowMs: number): Deadline<S> | undefined {
    if (this.nextMs > nowMs) return undefined
    const top = this.#heap[0]!
    this.cancel(top)
    return top
  }

  #place(deadline: Deadline<S>, index: number): void {
    this.#heap[index] = deadline
    deadline.index = index
  }

  #rise(deadline: Deadline<S>): void {
    while (deadline.index > 0) {
      const at = deadline.index
      const parent = this.#heap[(at - 1) >> 1]!
      if (parent.sortMs <= deadline.sortMs) return
      this.#place(deadline, parent.index)
      this.#place(parent, at)
    }
  }

  #sink(deadline: Deadline<S>): void {
    for (;;) {
      const at = deadline.index
      const left = this.#heap[2 * at + 1]
      if (left === undefined) return
      const right = this.#heap[2 * at + 2]
      const child = right !== undefined && right.sortMs < left.sortMs ? right : left
      if (child.sortMs >= deadline.sortMs) return
      this.#place(deadline, child.index)
      this.#place(child, at)
    }
  }
}
