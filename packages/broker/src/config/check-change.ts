import { ConfigError } from '@tidelog/core'
import { checkLogConfig, resolveLogConfig } from '@tidelog/storage'
import { type BrokerConfig, type BrokerConfigName, brokerConfig } from './broker-config.ts'
import { checkCleaner } from './check-cleaner.ts'
import { contradictions } from './contradictions.ts'
import { checkListenerChange, listenersOf, refuseUnservedListeners } from './listeners.ts'

/** What holds for a broker configuration, by name; undefined where only its default does. */
export type BrokerText = (name: string) => string | undefined

/** Kafka lets a pool of threads grow and shrink by a factor of two at a time. */
const threadPools: readonly (BrokerConfigName & keyof NumbersOf<BrokerConfig>)[] = [
  'background.threads',
  'num.io.threads',
  'num.network.threads',
  'num.recovery.threads.per.data.dir',
  'num.replica.fetchers',
  'remote.log.manager.copier.thread.pool.size',
  'remote.log.manager.expiration.thread.pool.size',
  'remote.log.manager.follower.thread.pool.size',
  'remote.log.reader.threads',
]
type NumbersOf<T> = { readonly [K in keyof T as T[K] extends number ? K : never]: T[K] }

function checkThreads(before: BrokerConfig, after: BrokerConfig): void {
  for (const name of threadPools) {
    const [now, next] = [before[name], after[name]]
    const refuse = (why: string) =>
      new ConfigError(name, `Dynamic thread count update validation failed for ${name}=${next}, value should ${why}`)
    if (next < Math.floor(now / 2)) throw refuse(`be at least half the current value ${now}`)
    if (next > now * 2) throw refuse(`not be greater than double the current value ${now}`)
  }
}

function checkLocalRetention(before: BrokerConfig, after: BrokerConfig, afterText: BrokerText): void {
  const { 'retention.ms': retentionMs, 'retention.bytes': retentionBytes } = resolveLogConfig(new Map(), afterText)
  for (const [name, of, limit] of [
    ['log.local.retention.ms', 'log.retention.ms', retentionMs],
    ['log.local.retention.bytes', 'log.retention.bytes', retentionBytes],
  ] as const) {
    const local = after[name]
    if (limit < 0 || local === -2 || (local === before[name] && after[of] === before[of])) continue
    const refuse = (why: string) => new ConfigError(name, `Invalid value ${local} for configuration ${name}: Value must not be ${why}`)
    if (local === -1) throw refuse(`-1 as ${of} value is set as ${limit}.`)
    if (local > limit) throw refuse(`more than ${of} property value: ${limit}`)
  }
}

/**
 * Refuses a change of a running broker's configuration: values that are each valid and do not go together, or cannot be reached from those before.
 * @throws ConfigError in Kafka's words, without the names of its classes. Source: kafka.server.KafkaConfig, kafka.server.DynamicBrokerConfig.
 */
export function checkChange(before: BrokerConfig, afterText: BrokerText): void {
  const after = brokerConfig.resolve(afterText)
  for (const [name, message] of contradictions(after)) throw new ConfigError(name, message)
  const listeners = listenersOf(after)
  checkListenerChange(listenersOf(before), listeners)
  refuseUnservedListeners(listeners)
  checkThreads(before, after)
  checkLogConfig(resolveLogConfig(new Map(), afterText))
  checkLocalRetention(before, after, afterText)
  checkCleaner(afterText, before['log.cleaner.threads'])
}
