/** One value by Kafka's name of it. Totals count since the client was made; times are in ms, sizes in bytes. */
export interface Metric {
  readonly name: string
  /** As Kafka groups them: `producer-metrics`, `consumer-fetch-manager-metrics`… */
  readonly group: string
  readonly tags: Readonly<Record<string, string>>
  readonly value: number
}

/** Kafka's defaults of `metrics.sample.window.ms` and `metrics.num.samples`. */
const WINDOW_MS = 30_000
const WINDOWS = 2

/** How much a second of late: over the window under way and the one before it, and at least over a whole one, as Kafka's rates go. */
export class Rate {
  #windowStartMs: number | undefined
  #current = 0
  #previous = 0
  #hasPrevious = false

  record(value: number, nowMs: number): void {
    this.#roll(nowMs)
    this.#current += value
  }

  perSecond(nowMs: number): number {
    this.#roll(nowMs)
    const sinceMs = nowMs - (this.#windowStartMs ?? nowMs) + (this.#hasPrevious ? WINDOW_MS : 0)
    return ((this.#current + this.#previous) / Math.max(sinceMs, WINDOW_MS * (WINDOWS - 1))) * 1000
  }

  #roll(nowMs: number): void {
    this.#windowStartMs ??= nowMs
    const passed = Math.floor((nowMs - this.#windowStartMs) / WINDOW_MS)
    if (passed === 0) return
    this.#previous = passed === 1 ? this.#current : 0
    this.#hasPrevious = true
    this.#current = 0
    this.#windowStartMs += passed * WINDOW_MS
  }
}
