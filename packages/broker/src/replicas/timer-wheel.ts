import { Bag, type BagPlace, type Clock, type Timer } from '@tidelog/core'

const SLOTS = 1024

/** A place on the wheel; `cancel` takes it off. */
export interface WheelTimer {
  cancel(): void
}

class Entry implements WheelTimer {
  readonly dueMs: number
  readonly dueTick: number
  readonly callback: () => void
  readonly #place: BagPlace | undefined

  constructor(due: { ms: number; tick: number }, callback: () => void, slot: Bag<Entry> | undefined) {
    this.dueMs = due.ms
    this.dueTick = due.tick
    this.callback = callback
    this.#place = slot?.add(this)
  }

  cancel(): void {
    this.#place?.leave()
  }
}

/**
 * Many short waits on one timer of the clock: adding and cancelling cost the same however many wait. Waits are rounded up to whole ticks.
 * Entries further ahead than one turn stay in their slot until their turn comes. Source: Varghese and Lauck, "Hashed and hierarchical timing wheels".
 */
export class TimerWheel {
  readonly #clock: Clock
  readonly #tickMs: number
  readonly #slots: Bag<Entry>[] = Array.from({ length: SLOTS }, () => new Bag())
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
    const ms = this.#clock.monotonic() + delayMs
    const tick = Math.max(this.#tick + 1, Math.ceil(ms / this.#tickMs))
    const entry = new Entry({ ms, tick }, callback, this.#closed ? undefined : this.#slots[tick % SLOTS])
    if (!this.#closed && tick < this.#armedTick) this.#arm(tick)
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
      this.#slots[tick % SLOTS]!.visit((entry) => {
        if (entry.dueTick > now) return
        entry.cancel()
        due.push(entry)
      })
    }
    this.#tick = Math.max(this.#tick, now)
    this.#armed = undefined
    this.#armedTick = Number.POSITIVE_INFINITY
    due.sort((a, b) => a.dueMs - b.dueMs)
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
