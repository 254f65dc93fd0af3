import { type Logger, messageOf } from '@tidelog/core'
import { InvalidOptionError } from '../errors.ts'
import type { Metric } from '../metrics.ts'

/** A metric of the application's own, which is pushed to brokers that subscribe to it. KIP-1076. */
export interface MetricForSubscription {
  /** As Kafka spells them, with hyphens: `records-refused-total` in the group `shop-metrics` is `org.apache.kafka.shop.records.refused.total` to the broker. */
  readonly name: string
  readonly group: string
  readonly tags?: Readonly<Record<string, string>> | undefined
  /** `sum`: a total that only grows; a name that ends in `-total` is one when this is absent, and others are gauges. */
  readonly type?: 'gauge' | 'sum' | undefined
  /** Asked at every push. */
  readonly value: () => number
}

/** A value to push. */
export interface PushedMetric extends Metric {
  /** By its name when absent. */
  readonly type?: 'gauge' | 'sum' | undefined
}

export const metricKey = ({ group, name, tags = {} }: Pick<MetricForSubscription, 'group' | 'name' | 'tags'>): string =>
  JSON.stringify([group, name, Object.entries(tags).sort()])

/** What the application has registered. */
export class RegisteredMetrics {
  readonly #metrics = new Map<string, MetricForSubscription>()
  readonly #logger: Logger

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** In place of one of the same group, name and tags. @throws InvalidOptionError for what is no metric */
  register(metric: MetricForSubscription): void {
    const { name, group, tags = {}, value } = metric
    if (![name, group].every((text) => typeof text === 'string' && text !== '') || typeof value !== 'function')
      throw new InvalidOptionError('a metric needs a name, a group and a function that gives its value')
    for (const [tag, text] of Object.entries(tags))
      if (typeof text !== 'string') throw new InvalidOptionError(`tag ${tag} of metric ${name} is no text`)
    this.#metrics.set(metricKey(metric), metric)
  }

  unregister(metric: Pick<MetricForSubscription, 'group' | 'name' | 'tags'>): void {
    this.#metrics.delete(metricKey(metric))
  }

  /** Their values now; one that throws, or gives no number, is left out. @param own What the client has by itself, which goes before. */
  values(own: readonly Metric[]): PushedMetric[] {
    if (this.#metrics.size === 0) return []
    const taken = new Set(own.map(metricKey))
    const values: PushedMetric[] = []
    for (const [key, { name, group, tags = {}, type, value: measure }] of this.#metrics) {
      if (taken.has(key)) continue
      try {
        const value = measure()
        if (typeof value === 'number') values.push({ name, group, tags, type, value })
      } catch (error) {
        this.#logger.debug('a metric has no value', { group, name, reason: messageOf(error) })
      }
    }
    return values
  }
}
