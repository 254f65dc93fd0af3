import { type Clock, invariant, type Logger, type Offload, type Random } from '@tidelog/core'
import { KafkaError } from '@tidelog/protocol'
import { INDEX_SUFFIX, LOG_SUFFIX, parseSegmentFile, partitionFolder, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX } from './file-names.ts'
import { isMissing } from './file-system.ts'
import { LeaderEpochs } from './leader-epochs.ts'
import { finishInterruptedChanges } from './log-cleanup.ts'
import type { LogConfig } from './log-config.ts'
import { failLog, type LogState, newRollJitter, storageError } from './log-state.ts'
import { writePartitionMetadata } from './partition-metadata.ts'
import { recallBatches } from './producer-recall.ts'
import { rebuildTransactionIndex, replaySegment } from './producer-replay.ts'
import { ProducerSnapshots } from './producer-snapshots.ts'
import { ProducerState } from './producer-state.ts'
import type { RetentionClock } from './retention-clock.ts'
import { Segment, type SegmentContext } from './segment.ts'
import { SegmentList } from './segment-list.ts'
import { recoverSegment, writeAgain } from './segment-recovery.ts'
import { lastOffsetOf, leaderEpochOf } from './stored-batch.ts'
import { LogTail, TailCache } from './tail-cache.ts'

export interface NewLogOptions {
  readonly context: SegmentContext
  readonly topic: string
  readonly partition: number
  readonly topicId: string | undefined
  readonly config: LogConfig
  readonly clock: Clock
  readonly random: Random
  readonly offload: Offload
  readonly logger: Logger
  readonly tailCache: TailCache
  readonly retentionClock: RetentionClock
  readonly producerIdExpirationMs: number
  readonly onStorageError: (error: unknown) => void
}

export interface LoadOptions extends NewLogOptions {
  /** Everything before it was flushed; undefined when nobody knows. */
  readonly recoveryPoint: number | undefined
  readonly logStartOffset: number
  /** Offsets before it may be missing: compaction left them out. */
  readonly compactedUpTo: number
  /** The directory was closed in order: what is on disk is whole. */
  readonly cleanShutdown: boolean
}

/**
 * Opens a partition's folder: finds the segments, checks those that may be torn, and works out where the log begins and ends, its leader epochs
 * and its producers. A folder without segments gets its first one.
 */
export async function loadLog(options: LoadOptions): Promise<LogState> {
  const { context } = options
  const { fs, dir } = context
  const found = await fs.list(dir).catch(async (error: unknown) => {
    if (!isMissing(error)) throw error
    await fs.makeDirectory(dir)
    return []
  })
  const files = found.map(({ name }) => name)
  const names = await finishInterruptedChanges(context, files)
  const state = newState(options, names)
  const isNew = await openSegments(state, names)
  if (!isNew) await (options.cleanShutdown ? checkActive(state) : recover(state, options))
  await settleLogStart(state)
  if (!isNew) await restoreEpochsAndProducers(state)
  else if (LeaderEpochs.isAmong(names)) await forgetEpochs(state)
  state.recoveryPoint = options.cleanShutdown ? state.logEndOffset : Math.min(state.recoveryPoint, state.logEndOffset)
  state.highWatermark = state.logStartOffset
  return state
}

/** The log of a new partition, in memory: `makeLog` has yet to make its folder and files. */
export function newLog(options: NewLogOptions): LogState {
  const state = newState({ ...options, recoveryPoint: 0, logStartOffset: 0, compactedUpTo: 0, cleanShutdown: false }, [])
  state.isMade = false
  state.segments.add(Segment.unmade(options.context, 0, options.clock.now()))
  return state
}

/**
 * Makes what a new log has on disk: its folder, partition.metadata and an empty segment; indexes and leader epochs come when there is something to
 * say in them. May be called again after a part of it was done. @throws Error, with the log failed, when somebody else's files are in the way.
 */
export async function makeLog(state: LogState): Promise<void> {
  const { context, topicId, segments } = state
  const { fs, dir } = context
  if (!(await fs.makeDirectory(dir))) {
    const found = await fs.list(dir)
    if (found.length > 0) {
      state.failure = storageError(state, new Error(`${dir} is to be made and has ${found.length} files already`))
      throw state.failure
    }
  }
  if (topicId !== undefined) await writePartitionMetadata(fs, dir, topicId)
  await segments.active.make()
  state.isMade = true
}

