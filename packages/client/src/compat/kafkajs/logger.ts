import type { Clock, Logger as OurLogger } from '@tidelog/core'
import { logLevel } from './enums.ts'
import type { Logger, logCreator } from './types-client.ts'

const labels = new Map<logLevel, string>([
  [logLevel.ERROR, 'ERROR'],
  [logLevel.WARN, 'WARN'],
  [logLevel.INFO, 'INFO'],
  [logLevel.DEBUG, 'DEBUG'],
])

/** One line of JSON an entry, on the console, as kafkajs has it. */
export const consoleLogCreator: logCreator =
  () =>
  ({ namespace, level, label, log }) => {
    const line = JSON.stringify({ level: label, ...log, message: namespace ? `[${namespace}] ${log.message}` : log.message })
    if (level === logLevel.ERROR) console.error(line)
    else if (level === logLevel.WARN) console.warn(line)
    else if (level === logLevel.INFO) console.info(line)
    else console.log(line)
  }

/** kafkajs's logger: what is below the level is dropped, everything else goes to what `create` made; namespaces share the level unless they have their own. */
export function createLogger(level: logLevel, create: logCreator, clock: Clock): Logger {
  let shared = level
  const write = create(level)
  const make = (namespace: string | undefined, own?: logLevel): Logger => {
    const at =
      (entryLevel: logLevel) =>
      (message: string, extra: object = {}): void => {
        if (entryLevel > (own ?? shared)) return
        const log = { timestamp: new Date(clock.now()).toISOString(), logger: 'kafkajs', message, ...extra }
        write({ namespace: namespace as string, level: entryLevel, label: labels.get(entryLevel)!, log })
      }
    return {
      error: at(logLevel.ERROR),
      warn: at(logLevel.WARN),
      info: at(logLevel.INFO),
      debug: at(logLevel.DEBUG),
      namespace: (inner, innerLevel) => make(inner, innerLevel),
      setLogLevel(newLevel) {
        shared = newLevel
      },
    }
  }
  // Outside of all namespaces, as in kafkajs.
  return make(undefined)
}

/** What our client logs, in kafkajs's logger. */
export function loggerOf(logger: Logger, fields: Record<string, unknown> = {}): OurLogger {
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, more: Record<string, unknown> = {}): void =>
      logger[level](message, { ...fields, ...more })
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (more) => loggerOf(logger, { ...fields, ...more }),
  }
}
