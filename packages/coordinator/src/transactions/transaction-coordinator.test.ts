import assert from 'node:assert/strict'
import test from 'node:test'
import { encodeTransactionRecord, type MarkerOutcome, needsProducerId, type ProducerReply } from '@tidelog/coordinator'
import { TransactionDriver } from '@tidelog/testkit'

const minuteMs = 60_000
const hourMs = 60 * minuteMs

/** Requests of one transactional id, answered when the driver's appends are. */
class Id {
  readonly driver: TransactionDriver
  readonly transactionalId: string
  nextProducerId = 100

  constructor(driver: TransactionDriver, transactionalId = 'txn') {
    this.driver = driver
    this.transactionalId = transactionalId
  }

  init(expected?: { producerId: number; producerEpoch: number }, timeoutMs = minuteMs): unknown {
    const request = { transactionalId: this.transactionalId, timeoutMs, expected }
    const reply = this.driver.answer((coordinator, ticket, now) => coordinator.initProducerId(request, undefined, ticket, now))
    if (reply !== needsProducerId) return reply
    return this.driver.answer((coordinator, ticket, now) => coordinator.initProducerId(request, this.nextProducerId++, ticket, now))
  }

  add(producerEpoch: number, partitions = [0], version = 0): unknown {
    const request = { ...this.#producer(producerEpoch), partitions: partitions.map((partition) => ({ topic: 't', partition })) }
    return this.driver.answer((coordinator, ticket, now) => coordinator.addPartitions(request, version, ticket, now))
  }

  end(producerEpoch: number, committed: boolean, clientTransactionVersion = 0): unknown {
    const request = { ...this.#producer(producerEpoch), committed, clientTransactionVersion }
    const reply = this.driver.answer((coordinator, ticket, now) => coordinator.endTransaction(request, undefined, ticket, now))
    if (reply !== needsProducerId) return reply
    return this.driver.answer((coordinator, ticket, now) => coordinator.endTransaction(request, this.nextProducerId++, ticket, now))
  }

  #producer(producerEpoch: number) {
    return { transactionalId: this.transactionalId, producerId: this.producerId, producerEpoch }
  }

  get producerId(): number {
    const known = this.driver.coordinator.describe(this.transactionalId)
    return 'error' in known ? -1 : known.producerId
  }

  get state(): string {
    const known = this.driver.coordinator.describe(this.transactionalId)
    return 'error' in known ? known.error : known.state
  }

  /** Carries out the markers that wait. */
  mark(outcome: MarkerOutcome | ((partition: number) => MarkerOutcome) = 'written'): number[] {
    const sends = this.driver.sends.splice(0)
    for (const send of sends) {
      const results = send.partitions.map(({ topic, partition }) => ({
        topic,
        partition,
        outcome: typeof outcome === 'function' ? outcome(partition) : outcome,
      }))
      this.driver.carryOut(this.driver.coordinator.markersSent(send, results, this.driver.now))
    }
    return sends.flatMap(({ partitions }) => partitions.map(({ partition }) => partition))
  }
}

function started(driver = new TransactionDriver(), epochs = 1): Id {
  const id = new Id(driver)
  for (let i = 0; i < epochs; i++) id.init()
  return id
}

/** An id as the log has it, near the end of its epochs. */
function exhausted(producerEpoch: number, transactionVersion = 2): Id {
  const driver = new TransactionDriver({ transactionVersion })
  const id = started(driver)
  const transaction = {
    producerId: 7,
    previousProducerId: 7,
    nextProducerId: -1,
    producerEpoch,
    lastProducerEpoch: -1,
    nextProducerEpoch: -1,
    timeoutMs: minuteMs,
    state: 'Empty' as const,
    partitions: new Map(),
    startTimestamp: -1,
    lastUpdateTimestamp: driver.now.wallMs,
    clientTransactionVersion: 0,
  }
  driver.log.push(encodeTransactionRecord({ transactionalId: 'txn', transaction }, 2))
  driver.restart()
  return id
}

test('T5: while the markers are written, EndTxn and all else has to come again; of version 2 the epoch is another one already', () => {
  const id = started()
  id.add(0)
  assert.deepEqual(id.end(0, true), { producerId: 100, producerEpoch: 0 })
  assert.equal(id.state, 'PrepareCommit')
  const again = { error: 'CONCURRENT_TRANSACTIONS' }
  assert.deepEqual([id.end(0, true), id.end(0, false), id.add(0), id.init()], [again, again, again, again])
  assert.deepEqual(id.mark(), [0])
  assert.deepEqual(id.end(0, true), { producerId: 100, producerEpoch: 0 })
  id.add(0, [1], 2)
  assert.deepEqual(id.end(0, true, 2), { producerId: 100, producerEpoch: 1 })
  assert.deepEqual([id.end(0, true, 2), id.end(1, false, 2)], [again, again], 'once more, and the end of an empty one behind it')
  id.mark()
  assert.deepEqual([id.end(0, true, 2), id.end(0, false, 2)], [{ producerId: 100, producerEpoch: 1 }, { error: 'INVALID_TXN_STATE' }])
})

test('T2, X1: a transaction is aborted once its timeout has passed, by the time that has really passed, also across a restart', () => {
  const id = started()
  id.add(0)
  const { driver } = id
  driver.now = { ...driver.now, wallMs: driver.now.wallMs + 48 * hourMs }
  driver.advance(minuteMs - 15_000)
  assert.equal(id.state, 'Ongoing', 'the wall clock has jumped')
  driver.now = { ...driver.now, wallMs: driver.now.wallMs - 48 * hourMs }
  driver.restart()
  driver.advance(10_000)
  assert.equal(id.state, 'Ongoing')
  driver.advance(20_000)
  assert.deepEqual([id.state, driver.sends[0]!.committed, driver.sends[0]!.producerEpoch], ['PrepareAbort', false, 1])
  id.mark()
  assert.equal(id.state, 'CompleteAbort')
  assert.deepEqual(id.end(0, true), { error: 'PRODUCER_FENCED' })
  assert.deepEqual(id.add(0), { error: 'PRODUCER_FENCED' })
})

test('T3: whoever takes the id over aborts what is open, and the one before is fenced', () => {
  const id = started()
  id.add(0)
  assert.deepEqual(id.init(), { error: 'CONCURRENT_TRANSACTIONS' })
  assert.deepEqual(id.end(0, true), { error: 'PRODUCER_FENCED' })
  id.mark()
  assert.deepEqual(id.init(), { producerId: 100, producerEpoch: 2 })
})

test('markers go on being written where they could not be; what is gone is left out, and what a newer coordinator has marked is its business', () => {
  const id = started()
  id.add(0, [0, 1, 2])
  id.end(0, true)
  assert.deepEqual(
    id.mark((partition) => (['written', 'retry', 'gone'] as const)[partition]!),
    [0, 1, 2],
  )
  assert.equal(id.state, 'PrepareCommit')
  id.driver.advance(20)
  assert.deepEqual(id.mark('retry'), [1])
  id.driver.advance(20)
  assert.deepEqual(id.mark(), [], 'the pause grows')
  id.driver.advance(20)
  assert.deepEqual(id.mark(), [1])
  assert.equal(id.state, 'CompleteCommit')
  id.add(0)
  id.end(0, false)
  id.mark('fenced')
  id.driver.advance(hourMs)
  assert.deepEqual([id.state, id.driver.sends], ['PrepareAbort', []])
})

test('T1: a decision that is in the log is carried out by the next coordinator, with its epoch; one that is not has not been made', () => {
  const id = started()
  const { driver } = id
  id.add(0, [0, 1])
  driver.isHolding = true
  let reply: unknown
  const request = { transactionalId: 'txn', producerId: 100, producerEpoch: 0, committed: true, clientTransactionVersion: 0 }
  const end = () =>
    driver.ask(
      (coordinator, ticket, now) => coordinator.endTransaction(request, undefined, ticket, now),
      (response) => {
        reply = response
      },
    )
  end()
  driver.settle('lost')
  assert.deepEqual([reply, id.state], [{ error: 'COORDINATOR_NOT_AVAILABLE' }, 'Ongoing'])
  end()
  driver.settle('refused')
  assert.deepEqual([reply, id.state], [{ error: 'COORDINATOR_NOT_AVAILABLE' }, 'Ongoing'])
  end()
  driver.settle('unknown')
  assert.deepEqual(
    [id.state, driver.sends.map(({ coordinatorEpoch, committed }) => [coordinatorEpoch, committed])],
    ['PrepareCommit', [[2, true]]],
  )
  id.mark((partition) => (partition === 0 ? 'written' : 'retry'))
  driver.restart()
  assert.deepEqual(id.mark(), [0, 1], 'which of them have their marker is not kept')
  driver.settle('refused')
  driver.advance(1000)
  driver.settle('appended')
  assert.equal(id.state, 'CompleteCommit')
})

test('T8: what a coordinator of an earlier term has sent, and hears of late, changes nothing', () => {
  const id = started()
  id.add(0)
  id.end(0, true)
  const [late] = id.driver.sends
  id.driver.restart()
  assert.equal(id.driver.sends[0]!.coordinatorEpoch, 1)
  id.mark()
  const step = id.driver.coordinator.markersSent(late!, [{ topic: 't', partition: 0, outcome: 'written' }], id.driver.now)
  assert.deepEqual([step.writes, id.state], [[], 'CompleteCommit'])
})

test('an id that nobody has used for transactional.id.expiration.ms is forgotten, but not with a transaction open', () => {
  const driver = new TransactionDriver({ idExpirationMs: 2 * hourMs })
  const idle = new Id(driver, 'idle')
  const busy = new Id(driver, 'busy')
  idle.init()
  busy.init(undefined, 900_000)
  driver.advance(hourMs + minuteMs)
  busy.add(0)
  driver.isHolding = true
  driver.advance(hourMs)
  assert.deepEqual(driver.held.flatMap(({ records }) => records).map(({ transactionalId }) => transactionalId)[0], 'busy', 'timed out')
  while (driver.held.length > 0) driver.settle('appended')
  assert.deepEqual([idle.state, busy.state], ['TRANSACTIONAL_ID_NOT_FOUND', 'PrepareAbort'])
  assert.deepEqual(driver.log.at(-1)!.value, null)
})

test('when the epochs of a producer id are used up the next one takes its place, by InitProducerId or with the end of a transaction', () => {
  const last = exhausted(32_766)
  assert.deepEqual(last.init(), { producerId: 101, producerEpoch: 0 })
  const own = exhausted(32_766)
  own.add(32_766, [0], 2)
  assert.deepEqual(own.end(32_766, true, 2), { producerId: 101, producerEpoch: 0 })
  assert.deepEqual([own.driver.sends[0]!.producerId, own.driver.sends[0]!.producerEpoch], [7, 32_767])
  own.driver.restart()
  own.mark()
  assert.deepEqual([own.state, own.producerId], ['CompleteCommit', 101])
  const open = exhausted(32_765, 0)
  open.add(32_765)
  open.init()
  assert.equal(open.driver.sends[0]!.producerEpoch, 32_766)
  open.mark()
  assert.deepEqual(open.init() as ProducerReply, { producerId: 101, producerEpoch: 0 })
})
