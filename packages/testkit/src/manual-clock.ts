import type { Clock, Timer } from '@tidelog/core'

interface PendingTimer {
  readonly dueMs: number
  readonly order: number
  readonly callback: () => void
}

/** A clock that stands still until a test moves it. */
export class ManualClock implements Clock {
  #wallMs: number
  #monotonicMs = 0
  #nextOrder = 0
  readonly #pending = new Set<PendingTimer>()

  /** @param startMs Wall-clock time to begin with, in ms since the Unix epoch. */
  constructor(startMs = 1_700_000_000_000) {
    this.#wallMs = startMs
  }

  now(): number {
    return this.#wallMs
  }

  monotonic(): number {
    return this.#monotonicMs
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const timer: PendingTimer = { dueMs: this.#monotonicMs + Math.max(0, delayMs), order: this.#nextOrder++, callback }
    this.#pending.add(timer)
    return { cancel: () => void this.#pending.delete(timer) }
  }

  /** Timers that are set and have not run. */
  get pendingTimers(): number {
    return this.#pending.size
  }

  /** Moves both times forward and runs what falls due on the way, earliest first; also what those callbacks set, if it falls due too. */
  advance(ms: number): void {
    const targetMs = this.#monotonicMs + ms
    for (;;) {
      const next = this.#earliest()
      if (next === undefined || next.dueMs > targetMs) break
      this.#pending.delete(next)
      this.#moveTo(next.dueMs)
      next.callback()
    }
    this.#moveTo(targetMs)
  }

  /** Steps the wall clock alone, as an operator or NTP does; timers do not notice. */
  setWallTime(ms: number): void {
    this.#wallMs = ms
  }

  #moveTo(monotonicMs: number): void {
    this.#wallMs += monotonicMs - this.#monotonicMs
    this.#monotonicMs = monotonicMs
  }

  #earliest(): PendingTimer | undefined {
    let earliest: PendingTimer | undefined
    for (const timer of this.#pending) {
      if (earliest === undefined || timer.dueMs < earliest.dueMs || (timer.dueMs === earliest.dueMs && timer.order < earliest.order)) {
        earliest = timer
      }
    }
    return earliest
  }
}
