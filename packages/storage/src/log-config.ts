import { boolean, ConfigError, type ConfigOf, configTable, double, INT64_MAX, int, list, long, string } from '@tidelog/core'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

const UNTIERED = 'tiered storage is not served: every segment stays on local disk'

/** Which replicas a replication throttle names: `*`, nothing, or PARTITION:BROKER pairs. KIP-73. */
const throttledReplicas = (name: string) =>
  ({
    default: [],
    importance: 'medium',
    check: (items: readonly string[]) =>
      (items.length === 1 && items[0] === '*') || items.every((item) => /^\d+:\d+$/.test(item))
        ? undefined
        : `${name} must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...`,
    valid: '[partitionId]:[brokerId],[partitionId]:[brokerId],...',
    unused: 'replication throttles are not served yet',
  }) as const

/** What a topic can be configured with. A topic's own value wins; then `brokerNames` of the broker, the first that is set; then the default. */
export const logConfig = configTable({
  'cleanup.policy': list({
    default: ['delete'],
    of: ['compact', 'delete'],
    importance: 'medium',
    brokerNames: ['log.cleanup.policy'],
    valid: '[compact, delete]',
    doc: 'What becomes of old records: delete drops segments by age and size, compact keeps the newest record of every key. Both may be given; with neither, nothing is removed.',
  }),
  'compression.gzip.level': int({
    default: -1,
    min: 1,
    max: 9,
    also: -1,
    importance: 'medium',
    brokerNames: ['compression.gzip.level'],
    doc: 'How hard gzip works when compression.type is gzip, from 1 (fast) to 9 (small). -1 leaves it to the codec.',
  }),
  'compression.lz4.level': int({
    default: 9,
    min: 1,
    max: 17,
    importance: 'medium',
    brokerNames: ['compression.lz4.level'],
    doc: 'How hard lz4 works when compression.type is lz4: 9 is the fast compressor; the others search, the longer the higher.',
  }),
  'compression.type': string({
    default: 'producer',
    of: ['uncompressed', 'zstd', 'lz4', 'snappy', 'gzip', 'producer'],
    importance: 'medium',
    brokerNames: ['compression.type'],
    doc: 'The codec in which batches rest on disk. producer keeps what the producer chose; any other value recompresses on arrival.',
  }),
  'compression.zstd.level': int({
    default: 3,
    min: -131072,
    max: 22,
    importance: 'medium',
    brokerNames: ['compression.zstd.level'],
    doc: 'How hard zstd works when compression.type is zstd; negative levels trade size for speed.',
  }),
  'delete.retention.ms': long({
    default: DAY_MS,
    min: 0,
    unit: 'ms',
    importance: 'medium',
    brokerNames: ['log.cleaner.delete.retention.ms'],
    doc: 'How long a compacted topic keeps a tombstone after it was cleaned: the time a reader from the beginning has to see that a key was deleted.',
  }),
  'file.delete.delay.ms': long({
    default: 60_000,
    min: 0,
    unit: 'ms',
    importance: 'medium',
    brokerNames: ['log.segment.delete.delay.ms'],
    doc: 'How long the files of a removed segment stay on disk, renamed, before they are unlinked.',
  }),
  'flush.messages': long({
    default: INT64_MAX,
    min: 1,
    importance: 'medium',
    brokerNames: ['log.flush.interval.messages'],
    doc: 'Records after which the log is forced to disk (fsync). 1 forces every append before it is acknowledged; the default leaves it to the operating system.',
  }),
  'flush.ms': long({
    default: INT64_MAX,
    min: 0,
    unit: 'ms',
    importance: 'medium',
    brokerNames: ['log.flush.interval.ms', 'log.flush.scheduler.interval.ms'],
    doc: 'Age of unflushed records after which the log is forced to disk (fsync).',
  }),
  'follower.replication.throttled.replicas': list({
    ...throttledReplicas('follower.replication.throttled.replicas'),
    doc: 'Followers whose replication counts against the throttle of their broker, as PARTITION:BROKER pairs, or * for all of the topic.',
  }),
  'index.interval.bytes': int({
    default: 4096,
    min: 0,
    unit: 'bytes',
    importance: 'medium',
    brokerNames: ['log.index.interval.bytes'],
    doc: 'Bytes of log between two entries of the offset index. Smaller gives finer lookups and a larger index.',
  }),
  'leader.replication.throttled.replicas': list({
    ...throttledReplicas('leader.replication.throttled.replicas'),
    doc: 'Leaders whose replication counts against the throttle of their broker, as PARTITION:BROKER pairs, or * for all of the topic.',
  }),
  'local.retention.bytes': long({
    default: -2,
    min: -2,
    unit: 'bytes',
    importance: 'medium',
    brokerNames: ['log.local.retention.bytes'],
    unused: UNTIERED,
    doc: 'Bytes of a tiered partition that stay on local disk; -2 means retention.bytes.',
  }),
  'local.retention.ms': long({
    default: -2,
    min: -2,
    unit: 'ms',
    importance: 'medium',
    brokerNames: ['log.local.retention.ms'],
    unused: UNTIERED,
    doc: 'Age up to which records of a tiered partition stay on local disk; -2 means retention.ms.',
  }),
  'max.compaction.lag.ms': long({
    default: INT64_MAX,
    min: 1,
    unit: 'ms',
    importance: 'medium',
    brokerNames: ['log.cleaner.max.compaction.lag.ms'],
    doc: 'The longest a record may wait before its part of the log becomes due for compaction.',
  }),
  'max.message.bytes': int({
    default: 1_048_588,
    min: 0,
    unit: 'bytes',
    importance: 'medium',
    brokerNames: ['message.max.bytes'],
    doc: 'The largest record batch the topic takes, after compression.',
  }),
  'message.timestamp.after.max.ms': long({
    default: HOUR_MS,
    min: 0,
    unit: 'ms',
    importance: 'medium',
    brokerNames: ['log.message.timestamp.after.max.ms'],
    doc: "How far ahead of the broker's clock a record's CreateTime may lie; beyond it the batch is refused. Has no meaning under LogAppendTime.",
  }),
  'message.timestamp.before.max.ms': long({
    default: INT64_MAX,
    min: 0,
    unit: 'ms',
    importance: 'medium',
    brokerNames: ['log.message.timestamp.before.max.ms'],
    doc: "How far behind the broker's clock a record's CreateTime may lie; beyond it the batch is refused. Has no meaning under LogAppendTime.",
  }),
  'message.timestamp.type': string({
    default: 'CreateTime',
    of: ['CreateTime', 'LogAppendTime'],
    importance: 'medium',
    brokerNames: ['log.message.timestamp.type'],
    doc: 'Which time a record carries: the one its producer gave it, or the one at which the leader appended it.',
  }),
  'min.cleanable.dirty.ratio': double({
    default: 0.5,
    min: 0,
    max: 1,
    importance: 'medium',
    brokerNames: ['log.cleaner.min.cleanable.ratio'],
    doc: 'Share of a compacted log that must be uncleaned before it is compacted again. Lower wastes less space and compacts more often.',
  }),
  'min.compaction.lag.ms': long({
    default: 0,
    min: 0,
    unit: 'ms',
    importance: 'medium',
    brokerNames: ['log.cleaner.min.compaction.lag.ms'],
    doc: 'The shortest time a record stays uncompacted, so that readers can see every update that is younger.',
  }),
  'min.insync.replicas': int({
    default: 1,
    min: 1,
    importance: 'medium',
    brokerNames: ['min.insync.replicas'],
    doc: 'In-sync replicas, the leader included, that a write with acks=all needs; with fewer it is refused.',
  }),
  preallocate: boolean({
    default: false,
    importance: 'medium',
    brokerNames: ['log.preallocate'],
    unused: 'files grow as they are written; preallocation helped on Windows only',
    doc: 'Whether a new segment file is created in its full size.',
  }),
  'remote.log.copy.disable': boolean({
    default: false,
    importance: 'medium',
    unused: UNTIERED,
    doc: 'Whether a tiered topic stops copying further segments to remote storage.',
  }),
  'remote.log.delete.on.disable': boolean({
    default: false,
    importance: 'medium',
    unused: UNTIERED,
    doc: 'Whether turning tiered storage off for a topic deletes what was copied.',
  }),
  'remote.storage.enable': boolean({
    default: false,
    importance: 'medium',
    doc: 'Whether the topic is tiered. true is refused while the broker has no tiered storage.',
  }),
  'retention.bytes': long({
    default: -1,
    unit: 'bytes',
    importance: 'medium',
    brokerNames: ['log.retention.bytes'],
    doc: 'Size of a partition above which its oldest segments may be deleted. -1 sets no limit.',
  }),
  'retention.ms': long({
    default: 7 * DAY_MS,
    min: -1,
    unit: 'ms',
    importance: 'medium',
    brokerNames: ['log.retention.ms', 'log.retention.minutes', 'log.retention.hours'],
    doc: 'Age after which a closed segment may be deleted. -1 keeps it for ever.',
  }),
  'segment.bytes': int({
    default: 1_073_741_824,
    min: 1_048_576,
    unit: 'bytes',
    importance: 'medium',
    brokerNames: ['log.segment.bytes'],
    doc: 'Size at which a segment is closed and the next one begun. Retention and compaction work on closed segments only.',
  }),
  'segment.index.bytes': int({
    default: 10_485_760,
    min: 4,
    unit: 'bytes',
    importance: 'medium',
    brokerNames: ['log.index.size.max.bytes'],
    doc: "Largest size of a segment's offset index; a full index rolls the segment.",
  }),
  'segment.jitter.ms': long({
    default: 0,
    min: 0,
    unit: 'ms',
    importance: 'medium',
    brokerNames: ['log.roll.jitter.ms', 'log.roll.jitter.hours'],
    doc: 'Upper bound of a random time taken off segment.ms, so that partitions do not all roll at once.',
  }),
  'segment.ms': long({
    default: 7 * DAY_MS,
    min: 1,
    unit: 'ms',
    importance: 'medium',
    brokerNames: ['log.roll.ms', 'log.roll.hours'],
    doc: 'Age at which a segment is closed even if it is not full, so that retention and compaction can reach its records.',
  }),
  'unclean.leader.election.enable': boolean({
    default: false,
    importance: 'medium',
    brokerNames: ['unclean.leader.election.enable'],
    doc: 'Whether a replica outside the ISR may become leader when no other is left, at the price of losing acknowledged records.',
  }),
})
/** A topic's effective configuration, by Kafka's names. Longs beyond 2^53−1 read as 2^53−1. */
export type LogConfig = ConfigOf<typeof logConfig>

