import { BufferPool, type Clock, type Logger, libuvOffload, type Offload, type Random, type ThreadOffload } from '@tidelog/core'
import type { CleanerSettings } from './compaction/cleaner-settings.ts'
import { FilePool } from './file-pool.ts'
import { type FileSystem, nodeFileSystem } from './file-system.ts'
import { IndexMemory } from './index-memory.ts'
import type { LogConfig } from './log-config.ts'
import type { NewLogOptions } from './log-loader.ts'
import type { LogManagerSettings } from './log-manager-settings.ts'
import { RetentionClock } from './retention-clock.ts'
import { TailCache } from './tail-cache.ts'

/** What the logs of a broker share. */
export interface LogResources {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly fs?: FileSystem
  readonly offload?: Offload
  readonly pool?: FilePool
  readonly indexMemory?: IndexMemory
  readonly tailCache?: TailCache
  readonly readMemory?: BufferPool
  readonly retentionClock?: RetentionClock
}

export interface LogOptions extends LogResources {
  /** The partition's own folder; made when it is missing. */
  readonly dir: string
  readonly topic: string
  readonly partition: number
  /** Undefined when nobody knows it: a folder of a Kafka before 2.8. */
  readonly topicId?: string | undefined
  readonly config: LogConfig
  /** From recovery-point-offset-checkpoint: after an unclean stop everything behind it is checked. Undefined when it is not known. */
  readonly recoveryPoint?: number | undefined
  /** From log-start-offset-checkpoint; 0 when DeleteRecords has not moved it. */
  readonly logStartOffset?: number
  /** From cleaner-offset-checkpoint: offsets before it may be missing since compaction left them out, whatever the configuration says now. */
  readonly compactedUpTo?: number
  readonly cleanShutdown?: boolean
  /** producer.id.expiration.ms */
  readonly producerIdExpirationMs?: number
  /** The disk under `dir` failed; the log writes no more. */
  readonly onStorageError?: (error: unknown) => void
  /** The log start offset moved: the checkpoint should follow. Awaited ahead of the removal of what lies before it. */
  readonly onLogStartChanged?: () => Promise<void>
  /** The recovery point went back, as in a truncation, which waits for the checkpoint to say so. */
  readonly onRecoveryPointLowered?: () => Promise<void>
  /** Records from `offset` on are about to go, and others will take their offsets: the cleaner's checkpoint must not reach beyond it. */
  readonly onTruncating?: (offset: number) => Promise<void>
}

export interface LogManagerOptions extends LogResources {
  readonly offload?: ThreadOffload
  /** log.dirs, locked by LogDirs. */
  readonly dirs: readonly string[]
  /** Those of `dirs` that could not be used from the start. */
  readonly offlineDirs?: ReadonlySet<string>
  /** Whether a directory gets no further partitions, as it is now; none when absent. KIP-1066. */
  readonly isCordoned?: (dir: string) => boolean
  /** A topic's effective configuration. */
  readonly configOf: (topic: string) => LogConfig
  /** Whether a partition is the cluster's. Retention and compaction leave one alone that is not. All are when absent. */
  readonly isKnown?: (topic: string, partition: number) => boolean
  /** The id of the cluster's topic of that name, if it has one. Of two folders of one partition it tells which is the partition's. */
  readonly topicIdOf?: (topic: string) => Promise<string | undefined>
  /** Asked for whenever one is needed; intervals hold from the start. */
  readonly settings?: () => Partial<LogManagerSettings>
  /** How logs are compacted, asked for whenever something begins; without it none is. */
  readonly cleaner?: (() => CleanerSettings) | undefined
  /** Folders that end in -delete are removed after file.delete.delay.ms. false leaves them alone, as a directory that is being adopted wants it. */
  readonly finishDeletions?: boolean
  /** replica.alter.log.dirs.io.max.bytes.per.second as it is now; no limit when absent. */
  readonly moveBytesPerSecond?: () => number
  /** The disk under `dir` failed: its logs refuse appends from now on. `isLast`: no directory is left. */
  readonly onDirFailure?: (dir: string, error: unknown, isLast: boolean) => void
}

const DAY_MS = 86_400_000

/** What the loader wants of them, with a single log's own parts where none are shared. */
export function partsOf(options: LogOptions): NewLogOptions {
  const { fs = nodeFileSystem, offload = libuvOffload(), dir, topic, partition, topicId, config, clock, random, logger } = options
  const { pool = new FilePool(fs), indexMemory = new IndexMemory(), tailCache = new TailCache(), readMemory = new BufferPool() } = options
  const { producerIdExpirationMs = DAY_MS, onStorageError = () => {}, retentionClock = new RetentionClock(clock, logger) } = options
  const context = { fs, pool, indexMemory, readMemory, logger, dir }
  const shared = { clock, random, offload, logger, tailCache, retentionClock }
  return { ...shared, context, topic, partition, topicId, config, producerIdExpirationMs, onStorageError }
}
