import { Meter, Spread } from '../metrics.ts'

/** Requests, and the answers to them, of a client or of one of its brokers. */
export class RequestCounts {
  readonly requests = new Meter()
  readonly responses = new Meter()
  readonly latencyMs = new Spread()

  sent(nowMs: number): void {
    this.requests.record(1, nowMs)
  }

  answered(latencyMs: number, nowMs: number): void {
    this.responses.record(1, nowMs)
    this.latencyMs.record(latencyMs, nowMs)
  }
}
