import { type CodecName, compress } from '@tidelog/protocol'
import { metricKey, type PushedMetric } from './metric-for-subscription.ts'
import { attributesOf, isInteger, isSum, standardMetrics, telemetryNameOf } from './metric-names.ts'
import { encodeMetrics, type OtlpMetric, type OtlpPoint, type OtlpType } from './otlp.ts'
import type { Subscription } from './subscription.ts'

/** One value as it is pushed. */
export interface CollectedPoint extends OtlpPoint {
  readonly name: string
  readonly type: OtlpType
  /** What a sum has come to; undefined for a gauge. */
  readonly total: { readonly key: string; readonly value: number } | undefined
}

/** However many topics and partitions there are: putting a payload together must not hold up records. */
const MAX_POINTS = 10_000

/** Makes points of metrics, and remembers of sums what brokers have been told, for those that want to hear what has come since. */
export class MetricsCollector {
  readonly #createdMs: number
  #told = new Map<string, { readonly value: number; readonly timeMs: number }>()

  /** @param createdMs When the client was made, in ms since the Unix epoch: every sum was 0 then. */
  constructor(createdMs: number) {
    this.#createdMs = createdMs
  }

  /** Points that the broker wants, what matters most first: KIP-714's standard metrics, then what stands for the whole client, then what is of a topic or partition. */
  collect(metrics: Iterable<PushedMetric>, subscription: Subscription, timeMs: number): CollectedPoint[] {
    const ranks: [CollectedPoint[], CollectedPoint[], CollectedPoint[]] = [[], [], []]
    const names = new Map<string, string | undefined>()
    for (const metric of metrics) {
      const id = `${metric.group}/${metric.name}`
      if (!names.has(id)) {
        const name = telemetryNameOf(metric)
        names.set(id, subscription.wants(name) ? name : undefined)
      }
      const name = names.get(id)
      if (name === undefined) continue
      const point = this.#pointOf(metric, name, subscription.isDelta, timeMs)
      const isOfClient = Object.keys(point.attributes).length === 0
      ranks[standardMetrics.has(name) ? 0 : isOfClient ? 1 : 2].push(point)
    }
    return ranks.flat().slice(0, MAX_POINTS)
  }

  /** The broker has been told, or may have been. */
  told(points: readonly CollectedPoint[]): void {
    for (const { total, timeMs } of points) if (total !== undefined) this.#told.set(total.key, { value: total.value, timeMs })
  }

  /** Sums are told in another way from now on. */
  reset(): void {
    this.#told = new Map()
  }

  #pointOf(metric: PushedMetric, name: string, isDelta: boolean, timeMs: number): CollectedPoint {
    const { value, tags, type = isSum(metric) ? 'sum' : 'gauge' } = metric
    const base = { name, attributes: attributesOf(tags), isInteger: isInteger(metric), timeMs }
    if (type === 'gauge') return { ...base, type, value, startMs: undefined, total: undefined }
    const key = metricKey(metric)
    const total = { key, value }
    if (!isDelta) return { ...base, type: 'cumulative', value, startMs: this.#createdMs, total }
    const last = this.#told.get(key) ?? { value: 0, timeMs: this.#createdMs }
    // One that has become less began anew.
    const since = value < last.value ? value : value - last.value
    return { ...base, type: 'delta', value: since, startMs: last.timeMs, total }
  }
}

/** A payload. */
export interface Prepared {
  readonly codec: CodecName
  readonly bytes: Buffer
  /** Those that found room. */
  readonly points: readonly CollectedPoint[]
}

export interface PayloadOptions {
  readonly labels: Readonly<Record<string, string>>
  readonly codec: CodecName
  readonly maxBytes: number
}

/** As many of the points, from the first, as fit into `maxBytes` when compressed; undefined: not even one. @throws what the codec throws */
export async function payloadOf(
  points: readonly CollectedPoint[],
  { labels, codec, maxBytes }: PayloadOptions,
): Promise<Prepared | undefined> {
  for (let count = points.length; count > 0; count = Math.floor(count / 2)) {
    const included = points.slice(0, count)
    const bytes = await compress(codec, encodeMetrics(labels, byName(included)))
    if (bytes.length <= maxBytes) return { codec, bytes, points: included }
  }
  return undefined
}

function byName(points: readonly CollectedPoint[]): OtlpMetric[] {
  const metrics = new Map<string, { name: string; type: OtlpType; points: CollectedPoint[] }>()
  for (const point of points) {
    const key = `${point.type}/${point.name}`
    const metric = metrics.get(key)
    if (metric === undefined) metrics.set(key, { name: point.name, type: point.type, points: [point] })
    else metric.points.push(point)
  }
  return [...metrics.values()]
}
