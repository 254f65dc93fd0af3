import assert from 'node:assert/strict'
import test from 'node:test'
import { silentLogger } from '@tidelog/core'
import { type ErrorName, KafkaError } from '@tidelog/protocol'
import { LocalMarkerSender } from './local-marker-sender.ts'

const send = {
  transactionalId: 'txn',
  producerId: 1,
  producerEpoch: 2,
  coordinatorEpoch: 3,
  committed: true,
  transactionVersion: 2,
  partitions: [{ topic: 'orders', partition: 0 }],
}

async function outcome(topics: readonly string[], failure?: ErrorName | Error): Promise<string> {
  const sender = new LocalMarkerSender({
    writer: {
      write: async () => {
        if (failure !== undefined) throw typeof failure === 'string' ? new KafkaError(failure) : failure
      },
    },
    topics: { hasPartition: (topic) => topics.includes(topic) },
    logger: silentLogger,
  })
  const [result] = await sender.send(send)
  return result!.outcome
}

test('a partition is gone only for who knows the cluster’s topics: right behind a start nothing is', async () => {
  assert.equal(await outcome(['__transaction_state']), 'gone')
  assert.equal(await outcome([]), 'retry')
})

test('markers that cannot be written now are tried again; where a newer epoch has been, or a newer coordinator, they are not', async () => {
  const known = ['__transaction_state', 'orders']
  assert.equal(await outcome(known), 'written')
  for (const failure of ['NOT_LEADER_OR_FOLLOWER', 'KAFKA_STORAGE_ERROR', 'REQUEST_TIMED_OUT', 'UNKNOWN_TOPIC_OR_PARTITION'] as const) {
    assert.equal(await outcome(known, failure), 'retry', failure)
  }
  assert.equal(await outcome(known, new Error('a defect')), 'retry')
  assert.equal(await outcome(known, 'INVALID_PRODUCER_EPOCH'), 'written')
  assert.equal(await outcome(known, 'TRANSACTION_COORDINATOR_FENCED'), 'fenced')
})
