import type { Metric } from '../metrics.ts'

const DOMAIN = 'org.apache.kafka'
/** The broker knows it from the request. */
const EXCLUDED_TAG = 'client-id'
/** Java has it as an integer, and all else as doubles. */
const INTEGER = 'preferred-read-replica'

/** `producer-metrics`, `connection-creation-total` → `org.apache.kafka.producer.connection.creation.total`. KIP-714. */
export function telemetryNameOf({ group, name }: Pick<Metric, 'group' | 'name'>): string {
  return `${DOMAIN}.${dotted(group).replaceAll('.metrics', '')}.${dotted(name)}`
}

/** A metric's tags but the client id, in snake case. */
export function attributesOf(tags: Readonly<Record<string, string>>): Record<string, string> {
  const attributes: Record<string, string> = {}
  for (const [tag, value] of Object.entries(tags)) {
    if (tag !== EXCLUDED_TAG) attributes[tag.toLowerCase().replaceAll('-', '_')] = value
  }
  return attributes
}

/** Kafka calls a total what only grows; everything else is a gauge. */
export const isSum = ({ name }: Pick<Metric, 'name'>): boolean => name.endsWith('-total')

export const isInteger = ({ name, value }: Pick<Metric, 'name' | 'value'>): boolean => name === INTEGER && Number.isSafeInteger(value)

/** Those that KIP-714 wants of every client; they are the last to be left out of a payload that is too large. */
export const standardMetrics: ReadonlySet<string> = new Set(
  [
    'admin.client.connection.creation.rate',
    'admin.client.connection.creation.total',
    'producer.connection.creation.rate',
    'producer.connection.creation.total',
    'producer.node.request.latency.avg',
    'producer.node.request.latency.max',
    'producer.produce.throttle.time.avg',
    'producer.produce.throttle.time.max',
    'producer.record.queue.time.avg',
    'producer.record.queue.time.max',
    'consumer.connection.creation.rate',
    'consumer.connection.creation.total',
    'consumer.node.request.latency.avg',
    'consumer.node.request.latency.max',
    'consumer.poll.idle.ratio.avg',
    'consumer.coordinator.commit.latency.avg',
    'consumer.coordinator.commit.latency.max',
    'consumer.coordinator.assigned.partitions',
    'consumer.coordinator.rebalance.latency.avg',
    'consumer.coordinator.rebalance.latency.max',
    'consumer.coordinator.rebalance.latency.total',
    'consumer.fetch.manager.fetch.latency.avg',
    'consumer.fetch.manager.fetch.latency.max',
  ].map((name) => `${DOMAIN}.${name}`),
)

const dotted = (text: string): string => text.toLowerCase().replaceAll('-', '.')
