import type { ConsumerGroupSettings } from '@tidelog/coordinator'
import { ConfigError } from '@tidelog/core'
import { KafkaError } from '@tidelog/protocol'
import { applyOps, type ConfigOp, refusing } from './alter-configs.ts'
import type { BrokerConfig } from './broker-config.ts'
import { groupConfig } from './group-config.ts'

type Texts = ReadonlyMap<string, string>

/** What a consumer group may set, with the broker's configurations that give its default and bound it. */
const consumerConfigs = [
  [
    'consumer.heartbeat.interval.ms',
    'group.consumer.heartbeat.interval.ms',
    'group.consumer.min.heartbeat.interval.ms',
    'group.consumer.max.heartbeat.interval.ms',
  ],
  [
    'consumer.session.timeout.ms',
    'group.consumer.session.timeout.ms',
    'group.consumer.min.session.timeout.ms',
    'group.consumer.max.session.timeout.ms',
  ],
  [
    'consumer.assignment.interval.ms',
    'group.consumer.assignment.interval.ms',
    'group.consumer.min.assignment.interval.ms',
    'group.consumer.max.assignment.interval.ms',
  ],
] as const

const invalidConfig = (message: string) => new KafkaError('INVALID_CONFIG', message)

/** A group's own configurations after `ops`. @throws KafkaError INVALID_CONFIG in Kafka's words */
export function alteredGroupConfigs(current: Texts, ops: readonly ConfigOp[], broker: BrokerConfig): Texts {
  const next = applyOps(groupConfig, current, ops)
  refusing(invalidConfig, () => {
    for (const [name, text] of next) {
      if (!groupConfig.has(name)) throw invalidConfig(`Unknown group config name: ${name}`)
      groupConfig.parse(name, text)
    }
  })
  for (const [name, byDefault, min, max] of consumerConfigs) {
    const value = numberOf(next, name, broker[byDefault])
    if (value < broker[min]) throw invalidConfig(`${name} must be greater than or equal to ${min}`)
    if (value > broker[max]) throw invalidConfig(`${name} must be less than or equal to ${max}`)
  }
  const { sessionTimeoutMs, heartbeatIntervalMs } = unbounded(next, broker)
  if (sessionTimeoutMs <= heartbeatIntervalMs) {
    throw invalidConfig('consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms')
  }
  return next
}

/** A value that is not valid, left in the store by somebody else, has no effect. */
function numberOf(own: Texts, name: (typeof consumerConfigs)[number][0], byDefault: number): number {
  const text = own.get(name)
  if (text === undefined) return byDefault
  try {
    return groupConfig.parse(name, text)
  } catch (error) {
    if (error instanceof ConfigError) return byDefault
    throw error
  }
}

const unbounded = (own: Texts, broker: BrokerConfig): ConsumerGroupSettings => ({
  sessionTimeoutMs: numberOf(own, 'consumer.session.timeout.ms', broker['group.consumer.session.timeout.ms']),
  heartbeatIntervalMs: numberOf(own, 'consumer.heartbeat.interval.ms', broker['group.consumer.heartbeat.interval.ms']),
  assignmentIntervalMs: numberOf(own, 'consumer.assignment.interval.ms', broker['group.consumer.assignment.interval.ms']),
})

/** What holds for a group: its own configurations, kept within the broker's bounds, which may have changed since, before the broker's. */
export function consumerGroupSettings(own: Texts, broker: BrokerConfig): ConsumerGroupSettings {
  if (own.size === 0) return unbounded(own, broker)
  const within = new Map<string, string>()
  for (const [name, byDefault, min, max] of consumerConfigs) {
    within.set(name, `${Math.max(broker[min], Math.min(broker[max], numberOf(own, name, broker[byDefault])))}`)
  }
  const settings = unbounded(within, broker)
  if (settings.sessionTimeoutMs > settings.heartbeatIntervalMs) return settings
  const { sessionTimeoutMs, heartbeatIntervalMs } = unbounded(new Map(), broker)
  return { ...settings, sessionTimeoutMs, heartbeatIntervalMs }
}
