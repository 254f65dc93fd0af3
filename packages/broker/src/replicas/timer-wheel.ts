import type { Clock, Timer } from '@tidelog/core'

const SLOTS = 1024

/** A place on the wheel; `cancel` takes it off. */
export interface WheelTimer {
  cancel(): void
}

class Entry implements WheelTimer {
  readonly dueTick: number
  readonly callback: () => void
  readonly #slot: Set<Entry>
  constructor(dueTick: number, callback: () => void, slot: Set<Entry>) {
    this.dueTick = dueTick
    this.callback = callback
    this.#slot = slot
  }
  cancel(): void {
    this.#slot.delete(this)
  }
}

/**
 * Many short waits on one timer of the clock: adding and cancelling cost the same however many wait. Waits are rounded up to whole ticks.
 * Entries further ahead than one turn stay in their slot until their turn comes. Source: Varghese and Lauck, "Hashed and hierarchical timing wheels".
 */
export class TimerWheel {
  readonly #clock: Clock
  readonly #tickMs: number
  readonly #slots: Set<Entry>[] = Array.from({ length: SLOTS }, () => new Set())
  /** Every entry due at or before this tick has run. */
  #tick: number
  #armed: Timer | undefined
  #armedTick = Number.POSITIVE_INFINITY
  #closed = false

  constructor(clock: Clock, { tickMs = 2 }: { tickMs?: number } = {}) {
    this.#clock = clock
    this.#tickMs = tickMs
    this.#tick = this.#now()
  }

  /** Calls `callback` once, `delayMs` or up to a tick more from now. After `close` nothing is called. */
  add(delayMs: number, callback: () => void): WheelTimer {
    const dueTick = Math.max(this.#tick + 1, Math.ceil((this.#clock.monotonic() + delayMs) / this.#tickMs))
    const slot = this.#slots[dueTick % SLOTS]!
    const entry = new Entry(dueTick, callback, slot)
    if (this.#closed) return entry
    slot.add(entry)
    if (dueTick < this.#armedTick) this.#arm(dueTick)
    return entry
  }

  /** Drops what waits and stops the clock's timer. */
  close(): void {
    this.#closed = true
    this.#armed?.cancel()
    for (const slot of this.#slots) slot.clear()
  }

  #now(): number {
    return Math.floor(this.#clock.monotonic() / this.#tickMs)
  }

  #arm(tick: number): void {
    this.#armed?.cancel()
    this.#armedTick = tick
    this.#armed = this.#clock.setTimer(Math.max(0, tick * this.#tickMs - this.#clock.monotonic()), () => this.#turn())
  }

  #turn(): void {
    const now = this.#now()
    const due: Entry[] = []
    const last = Math.min(now, this.#tick + SLOTS)
    for (let tick = this.#tick + 1; tick <= last; tick++) {
      const slot = this.#slots[tick % SLOTS]!
      for (const entry of slot) {
        if (entry.dueTick > now) continue
        slot.delete(entry)
        due.push(entry)
      }
    }
    this.#tick = Math.max(this.#tick, now)
    this.#armed = undefined
    this.#armedTick = Number.POSITIVE_INFINITY
    due.sort((a, b) => a.dueTick - b.dueTick)
    for (const entry of due) entry.callback()
    if (!this.#closed && this.#armedTick === Number.POSITIVE_INFINITY) this.#armNext()
  }

  /** The first slot ahead that holds anything: at worst its entries belong to a later turn, and the wheel looks again then. */
  #armNext(): void {
    for (let ahead = 1; ahead <= SLOTS; ahead++) {
      if (this.#slots[(this.#tick + ahead) % SLOTS]!.size === 0) continue
      this.#arm(this.#tick + ahead)
      return
    }
  }
}