function newState(options: LoadOptions, names: readonly string[]): LogState {
  const { context, topic, partition, config, clock, random, logger } = options
  const { fs, dir } = context
  return {
    topic,
    partition,
    name: partitionFolder(topic, partition),
    topicId: options.topicId,
    isMade: true,
    isTopicIdSynced: (options.recoveryPoint ?? 0) > 0,
    context,
    clock,
    random,
    offload: options.offload,
    retentionClock: options.retentionClock,
    logger,
    segments: new SegmentList(),
    producers: new ProducerState(partitionFolder(topic, partition)),
    snapshots: new ProducerSnapshots(fs, dir, logger, names),
    epochs: new LeaderEpochs(fs, dir),
    tail: new LogTail(options.tailCache),
    producerIdExpirationMs: options.producerIdExpirationMs,
    config,
    logStartOffset: options.logStartOffset,
    logEndOffset: 0,
    highWatermark: 0,
    recoveryPoint: options.recoveryPoint ?? 0,
    recoveryCutBytes: 0,
    activeSinceMs: clock.now(),
    rollJitterMs: newRollJitter(random, config),
    lastFlushMs: clock.now(),
    failure: undefined,
    onStorageError: options.onStorageError,
  }
}

/**
 * Goes on in another folder, which was closed in order and holds the same batches. What is known of producers, of the high watermark and of the latest
 * batches stays. @throws KafkaError KAFKA_STORAGE_ERROR, and the log has failed.
 */
export async function reloadLog(state: LogState, dir: string): Promise<void> {
  const { logStartOffset, logEndOffset, producers, tail, highWatermark, epochs } = state
  const left = [...state.segments.all]
  const context = { ...state.context, dir }
  const options = {
    ...state,
    context,
    tailCache: new TailCache(0),
    recoveryPoint: logEndOffset,
    logStartOffset,
    compactedUpTo: 0,
    cleanShutdown: true,
  }
  try {
    const next = await loadLog(options)
    invariant(next.logEndOffset === logEndOffset, `${state.name} ends at ${next.logEndOffset} in ${dir}, not at ${logEndOffset}`)
    // One that nothing was appended in is in no batch.
    if (epochs.latest !== undefined && epochs.latest.epoch > (next.epochs.latest?.epoch ?? -1)) {
      next.epochs.assign(epochs.latest.epoch, epochs.latest.startOffset)
    }
    Object.assign(state, next, { producers, tail, highWatermark, recoveryCutBytes: state.recoveryCutBytes })
  } catch (error) {
    throw failLog(state, error)
  }
  for (const segment of left) {
    segment.file.isGone = true
    await segment.close()
  }
}

/** Finds the segments. Returns true when there was none and the first was made. */
async function openSegments(state: LogState, names: readonly string[]): Promise<boolean> {
  const { context, segments, config, clock, logger } = state
  const { fs } = context
  const present = new Set(names)
  const offsets = names
    .map((name) => parseSegmentFile(name, LOG_SUFFIX))
    .filter((offset) => offset !== undefined)
    .sort((first, second) => first - second)
  for (const [index, baseOffset] of offsets.entries()) {
    const stat = await fs.stat(new Segment(context, baseOffset, 0, 0).file.path)
    const segment = new Segment(context, baseOffset, stat?.sizeBytes ?? 0, stat?.modifiedMs ?? 0)
    if (hasFile(present, segment, TRANSACTION_INDEX_SUFFIX)) {
      const { transactionIndex } = segment
      const problem = await transactionIndex.load({ base: baseOffset, end: offsets[index + 1] ?? Number.POSITIVE_INFINITY })
      if (problem !== undefined) logger.warn('Rebuilding a damaged transaction index', { path: transactionIndex.path, reason: problem })
    }
    segments.add(segment)
  }
  if (offsets.length > 0) return false
  const { logStartOffset } = state
  const hasStrayIndexes = names.some((name) => name.endsWith(INDEX_SUFFIX) || name.endsWith(TIME_INDEX_SUFFIX))
  segments.add(
    hasStrayIndexes
      ? await Segment.create(context, logStartOffset, config['segment.index.bytes'], clock.now())
      : await Segment.createBare(context, logStartOffset, clock.now()),
  )
  state.logEndOffset = logStartOffset
  return true
}

function hasFile(present: ReadonlySet<string>, segment: Segment, suffix: string): boolean {
  return present.has(segment.pathOf(suffix).slice(segment.context.dir.length + 1))
}

