import { join, resolve } from 'node:path'
import { type Clock, InvariantError, type Logger, type Random, type ThreadOffload } from '@tidelog/core'
import {
  EmbeddedStore,
  MetadataImage,
  type MetadataStore,
  openCluster,
  raiseLeaderEpochs,
  STORE_FILE_NAMES,
  type SupportedFeatures,
  storedTopicId,
} from '@tidelog/metadata'
import { type CleanerSettings, type FileSystem, type LogConfig, LogDirs, LogManager, resolveLogConfig, unusable } from '@tidelog/storage'
import { adopt, foundIn, readKraftState } from './adoption.ts'
import type { Closers } from './closers.ts'
import type { BrokerConfig } from './config/broker-config.ts'
import { ConfigService } from './config/config-service.ts'
import { isCordoned, logDirsOf } from './config/log-dirs-config.ts'
import { type ParsedBrokerConfig, parseBrokerConfig } from './config/parse-broker-config.ts'

/** What a broker keeps on disk, opened: its directories, the cluster's metadata, its configuration and its logs. */
export interface NodeState {
  readonly nodeId: number
  readonly clusterId: string
  readonly store: MetadataStore
  readonly image: MetadataImage
  readonly configs: ConfigService
  readonly logs: LogManager
}

export interface NodeStateOptions {
  readonly parsed: ParsedBrokerConfig
  /** Whether the configuration names this broker; else it is who the log dirs say. */
  readonly isNodeIdGiven: boolean
  readonly features: SupportedFeatures
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly offload: ThreadOffload
  /** The disk under the log dirs; the real one when absent. */
  readonly fs: FileSystem | undefined
  readonly closers: Closers
  /** Called when a disk has failed that the broker cannot work without. */
  readonly onFatal: (error: Error) => void
  /** Called when a log dir has failed and another is left. */
  readonly onDirFailure: (dir: string) => void
}

/**
 * Locks the log dirs and opens what is in them. Partitions that another Kafka left are taken over when the metadata store is new.
 * @throws LogDirRefusedError, ConfigError, or an Error of one line, before anything is changed where somebody else's data is.
 */
export async function openNodeState(options: NodeStateOptions): Promise<NodeState> {
  const { closers, clock, random, logger, offload, features, onFatal } = options
  const dirs = await openLogDirs(options, logDirsOf(options.parsed.config))
  const parsed = dirs.nodeId === undefined ? options.parsed : withNodeId(options.parsed, dirs.nodeId)
  const { config } = parsed
  const nodeId = config['node.id']

  const metadataDir = await openMetadataDir(options, dirs)
  // A metadata log that cannot be read ends the start here, where nothing has been written yet.
  const isNewStore = (await dirs.fs.stat(join(metadataDir, STORE_FILE_NAMES.journal))) === undefined
  const kraft = isNewStore ? await readKraftState(dirs, metadataDir, logger) : undefined
  const embedded = await EmbeddedStore.open({ dir: metadataDir, clock, logger })
  closers.add('metadata store', () => embedded.close())
  embedded.closed.catch(onFatal)
  const store = embedded.connect()
  store.ended.catch(onFatal)
  let view: { image: MetadataImage; configs: ConfigService } | undefined
  /** Topics that the store knows, while the logs are being opened. */
  let known: ReadonlySet<string> | undefined
  // Nobody knows yet how such a topic is cleaned: what compaction has left out must not pass for lost records.
  const ofUnknownTopics = resolveLogConfig(new Map([['cleanup.policy', 'compact,delete']]), (name) => parsed.entries.get(name))
  const logsOptions = {
    ...options,
    config,
    dirs: dirs.paths,
    offlineDirs: new Set(dirs.offline.keys()),
    // While directories are being adopted no topic is known; retention and cleaning begin later, by the topics' own configurations.
    configOf: (topic: string): LogConfig =>
      view === undefined || known?.has(topic) === false ? ofUnknownTopics : view.configs.logConfigOf(topic),
    isKnown: (topic: string, partition: number) => view?.image.hasPartition(topic, partition) ?? false,
    topicIdOf: (topic: string) => storedTopicId(store, topic),
  }
  let logs: LogManager | undefined
  const clusterId = await openCluster(store, {
    clusterId: dirs.clusterId,
    random,
    features,
    adopt: async () => {
      // What lies in a directory that cannot be looked into would be missing for ever.
      for (const [path, error] of dirs.offline) throw unusable(path, error)
      logs = await openLogs({ ...logsOptions, finishDeletions: false })
      await adopt(store, logs, { config, kraft: kraft ?? (await readKraftState(dirs, metadataDir, logger)), random, logger, offload })
    },
  })
  await dirs.format({ clusterId, nodeId })

  const image = await MetadataImage.open({ clusterId, store, features, clock, logger })
  closers.add('metadata image', () => image.close())
  const configs = new ConfigService({ parsed, nodeId, image, logger })
  closers.add('configurations', () => configs.close())
  view = { image, configs }
  if (logs === undefined) {
    const names = new Set(image.configs.names('topics'))
    known = names
    logs = await openLogs({ ...logsOptions, finishDeletions: true })
    known = undefined
    for (const topic of new Set([...logs.logs()].map((log) => log.topic))) if (!names.has(topic)) logs.updateConfig(topic)
  } else logs.updateConfig()
  const opened = logs
  const { recoveryCuts } = opened
  if (recoveryCuts.bytes > 0)
    logger.error('Recovery has cut the ends off logs; what no other replica has of them is lost', { ...recoveryCuts })
  await raiseLeaderEpochs(store, foundIn(opened), logger)
  configs.onLogConfigChange((topic) => opened.updateConfig(topic))
  return { nodeId, clusterId, store, image, configs, logs }
}

