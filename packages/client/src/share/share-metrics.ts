import type { Cluster } from '../cluster/cluster.ts'
import type { Metric } from '../metrics.ts'
import type { AcknowledgementOutcome } from './acknowledgements.ts'

/** Counts what Kafka's share consumer counts, by its names. */
export class ShareMetrics {
  /** Acquired. */
  records = 0
  bytes = 0
  #fetches = 0
  #latencySumMs = 0
  #latencyMaxMs = 0
  #acknowledged = 0
  #failed = 0

  fetched(latencyMs: number): void {
    this.#fetches++
    this.#latencySumMs += latencyMs
    this.#latencyMaxMs = Math.max(this.#latencyMaxMs, latencyMs)
  }

  acknowledged({ offsets, error }: AcknowledgementOutcome): void {
    if (error === undefined) this.#acknowledged += offsets.length
    else this.#failed += offsets.length
  }

  snapshot(clientId: string, cluster: Cluster, heartbeats: number): Metric[] {
    const metrics: Metric[] = []
    const addAll = (group: string, values: Readonly<Record<string, number>>) => {
      for (const [name, value] of Object.entries(values)) metrics.push({ name, group, tags: { 'client-id': clientId }, value })
    }
    const perFetch = (sum: number) => (this.#fetches === 0 ? 0 : sum / this.#fetches)
    addAll('consumer-share-fetch-manager-metrics', {
      'records-consumed-total': this.records,
      'records-per-request-avg': perFetch(this.records),
      'bytes-consumed-total': this.bytes,
      'fetch-total': this.#fetches,
      'fetch-size-avg': perFetch(this.bytes),
      'fetch-latency-avg': perFetch(this.#latencySumMs),
      'fetch-latency-max': this.#latencyMaxMs,
      'acknowledgements-send-total': this.#acknowledged + this.#failed,
      'acknowledgements-error-total': this.#failed,
    })
    addAll('consumer-share-coordinator-metrics', { 'heartbeat-total': heartbeats })
    const { connectionCount, connectionCreationTotal, requestTotal } = cluster.connectionMetrics
    addAll('consumer-share-metrics', {
      'connection-count': connectionCount,
      'connection-creation-total': connectionCreationTotal,
      'request-total': requestTotal,
    })
    return metrics
  }
}
