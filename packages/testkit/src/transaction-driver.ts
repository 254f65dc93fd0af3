import {
  decodeTransactionRecord,
  encodeTransactionRecord,
  type Instant,
  type MarkerSend,
  type Step,
  TransactionCoordinator,
  type TransactionCoordinatorConfig,
  type TransactionRecord,
  type Write,
} from '@tidelog/coordinator'
import type { ErrorName } from '@tidelog/protocol'

type TransactionWrite = Write<TransactionRecord, MarkerSend>
type Reply = (response: unknown) => void

/** How a held append ends: in the log; not there; nobody knows, and it is there or not: then a new term begins. */
export type AppendOutcome = 'appended' | 'refused' | 'lost' | 'unknown'

/** Runs a transaction coordinator without a broker: a log in memory, a clock that stands still, appends and markers that wait to be told how they end. */
export class TransactionDriver {
  readonly log: { key: Buffer; value: Buffer | null }[] = []
  /** Appends in their order. */
  readonly held: TransactionWrite[] = []
  /** Markers that nobody has carried out yet, of this term. */
  sends: MarkerSend[] = []
  now: Instant = { wallMs: 1_700_000_000_000, monotonicMs: 0 }
  coordinator: TransactionCoordinator
  coordinatorEpoch = 0
  /** Appends are answered at once while false. */
  isHolding = false
  readonly config: TransactionCoordinatorConfig
  #nextTicket = 1
  readonly #waiting = new Map<number, Reply>()
  #isSettling = false

  constructor(config: Partial<TransactionCoordinatorConfig> = {}) {
    this.config = {
      maxTimeoutMs: 900_000,
      abortTimedOutIntervalMs: 10_000,
      idExpirationMs: 7 * 86_400_000,
      removeExpiredIntervalMs: 3_600_000,
      transactionVersion: 2,
      ...config,
    }
    this.coordinator = this.#load()
  }

  #load(): TransactionCoordinator {
    const coordinator = new TransactionCoordinator({ config: this.config, coordinatorEpoch: this.coordinatorEpoch })
    for (const { key, value } of this.log) coordinator.replay(decodeTransactionRecord(key, value)!)
    this.coordinator = coordinator
    this.carryOut(coordinator.loaded(this.now))
    return coordinator
  }

  /** A new term: who waits is told NOT_COORDINATOR, what was not appended is gone. */
  restart(): void {
    this.carryOut(this.coordinator.unload(this.now))
    const writes = this.held.splice(0)
    for (const write of writes) this.carryOut(write.settle(this.now, 'NOT_COORDINATOR'))
    for (const [ticket, reply] of [...this.#waiting]) {
      this.#waiting.delete(ticket)
      reply({ error: 'NOT_COORDINATOR' })
    }
    this.sends = []
    this.coordinatorEpoch++
    this.#load()
  }

  carryOut({ replies, writes, effects }: Step<TransactionRecord, MarkerSend>): void {
    for (const { ticket, response } of replies) {
      const reply = this.#waiting.get(ticket)
      this.#waiting.delete(ticket)
      reply?.(response)
    }
    this.held.push(...writes)
    this.sends.push(...effects)
    if (!this.isHolding && !this.#isSettling) while (this.held.length > 0) this.settle('appended')
  }

  /** Ends the oldest append that waits. */
  settle(outcome: AppendOutcome): void {
    const write = this.held.shift()
    if (write === undefined) return
    if (outcome === 'appended' || outcome === 'unknown') this.#append(write)
    if (outcome === 'lost' || outcome === 'unknown') {
      this.carryOut(write.settle(this.now, 'REQUEST_TIMED_OUT'))
      this.restart()
      return
    }
    const failure: ErrorName | undefined = outcome === 'appended' ? undefined : 'NOT_ENOUGH_REPLICAS'
    this.#isSettling = true
    const step = write.settle(this.now, failure)
    this.#isSettling = false
    this.carryOut(step)
  }

  #append({ records }: TransactionWrite): void {
    for (const record of records) this.log.push(encodeTransactionRecord(record, this.config.transactionVersion))
  }

  ask(
    take: (coordinator: TransactionCoordinator, ticket: number, now: Instant) => Step<TransactionRecord, MarkerSend>,
    reply: Reply,
  ): void {
    const ticket = this.#nextTicket++
    this.#waiting.set(ticket, reply)
    this.carryOut(take(this.coordinator, ticket, this.now))
  }

  /** The reply to a request that is answered without waiting for anybody. */
  answer(take: (coordinator: TransactionCoordinator, ticket: number, now: Instant) => Step<TransactionRecord, MarkerSend>): unknown {
    let answer: { response: unknown } | undefined
    this.ask(take, (response) => {
      answer = { response }
    })
    if (answer === undefined) throw new Error('the request waits')
    return answer.response
  }

  /** Every deadline on the way comes at its time. */
  advance(ms: number): void {
    const endMs = this.now.monotonicMs + ms
    for (;;) {
      const nextMs = Math.min(endMs, this.coordinator.nextDeadlineMs)
      const passedMs = Math.max(0, nextMs - this.now.monotonicMs)
      this.now = { wallMs: this.now.wallMs + passedMs, monotonicMs: this.now.monotonicMs + passedMs }
      if (this.coordinator.nextDeadlineMs > endMs) return
      this.carryOut(this.coordinator.advance(this.now))
    }
  }
}
