import type { Coordinator, Instant, Step, Ticket } from '@tidelog/coordinator'
import type { Clock, Logger, Timer } from '@tidelog/core'
import { type CodecName, KafkaError } from '@tidelog/protocol'
import { AppendQueue, type EncodeRecord } from './append-queue.ts'
import type { CoordinatorLog } from './coordinator-log.ts'
import { type ReplaySink, replayLog } from './log-replay.ts'

/** More requests than this wait at one partition only when something is wrong: new ones are told to come back. */
const maxWaitingRequests = 100_000

/** A run of batches that is replayed without letting others have the event loop. */
const maxReplayBytes = 1 << 20

export interface CoordinatorPartitionOptions<C extends Coordinator<R, E>, R, E = never> {
  /** New: it has seen nothing of the log yet. */
  readonly coordinator: C
  /** Hands a record of the log, or the end of a transaction, to the coordinator. */
  readonly replay: ReplaySink
  readonly encode: EncodeRecord<R>
  readonly log: CoordinatorLog
  readonly codec: CodecName
  readonly loadBufferBytes: number
  readonly clock: Clock
  readonly logger: Logger
  /** The log may hold more than this term knows of: it has ended, and a new one is to begin with what the log holds. */
  readonly onLost: () => void
  /** Carries out what a step wants done outside; its outcome comes back by `tell`. */
  readonly onEffect?: (effect: E) => void
}

/**
 * Runs the coordinator of one partition of an internal topic for one term of leadership: replays the log, appends what steps ask for,
 * keeps the time, and answers. When the term ends it is thrown away; results that come later find nothing of it.
 */
export class CoordinatorPartition<C extends Coordinator<R, E>, R, E = never> {
  readonly #options: CoordinatorPartitionOptions<C, R, E>
  readonly #coordinator: C
  readonly #queue: AppendQueue<R, E>
  /** Resolves the promises of requests that wait. */
  readonly #answers = new Map<Ticket, (response: unknown) => void>()
  #nextTicket = 1
  #state: 'loading' | 'active' | 'failed' | 'unloaded' = 'loading'
  #timer: Timer | undefined
  #timerMs = Infinity

  constructor(options: CoordinatorPartitionOptions<C, R, E>) {
    this.#options = options
    this.#coordinator = options.coordinator
    this.#queue = new AppendQueue({
      ...options,
      now: () => this.now(),
      onSettled: (step) => this.#carryOut(step),
      onUncertain: () => this.#lose(),
    })
  }

  /** Replays the log; until it is done, requests are answered COORDINATOR_LOAD_IN_PROGRESS. Does not reject. */
  async load(): Promise<void> {
    const { log, replay, loadBufferBytes, clock, logger } = this.#options
    const startMs = clock.monotonic()
    try {
      const isWanted = () => this.#state === 'loading'
      const maxBytes = Math.min(loadBufferBytes, maxReplayBytes)
      const counts = await replayLog(log, replay, { maxBytes, isWanted, logger })
      if (this.#state !== 'loading') return
      this.#state = 'active'
      logger.debug('loaded a coordinator', { ...counts, durationMs: Math.round(clock.monotonic() - startMs) })
      this.#carryOut(this.#coordinator.loaded(this.now()))
    } catch (error) {
      if (this.#state !== 'unloaded') this.#state = 'failed'
      logger.error('a coordinator could not be loaded', { error })
    }
  }

  /** Ends the term: everyone who waits is told to look for another coordinator. */
  unload(): void {
    if (this.#state === 'unloaded') return
    this.#state = 'unloaded'
    this.#timer?.cancel()
    try {
      this.#carryOut(this.#coordinator.unload(this.now()))
      this.#queue.fail('NOT_COORDINATOR')
    } catch (error) {
      // A defect of ours must not keep the rest from an answer.
      this.#options.logger.error('a coordinator failed on giving up its partition', { error })
    }
    // What is left waited for writes that had no answer of their own for a failure.
    for (const [ticket, answer] of this.#answers) {
      this.#answers.delete(ticket)
      answer(new KafkaError('NOT_COORDINATOR'))
    }
  }

  #lose(): void {
    this.#options.logger.warn('a coordinator is loaded again: only the log knows its state')
    this.unload()
    this.#options.onLost()
  }

  now(): Instant {
    const { clock } = this.#options
    return { wallMs: clock.now(), monotonicMs: clock.monotonic() }
  }

  /**
   * The coordinator, for what is answered at once.
   * @throws KafkaError COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR
   */
  get active(): C {
    if (this.#state === 'loading') throw new KafkaError('COORDINATOR_LOAD_IN_PROGRESS')
    if (this.#state !== 'active') throw new KafkaError('NOT_COORDINATOR')
    return this.#coordinator
  }

  /** Takes one step and gives the reply to its ticket. @throws KafkaError as `active`, and what the reply itself says */
  ask<Response>(take: (coordinator: C, ticket: Ticket, now: Instant) => Step<R, E>): Promise<Response> {
    const coordinator = this.active
    if (this.#answers.size >= maxWaitingRequests)
      throw new KafkaError('COORDINATOR_NOT_AVAILABLE', 'too many requests wait at this coordinator')
    const ticket = this.#nextTicket++
    return new Promise<Response>((resolve, reject) => {
      this.#answers.set(ticket, (response) => (response instanceof KafkaError ? reject(response) : resolve(response as Response)))
      try {
        this.#carryOut(take(coordinator, ticket, this.now()))
      } catch (error) {
        this.#answers.delete(ticket)
        reject(error)
      }
    })
  }

  /** Takes one step that nobody waits for. */
  tell(take: (coordinator: C, now: Instant) => Step<R, E>): void {
    if (this.#state === 'active') this.#carryOut(take(this.#coordinator, this.now()))
  }

  #carryOut({ replies, writes, effects }: Step<R, E>): void {
    for (const { ticket, response } of replies) {
      const answer = this.#answers.get(ticket)
      this.#answers.delete(ticket)
      answer?.(response)
    }
    this.#queue.add(writes)
    for (const effect of effects) this.#options.onEffect?.(effect)
    this.#setTimer()
  }

  /** A deadline that was only put off leaves the timer as it is: it will find nothing due and be set anew. */
  #setTimer(): void {
    if (this.#state !== 'active') return
    const nextMs = this.#coordinator.nextDeadlineMs
    if (nextMs >= this.#timerMs) return
    this.#timer?.cancel()
    this.#timerMs = nextMs
    const { clock } = this.#options
    this.#timer = clock.setTimer(Math.max(0, nextMs - clock.monotonic()), () => {
      this.#timerMs = Infinity
      if (this.#state !== 'active') return
      try {
        this.#carryOut(this.#coordinator.advance(this.now()))
      } catch (error) {
        // A defect of ours: the log is what can be relied on.
        this.#options.logger.error('a coordinator failed on a deadline', { error })
        this.#lose()
      }
    })
  }
}
