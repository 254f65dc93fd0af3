/** One value by Kafka's name of it. Totals count since the client was made; times are in ms, sizes in bytes. */
export interface Metric {
  /** Such as `record-send-total`. */
  readonly name: string
  /** As Kafka groups them: `producer-metrics`, `consumer-fetch-manager-metrics`… */
  readonly group: string
  readonly tags: Readonly<Record<string, string>>
  readonly value: number
}

/** Kafka's defaults of `metrics.sample.window.ms` and `metrics.num.samples`. */
const WINDOW_MS = 30_000
const WINDOWS = 2

const NOT_BEGUN = Number.NEGATIVE_INFINITY

/** Says when a window is over. Asked several times a request: while it is not, that is one comparison. */
class Windows {
  #endMs = NOT_BEGUN

  /** How many windows have ended since this was asked last. */
  ended(nowMs: number): number {
    return nowMs < this.#endMs ? 0 : this.#goOn(nowMs)
  }

  #goOn(nowMs: number): number {
    if (this.#endMs === NOT_BEGUN) {
      this.#endMs = nowMs + WINDOW_MS
      return 0
    }
    const ended = Math.floor((nowMs - this.#endMs) / WINDOW_MS) + 1
    this.#endMs += ended * WINDOW_MS
    return ended
  }

  /** Since the window under way began. */
  elapsedMs(nowMs: number): number {
    return this.#endMs === NOT_BEGUN ? 0 : nowMs - (this.#endMs - WINDOW_MS)
  }
}

/** How much a second of late: over the window under way and the one before it, and at least over a whole one, as Kafka's rates go. */
export class Rate {
  readonly #windows = new Windows()
  #current = 0
  #previous = 0
  #hasPrevious = false

  record(value: number, nowMs: number): void {
    this.#roll(nowMs)
    this.#current += value
  }

  perSecond(nowMs: number): number {
    this.#roll(nowMs)
    const sinceMs = this.#windows.elapsedMs(nowMs) + (this.#hasPrevious ? WINDOW_MS : 0)
    return ((this.#current + this.#previous) / Math.max(sinceMs, WINDOW_MS * (WINDOWS - 1))) * 1000
  }

  #roll(nowMs: number): void {
    const ended = this.#windows.ended(nowMs)
    if (ended === 0) return
    this.#previous = ended === 1 ? this.#current : 0
    this.#hasPrevious = true
    this.#current = 0
  }
}

/** A total and how fast it grows. */
export class Meter {
  total = 0
  readonly #rate = new Rate()

  record(value: number, nowMs: number): void {
    this.total += value
    this.#rate.record(value, nowMs)
  }

  perSecond(nowMs: number): number {
    return this.#rate.perSecond(nowMs)
  }
}

class Sample {
  sum = 0
  count = 0
  max = Number.NEGATIVE_INFINITY
  min = Number.POSITIVE_INFINITY

  clear(): void {
    this.sum = 0
    this.count = 0
    this.max = Number.NEGATIVE_INFINITY
    this.min = Number.POSITIVE_INFINITY
  }
}

/** Mean, largest and smallest of what was recorded in the window under way and the one before it: NaN when that was nothing, as Kafka has it. */
export class Spread {
  readonly #windows = new Windows()
  #current = new Sample()
  #previous = new Sample()

  /** @param count Of how many things `value` is the sum; the mean is one thing's. */
  record(value: number, nowMs: number, count = 1): void {
    this.#roll(nowMs)
    const sample = this.#current
    sample.sum += value
    sample.count += count
    if (value > sample.max) sample.max = value
    if (value < sample.min) sample.min = value
  }

  avg(nowMs: number): number {
    this.#roll(nowMs)
    return (this.#current.sum + this.#previous.sum) / (this.#current.count + this.#previous.count)
  }

  max(nowMs: number): number {
    this.#roll(nowMs)
    const max = Math.max(this.#current.max, this.#previous.max)
    return Number.isFinite(max) ? max : Number.NaN
  }

  min(nowMs: number): number {
    this.#roll(nowMs)
    const min = Math.min(this.#current.min, this.#previous.min)
    return Number.isFinite(min) ? min : Number.NaN
  }

  #roll(nowMs: number): void {
    const ended = this.#windows.ended(nowMs)
    if (ended === 0) return
    const stale = this.#previous
    this.#previous = this.#current
    this.#current = stale
    stale.clear()
    if (ended > 1) this.#previous.clear()
  }
}

/** How often something happens, and how long it takes. */
export class Timing {
  readonly ms = new Spread()
  readonly times = new Meter()

  record(ms: number, nowMs: number): void {
    this.ms.record(ms, nowMs)
    this.times.record(1, nowMs)
  }
}

/** `NAME-avg` and `NAME-max`, as Kafka names them. */
export const avgAndMax = (name: string, spread: Spread, nowMs: number): Record<string, number> => ({
  [`${name}-avg`]: spread.avg(nowMs),
  [`${name}-max`]: spread.max(nowMs),
})

/** `NAME-rate`, a second, and `NAME-total`. */
export const rateAndTotal = (name: string, meter: Meter, nowMs: number): Record<string, number> => ({
  [`${name}-rate`]: meter.perSecond(nowMs),
  [`${name}-total`]: meter.total,
})

/** Whole seconds since a monotonic time, as Kafka counts them; -1 when there was none. */
export const secondsAgo = (sinceMs: number | undefined, nowMs: number): number =>
  sinceMs === undefined ? -1 : Math.floor((nowMs - sinceMs) / 1000)
