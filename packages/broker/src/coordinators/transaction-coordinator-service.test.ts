import assert from 'node:assert/strict'
import test from 'node:test'
import type { MarkerSend } from '@tidelog/coordinator'
import { silentLogger } from '@tidelog/core'
import { KafkaError } from '@tidelog/protocol'
import { ManualClock } from '@tidelog/testkit'
import { MemoryLog, turn } from './group-harness.test.ts'
import { TransactionCoordinatorService } from './transaction-coordinator-service.ts'

const init = { transactionalId: 'txn', timeoutMs: 60_000, expected: undefined }

class Harness {
  readonly clock = new ManualClock()
  readonly sends: MarkerSend[] = []
  allocated = 0
  readonly transactions = new TransactionCoordinatorService({
    config: {
      maxTimeoutMs: 900_000,
      abortTimedOutIntervalMs: 10_000,
      idExpirationMs: 7 * 86_400_000,
      removeExpiredIntervalMs: 3_600_000,
      transactionVersion: 2,
    },
    loadBufferBytes: 1 << 20,
    partitionCount: () => 1,
    markers: {
      send: async (send) => {
        this.sends.push(send)
        return send.partitions.map((partition) => ({ ...partition, outcome: 'written' as const }))
      },
    },
    allocateProducerId: async () => this.allocated++,
    clock: this.clock,
    logger: silentLogger,
  })
}

const named = (errorName: string) => (error: unknown) => error instanceof KafkaError && error.errorName === errorName

test('T8: while the log is being replayed requests are told to come back, elsewhere that they are wrong, and by a closed broker that it is not there', async () => {
  const { transactions } = new Harness()
  await assert.rejects(async () => transactions.initProducerId(init), named('NOT_COORDINATOR'))
  const log = new MemoryLog()
  log.hold()
  const loaded = transactions.elected(0, 3, log)
  await assert.rejects(async () => transactions.initProducerId(init), named('COORDINATOR_LOAD_IN_PROGRESS'))
  assert.throws(
    () => transactions.list({ states: new Set(), producerIds: new Set(), durationMs: -1, pattern: undefined }),
    named('COORDINATOR_LOAD_IN_PROGRESS'),
  )
  log.release()
  await loaded
  assert.deepEqual(await transactions.initProducerId(init), { producerId: 0, producerEpoch: 0 })
  assert.throws(() => transactions.partitionOf('\ud800'), named('INVALID_REQUEST'))
  transactions.resigned(0)
  await assert.rejects(async () => transactions.initProducerId(init), named('NOT_COORDINATOR'))
  transactions.close()
  await assert.rejects(async () => transactions.initProducerId(init), named('COORDINATOR_NOT_AVAILABLE'))
})

test('T8: who resigns answers everyone who waits, and what its append comes to changes nothing; the next term knows what lies in the log', async () => {
  const { transactions, sends } = new Harness()
  const log = new MemoryLog()
  await transactions.elected(0, 3, log)
  const { producerId, producerEpoch } = await transactions.initProducerId(init)
  const producer = { transactionalId: 'txn', producerId, producerEpoch }
  await transactions.addPartitions({ ...producer, partitions: [{ topic: 't', partition: 0 }] }, 2)
  log.hold()
  const ending = transactions.endTransaction({ ...producer, committed: true, clientTransactionVersion: 2 })
  transactions.resigned(0)
  await assert.rejects(ending, named('NOT_COORDINATOR'))
  log.release()
  await turn()
  await transactions.elected(0, 4, log)
  await turn()
  await turn()
  assert.deepEqual(
    sends.map(({ coordinatorEpoch, committed, producerEpoch: epoch }) => [coordinatorEpoch, committed, epoch]),
    [[4, true, 1]],
    'the append had reached the log',
  )
  assert.equal(transactions.describe('txn').state, 'CompleteCommit')
})

test('producer ids are taken only where a new one is needed', async () => {
  const harness = new Harness()
  await harness.transactions.elected(0, 0, new MemoryLog())
  for (let i = 0; i < 3; i++) await harness.transactions.initProducerId(init)
  assert.equal(harness.allocated, 1)
})
