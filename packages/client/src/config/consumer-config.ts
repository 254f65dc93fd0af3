import { boolean, type ConfigOf, type ConfigTable, int, list, string } from '@tidelog/core'
import { resetDurationMs } from './auto-offset-reset.ts'
import { ClientConfig, commonRows, type OptionsOf } from './client-config.ts'

const BY_OPTION = 'given as a function in the options, or through fromProperties()'

const resetPolicies = ['latest', 'earliest', 'none']

export const consumerRows = {
  ...commonRows,
  'allow.auto.create.topics': boolean({
    default: true,
    importance: 'medium',
    doc: 'Subscribing to a missing topic may create it on the broker.',
  }),
  'auto.commit.interval.ms': int({ default: 5000, min: 0, unit: 'ms', importance: 'low', doc: 'Time between automatic commits.' }),
  'auto.offset.reset': string({
    default: 'latest',
    check: (text) =>
      resetPolicies.includes(text) || resetDurationMs(text) !== undefined
        ? undefined
        : 'expected latest, earliest, none or by_duration:PnDTnHnMn.nS',
    valid: '[latest, earliest, none, by_duration:PnDTnHnMn.nS]',
    importance: 'medium',
    doc: 'Where to start without a committed offset, or when it is out of range. none: that is an error.',
  }),
  'check.crcs': boolean({ default: true, importance: 'low', doc: 'Check the CRC-32C of every batch.' }),
  'client.rack': string({ default: '', importance: 'low', doc: 'Where this client is; a broker may name a closer replica to read from.' }),
  'default.api.timeout.ms': int({ default: 60_000, min: 0, unit: 'ms', importance: 'medium', doc: 'Limit of calls that take no timeout.' }),
  'enable.auto.commit': boolean({ default: true, importance: 'medium', doc: 'Commit in the background what has been processed.' }),
  'exclude.internal.topics': boolean({ default: true, importance: 'medium', doc: 'A pattern does not match internal topics.' }),
  'fetch.max.bytes': int({
    default: 52_428_800,
    min: 0,
    unit: 'bytes',
    importance: 'medium',
    doc: 'Most that is fetched at a time, and ahead of the user; above 16 MiB, no more than four times max.partition.fetch.bytes.',
  }),
  'fetch.max.wait.ms': int({ default: 500, min: 0, unit: 'ms', importance: 'low', doc: 'How long a broker waits for fetch.min.bytes.' }),
  'fetch.min.bytes': int({ default: 1, min: 0, unit: 'bytes', importance: 'high', doc: 'A broker answers a fetch when it has this much.' }),
  'group.id': string({ default: null, importance: 'high', doc: 'The group; needed by subscribe() and commits.' }),
  'group.instance.id': string({
    default: null,
    check: (text) => (text === '' ? 'String must be non-empty' : undefined),
    valid: 'non-empty string',
    importance: 'medium',
    doc: 'Static membership: the member keeps its partitions over a restart (KIP-345).',
  }),
  'group.protocol': string({
    default: 'classic',
    of: ['classic', 'consumer'],
    ignoreCase: true,
    importance: 'high',
    doc: 'classic: a member assigns. consumer: the coordinator does, without stopping the others (KIP-848).',
  }),
  'group.remote.assignor': string({
    default: null,
    importance: 'medium',
    doc: 'The assignor of the coordinator, uniform or range; its own choice when absent. With group.protocol=consumer only.',
  }),
  'heartbeat.interval.ms': int({ default: 3000, unit: 'ms', importance: 'high', doc: 'Time between heartbeats to the coordinator.' }),
  'isolation.level': string({
    default: 'read_uncommitted',
    of: ['read_committed', 'read_uncommitted'],
    importance: 'medium',
    doc: 'read_committed leaves out records of aborted and open transactions.',
  }),
  'key.deserializer': string({ default: null, importance: 'high', unused: BY_OPTION, doc: 'Deserializer of keys.' }),
  'value.deserializer': string({ default: null, importance: 'high', unused: BY_OPTION, doc: 'Deserializer of values.' }),
  'max.partition.fetch.bytes': int({
    default: 1_048_576,
    min: 0,
    unit: 'bytes',
    importance: 'high',
    doc: 'Most that one answer holds of one partition.',
  }),
  'max.poll.interval.ms': int({
    default: 300_000,
    min: 1,
    unit: 'ms',
    importance: 'medium',
    doc: 'A member that does not come back for records within this time leaves its group.',
  }),
  'max.poll.records': int({ default: 500, min: 1, importance: 'medium', doc: 'Most records of one poll.' }),
  'partition.assignment.strategy': list({
    default: ['range', 'cooperative-sticky'],
    nonEmpty: true,
    importance: 'medium',
    unused: 'read by the options, where assignors may be objects',
    doc: 'Assignors that this member can work with, best first.',
  }),
  'session.timeout.ms': int({
    default: 45_000,
    unit: 'ms',
    importance: 'high',
    doc: 'A member without heartbeat for this long is out of its group.',
  }),
  'share.acknowledgement.mode': string({
    default: 'implicit',
    of: ['implicit', 'explicit'],
    ignoreCase: true,
    importance: 'medium',
    doc: 'Of ShareConsumer. implicit: asking for more accepts what was handed out before; explicit: every record is acknowledged by the application.',
  }),
  'share.acquire.mode': string({
    default: 'batch_optimized',
    of: ['batch_optimized', 'record_limit'],
    ignoreCase: true,
    importance: 'medium',
    doc: 'Of ShareConsumer. batch_optimized: brokers hand out whole batches, which may exceed max.poll.records; record_limit: never more than that at a time (KIP-1206).',
  }),
} as const

export const consumerConfig = new ClientConfig(consumerRows)
export type ConsumerConfig = ConfigOf<ConfigTable<typeof consumerRows>>
export type ConsumerConfigOptions = Omit<OptionsOf<typeof consumerRows>, 'partitionAssignmentStrategy'>
