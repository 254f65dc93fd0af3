import assert from 'node:assert/strict'
import test from 'node:test'
import {
  decodeTransactionRecord,
  type MarkerOutcome,
  type MarkerSend,
  type ProducerReply,
  type Refused,
  type TransactionRecord,
} from '@tidelog/coordinator'
import { type Random, seededRandom } from '@tidelog/core'
import { TransactionDriver } from '@tidelog/testkit'

const partitionCount = 4
const transactionalIds = ['a', 'b', 'c']
const topic = 't'

/** What a reader of committed records will see of each value; by transaction of a producer, as the test counts them. */
type Fate = 'open' | 'committed' | 'aborted'

/** One partition with the rules of its log: epochs, guards, markers. */
class SimulatedPartition {
  readonly producers = new Map<number, { epoch: number; coordinatorEpoch: number; open: Work[] | undefined }>()
  readonly guards = new Map<number, object>()
  readonly fates = new Map<Work, Set<Fate>>()

  guardFor(producerId: number, epoch: number): object | undefined {
    const known = this.producers.get(producerId)
    if (known?.open !== undefined && known.epoch === epoch) return undefined
    const guard = this.guards.get(producerId) ?? {}
    this.guards.set(producerId, guard)
    return guard
  }

  /** @returns false when the producer is fenced or its transaction is not open. */
  append(work: Work, producerId: number, epoch: number, guard: object | undefined): boolean {
    const known = this.producers.get(producerId)
    if (known !== undefined && epoch < known.epoch) return false
    const isOpen = known?.open !== undefined && known.epoch === epoch
    // Its sequence was the one before: of version 1, nothing else tells a late batch from one of the next transaction.
    if (isOpen && !known.open!.includes(work)) return false
    if (!isOpen && (guard === undefined || this.guards.get(producerId) !== guard)) return false
    this.guards.delete(producerId)
    const open = [...(known?.open ?? []), work]
    this.producers.set(producerId, { epoch, coordinatorEpoch: known?.coordinatorEpoch ?? -1, open })
    return true
  }

  mark({ producerId, producerEpoch, coordinatorEpoch, committed }: MarkerSend): MarkerOutcome {
    const known = this.producers.get(producerId)
    if (known !== undefined && producerEpoch < known.epoch) return 'written'
    if (known !== undefined && coordinatorEpoch < known.coordinatorEpoch) return 'fenced'
    this.guards.delete(producerId)
    for (const work of known?.open ?? []) {
      const fates = this.fates.get(work) ?? new Set()
      this.fates.set(work, fates.add(committed ? 'committed' : 'aborted'))
    }
    this.producers.set(producerId, { epoch: producerEpoch, coordinatorEpoch, open: undefined })
    return 'written'
  }
}

/** One transaction of a producer, as its client means it. */
class Work {
  readonly partitions = new Set<number>()
  told: 'committed' | 'aborted' | undefined
}

/** A client that does what Java's does with each answer, at moments that the schedule chooses. */
class SimulatedProducer {
  readonly schedule: Schedule
  readonly transactionalId: string
  /** Of transaction.version 2: an epoch a transaction, partitions added by their leaders. */
  readonly isV2: boolean
  producerId = -1
  epoch = -1
  work: Work | undefined
  isWaiting = false
  isGone = false
  added = new Set<number>()
  ending: { committed: boolean; epoch: number } | undefined

  constructor(schedule: Schedule, transactionalId: string, isV2: boolean) {
    this.schedule = schedule
    this.transactionalId = transactionalId
    this.isV2 = isV2
  }

  act(): void {
    if (this.isWaiting || this.isGone) return
    if (this.producerId < 0) this.#init()
    else if (this.ending !== undefined) this.#end()
    else if (this.work === undefined) this.work = new Work()
    else if (this.schedule.random.int(3) > 0) this.#write(this.schedule.random.int(partitionCount))
    else if (this.work.partitions.size > 0) this.ending = { committed: this.schedule.random.int(3) > 0, epoch: this.epoch }
  }

