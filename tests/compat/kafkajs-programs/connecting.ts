import type { LogEntry } from 'kafkajs'
import { failure, kafkaOf, type Program } from './program.ts'

/** What is said when nobody is there, and how logs look. */
export const connecting: Program = async (library, bootstrap) => {
  const { Kafka, logLevel } = library
  const results: unknown[] = []
  const retry = { initialRetryTime: 5, retries: 2 }
  // A port that nobody listens on: the reserved one.
  const nobody = new Kafka({ clientId: 'c', brokers: ['127.0.0.1:1'], logLevel: logLevel.NOTHING, retry })
  for (const client of [nobody.producer(), nobody.consumer({ groupId: 'g' }), nobody.admin()])
    results.push(await failure(() => client.connect()))
  results.push(await failure(() => nobody.consumer({ groupId: '' })))
  results.push(await failure(() => nobody.consumer({ groupId: 'g', heartbeatInterval: 30_000 })))
  results.push(await failure(() => new Kafka({ brokers: [], logLevel: logLevel.NOTHING }).admin().connect()))

  let asked = 0
  const brokers = async () => {
    asked++
    return [bootstrap]
  }
  const admin = kafkaOf(library, bootstrap, { brokers }).admin()
  const types: string[] = []
  admin.on(admin.events.CONNECT, ({ type }) => types.push(type))
  admin.on(admin.events.DISCONNECT, ({ type }) => types.push(type))
  await admin.connect()
  results.push(Array.isArray(await admin.listTopics()), asked > 0)
  await admin.disconnect()
  results.push(types)

  const entries: LogEntry[] = []
  const logging = kafkaOf(library, bootstrap, { logLevel: logLevel.WARN, logCreator: () => (entry) => void entries.push(entry) })
  const logger = logging.logger()
  logger.info('not shown')
  logger.warn('shown', { with: 'more' })
  const inner = logger.namespace('Mine')
  inner.error('from a namespace')
  logger.setLogLevel(logLevel.DEBUG)
  inner.debug('shown now')
  logger.namespace('Quiet', logLevel.NOTHING).error('not shown either')
  results.push(entries.map(({ namespace, level, label, log: { timestamp, ...log } }) => [namespace, level, label, log, typeof timestamp]))
  return results
}
