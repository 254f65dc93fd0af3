import type { Clock } from '@tidelog/core'
import type { Cluster } from '../cluster/cluster.ts'
import { connectionMetrics } from '../cluster/connection-metrics.ts'
import { type Metric, Spread } from '../metrics.ts'
import { FetchedMetrics, FetchRequestMetrics } from './fetch-metrics.ts'
import { GroupMetrics } from './group-metrics.ts'
import type { PartitionState } from './partition-state.ts'
import { PollMetrics } from './poll-metrics.ts'

interface Fetched {
  readonly latencyMs: number
  /** Of records, by topic; of those without any nothing. */
  readonly bytesByTopic: ReadonlyMap<string, number>
  readonly throttleTimeMs: number
}

/** Of the user's calls that wait for a coordinator. */
type Call = 'commit-sync' | 'committed'

const FETCH_GROUP = 'consumer-fetch-manager-metrics'
const NS_PER_MS = 1_000_000

/** Counts what Kafka's consumer counts, by its names: an answer, or a chunk of records, at a time, and never one record. */
export class ConsumerMetrics {
  readonly group: GroupMetrics
  readonly polls: PollMetrics
  readonly #clock: Clock
  readonly #requests = new FetchRequestMetrics()
  readonly #all = new FetchedMetrics()
  readonly #topics = new Map<string, FetchedMetrics>()
  readonly #lags = new Spread()
  readonly #leads = new Spread()
  readonly #callsMs: Record<Call, number> = { 'commit-sync': 0, committed: 0 }

  constructor(clock: Clock) {
    this.#clock = clock
    this.group = new GroupMetrics(clock)
    this.polls = new PollMetrics(clock)
  }

  fetched({ latencyMs, bytesByTopic, throttleTimeMs }: Fetched): void {
    const nowMs = this.#clock.monotonic()
    this.#requests.answered(latencyMs, throttleTimeMs, nowMs)
    let all = 0
    for (const [topic, bytes] of bytesByTopic) {
      all += bytes
      this.#topic(topic).fetched(bytes, nowMs)
    }
    if (all > 0) this.#all.fetched(all, nowMs)
  }

  /** Counts what has been handed out of a partition since it was looked at last, and where that leaves the reader. */
  look(state: PartitionState): void {
    const nowMs = this.#clock.monotonic()
    const records = state.newlyHandedOut()
    if (records > 0) {
      this.#all.handedOut(records, nowMs)
      this.#topic(state.topic).handedOut(records, nowMs)
    }
    const { lag, lead } = state
    if (lag !== undefined) {
      this.#lags.record(lag, nowMs)
      state.lags.record(lag, nowMs)
    }
    if (lead !== undefined) {
      this.#leads.record(lead, nowMs)
      state.leads.record(lead, nowMs)
    }
  }

  /** Forgets all others. */
  keepTopics(topics: ReadonlySet<string>): void {
    for (const topic of this.#topics.keys()) if (!topics.has(topic)) this.#topics.delete(topic)
  }

  async measured<T>(call: Call, run: () => Promise<T>): Promise<T> {
    const beganMs = this.#clock.monotonic()
    try {
      return await run()
    } finally {
      this.#callsMs[call] += this.#clock.monotonic() - beganMs
    }
  }

  snapshot(clientId: string, cluster: Cluster, partitions: Iterable<PartitionState>, isClassic: boolean): Metric[] {
    const states = [...partitions]
    for (const state of states) this.look(state)
    const nowMs = this.#clock.monotonic()
    const tags = { 'client-id': clientId }
    const metrics: Metric[] = []
    const addAll = (group: string, values: Readonly<Record<string, number>>, more: Readonly<Record<string, string>> = {}) => {
      for (const [name, value] of Object.entries(values)) metrics.push({ name, group, tags: { ...tags, ...more }, value })
    }
    for (const state of states) {
      const { topic, partition } = state
      addAll(FETCH_GROUP, partitionValues(state, nowMs), { topic, partition: String(partition) })
    }
    for (const [topic, counted] of this.#topics) addAll(FETCH_GROUP, counted.values(nowMs), { topic })
    addAll(FETCH_GROUP, {
      ...this.#all.values(nowMs),
      ...this.#requests.values(nowMs),
      'records-lag-max': this.#lags.max(nowMs),
      'records-lead-min': this.#leads.min(nowMs),
    })
    addAll('consumer-coordinator-metrics', this.group.values(nowMs, states.length, isClassic))
    addAll('consumer-metrics', {
      ...this.polls.values(nowMs),
      'commit-sync-time-ns-total': Math.round(this.#callsMs['commit-sync'] * NS_PER_MS),
      'committed-time-ns-total': Math.round(this.#callsMs.committed * NS_PER_MS),
    })
    metrics.push(...connectionMetrics(cluster, 'consumer', clientId))
    return metrics
  }

  #topic(topic: string): FetchedMetrics {
    let metrics = this.#topics.get(topic)
    if (metrics === undefined) {
      metrics = new FetchedMetrics()
      this.#topics.set(topic, metrics)
    }
    return metrics
  }
}

/** Lag and lead are there once they are known. */
function partitionValues({ lag, lead, lags, leads, preferredReplica }: PartitionState, nowMs: number): Record<string, number> {
  return {
    'preferred-read-replica': preferredReplica?.nodeId ?? -1,
    ...(lag === undefined ? {} : { 'records-lag': lag, 'records-lag-avg': lags.avg(nowMs), 'records-lag-max': lags.max(nowMs) }),
    ...(lead === undefined ? {} : { 'records-lead': lead, 'records-lead-avg': leads.avg(nowMs), 'records-lead-min': leads.min(nowMs) }),
  }
}
