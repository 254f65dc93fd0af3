import { avgAndMax, type Metric, rateAndTotal } from '../metrics.ts'
import type { Cluster } from './cluster.ts'

/**
 * What every client counts of its connections and of the brokers that it talks to, by Kafka's names.
 * @param client Begins Kafka's groups of them: `producer`, `consumer`, `admin-client`.
 * @param countsRequests Whether the client has no count of its own of what it sends.
 */
export function connectionMetrics(cluster: Cluster, client: string, clientId: string, countsRequests = true): Metric[] {
  const nowMs = cluster.clock.monotonic()
  const { connectionCount, connectionCreations, all } = cluster.connectionMetrics
  const metrics: Metric[] = []
  const addAll = (group: string, values: Readonly<Record<string, number>>, more: Readonly<Record<string, string>> = {}) => {
    for (const [name, value] of Object.entries(values)) metrics.push({ name, group, tags: { 'client-id': clientId, ...more }, value })
  }
  const requests = { ...rateAndTotal('request', all.requests, nowMs), ...rateAndTotal('response', all.responses, nowMs) }
  addAll(`${client}-metrics`, {
    'connection-count': connectionCount,
    ...rateAndTotal('connection-creation', connectionCreations, nowMs),
    ...(countsRequests ? requests : {}),
  })
  for (const [nodeId, counts] of cluster.countsByNode()) {
    const ofNode = {
      ...rateAndTotal('request', counts.requests, nowMs),
      ...rateAndTotal('response', counts.responses, nowMs),
      ...avgAndMax('request-latency', counts.latencyMs, nowMs),
    }
    addAll(`${client}-node-metrics`, ofNode, { 'node-id': `node-${nodeId}` })
  }
  return metrics
}
