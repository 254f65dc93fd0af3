import type { Clock } from '@tidelog/core'
import type { Cluster } from '../cluster/cluster.ts'
import { connectionMetrics } from '../cluster/connection-metrics.ts'
import { FetchRequestMetrics } from '../consumer/fetch-metrics.ts'
import { ShareGroupMetrics } from '../consumer/group-metrics.ts'
import { PollMetrics } from '../consumer/poll-metrics.ts'
import { avgAndMax, Meter, type Metric, rateAndTotal, Spread } from '../metrics.ts'
import type { AcknowledgementOutcome } from './acknowledgements.ts'

/** Counts what Kafka's share consumer counts, by its names. */
export class ShareMetrics {
  readonly group: ShareGroupMetrics
  readonly polls: PollMetrics
  readonly #clock: Clock
  readonly #requests = new FetchRequestMetrics()
  readonly #sizes = new Spread()
  readonly #bytes = new Meter()
  readonly #records = new Meter()
  readonly #recordsPerRequest = new Spread()
  readonly #acknowledged = new Meter()
  readonly #failed = new Meter()

  constructor(clock: Clock) {
    this.#clock = clock
    this.group = new ShareGroupMetrics(clock)
    this.polls = new PollMetrics(clock)
  }

  answered(latencyMs: number, throttleTimeMs: number): void {
    this.#requests.answered(latencyMs, throttleTimeMs, this.#clock.monotonic())
  }

  /** What one answer has brought. */
  acquired(records: number, bytes: number): void {
    const nowMs = this.#clock.monotonic()
    this.#records.record(records, nowMs)
    this.#recordsPerRequest.record(records, nowMs)
    this.#bytes.record(bytes, nowMs)
    this.#sizes.record(bytes, nowMs)
  }

  acknowledged({ offsets, error }: AcknowledgementOutcome): void {
    const nowMs = this.#clock.monotonic()
    this.#acknowledged.record(offsets.length, nowMs)
    if (error !== undefined) this.#failed.record(offsets.length, nowMs)
  }

  snapshot(clientId: string, cluster: Cluster): Metric[] {
    const nowMs = this.#clock.monotonic()
    const metrics: Metric[] = []
    const addAll = (group: string, values: Readonly<Record<string, number>>) => {
      for (const [name, value] of Object.entries(values)) metrics.push({ name, group, tags: { 'client-id': clientId }, value })
    }
    addAll('consumer-share-fetch-manager-metrics', {
      ...avgAndMax('fetch-size', this.#sizes, nowMs),
      ...rateAndTotal('bytes-consumed', this.#bytes, nowMs),
      ...avgAndMax('records-per-request', this.#recordsPerRequest, nowMs),
      ...rateAndTotal('records-consumed', this.#records, nowMs),
      ...rateAndTotal('acknowledgements-send', this.#acknowledged, nowMs),
      ...rateAndTotal('acknowledgements-error', this.#failed, nowMs),
      ...this.#requests.values(nowMs),
    })
    addAll('consumer-share-coordinator-metrics', this.group.values(nowMs))
    addAll('consumer-share-metrics', this.polls.values(nowMs))
    // Java has these in the consumer's group.
    metrics.push(...connectionMetrics(cluster, 'consumer', clientId))
    return metrics
  }
}
