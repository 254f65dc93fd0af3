import { consumerAssignors } from '@tidelog/coordinator'
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
  yield* consumerGroupContradictions(config)
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

/** What a group may set, and its bounds. */
const CONSUMER_GROUP_BOUNDS = [
  ['group.consumer.heartbeat.interval.ms', 'group.consumer.min.heartbeat.interval.ms', 'group.consumer.max.heartbeat.interval.ms'],
  ['group.consumer.session.timeout.ms', 'group.consumer.min.session.timeout.ms', 'group.consumer.max.session.timeout.ms'],
  ['group.consumer.assignment.interval.ms', 'group.consumer.min.assignment.interval.ms', 'group.consumer.max.assignment.interval.ms'],
] as const

function* consumerGroupContradictions(config: BrokerConfig): Generator<[name: BrokerConfigName, message: string]> {
  for (const [name, min, max] of CONSUMER_GROUP_BOUNDS) {
    if (config[max] < config[min]) yield [max, `${max} must be greater than or equal to ${min}`]
    if (config[name] < config[min]) yield [name, `${name} must be greater than or equal to ${min}`]
    if (config[name] > config[max]) yield [name, `${name} must be less than or equal to ${max}`]
  }
  if (config['group.consumer.heartbeat.interval.ms'] >= config['group.consumer.session.timeout.ms']) {
    const name = 'group.consumer.heartbeat.interval.ms'
    yield [name, `${name} must be less than group.consumer.session.timeout.ms`]
  }
  const assignors = config['group.consumer.assignors']
  const unknown = assignors.find((assignor) => !consumerAssignors.has(assignor))
  if (unknown !== undefined || assignors.length === 0) {
    const known = [...consumerAssignors.keys()].join(', ')
    yield ['group.consumer.assignors', `group.consumer.assignors: ${unknown ?? 'none'} is not among the assignors that there are: ${known}`]
  }
}
