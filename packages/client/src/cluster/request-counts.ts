import { Meter, Spread } from '../metrics.ts'

/** Requests, and the answers to them, of a client or of one of its brokers. */
export class RequestCounts {
  readonly #ofClient: RequestCounts | undefined
  readonly requests = new Meter()
  readonly responses = new Meter()
  readonly latencyMs = new Spread()

  /** @param ofClient Counts along, where these are one broker's. */
  constructor(ofClient?: RequestCounts) {
    this.#ofClient = ofClient
  }

  sent(nowMs: number): void {
    this.requests.record(1, nowMs)
    this.#ofClient?.sent(nowMs)
  }

  answered(latencyMs: number, nowMs: number): void {
    this.responses.record(1, nowMs)
    this.latencyMs.record(latencyMs, nowMs)
    this.#ofClient?.answered(latencyMs, nowMs)
  }
}