  /** The answer may get lost on its way: the client asks again. */
  #ask(take: Parameters<TransactionDriver['ask']>[0], answered: (response: unknown) => void): void {
    this.isWaiting = true
    this.schedule.driver.ask(take, (response) => {
      this.isWaiting = false
      if (!this.isGone && this.schedule.random.int(12) > 0) answered(response)
    })
  }

  #init(): void {
    const { transactionalId } = this
    const id = this.schedule.nextProducerId
    this.#ask(
      (coordinator, ticket, now) => coordinator.initProducerId({ transactionalId, timeoutMs: 5000, expected: undefined }, id, ticket, now),
      (response) => {
        const reply = response as ProducerReply
        if ('error' in reply) return
        this.schedule.nextProducerId++
        this.schedule.granted(this.transactionalId, reply.producerId, reply.producerEpoch)
        this.producerId = reply.producerId
        this.epoch = reply.producerEpoch
      },
    )
    // Whether the id was taken or not, nobody else may have it.
    this.schedule.nextProducerId++
  }

  #write(index: number): void {
    if (this.isV2) this.#writeAdding(index)
    else if (this.added.has(index)) this.#writeVerified(index)
    else this.#add(index, 0, () => this.added.add(index))
  }

  #request(index: number) {
    const { transactionalId, producerId, epoch } = this
    return { transactionalId, producerId, producerEpoch: epoch, partitions: [{ topic, partition: index }] }
  }

  #add(index: number, version: number, added: () => void): void {
    const request = this.#request(index)
    this.#ask(
      (coordinator, ticket, now) => coordinator.addPartitions(request, version, ticket, now),
      (response) => {
        if (response === undefined) added()
        else this.#failed((response as Refused).error)
      },
    )
  }

  #writeVerified(index: number): void {
    const partition = this.schedule.partitions[index]!
    const guard = partition.guardFor(this.producerId, this.epoch)
    if (guard !== undefined) {
      const verdict = this.schedule.driver.coordinator.verifyPartitions(this.#request(index))
      const error = 'error' in verdict ? verdict.error : verdict.errors[0]
      if (error !== undefined) {
        this.#failed(error)
        return
      }
    }
    this.#append(index, guard)
  }

  #writeAdding(index: number): void {
    const guard = this.schedule.partitions[index]!.guardFor(this.producerId, this.epoch)
    if (guard === undefined) this.#append(index, undefined)
    else this.#add(index, 2, () => this.#append(index, guard))
  }

  /** What was verified may be appended much later. */
  #append(index: number, guard: object | undefined): void {
    const { work, producerId, epoch } = this
    // The client gives up and aborts, and its batch is still on the way.
    const isGivenUp = this.schedule.random.int(6) === 0
    if (isGivenUp) this.ending = { committed: false, epoch }
    this.isWaiting = !isGivenUp
    this.schedule.later.push(() => {
      if (!isGivenUp) this.isWaiting = false
      const isAppended = this.schedule.partitions[index]!.append(work!, producerId, epoch, guard)
      if (isAppended) work!.partitions.add(index)
      else if (!this.isGone && !isGivenUp) this.#abandon()
    })
  }

  #end(): void {
    const { transactionalId, producerId } = this
    const { committed, epoch } = this.ending!
    const version = this.isV2 ? 2 : 0
    const request = { transactionalId, producerId, producerEpoch: epoch, committed, clientTransactionVersion: version }
    const end: Parameters<TransactionDriver['ask']>[0] = (coordinator, ticket, now) =>
      coordinator.endTransaction(request, this.schedule.nextProducerId++, ticket, now)
    // T4: the same request, held up somewhere, arrives much later. Transactions of version 1 cannot tell it from the next one's.
    if (this.isV2 && this.schedule.random.int(4) === 0) this.schedule.later.push(() => this.schedule.driver.ask(end, () => {}))
    this.#ask(end, (response) => {
      const reply = response as ProducerReply
      if ('error' in reply) {
        this.#failed(reply.error)
        return
      }
      this.work!.told = committed ? 'committed' : 'aborted'
      if (this.isV2) {
        this.schedule.granted(this.transactionalId, reply.producerId, reply.producerEpoch)
        this.producerId = reply.producerId
        this.epoch = reply.producerEpoch
      }
      this.#next()
    })
  }

  #next(): void {
    this.schedule.done.push(this.work!)
    this.work = undefined
    this.ending = undefined
    this.added.clear()
  }

  #failed(error: string): void {
    if (error === 'CONCURRENT_TRANSACTIONS' || error.startsWith('COORDINATOR') || error === 'NOT_COORDINATOR') return
    this.#abandon()
  }

  /** Fenced, or its transaction was aborted under it. */
  #abandon(): void {
    this.isGone = true
    if (this.work !== undefined) this.schedule.done.push(this.work)
  }
}

class Schedule {
  readonly random: Random
  readonly driver: TransactionDriver
  readonly partitions = Array.from({ length: partitionCount }, () => new SimulatedPartition())
  readonly producers: SimulatedProducer[] = []
  readonly done: Work[] = []
  /** What is on its way and arrives when the schedule says so. */
  later: (() => void)[] = []
  nextProducerId = 0
  readonly #newest = new Map<string, { producerId: number; epoch: number }>()

  constructor(seed: number) {
    this.random = seededRandom(seed)
    this.driver = new TransactionDriver({ transactionVersion: this.random.int(3), abortTimedOutIntervalMs: 1000 })
    this.driver.isHolding = true
  }

  /** Nobody gets what another one has had. */
  granted(transactionalId: string, producerId: number, epoch: number): void {
    const known = this.#newest.get(transactionalId)
    const isNewer = known === undefined || producerId > known.producerId || (producerId === known.producerId && epoch > known.epoch)
    const isSame = known !== undefined && producerId === known.producerId && epoch === known.epoch
    assert.ok(isNewer || isSame, `${transactionalId}: epoch ${epoch} of ${producerId} behind ${known?.epoch} of ${known?.producerId}`)
    this.#newest.set(transactionalId, { producerId, epoch })
  }

