import { avgAndMax, Meter, rateAndTotal, Spread, Timing } from '../metrics.ts'

/** What the requests that bring records bring, of all topics or of one, and how much of it is handed out. */
export class FetchedMetrics {
  readonly #sizes = new Spread()
  readonly #bytes = new Meter()
  readonly #records = new Meter()
  readonly #recordsPerRequest = new Spread()

  /** One answer has brought so many bytes of records. */
  fetched(bytes: number, nowMs: number): void {
    this.#sizes.record(bytes, nowMs)
    this.#bytes.record(bytes, nowMs)
    this.#recordsPerRequest.record(0, nowMs)
  }

  handedOut(records: number, nowMs: number): void {
    this.#records.record(records, nowMs)
    this.#recordsPerRequest.record(records, nowMs, 0)
  }

  values(nowMs: number): Record<string, number> {
    return {
      ...avgAndMax('fetch-size', this.#sizes, nowMs),
      ...rateAndTotal('bytes-consumed', this.#bytes, nowMs),
      'records-per-request-avg': this.#recordsPerRequest.avg(nowMs),
      ...rateAndTotal('records-consumed', this.#records, nowMs),
    }
  }
}

/** Requests for records, whether they bring some or not. */
export class FetchRequestMetrics {
  readonly #answered = new Timing()
  readonly #throttleMs = new Spread()

  answered(latencyMs: number, throttleTimeMs: number, nowMs: number): void {
    this.#answered.record(latencyMs, nowMs)
    this.#throttleMs.record(throttleTimeMs, nowMs)
  }

  values(nowMs: number): Record<string, number> {
    return {
      ...avgAndMax('fetch-latency', this.#answered.ms, nowMs),
      ...rateAndTotal('fetch', this.#answered.times, nowMs),
      ...avgAndMax('fetch-throttle-time', this.#throttleMs, nowMs),
    }
  }
}
