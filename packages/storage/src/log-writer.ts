import { invariant } from '@tidelog/core'
import { batchAt, batchHeader, KafkaError } from '@tidelog/protocol'
import { type PreparedBatch, prepareAppend } from './append-validation.ts'
import { maxSegmentMs } from './log-config.ts'
import { makeLog } from './log-loader.ts'
import { failLog, type LogState } from './log-state.ts'
import { MAX_RELATIVE_OFFSET } from './offset-index.ts'
import type { AppendOrigin, CompletedTransaction, ProducerBatch } from './producer-state.ts'
import type { RollLimits } from './roll-limits.ts'
import { lastOffsetOf, leaderEpochOf } from './stored-batch.ts'
import { MAX_CHUNK_BYTES } from './tail-cache.ts'
import type { VerificationGuard } from './verification-guard.ts'

/** One write takes no more than this, so that the copy into it does not hold up the event loop; a single larger append goes alone. */
const MAX_GROUP_BYTES = MAX_CHUNK_BYTES
/** After so much that is written and waits for its fsync, those who wait are not kept waiting for what comes behind them. */
const MAX_UNFLUSHED_BYTES = 16 * 1024 * 1024

export interface AppendOptions {
  /** Stamped on every batch; with origin `replication` the batches keep the leader's. */
  readonly leaderEpoch: number
  readonly origin: AppendOrigin
  /** Given: a transactional batch that opens a transaction must carry a guard that was verified; null: it carries none. KIP-890. */
  readonly guard?: VerificationGuard | null | undefined
}

export interface AppendResult {
  readonly firstOffset: number
  /** Inclusive. */
  readonly lastOffset: number
  /** Ms since the Unix epoch, -1 under CreateTime. */
  readonly logAppendTimeMs: number
  readonly logStartOffset: number
  /** The batch was stored before; the offsets are those it got then. */
  readonly duplicate: boolean
}

interface Pending {
  readonly options: AppendOptions
  readonly resolve: (result: AppendResult) => void
  readonly reject: (error: unknown) => void
  /** Undefined while the records are being checked. */
  batches: PreparedBatch[] | undefined
  error: unknown
}

/** What one write is made of. */
interface Group {
  bytes: number
  /** All that were taken from the queue. */
  readonly pendings: Pending[]
  readonly appends: { pending: Pending; batches: readonly PreparedBatch[]; isLogAppendTime: boolean }[]
  /** Batches in the order of the log, as `noteBatch` wants them. */
  readonly notes: { lastOffset: number; maxTimestamp: number; sizeBytes: number }[]
  readonly completed: CompletedTransaction[]
  readonly answers: (() => void)[]
}

/**
 * The append path of one log. Appends take their place in a queue when they are called; what has gathered when the event loop comes round, or when the
 * write before is done, is checked against the producers' state, gets its offsets and goes to disk in one write. Where flush.messages asks for it, one
 * fsync serves all that is written by then; what comes meanwhile shares the next one.
 */
export class LogWriter {
  readonly #state: LogState
  readonly #exclusive: (run: () => Promise<void>) => Promise<void>
  readonly #roll: (newBaseOffset: number) => Promise<void>
  readonly #flush: () => Promise<void>
  readonly #onWritten: () => void
  #queue: Pending[] = []
  #isScheduled = false

  constructor(
    state: LogState,
    actions: {
      /** Runs one thing at a time on this log. */
      exclusive: (run: () => Promise<void>) => Promise<void>
      roll: (newBaseOffset: number) => Promise<void>
      flush: () => Promise<void>
      onWritten: () => void
    },
  ) {
    this.#state = state
    this.#exclusive = actions.exclusive
    this.#roll = actions.roll
    this.#flush = actions.flush
    this.#onWritten = actions.onWritten
  }

