import type { Cluster } from '../cluster/cluster.ts'
import type { Metric } from '../metrics.ts'
import type { Accumulator } from './accumulator.ts'
import type { ProducerBatch } from './producer-batch.ts'

/** Counts what Kafka's producer counts, by its names. */
export class ProducerMetrics {
  #records = 0
  #bytes = 0
  #batches = 0
  #requests = 0
  #responses = 0
  #lost = 0
  #errors = 0
  #retries = 0
  #delivered = 0
  #latencySumMs = 0
  #latencyMaxMs = 0

  sent(batches: readonly ProducerBatch[]): void {
    this.#requests++
    for (const { recordsCount, bytes, attempts } of batches) {
      this.#batches++
      this.#bytes += bytes!.length
      if (attempts === 0) this.#records += recordsCount
    }
  }

  answered(latencyMs: number): void {
    this.#responses++
    this.#latencySumMs += latencyMs
    if (latencyMs > this.#latencyMaxMs) this.#latencyMaxMs = latencyMs
  }

  unanswered(): void {
    this.#lost++
  }

  delivered(records: number): void {
    this.#delivered += records
  }

  retried(records: number): void {
    this.#retries += records
  }

  failed(records: number): void {
    this.#errors += records
  }

  snapshot(
    clientId: string,
    cluster: Cluster,
    { memory, incompleteCount }: Accumulator,
    more: Readonly<Record<string, number>> = {},
  ): Metric[] {
    const { connectionCount, connectionCreationTotal } = cluster.connectionMetrics
    const values: Record<string, number> = {
      'record-send-total': this.#records,
      'record-error-total': this.#errors,
      'record-retry-total': this.#retries,
      'byte-total': this.#bytes,
      'batch-size-avg': this.#batches === 0 ? 0 : this.#bytes / this.#batches,
      'records-per-request-avg': this.#requests === 0 ? 0 : this.#delivered / this.#requests,
      'request-total': this.#requests,
      'response-total': this.#responses,
      'requests-in-flight': this.#requests - this.#responses - this.#lost,
      'request-latency-avg': this.#responses === 0 ? 0 : this.#latencySumMs / this.#responses,
      'request-latency-max': this.#latencyMaxMs,
      'buffer-total-bytes': memory.totalBytes,
      'buffer-available-bytes': memory.availableBytes,
      'waiting-threads': memory.waiting,
      'incomplete-batches': incompleteCount,
      'connection-count': connectionCount,
      'connection-creation-total': connectionCreationTotal,
      ...more,
    }
    return Object.entries(values).map(([name, value]) => ({ name, group: 'producer-metrics', tags: { 'client-id': clientId }, value }))
  }
}
