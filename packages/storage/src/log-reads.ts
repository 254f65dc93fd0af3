import { KafkaError } from '@tidelog/protocol'
import { type ReadOptions, type ReadResult, readRecent } from './log-reader.ts'
import type { LogState } from './log-state.ts'

interface LogReadsOwner {
  /** Undefined while the log is open. */
  readonly closedError: () => KafkaError | undefined
  /** Resolves when the change that is under way is done. */
  readonly settled: () => Promise<unknown>
}

/** Reads of one log: what goes wrong in them becomes Kafka's error, and they begin again when the log's files went elsewhere meanwhile. */
export class LogReads {
  readonly #state: LogState
  readonly #log: LogReadsOwner
  /** Grows when the log begins to go to another folder, and when it has. */
  #moves = 0

  constructor(state: LogState, log: LogReadsOwner) {
    this.#state = state
    this.#log = log
  }

  /** What is in memory of what is asked for; undefined when the disk has to be asked, or the question is wrong. */
  recent(options: ReadOptions): ReadResult | undefined {
    return this.#log.closedError() === undefined ? readRecent(this.#state, options) : undefined
  }

  /** When each segment's file was last written. */
  async segmentTimes(): Promise<{ readonly baseOffset: number; readonly modifiedMs: number }[]> {
    const { segments, context } = this.#state
    const times = segments.all.map(async ({ baseOffset, file }) => ({
      baseOffset,
      modifiedMs: (await context.fs.stat(file.path))?.modifiedMs ?? 0,
    }))
    return this.run(() => Promise.all(times))
  }

  /** @throws KafkaError that of `work`, or of a closed log; KAFKA_STORAGE_ERROR for anything else. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const moves = this.#moves
    try {
      const alreadyClosed = this.#log.closedError()
      if (alreadyClosed !== undefined) throw alreadyClosed
      return await work()
    } catch (error) {
      const hasMoved = moves !== this.#moves || moves % 2 === 1
      if (hasMoved) await this.#log.settled()
      const closed = this.#log.closedError()
      if (hasMoved && closed === undefined) return this.run(work)
      if (error instanceof KafkaError) throw error
      if (closed !== undefined) throw closed
      const { logger, name } = this.#state
      logger.error('Reading a log failed', { partition: name, error })
      throw new KafkaError('KAFKA_STORAGE_ERROR', `${name}: reading failed: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      })
    }
  }

  /** Runs `move`, in which the log's files go elsewhere. */
  async duringMove(move: () => Promise<void>): Promise<void> {
    this.#moves++
    try {
      await move()
    } finally {
      this.#moves++
    }
  }
}