  append(records: Buffer, options: AppendOptions): Promise<AppendResult> {
    const { config, clock, offload, name, failure } = this.#state
    return new Promise((resolve, reject) => {
      if (failure !== undefined) throw failure
      const prepared = prepareAppend(records, { name, origin: options.origin, config, nowMs: clock.now(), offload })
      const pending: Pending = { options, resolve, reject, batches: undefined, error: undefined }
      this.#queue.push(pending)
      if (!(prepared instanceof Promise)) {
        pending.batches = prepared
        this.#schedule()
        return
      }
      prepared.then(
        (batches) => {
          pending.batches = batches
          this.#schedule()
        },
        (error) => {
          pending.error = error
          this.#schedule()
        },
      )
    })
  }

  /** Answers everything that still waits with `error`. */
  rejectAll(error: unknown): void {
    for (const { reject } of this.#queue.splice(0)) reject(error)
  }

  #schedule(): void {
    if (this.#isScheduled || !this.#isHeadReady) return
    this.#isScheduled = true
    // After this turn's socket events, so that all they bring goes out in one write.
    setImmediate(() => {
      void this.#exclusive(() => this.#drain())
    })
  }

  get #isHeadReady(): boolean {
    const head = this.#queue[0]
    return head !== undefined && (head.batches !== undefined || head.error !== undefined)
  }

