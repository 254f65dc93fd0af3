import type { Cluster } from '../cluster/cluster.ts'
import { type Metric, Rate } from '../metrics.ts'
import type { Accumulator } from './accumulator.ts'
import type { ProducerBatch } from './producer-batch.ts'

/** A total and how fast it grows. */
class Meter {
  total = 0
  readonly #rate = new Rate()

  record(value: number, nowMs: number): void {
    this.total += value
    this.#rate.record(value, nowMs)
  }

  perSecond(nowMs: number): number {
    return this.#rate.perSecond(nowMs)
  }
}

/** Mean and largest of what was recorded. */
class Spread {
  #sum = 0
  #count = 0
  max = 0

  record(value: number, count = 1): void {
    this.#sum += value
    this.#count += count
    if (value > this.max) this.max = value
  }

  get avg(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count
  }
}

/** What is counted for all topics, and for each. */
class RecordMetrics {
  readonly sends = new Meter()
  readonly bytes = new Meter()
  readonly errors = new Meter()
  readonly retries = new Meter()
  readonly compression = new Spread()

  values(nowMs: number): Record<string, number> {
    return {
      'record-send-total': this.sends.total,
      'record-send-rate': this.sends.perSecond(nowMs),
      'record-error-total': this.errors.total,
      'record-error-rate': this.errors.perSecond(nowMs),
      'record-retry-total': this.retries.total,
      'record-retry-rate': this.retries.perSecond(nowMs),
      'byte-total': this.bytes.total,
      'byte-rate': this.bytes.perSecond(nowMs),
    }
  }
}

/** Counts what Kafka's producer counts, by its names; rates go by its two windows of 30 s. */
export class ProducerMetrics {
  readonly #all = new RecordMetrics()
  readonly #topics = new Map<string, RecordMetrics>()
  readonly #requests = new Meter()
  readonly #responses = new Meter()
  readonly #batchBytes = new Spread()
  readonly #recordBytes = new Spread()
  readonly #queueMs = new Spread()
  readonly #latencyMs = new Spread()
  readonly #throttleMs = new Spread()
  readonly #splits = new Meter()
  #lost = 0
  #delivered = 0

  sent(batches: readonly ProducerBatch[], nowMs: number): void {
    this.#requests.record(1, nowMs)
    for (const { topic, recordsCount, bytes, uncompressedBytes, attempts, createdMs } of batches) {
      const size = bytes!.length
      const ofTopic = this.#topic(topic)
      this.#batchBytes.record(size)
      this.#all.bytes.record(size, nowMs)
      ofTopic.bytes.record(size, nowMs)
      if (attempts > 0) continue
      this.#all.sends.record(recordsCount, nowMs)
      ofTopic.sends.record(recordsCount, nowMs)
      this.#all.compression.record(size / uncompressedBytes)
      ofTopic.compression.record(size / uncompressedBytes)
      this.#recordBytes.record(uncompressedBytes, recordsCount)
      this.#queueMs.record(nowMs - createdMs)
    }
  }

  answered(latencyMs: number, throttleTimeMs: number, nowMs: number): void {
    this.#responses.record(1, nowMs)
    this.#latencyMs.record(latencyMs)
    this.#throttleMs.record(throttleTimeMs)
  }

  unanswered(): void {
    this.#lost++
  }

  delivered(records: number): void {
    this.#delivered += records
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

  /** @param more Of the transactions. */
  snapshot(
    clientId: string,
    cluster: Cluster,
    { memory, incompleteCount }: Accumulator,
    more: Readonly<Record<string, number>> = {},
  ): Metric[] {
    const { connectionCount, connectionCreationTotal } = cluster.connectionMetrics
    const nowMs = cluster.clock.monotonic()
    const values: Record<string, number> = {
      ...this.#all.values(nowMs),
      'compression-rate-avg': this.#all.compression.avg,
      'batch-size-avg': this.#batchBytes.avg,
      'batch-size-max': this.#batchBytes.max,
      'batch-split-total': this.#splits.total,
      'batch-split-rate': this.#splits.perSecond(nowMs),
      'record-size-avg': this.#recordBytes.avg,
      'record-queue-time-avg': this.#queueMs.avg,
      'record-queue-time-max': this.#queueMs.max,
      'records-per-request-avg': this.#requests.total === 0 ? 0 : this.#delivered / this.#requests.total,
      'request-total': this.#requests.total,
      'request-rate': this.#requests.perSecond(nowMs),
      'response-total': this.#responses.total,
      'response-rate': this.#responses.perSecond(nowMs),
      'requests-in-flight': this.#requests.total - this.#responses.total - this.#lost,
      'request-latency-avg': this.#latencyMs.avg,
      'request-latency-max': this.#latencyMs.max,
      'produce-throttle-time-avg': this.#throttleMs.avg,
      'produce-throttle-time-max': this.#throttleMs.max,
      'buffer-total-bytes': memory.totalBytes,
      'buffer-available-bytes': memory.availableBytes,
      'waiting-threads': memory.waiting,
      'incomplete-batches': incompleteCount,
      'connection-count': connectionCount,
      'connection-creation-total': connectionCreationTotal,
      ...more,
    }
    const tags = { 'client-id': clientId }
    const metrics: Metric[] = Object.entries(values).map(([name, value]) => ({ name, group: 'producer-metrics', tags, value }))
    for (const [topic, counted] of this.#topics) {
      const ofTopic = { ...counted.values(nowMs), 'compression-rate': counted.compression.avg }
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
