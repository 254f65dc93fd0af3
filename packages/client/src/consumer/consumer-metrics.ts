import type { Cluster } from '../cluster/cluster.ts'
import type { Metric } from '../metrics.ts'
import type { PartitionState } from './partition-state.ts'

/** Counts what Kafka's consumer counts, by its names. */
export class ConsumerMetrics {
  records = 0
  bytes = 0
  fetches = 0
  fetchLatencySumMs = 0
  fetchLatencyMaxMs = 0
  commits = 0
  heartbeats = 0
  rebalances = 0
  failedRebalances = 0
  polls = 0

  fetched(latencyMs: number, bytes: number): void {
    this.fetches++
    this.bytes += bytes
    this.fetchLatencySumMs += latencyMs
    if (latencyMs > this.fetchLatencyMaxMs) this.fetchLatencyMaxMs = latencyMs
  }

  snapshot(clientId: string, cluster: Cluster, partitions: Iterable<PartitionState>): Metric[] {
    const tags = { 'client-id': clientId }
    const metrics: Metric[] = []
    const add = (group: string, name: string, value: number, more?: Record<string, string>) =>
      metrics.push({ name, group, tags: more === undefined ? tags : { ...tags, ...more }, value })
    const fetchGroup = 'consumer-fetch-manager-metrics'
    let lagMax = 0
    let assigned = 0
    for (const { topic, partition, position, highWatermark } of partitions) {
      assigned++
      if (position === undefined || highWatermark < 0) continue
      const lag = Math.max(0, highWatermark - position.offset)
      lagMax = Math.max(lagMax, lag)
      add(fetchGroup, 'records-lag', lag, { topic, partition: String(partition) })
    }
    add(fetchGroup, 'records-consumed-total', this.records)
    add(fetchGroup, 'bytes-consumed-total', this.bytes)
    add(fetchGroup, 'fetch-total', this.fetches)
    add(fetchGroup, 'fetch-latency-avg', this.fetches === 0 ? 0 : this.fetchLatencySumMs / this.fetches)
    add(fetchGroup, 'fetch-latency-max', this.fetchLatencyMaxMs)
    add(fetchGroup, 'records-lag-max', lagMax)
    const coordinatorGroup = 'consumer-coordinator-metrics'
    add(coordinatorGroup, 'commit-total', this.commits)
    add(coordinatorGroup, 'heartbeat-total', this.heartbeats)
    add(coordinatorGroup, 'rebalance-total', this.rebalances)
    add(coordinatorGroup, 'failed-rebalance-total', this.failedRebalances)
    add(coordinatorGroup, 'assigned-partitions', assigned)
    const { connectionCount, connectionCreationTotal, requestTotal } = cluster.connectionMetrics
    add('consumer-metrics', 'connection-count', connectionCount)
    add('consumer-metrics', 'connection-creation-total', connectionCreationTotal)
    add('consumer-metrics', 'request-total', requestTotal)
    return metrics
  }
}
