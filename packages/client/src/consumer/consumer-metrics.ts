import type { Cluster } from '../cluster/cluster.ts'
import { type Metric, Rate } from '../metrics.ts'
import type { PartitionState } from './partition-state.ts'

interface Fetched {
  readonly latencyMs: number
  /** Of records. */
  readonly bytes: number
  readonly throttleTimeMs: number
}

/** Counts what Kafka's consumer counts, by its names. */
export class ConsumerMetrics {
  records = 0
  commits = 0
  heartbeats = 0
  rebalances = 0
  failedRebalances = 0
  #bytes = 0
  #fetches = 0
  #bytesMax = 0
  #latencySumMs = 0
  #latencyMaxMs = 0
  #throttleSumMs = 0
  #throttleMaxMs = 0
  readonly #fetchRate = new Rate()
  readonly #bytesRate = new Rate()
  readonly #recordsRate = new Rate()
  #recordsRated = 0

  fetched({ latencyMs, bytes, throttleTimeMs }: Fetched, nowMs: number): void {
    this.#fetches++
    this.#bytes += bytes
    this.#bytesMax = Math.max(this.#bytesMax, bytes)
    this.#latencySumMs += latencyMs
    this.#latencyMaxMs = Math.max(this.#latencyMaxMs, latencyMs)
    this.#throttleSumMs += throttleTimeMs
    this.#throttleMaxMs = Math.max(this.#throttleMaxMs, throttleTimeMs)
    this.#fetchRate.record(1, nowMs)
    this.#bytesRate.record(bytes, nowMs)
    this.#rateRecords(nowMs)
  }

  snapshot(clientId: string, cluster: Cluster, partitions: Iterable<PartitionState>): Metric[] {
    const tags = { 'client-id': clientId }
    const metrics: Metric[] = []
    const addAll = (group: string, values: Readonly<Record<string, number>>, more: Readonly<Record<string, string>> = {}) => {
      for (const [name, value] of Object.entries(values)) metrics.push({ name, group, tags: { ...tags, ...more }, value })
    }
    const fetchGroup = 'consumer-fetch-manager-metrics'
    let lagMax = Number.NaN
    let leadMin = Number.NaN
    let assigned = 0
    for (const state of partitions) {
      assigned++
      const { topic, partition, lag, lead, preferredReplica } = state
      const more = { topic, partition: String(partition) }
      addAll(fetchGroup, { 'preferred-read-replica': preferredReplica?.nodeId ?? -1 }, more)
      if (lag !== undefined) {
        addAll(fetchGroup, { 'records-lag': lag }, more)
        lagMax = Number.isNaN(lagMax) ? lag : Math.max(lagMax, lag)
      }
      if (lead !== undefined) {
        addAll(fetchGroup, { 'records-lead': lead }, more)
        leadMin = Number.isNaN(leadMin) ? lead : Math.min(leadMin, lead)
      }
    }
    const nowMs = cluster.clock.monotonic()
    this.#rateRecords(nowMs)
    const perFetch = (sum: number) => (this.#fetches === 0 ? 0 : sum / this.#fetches)
    addAll(fetchGroup, {
      'records-consumed-total': this.records,
      'records-consumed-rate': this.#recordsRate.perSecond(nowMs),
      'records-per-request-avg': perFetch(this.records),
      'records-lag-max': lagMax,
      'records-lead-min': leadMin,
      'bytes-consumed-total': this.#bytes,
      'bytes-consumed-rate': this.#bytesRate.perSecond(nowMs),
      'fetch-total': this.#fetches,
      'fetch-rate': this.#fetchRate.perSecond(nowMs),
      'fetch-size-avg': perFetch(this.#bytes),
      'fetch-size-max': this.#bytesMax,
      'fetch-latency-avg': perFetch(this.#latencySumMs),
      'fetch-latency-max': this.#latencyMaxMs,
      'fetch-throttle-time-avg': perFetch(this.#throttleSumMs),
      'fetch-throttle-time-max': this.#throttleMaxMs,
    })
    addAll('consumer-coordinator-metrics', {
      'commit-total': this.commits,
      'heartbeat-total': this.heartbeats,
      'rebalance-total': this.rebalances,
      'failed-rebalance-total': this.failedRebalances,
      'assigned-partitions': assigned,
    })
    const { connectionCount, connectionCreationTotal, requestTotal } = cluster.connectionMetrics
    addAll('consumer-metrics', {
      'connection-count': connectionCount,
      'connection-creation-total': connectionCreationTotal,
      'request-total': requestTotal,
    })
    return metrics
  }

  /** Counted where records are handed out, one by one: their rate is looked at less often. */
  #rateRecords(nowMs: number): void {
    this.#recordsRate.record(this.records - this.#recordsRated, nowMs)
    this.#recordsRated = this.records
  }
}
