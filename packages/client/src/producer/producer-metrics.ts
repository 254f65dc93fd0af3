import type { Cluster } from '../cluster/cluster.ts'
import { connectionMetrics } from '../cluster/connection-metrics.ts'
import { avgAndMax, Meter, type Metric, rateAndTotal, Spread } from '../metrics.ts'
import type { Accumulator } from './accumulator.ts'
import type { ProducerBatch } from './producer-batch.ts'

const NS_PER_MS = 1_000_000
const MS_PER_S = 1000

/** What is counted for all topics, and for each. */
class RecordMetrics {
  readonly sends = new Meter()
  readonly bytes = new Meter()
  readonly errors = new Meter()
  readonly retries = new Meter()
  readonly compression = new Spread()

  values(nowMs: number): Record<string, number> {
    return {
      ...rateAndTotal('record-send', this.sends, nowMs),
      ...rateAndTotal('record-error', this.errors, nowMs),
      ...rateAndTotal('record-retry', this.retries, nowMs),
      ...rateAndTotal('byte', this.bytes, nowMs),
    }
  }
}

/** Counts what Kafka's producer counts, by its names; rates go by its two windows of 30 s. */
export class ProducerMetrics {
  readonly #all = new RecordMetrics()
  readonly #topics = new Map<string, RecordMetrics>()
  /** In flush(). */
  flushMs = 0
  readonly #requests = new Meter()
  readonly #responses = new Meter()
  readonly #batchBytes = new Spread()
  readonly #recordBytes = new Spread()
  readonly #queueMs = new Spread()
  readonly #latencyMs = new Spread()
  readonly #throttleMs = new Spread()
  readonly #splits = new Meter()
  /** Delivered records, a request each. */
  readonly #recordsPerRequest = new Spread()
  #lost = 0

  sent(batches: readonly ProducerBatch[], nowMs: number): void {
    this.#requests.record(1, nowMs)
    this.#recordsPerRequest.record(0, nowMs)
    for (const { topic, recordsCount, bytes, uncompressedBytes, attempts, createdMs } of batches) {
      const size = bytes!.length
      const ofTopic = this.#topic(topic)
      this.#batchBytes.record(size, nowMs)
      this.#all.bytes.record(size, nowMs)
      ofTopic.bytes.record(size, nowMs)
      if (attempts > 0) continue
      this.#all.sends.record(recordsCount, nowMs)
      ofTopic.sends.record(recordsCount, nowMs)
      this.#all.compression.record(size / uncompressedBytes, nowMs)
      ofTopic.compression.record(size / uncompressedBytes, nowMs)
      this.#recordBytes.record(uncompressedBytes, nowMs, recordsCount)
      this.#queueMs.record(nowMs - createdMs, nowMs)
    }
  }

  answered(latencyMs: number, throttleTimeMs: number, nowMs: number): void {
    this.#responses.record(1, nowMs)
    this.#latencyMs.record(latencyMs, nowMs)
    this.#throttleMs.record(throttleTimeMs, nowMs)
  }

  unanswered(): void {
    this.#lost++
  }

  delivered(records: number, nowMs: number): void {
    this.#recordsPerRequest.record(records, nowMs, 0)
  }

  retried({ topic, recordsCount }: ProducerBatch, nowMs: number): void {
    this.#all.retries.record(recordsCount, nowMs)
    this.#topic(topic).retries.record(recordsCount, nowMs)
  }

  failed({ topic, recordsCount }: ProducerBatch, nowMs: number): void {
    this.#all.errors.record(recordsCount, nowMs)
    this.#topic(topic).errors.record(recordsCount, nowMs)
  }

  split(nowMs: number): void {
    this.#splits.record(1, nowMs)
  }

  /** @param more Of the producer's other parts. */
  snapshot(
    clientId: string,
    cluster: Cluster,
    { memory, incompleteCount }: Accumulator,
    more: Readonly<Record<string, number>> = {},
  ): Metric[] {
    const nowMs = cluster.clock.monotonic()
    const values: Record<string, number> = {
      ...this.#all.values(nowMs),
      'compression-rate-avg': this.#all.compression.avg(nowMs),
      ...avgAndMax('batch-size', this.#batchBytes, nowMs),
      ...rateAndTotal('batch-split', this.#splits, nowMs),
      'record-size-avg': this.#recordBytes.avg(nowMs),
      ...avgAndMax('record-queue-time', this.#queueMs, nowMs),
      'records-per-request-avg': this.#recordsPerRequest.avg(nowMs),
      ...rateAndTotal('request', this.#requests, nowMs),
      ...rateAndTotal('response', this.#responses, nowMs),
      'requests-in-flight': this.#requests.total - this.#responses.total - this.#lost,
      ...avgAndMax('request-latency', this.#latencyMs, nowMs),
      ...avgAndMax('produce-throttle-time', this.#throttleMs, nowMs),
      'buffer-total-bytes': memory.totalBytes,
      'buffer-available-bytes': memory.availableBytes,
      'waiting-threads': memory.waiting,
      'bufferpool-wait-time-ns-total': Math.round(memory.waitedMs.total * NS_PER_MS),
      'bufferpool-wait-ratio': memory.waitedMs.perSecond(nowMs) / MS_PER_S,
      ...rateAndTotal('buffer-exhausted', memory.exhausted, nowMs),
      'flush-time-ns-total': Math.round(this.flushMs * NS_PER_MS),
      'metadata-age': cluster.metadataAgeMs / MS_PER_S,
      'incomplete-batches': incompleteCount,
      ...more,
    }
    const tags = { 'client-id': clientId }
    const metrics: Metric[] = Object.entries(values).map(([name, value]) => ({ name, group: 'producer-metrics', tags, value }))
    metrics.push(...connectionMetrics(cluster, 'producer', clientId, false))
    for (const [topic, counted] of this.#topics) {
      const ofTopic = { ...counted.values(nowMs), 'compression-rate': counted.compression.avg(nowMs) }
      for (const [name, value] of Object.entries(ofTopic)) {
        metrics.push({ name, group: 'producer-topic-metrics', tags: { ...tags, topic }, value })
      }
    }
    return metrics
  }

  #topic(topic: string): RecordMetrics {
    let metrics = this.#topics.get(topic)
    if (metrics === undefined) {
      metrics = new RecordMetrics()
      this.#topics.set(topic, metrics)
    }
    return metrics
  }
}
