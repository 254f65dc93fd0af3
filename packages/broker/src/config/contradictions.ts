import type { BrokerConfig, BrokerConfigName } from './broker-config.ts'
import { cordonedProblem, logDirsOf } from './log-dirs-config.ts'

/** What is wrong with values that are each valid, by the configuration to blame; in Kafka's words. */
export function* contradictions(config: BrokerConfig): Generator<[name: BrokerConfigName, message: string]> {
  for (const name of ['log.retention.ms', 'log.retention.minutes', 'log.retention.hours'] as const) {
    if (config[name] === 0) yield [name, `${name} must be unlimited (-1) or, greater than or equal to 1`]
  }
  const [rollMs, rollJitterMs] = [config['log.roll.ms'], config['log.roll.jitter.ms']]
  if (rollMs !== null && rollMs < 1) yield ['log.roll.ms', 'log.roll.ms must be greater than or equal to 1']
  if (rollJitterMs !== null && rollJitterMs < 0) yield ['log.roll.jitter.ms', 'log.roll.jitter.ms must be greater than or equal to 0']
  if (config['max.connections.per.ip'] === 0 && config['max.connections.per.ip.overrides'] === '') {
    const name = 'max.connections.per.ip'
    yield [name, `${name} can be set to zero only if max.connections.per.ip.overrides property is set.`]
  }
  const cordoned = cordonedProblem(config)
  if (cordoned !== undefined) yield ['cordoned.log.dirs', cordoned]
  if (config['group.max.session.timeout.ms'] < config['group.min.session.timeout.ms']) {
    const name = 'group.max.session.timeout.ms'
    yield [name, `${name} must be greater than or equal to group.min.session.timeout.ms`]
  }
  const queued = config['queued.max.request.bytes']
  if (queued > 0 && queued < config['socket.request.max.bytes']) {
    const name = 'queued.max.request.bytes'
    yield [name, `${name} must be larger or equal to socket.request.max.bytes (${queued} < ${config['socket.request.max.bytes']})`]
  }
  const codec = config['offsets.topic.compression.codec']
  if (codec < 0 || codec > 4) {
    const name = 'offsets.topic.compression.codec'
    yield [name, `Invalid value ${codec} for configuration ${name}: Unknown compression type id: ${codec}`]
  }
  if (logDirsOf(config).length === 0) yield ['log.dirs', 'At least one log directory must be defined via log.dirs or log.dir.']
}
