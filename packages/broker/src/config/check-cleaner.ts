import { ConfigError } from '@tidelog/core'
import { brokerConfig } from './broker-config.ts'

const MIN_DEDUPE_BYTES_PER_THREAD = 1024 * 1024

/**
 * Refuses settings of the log cleaner that are each valid and do not work together, as Kafka's own broker and its LogCleaner do.
 * @param text What is to hold, by name. @param currentThreads How many threads there are, when it is a running cleaner that changes.
 * @throws ConfigError
 */
export function checkCleaner(text: (name: string) => string | undefined, currentThreads?: number): void {
  const parsed = <N extends 'log.cleaner.enable' | 'log.cleaner.threads' | 'log.cleaner.dedupe.buffer.size'>(name: N) =>
    brokerConfig.parse(name, text(name))
  if (!parsed('log.cleaner.enable')) return
  const threads = parsed('log.cleaner.threads')
  const refuseThreads = (message: string): ConfigError => new ConfigError('log.cleaner.threads', message)
  if (threads < 1) throw refuseThreads('Log cleaner threads should be at least 1')
  if (parsed('log.cleaner.dedupe.buffer.size') / threads <= MIN_DEDUPE_BYTES_PER_THREAD) {
    const message = 'log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.'
    throw new ConfigError('log.cleaner.dedupe.buffer.size', message)
  }
  if (currentThreads === undefined) return
  if (threads < Math.floor(currentThreads / 2)) {
    throw refuseThreads(`Log cleaner threads cannot be reduced to less than half the current value ${currentThreads}`)
  }
  if (threads > currentThreads * 2) {
    throw refuseThreads(`Log cleaner threads cannot be increased to more than double the current value ${currentThreads}`)
  }
}