function openLogDirs(
  { parsed, isNodeIdGiven, clock, random, logger, fs, closers }: NodeStateOptions,
  paths: readonly string[],
): Promise<LogDirs> {
  const nodeId = isNodeIdGiven ? parsed.config['node.id'] : undefined
  return LogDirs.open({ dirs: paths, nodeId, clock, random, logger, ...(fs === undefined ? {} : { fs }) }).then((dirs) => {
    closers.add('log dirs', () => dirs.close())
    return dirs
  })
}

/**
 * The directory of the metadata store: one of the log dirs, or one of its own, which is then locked and marked like them.
 * @throws LogDirRefusedError when it cannot be used: there is no broker without it.
 */
async function openMetadataDir(options: NodeStateOptions, dirs: LogDirs): Promise<string> {
  const configured = options.parsed.config['metadata.log.dir']
  const path = configured === null ? dirs.paths[0]! : resolve(configured)
  if (!dirs.paths.includes(path)) return (await openLogDirs(options, [path])).paths[0]!
  const error = dirs.offline.get(path)
  if (error !== undefined) throw unusable(path, error)
  return path
}

/** The configuration of the broker whose directories these are. What is live stays the same object: listeners hold it already. */
function withNodeId(parsed: ParsedBrokerConfig, nodeId: number): ParsedBrokerConfig {
  if (parsed.config['node.id'] === nodeId) return parsed
  const { config, ...rest } = parseBrokerConfig(new Map([...parsed.entries, ['node.id', String(nodeId)], ['broker.id', String(nodeId)]]))
  return { ...rest, config: Object.assign(parsed.config, config), ofListeners: parsed.ofListeners }
}

async function openLogs({
  config,
  dirs,
  offlineDirs,
  configOf,
  isKnown,
  topicIdOf,
  finishDeletions,
  clock,
  random,
  logger,
  offload,
  fs,
  closers,
  onFatal,
  onDirFailure,
}: NodeStateOptions & {
  config: BrokerConfig
  dirs: readonly string[]
  offlineDirs: ReadonlySet<string>
  configOf: (topic: string) => LogConfig
  isKnown: (topic: string, partition: number) => boolean
  topicIdOf: (topic: string) => Promise<string | undefined>
  finishDeletions: boolean
}): Promise<LogManager> {
  const logs = await LogManager.open({
    dirs,
    offlineDirs,
    configOf,
    isCordoned: (dir) => isCordoned(config, dir),
    isKnown,
    topicIdOf,
    finishDeletions,
    moveBytesPerSecond: () => config['replica.alter.log.dirs.io.max.bytes.per.second'],
    clock,
    random,
    logger,
    offload,
    ...(fs === undefined ? {} : { fs }),
    cleaner: config['log.cleaner.enable'] ? () => cleanerSettings(config) : undefined,
    settings: () => ({
      retentionCheckIntervalMs: config['log.retention.check.interval.ms'],
      recoveryPointCheckpointIntervalMs: config['log.flush.offset.checkpoint.interval.ms'],
      logStartCheckpointIntervalMs: config['log.flush.start.offset.checkpoint.interval.ms'],
      highWatermarkCheckpointIntervalMs: config['replica.high.watermark.checkpoint.interval.ms'],
      flushSchedulerIntervalMs: config['log.flush.scheduler.interval.ms'],
      producerIdExpirationMs: config['producer.id.expiration.ms'],
      recoveryThreadsPerDir: config['num.recovery.threads.per.data.dir'],
    }),
    onDirFailure: (dir, error, isLast) => {
      if (isLast) onFatal(new Error(`the last log dir, ${dir}, has failed`, { cause: error }))
      // Not the disk's doing: what this process believes of its logs is wrong, and the other directories' may be too.
      else if (error instanceof InvariantError)
        onFatal(new Error(`an invariant of the log is broken in ${dir}: ${error.message}`, { cause: error }))
      else onDirFailure(dir)
    },
  })
  closers.add('logs', () => logs.close())
  return logs
}

/** Those that hold now: all of them can be changed while the broker runs. */
function cleanerSettings(config: BrokerConfig): CleanerSettings {
  return {
    threads: config['log.cleaner.threads'],
    dedupeBufferBytes: config['log.cleaner.dedupe.buffer.size'],
    loadFactor: config['log.cleaner.io.buffer.load.factor'],
    ioBufferBytes: config['log.cleaner.io.buffer.size'],
    maxBytesPerSecond: config['log.cleaner.io.max.bytes.per.second'],
    backoffMs: config['log.cleaner.backoff.ms'],
  }
}