  run(steps: number): void {
    for (let step = 0; step < steps; step++) {
      const what = this.random.int(20)
      if (what < 8) this.#someone().act()
      else if (what < 13) this.driver.settle(this.random.int(15) > 0 ? 'appended' : this.#pick(['refused', 'lost', 'unknown'] as const))
      else if (what < 16) this.#mark({ isReliable: false })
      else if (what < 18) this.#arrive()
      else if (what < 19) this.driver.advance(this.random.int(400))
      else if (this.random.int(12) === 0) this.#disturb()
    }
    this.#settle()
    this.#check()
  }

  #someone(): SimulatedProducer {
    const live = this.producers.filter(({ isGone }) => !isGone)
    if (live.length === 0 || (live.length < 6 && this.random.int(40) === 0)) {
      const producer = new SimulatedProducer(this, this.#pick(transactionalIds), this.random.int(2) === 0)
      this.producers.push(producer)
      return producer
    }
    return this.#pick(live)
  }

  #pick<T>(choices: readonly T[]): T {
    return choices[this.random.int(choices.length)]!
  }

  #arrive(): void {
    if (this.later.length > 0) this.later.splice(this.random.int(this.later.length), 1)[0]!()
  }

  /** Carries markers out, now or late, with partitions that fail before or behind the write, also for a coordinator that is gone. */
  #mark({ isReliable }: { isReliable: boolean }): void {
    const { driver } = this
    if (driver.sends.length === 0) return
    const [send] = driver.sends.splice(this.random.int(driver.sends.length), 1)
    const { coordinator } = driver
    const write = () => {
      const results = send!.partitions.map(({ topic: name, partition }) => {
        const isFailing = !isReliable && this.random.int(4) === 0
        const isWritten = !isFailing || this.random.int(2) === 0
        const outcome = isWritten ? this.partitions[partition]!.mark(send!) : 'retry'
        return { topic: name, partition, outcome: isFailing ? ('retry' as const) : outcome }
      })
      if (driver.coordinator === coordinator) driver.carryOut(coordinator.markersSent(send!, results, driver.now))
    }
    if (isReliable || this.random.int(3) > 0) write()
    else this.later.push(write)
  }

  #disturb(): void {
    if (this.random.int(2) === 0) this.driver.restart()
    else this.driver.advance(6000 + this.random.int(2000))
  }

  /** No more faults, and enough time for everything to end. */
  #settle(): void {
    for (const producer of this.producers) producer.isGone = true
    for (let round = 0; round < 40; round++) {
      while (this.later.length > 0) this.#arrive()
      while (this.driver.held.length > 0) this.driver.settle('appended')
      while (this.driver.sends.length > 0) this.#mark({ isReliable: true })
      this.driver.advance(1000)
    }
  }

  #check(): void {
    for (const [index, { producers }] of this.partitions.entries()) {
      for (const [producerId, { open }] of producers) assert.equal(open, undefined, `${producerId} is open in partition ${index} for ever`)
    }
    const works = [...this.done, ...this.producers.flatMap(({ work }) => work ?? [])]
    for (const work of works) {
      const fates = new Set([...work.partitions].flatMap((index) => [...(this.partitions[index]!.fates.get(work) ?? ['open'])]))
      assert.ok(fates.size <= 1, `torn: ${[...fates]}`)
      if (work.told !== undefined && work.partitions.size > 0) assert.deepEqual([...fates], [work.told])
    }
    this.#checkLog()
  }

  /** Epochs of a producer id only rise, and every transaction that was decided is over. */
  #checkLog(): void {
    const newest = new Map<string, NonNullable<TransactionRecord['transaction']>>()
    for (const { key, value } of this.driver.log) {
      const { transactionalId, transaction } = decodeTransactionRecord(key, value)!
      const before = newest.get(transactionalId)
      if (transaction === null) continue
      if (before?.producerId === transaction.producerId) {
        assert.ok(transaction.producerEpoch >= before.producerEpoch, `${transactionalId}: an epoch goes back`)
      }
      newest.set(transactionalId, transaction)
    }
    for (const [transactionalId, { state }] of newest) {
      assert.ok(['Empty', 'CompleteCommit', 'CompleteAbort'].includes(state), `${transactionalId} stays ${state}`)
    }
  }
}

/** Seeds of schedules that have found something. */
const found: readonly number[] = [34, 468]

test('whatever is lost, late, refused or restarted, a transaction has one outcome, and nothing stays open', () => {
  const told = { committed: 0, aborted: 0 }
  const seeds = [
    ...found,
    ...Array.from({ length: Number(process.env.SCHEDULES ?? 400) }, (_, i) => i + Number(process.env.FIRST_SEED ?? 1)),
  ]
  for (const seed of seeds) {
    try {
      const schedule = new Schedule(seed)
      schedule.run(600)
      for (const work of schedule.done) if (work.told !== undefined && work.partitions.size > 0) told[work.told]++
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error })
    }
  }
  assert.ok(told.committed > seeds.length && told.aborted > seeds.length, `${told.committed} committed, ${told.aborted} aborted`)
})