/** Milliseconds in the unit that a broker configuration's name ends in. */
const unitMs = (brokerName: string): bigint => (brokerName.endsWith('.hours') ? 3_600_000n : brokerName.endsWith('.minutes') ? 60_000n : 1n)

/**
 * What the broker gives for a topic configuration: the first of its `brokerNames` that is set, in the row's own unit.
 * Any negative retention time is -1, "no limit", as in Kafka.
 */
function brokerTextOf(name: string, brokerText: (brokerName: string) => string | undefined): string | undefined {
  for (const brokerName of logConfig.row(name)?.brokerNames ?? []) {
    const text = brokerText(brokerName)
    if (text === undefined) continue
    const factor = unitMs(brokerName)
    if (factor === 1n && name !== 'retention.ms') return text
    const value = BigInt(text.trim())
    return String(name === 'retention.ms' && value < 0n ? -1n : value * factor)
  }
  return undefined
}

/** The text of a topic's effective value: its own, else the broker's, else undefined (the default). */
export function logConfigText(
  name: string,
  topicEntries: ReadonlyMap<string, string>,
  brokerText: (brokerName: string) => string | undefined,
): string | undefined {
  return topicEntries.get(name) ?? brokerTextOf(name, brokerText)
}

/**
 * A topic's effective configuration.
 * @param brokerText What the broker's configuration holds by name: dynamic over static, undefined where only the default holds.
 * @throws ConfigError for a value that is not valid
 */
export function resolveLogConfig(
  topicEntries: ReadonlyMap<string, string>,
  brokerText: (brokerName: string) => string | undefined = () => undefined,
): LogConfig {
  return logConfig.resolve((name) => logConfigText(name, topicEntries, brokerText))
}

/** Age at which a segment is closed: a compacted log's before its records are overdue, since the active segment is never compacted. */
export function maxSegmentMs(config: LogConfig): number {
  const segmentMs = config['segment.ms']
  return config['cleanup.policy'].includes('compact') ? Math.min(segmentMs, config['max.compaction.lag.ms']) : segmentMs
}

/** @throws ConfigError for values that contradict each other */
export function checkLogConfig(config: LogConfig): void {
  const minLag = config['min.compaction.lag.ms']
  const maxLag = config['max.compaction.lag.ms']
  if (minLag > maxLag)
    throw new ConfigError(
      'min.compaction.lag.ms',
      `conflict topic config setting min.compaction.lag.ms (${minLag}) > max.compaction.lag.ms (${maxLag})`,
    )
}