/** After a clean stop: the active segment's indexes must be right and its last batch whole, else it is recovered all the same. */
async function checkActive(state: LogState): Promise<void> {
  const { segments, config, logger, context } = state
  const { active } = segments
  for (const segment of segments.all) if (segment !== active) await checkIndexSizes(segment)
  await active.load()
  let nextOffset = active.baseOffset
  try {
    const last = active.offsetIndex.lookup(Number.MAX_SAFE_INTEGER)
    await active.scanHeaders(last.position, (buffer, at) => {
      nextOffset = lastOffsetOf(buffer, at) + 1
      return true
    })
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error
    logger.warn('The end of a log is damaged though its broker stopped cleanly', { path: active.file.path, reason: error.message })
    const fileBytes = (await context.fs.stat(active.file.path))?.sizeBytes ?? 0
    const recovered = await recoverSegment(active, fileBytes, config['index.interval.bytes'])
    reportCut(state, active, recovered.cutBytes, recovered.problem)
    nextOffset = recovered.nextOffset
  }
  state.logEndOffset = nextOffset
}

/** Index files that are missing or cannot be right by their size are made anew at once; what they hold is checked when it is first used. */
async function checkIndexSizes(segment: Segment): Promise<void> {
  const { fs, logger } = segment.context
  for (const [suffix, entryBytes] of [
    [INDEX_SUFFIX, 8],
    [TIME_INDEX_SUFFIX, 12],
  ] as const) {
    const path = segment.pathOf(suffix)
    const sizeBytes = (await fs.stat(path))?.sizeBytes
    if (sizeBytes !== undefined && sizeBytes % entryBytes === 0 && sizeBytes <= segment.sizeBytes + entryBytes) continue
    const reason = sizeBytes === undefined ? 'it is missing' : `it has ${sizeBytes} bytes for a log of ${segment.sizeBytes}`
    logger.warn('Rebuilding the indexes of a segment', { path, reason })
    await segment.rebuildIndexes()
    return
  }
}

/**
 * After an unclean stop: every segment that may hold unflushed batches is checked; the log ends before the first bad one, or where records are missing
 * between two segments.
 */
async function recover(state: LogState, { recoveryPoint, compactedUpTo }: LoadOptions): Promise<void> {
  const { segments, config, context, logStartOffset } = state
  // Compaction leaves holes that are none; and where the recovery point is not known, whatever lies behind one may have been flushed long ago.
  const isHoleLoss = recoveryPoint !== undefined && !config['cleanup.policy'].includes('compact')
  const first = Math.max(0, segments.indexOf(recoveryPoint ?? 0))
  for (const segment of segments.all.slice(0, first)) await checkIndexSizes(segment)
  let isCut = false
  let nextOffset = 0
  for (let index = first; index < segments.all.length; index++) {
    const segment = segments.all[index]!
    if (index > first && isHoleLoss && segment.baseOffset > Math.max(nextOffset, logStartOffset, compactedUpTo)) {
      isCut = true
      await dropFrom(state, index, `the offsets from ${nextOffset} on are missing before it`)
      break
    }
    const recovered = await recoverSegment(segment, segment.sizeBytes, config['index.interval.bytes'])
    nextOffset = recovered.nextOffset
    // An fsync may have failed. Where acks wait for one, what is acked from here on as known before must be on disk.
    if (isFlushedByConfig(config)) await writeAgain(segment, recoveryPoint ?? 0)
    if (recovered.cutBytes === 0) continue
    isCut = true
    reportCut(state, segment, recovered.cutBytes, recovered.problem)
    await dropFrom(state, index + 1, 'it lies behind a damaged one')
  }
  // What was cut stays cut. What is whole is as safe as it was before the stop, and thousands of logs need no fsync each, unless acks wait for one.
  if (isCut || isFlushedByConfig(config)) await context.pool.use(segments.active.file, (fd) => context.fs.sync(fd))
  await state.snapshots.removeDamaged(recoveryPoint ?? 0)
  state.logEndOffset = nextOffset
}

/** Does the configuration promise anything of a power cut? */
function isFlushedByConfig(config: LogConfig): boolean {
  return config['flush.messages'] < Number.MAX_SAFE_INTEGER || config['flush.ms'] < Number.MAX_SAFE_INTEGER
}

/** Removes the segments from number `index` on, newest first and on disk before anything is written: none may come back beside what then takes its offsets. */
async function dropFrom(state: LogState, index: number, reason: string): Promise<void> {
  const { segments, context, logger } = state
  for (const segment of segments.removeFrom(index).reverse()) {
    state.recoveryCutBytes += segment.sizeBytes
    logger.error('Dropping a segment', { path: segment.file.path, sizeBytes: segment.sizeBytes, reason })
    await segment.markDeleted()
    await segment.removeDeleted()
    await context.fs.syncDirectory(context.dir)
  }
}

function reportCut(state: LogState, segment: Segment, cutBytes: number, reason: string | undefined): void {
  state.recoveryCutBytes += cutBytes
  state.logger.warn('Cut the damaged end off a log', {
    partition: state.name,
    path: segment.file.path,
    cutBytes,
    endsAt: segment.sizeBytes,
    reason,
  })
}

