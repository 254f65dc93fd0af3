/** What the log manager takes from the broker's configuration; the names are Kafka's. */
export interface LogManagerSettings {
  /** log.retention.check.interval.ms */
  readonly retentionCheckIntervalMs: number
  /** log.flush.offset.checkpoint.interval.ms */
  readonly recoveryPointCheckpointIntervalMs: number
  /** log.flush.start.offset.checkpoint.interval.ms */
  readonly logStartCheckpointIntervalMs: number
  /** replica.high.watermark.checkpoint.interval.ms */
  readonly highWatermarkCheckpointIntervalMs: number
  /** log.flush.scheduler.interval.ms; INT64_MAX: never */
  readonly flushSchedulerIntervalMs: number
  /** producer.id.expiration.ms */
  readonly producerIdExpirationMs: number
  /** producer.id.expiration.check.interval.ms */
  readonly producerIdExpirationCheckIntervalMs: number
  /** log.initial.task.delay.ms */
  readonly initialTaskDelayMs: number
  /** num.recovery.threads.per.data.dir: partitions of a directory that are opened at a time, 4 for each. */
  readonly recoveryThreadsPerDir: number
}

export const defaultLogManagerSettings: LogManagerSettings = {
  retentionCheckIntervalMs: 300_000,
  recoveryPointCheckpointIntervalMs: 60_000,
  logStartCheckpointIntervalMs: 60_000,
  highWatermarkCheckpointIntervalMs: 5_000,
  flushSchedulerIntervalMs: Number.POSITIVE_INFINITY,
  producerIdExpirationMs: 86_400_000,
  producerIdExpirationCheckIntervalMs: 600_000,
  initialTaskDelayMs: 30_000,
  recoveryThreadsPerDir: 2,
}

/** Partitions of a directory that are opened at a time, for each recovery thread that Kafka would have: they mostly wait for the disk. */
const OPENS_PER_RECOVERY_THREAD = 4

/** Logs of a directory that are opened, or closed, at a time. */
export function logsAtATime({ recoveryThreadsPerDir }: LogManagerSettings): number {
  return Math.max(1, recoveryThreadsPerDir) * OPENS_PER_RECOVERY_THREAD
}
