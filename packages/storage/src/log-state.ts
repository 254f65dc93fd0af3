import type { Clock, Logger, Offload, Random } from '@tidelog/core'
import { KafkaError } from '@tidelog/protocol'
import type { TopicPartition } from './file-names.ts'
import type { LeaderEpochs } from './leader-epochs.ts'
import type { LogConfig } from './log-config.ts'
import type { ProducerSnapshots } from './producer-snapshots.ts'
import type { ProducerState } from './producer-state.ts'
import type { RetentionClock } from './retention-clock.ts'
import type { SegmentContext } from './segment.ts'
import type { SegmentList } from './segment-list.ts'
import type { LogTail } from './tail-cache.ts'

/** What the parts of a log share: loader, writer, reader, retention. Only `Log` hands it to them. */
export interface LogState extends TopicPartition {
  /** TOPIC-PARTITION, for messages. */
  readonly name: string
  readonly context: SegmentContext
  readonly clock: Clock
  readonly random: Random
  readonly offload: Offload
  readonly logger: Logger
  /** What the age of records is told by. */
  readonly retentionClock: RetentionClock
  /** The topic's id, for partition.metadata; undefined when nobody knows it. */
  topicId: string | undefined
  /** Whether folder and files are there. Those of a new log are made ahead of the first thing that is written, or when the disk has time. */
  isMade: boolean
  /** Whether partition.metadata outlives a power cut. */
  isTopicIdSynced: boolean
  readonly segments: SegmentList
  readonly producers: ProducerState
  readonly snapshots: ProducerSnapshots
  readonly epochs: LeaderEpochs
  readonly tail: LogTail
  producerIdExpirationMs: number
  config: LogConfig
  /** First offset that is readable. */
  logStartOffset: number
  /** Behind the last record that is written. */
  logEndOffset: number
  highWatermark: number
  /** Everything before it outlives a power cut. */
  recoveryPoint: number
  /** Bytes at its end that opening it has cut off, or dropped with their segments: torn by a stop, or damaged. */
  recoveryCutBytes: number
  /** When the active segment was opened or made, wall-clock ms. */
  activeSinceMs: number
  /** How much earlier than segment.ms the active segment rolls, so that partitions made together do not roll together. */
  rollJitterMs: number
  lastFlushMs: number
  /** Set once the disk has failed: nothing is written any more. */
  failure: KafkaError | undefined
  readonly onStorageError: (error: unknown) => void
}

/** Notes that the disk failed; from now on the log refuses to write. Returns what to answer with. */
export function failLog(state: LogState, error: unknown): KafkaError {
  if (error instanceof KafkaError && error.errorName !== 'KAFKA_STORAGE_ERROR') return error
  if (state.failure === undefined) {
    state.failure = storageError(state, error)
    state.logger.error('Writing to a log failed; it goes offline', { partition: state.name, error })
    state.onStorageError(error)
  }
  return state.failure
}

export function storageError({ name }: LogState, cause: unknown): KafkaError {
  return new KafkaError('KAFKA_STORAGE_ERROR', `${name}: the log directory failed: ${cause instanceof Error ? cause.message : cause}`, {
    cause,
  })
}

export function newRollJitter(random: Random, config: LogConfig): number {
  const limit = Math.min(config['segment.jitter.ms'], config['segment.ms'])
  return limit > 0 ? random.int(Math.min(limit, 2 ** 48)) : 0
}