/** The log begins at its first segment or later, and never ends before it begins: offsets that were given out and deleted are not given out again. */
async function settleLogStart(state: LogState): Promise<void> {
  const { segments, config, context, clock, logger } = state
  state.logStartOffset = Math.max(state.logStartOffset, segments.first.baseOffset)
  if (state.logEndOffset >= state.logStartOffset) return
  logger.warn('The log ends before its start offset and goes on from there', {
    partition: state.name,
    logEndOffset: state.logEndOffset,
    logStartOffset: state.logStartOffset,
  })
  await segments.active.seal()
  segments.add(await Segment.create(context, state.logStartOffset, config['segment.index.bytes'], clock.now()))
  state.logEndOffset = state.logStartOffset
}

/**
 * Leader epochs from their file, or from the batches when it is no use; producers from the newest snapshot and the batches behind it; transaction
 * indexes that are damaged, or whose segments were checked, from the batches.
 */
async function restoreEpochsAndProducers(state: LogState): Promise<void> {
  const { epochs, snapshots, logger, logEndOffset, logStartOffset } = state
  const epochProblem = await epochs.load()
  if (epochProblem !== undefined) {
    // One that is missing where nothing was forced to disk had not come yet.
    if (logEndOffset > state.segments.first.baseOffset && state.recoveryPoint > 0) {
      logger.warn('Rebuilding leader-epoch-checkpoint from the batches', { partition: state.name, reason: epochProblem })
    }
    epochs.clear()
  }
  await snapshots.removeAfter(logEndOffset)
  await restoreProducers(state)
  for (const segment of state.segments.all) if (segment.transactionIndex.isDoubtful) await rebuildTransactionIndex(state, segment)
  const { length } = epochs.entries
  epochs.truncateFromEnd(logEndOffset + 1)
  const isCut = epochs.entries.length < length
  if (epochProblem !== undefined) epochs.truncateFromStart(logStartOffset)
  await epochs.save({ durable: isCut })
}

/** The segments were lost in a power cut: what their epochs were means nothing any more. */
async function forgetEpochs({ epochs }: LogState): Promise<void> {
  epochs.clear()
  await epochs.save({ durable: true })
}

/** Producers as they are at the log's end, and leader epochs that only the batches know. */
export async function restoreProducers(state: LogState): Promise<void> {
  const { producers, snapshots, clock, producerIdExpirationMs, logEndOffset, logStartOffset } = state
  producers.clear()
  const snapshot = await snapshots.newest(logEndOffset)
  if (snapshot !== undefined) {
    producers.restore(snapshot.entries, clock.now(), producerIdExpirationMs)
    await recallBatches(state, snapshot.offset)
  }
  await replay(state, Math.max(snapshot?.offset ?? 0, logStartOffset))
  producers.removeExpired(clock.now(), producerIdExpirationMs)
}

/** Reads the batches that checkpoint and snapshot do not cover. */
async function replay(state: LogState, producersFrom: number): Promise<void> {
  const { segments, epochs, producers, logEndOffset } = state
  // An epoch may have begun right before the stop, and the file be older; one that knows the epoch of the last batch knows them all.
  const isEpochCurrent = epochs.latest !== undefined && (await lastBatchEpoch(state)) <= epochs.latest.epoch
  const epochsFrom = epochs.latest?.startOffset ?? 0
  const from = Math.min(isEpochCurrent ? logEndOffset : epochsFrom, producersFrom)
  if (from >= logEndOffset) return
  for (const segment of segments.all.slice(Math.max(0, segments.indexOf(from)))) {
    const { aborted, problem } = await replaySegment(segment, producers, {
      from,
      producersFrom,
      onEpoch(epoch, firstOffset) {
        if (epoch > (epochs.latest?.epoch ?? -1)) epochs.assign(epoch, firstOffset)
      },
    })
    if (problem !== undefined) throw new KafkaError('CORRUPT_MESSAGE', problem)
    const { transactionIndex } = segment
    // One that cannot be relied on is made from all of its segment.
    if (transactionIndex.isDoubtful && segment.baseOffset < producersFrom) continue
    const known = transactionIndex.entries.filter(({ lastOffset }) => lastOffset < producersFrom)
    await transactionIndex.replace([...known, ...aborted])
  }
}

async function lastBatchEpoch({ segments }: LogState): Promise<number> {
  for (const segment of [...segments.all].reverse()) {
    if (segment.sizeBytes === 0) continue
    await segment.load()
    let epoch = -1
    await segment.scanHeaders(segment.offsetIndex.lookup(Number.MAX_SAFE_INTEGER).position, (buffer, at) => {
      epoch = leaderEpochOf(buffer, at)
      return true
    })
    return epoch
  }
  return -1
}
