import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ErrorName, errorTable } from '@tidelog/protocol'
import { BrokerError, ClientError, DisconnectedError, ProducerFencedError } from '../../errors.ts'
import { fatalOf, type Severity, severityOf, type TransactionRequest } from './transaction-errors.ts'

const requests = ['InitProducerId', 'AddPartitionsToTxn', 'AddOffsetsToTxn', 'TxnOffsetCommit', 'EndTxn', 'Produce'] as const

test("each error of each request means what it means to Java's producer, with the exceptions that are written down", () => {
  const all = (severity: Severity): Severity[] => requests.map(() => severity)
  const [r, a, f] = ['retriable', 'abortable', 'fatal'] as const
  // In the order of `requests`.
  const expected: Partial<Record<ErrorName, readonly Severity[]>> = {
    COORDINATOR_LOAD_IN_PROGRESS: [r, r, r, r, r, a],
    NOT_COORDINATOR: [r, r, r, r, r, a],
    CONCURRENT_TRANSACTIONS: [r, r, r, r, r, a],
    UNKNOWN_TOPIC_OR_PARTITION: [r, r, r, r, r, a],
    PRODUCER_FENCED: all(f),
    // KIP-588: a leader's may be about a batch that is late.
    INVALID_PRODUCER_EPOCH: [f, f, f, f, f, a],
    INVALID_TXN_STATE: [f, f, f, f, f, a],
    // Whoever is not allowed to have the id yet asks again.
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED: [r, f, f, f, f, f],
    CLUSTER_AUTHORIZATION_FAILED: [r, a, f, f, f, f],
    // Fatal to Java.
    INVALID_PRODUCER_ID_MAPPING: [f, a, a, f, a, a],
    UNKNOWN_PRODUCER_ID: [f, a, a, f, a, a],
    TRANSACTION_ABORTABLE: all(a),
    GROUP_AUTHORIZATION_FAILED: [f, a, a, a, f, a],
    TOPIC_AUTHORIZATION_FAILED: [f, a, f, a, f, a],
    OPERATION_NOT_ATTEMPTED: [f, a, f, f, f, a],
    ILLEGAL_GENERATION: [f, a, f, a, f, a],
    UNKNOWN_MEMBER_ID: [f, a, f, a, f, a],
    FENCED_INSTANCE_ID: [f, a, f, a, f, a],
    OUT_OF_ORDER_SEQUENCE_NUMBER: [f, a, f, f, f, a],
    UNKNOWN_SERVER_ERROR: [f, a, f, f, f, a],
  }
  for (const [name, severities] of Object.entries(expected)) {
    const error = new BrokerError(errorTable[name as ErrorName].code, 'it')
    assert.deepEqual(
      requests.map((request) => severityOf(request, error)),
      severities,
      name,
    )
  }
  assert.equal(severityOf('EndTxn', new DisconnectedError('it')), 'retriable')
  assert.equal(severityOf('Produce', new DisconnectedError('it')), 'abortable')
})

test('what is fatal says so, and that the producer is fenced where it is', () => {
  const of = (request: TransactionRequest, name: ErrorName) => fatalOf(request, new BrokerError(errorTable[name].code, 'it'), 'cashier')
  for (const error of [of('EndTxn', 'PRODUCER_FENCED'), of('EndTxn', 'INVALID_PRODUCER_EPOCH'), of('Produce', 'PRODUCER_FENCED')]) {
    assert.ok(error instanceof ProducerFencedError && error.fatal)
    assert.match(error.message, /cashier/)
    assert.equal(fatalOf('EndTxn', error, 'cashier'), error)
  }
  const other = of('EndTxn', 'INVALID_TXN_STATE')
  assert.ok(other instanceof ClientError && other.fatal)
  assert.equal(other.code, 'INVALID_TXN_STATE')
})