  async #drain(): Promise<void> {
    this.#isScheduled = false
    const state = this.#state
    // Written, and not answered yet.
    let waiting: Group[] = []
    try {
      while (this.#isHeadReady) {
        await this.#prepareSegment()
        const group: Group = { bytes: 0, pendings: [], appends: [], notes: [], completed: [], answers: [] }
        waiting.push(group)
        const mustRoll = this.#gather(group)
        if (group.appends.length > 0) await this.#writeGroup(group)
        const mustFlush = state.logEndOffset - state.recoveryPoint >= state.config['flush.messages']
        const isJoined = mustFlush && this.#isHeadReady && bytesOf(waiting) < MAX_UNFLUSHED_BYTES
        if (!isJoined) {
          if (mustFlush) await this.#flush()
          // The directory may have failed meanwhile, elsewhere: nothing in it is acked from then on.
          if (state.failure !== undefined) throw state.failure
          const answered = waiting
          waiting = []
          for (const { answers } of answered) for (const answer of answers) answer()
        }
        if (mustRoll === true) await this.#roll(state.logEndOffset)
      }
    } catch (error) {
      const failure = failLog(state, error)
      for (const { pendings } of waiting) for (const { reject } of pendings) reject(failure)
      this.rejectAll(failure)
    }
  }

  /** What the first writes to a segment need: its folder, its indexes in memory, room in their files, the timestamp it rolls by. */
  async #prepareSegment(): Promise<void> {
    const { segments, config, failure, isMade } = this.#state
    if (failure !== undefined) throw failure
    if (!isMade) await makeLog(this.#state)
    const { active } = segments
    if (!active.isLoaded) await active.load()
    if (!active.isPreallocated) {
      await active.firstTimestamp()
      await active.preallocateIndexes(config['segment.index.bytes'])
    }
  }

  /** Moves ready appends from the queue into the group. Returns true when the segment has to roll before the next one. */
  #gather(group: Group): true | undefined {
    const { segments, logEndOffset } = this.#state
    let nextOffset = logEndOffset
    const limits = this.#rollLimits()
    while (this.#isHeadReady) {
      const pending = this.#queue[0]!
      if (pending.error !== undefined) {
        group.pendings.push(this.#queue.shift()!)
        const { error } = pending
        group.answers.push(() => pending.reject(error))
        continue
      }
      const batches = pending.batches!
      let bytes = 0
      let count = 0
      let maxTimestamp = -1
      for (const batch of batches) {
        bytes += batch.bytes.length
        count += batch.count
        if (batch.maxTimestamp > maxTimestamp) maxTimestamp = batch.maxTimestamp
      }
      if (group.bytes > 0 && group.bytes + bytes > MAX_GROUP_BYTES) return undefined
      const isFollower = pending.options.origin === 'replication'
      const lastOffset = isFollower ? lastOffsetOf(batches.at(-1)!.bytes, 0) : nextOffset + count - 1
      const mustRoll = segments.active.mustRoll({ addedBytes: group.bytes + bytes, lastOffset, maxTimestamp }, limits)
      // An empty segment takes any batch that the checks have let pass.
      if (mustRoll && (segments.active.sizeBytes > 0 || group.bytes > 0 || lastOffset - segments.active.baseOffset > MAX_RELATIVE_OFFSET))
        return true
      group.pendings.push(this.#queue.shift()!)
      nextOffset = this.#admit(group, pending, batches, nextOffset)
    }
    return undefined
  }

  /** Checks one append against the producers' state and gives it its offsets. Returns the next offset. */
  #admit(group: Group, pending: Pending, batches: readonly PreparedBatch[], nextOffset: number): number {
    const state = this.#state
    const { origin } = pending.options
    try {
      const isFollower = origin === 'replication'
      const logAppendTimeMs = !isFollower && state.config['message.timestamp.type'] === 'LogAppendTime' ? state.clock.now() : -1
      let duplicate: AppendResult | undefined
      const producerBatches: ProducerBatch[] = []
      let offset = nextOffset
      for (const { bytes, count, marker, maxTimestamp } of batches) {
        const firstOffset = isFollower ? batchHeader.baseOffset(bytes, 0) : offset
        if (firstOffset < offset) {
          throw new KafkaError('OFFSET_OUT_OF_RANGE', `${state.name}: cannot append offset ${firstOffset}, the log ends at ${offset}`)
        }
        offset = firstOffset + count
        if (batchHeader.magic(bytes, 0) !== 2 || !batchHeader.hasProducerId(bytes, 0)) continue
        const producerId = batchHeader.producerId(bytes, 0)
        const producerEpoch = batchHeader.producerEpoch(bytes, 0)
        const baseSequence = batchHeader.baseSequence(bytes, 0)
        if (origin === 'client') {
          const known = state.producers.findDuplicate({ producerId, producerEpoch, baseSequence, count })
          if (known !== undefined) {
            duplicate = {
              firstOffset: known.lastOffset - known.offsetDelta,
              lastOffset: known.lastOffset,
              logAppendTimeMs: known.timestamp,
              logStartOffset: state.logStartOffset,
              duplicate: true,
            }
            break
          }
        }
        producerBatches.push({
          producerId,
          producerEpoch,
          baseSequence,
          firstOffset,
          lastOffset: offset - 1,
          maxTimestamp: logAppendTimeMs >= 0 ? logAppendTimeMs : maxTimestamp,
          isTransactional: batchHeader.isTransactional(bytes, 0),
          isControl: batchHeader.isControl(bytes, 0),
          marker,
        })
      }
      if (duplicate !== undefined) {
        const answer = duplicate
        group.answers.push(() => pending.resolve(answer))
        return nextOffset
      }
      if (producerBatches.length > 0) group.completed.push(...state.producers.append(producerBatches, origin, pending.options.guard))
      this.#place(group, pending, batches, nextOffset, logAppendTimeMs)
      return offset
    } catch (error) {
      group.answers.push(() => pending.reject(error))
      return nextOffset
    }
  }

  /** @param logAppendTimeMs What the batches' timestamps become; -1 under CreateTime. */
  #place(group: Group, pending: Pending, batches: readonly PreparedBatch[], nextOffset: number, logAppendTimeMs: number): void {
    const state = this.#state
    const { origin, leaderEpoch } = pending.options
    const isFollower = origin === 'replication'
    group.appends.push({ pending, batches, isLogAppendTime: logAppendTimeMs >= 0 })
    let offset = nextOffset
    let firstOffset = -1
    for (const batch of batches) {
      const first = isFollower ? batchHeader.baseOffset(batch.bytes, 0) : offset
      if (firstOffset < 0) firstOffset = first
      offset = first + batch.count
      const maxTimestamp = logAppendTimeMs >= 0 ? logAppendTimeMs : batch.maxTimestamp
      group.notes.push({ lastOffset: offset - 1, maxTimestamp, sizeBytes: batch.bytes.length })
      group.bytes += batch.bytes.length
      const epoch = isFollower ? leaderEpochOf(batch.bytes, 0) : leaderEpoch
      if (epoch >= 0 && epoch > (state.epochs.latest?.epoch ?? -1)) state.epochs.assign(epoch, first)
    }
    group.answers.push(() =>
      pending.resolve({ firstOffset, lastOffset: offset - 1, logAppendTimeMs, logStartOffset: state.logStartOffset, duplicate: false }),
    )
  }

  /** Puts the group's batches together with their offsets, leader epochs and timestamps, and writes them. */
  async #writeGroup(group: Group): Promise<void> {
    const state = this.#state
    const { segments, tail, config } = state
    const { active } = segments
    const firstOffset = state.logEndOffset
    const space = tail.reserve(group.bytes)
    let note = 0
    for (const { pending, batches, isLogAppendTime } of group.appends) {
      for (const batch of batches) {
        const at = space.push(batch.bytes)
        if (pending.options.origin !== 'replication') {
          const { lastOffset, maxTimestamp } = group.notes[note]!
          stamp(space.buffer, at, {
            baseOffset: lastOffset - batch.count + 1,
            leaderEpoch: pending.options.leaderEpoch,
            maxTimestamp,
            isLogAppendTime,
          })
        }
        note++
      }
    }
    try {
      // Of a single epoch, the batches say it all.
      if (state.epochs.entries.length > 1) await state.epochs.save()
      await active.write(space.written)
    } catch (error) {
      await active.cutUnwritten().catch(() => {}) // recovery cuts it otherwise
      throw error
    }
    for (const { lastOffset, maxTimestamp, sizeBytes } of group.notes) {
      active.noteBatch(lastOffset, maxTimestamp, sizeBytes, config['index.interval.bytes'])
    }
    active.modifiedMs = state.clock.now()
    tail.commit(space, firstOffset)
    const lastNote = group.notes[group.notes.length - 1]!
    invariant(lastNote.lastOffset >= firstOffset, `${state.name}: the log end offset must grow`)
    state.logEndOffset = lastNote.lastOffset + 1
    for (const completed of group.completed) {
      if (!completed.isAborted) continue
      const { producerId, firstOffset, lastOffset, lastStableOffset } = completed
      await active.transactionIndex.append({ producerId, firstOffset, lastOffset, lastStableOffset })
    }
    this.#onWritten()
  }

  #rollLimits(): RollLimits {
    const { config, clock, activeSinceMs, rollJitterMs } = this.#state
    return {
      segmentBytes: config['segment.bytes'],
      maxIndexBytes: config['segment.index.bytes'],
      segmentMs: maxSegmentMs(config) - rollJitterMs,
      nowMs: clock.now(),
      createdMs: activeSinceMs,
    }
  }
}

function bytesOf(groups: readonly Group[]): number {
  let bytes = 0
  for (const group of groups) bytes += group.bytes
  return bytes
}

/** Sets what the leader decides of a batch. The CRC changes only with the timestamp. */
function stamp(
  buffer: Buffer,
  at: number,
  {
    baseOffset,
    leaderEpoch,
    maxTimestamp,
    isLogAppendTime,
  }: { baseOffset: number; leaderEpoch: number; maxTimestamp: number; isLogAppendTime: boolean },
): void {
  batchHeader.setBaseOffset(buffer, at, baseOffset)
  batchHeader.setPartitionLeaderEpoch(buffer, at, leaderEpoch)
  if (isLogAppendTime) batchHeader.setLogAppendTime(buffer, at, maxTimestamp)
  else if (batchHeader.isLogAppendTime(buffer, at) || batchHeader.maxTimestamp(buffer, at) !== maxTimestamp) {
    batchHeader.setMaxTimestamp(buffer, at, maxTimestamp)
  }
  invariant(batchAt(buffer, at, buffer.length) !== undefined, 'a stamped batch must still be whole')
}
