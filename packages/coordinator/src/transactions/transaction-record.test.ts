import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { decodeTransactionRecord, encodeTransactionRecord } from '@tidelog/coordinator'
import { iterateBatches, readRecords } from '@tidelog/protocol'

const golden = join(import.meta.dirname, '../../../storage/fixtures/golden/data/__transaction_state-34/00000000000000000000.log')

test('records that Kafka 4.3 wrote read as what they say, and are written again byte for byte', async () => {
  const states: string[] = []
  for (const batch of iterateBatches(await readFile(golden))) {
    for (const { key, value } of readRecords(batch, { maxOutputBytes: 1 << 20 })) {
      const record = decodeTransactionRecord(key!, value)!
      states.push(record.transaction!.state)
      assert.deepEqual(encodeTransactionRecord(record, 2), { key, value })
    }
  }
  assert.deepEqual(new Set(states), new Set(['Empty', 'Ongoing', 'PrepareCommit', 'CompleteCommit']))
})

test('below transaction.version 1 values have no tagged fields; unknown types are passed over, unknown states and versions refused', () => {
  const transaction = {
    producerId: 5,
    previousProducerId: 4,
    nextProducerId: 6,
    producerEpoch: 7,
    lastProducerEpoch: 3,
    nextProducerEpoch: -1,
    timeoutMs: 60_000,
    state: 'Ongoing' as const,
    partitions: new Map([['t', new Set([0, 3])]]),
    startTimestamp: 10,
    lastUpdateTimestamp: 11,
    clientTransactionVersion: 2,
  }
  const record = { transactionalId: 'txn', transaction }
  const old = encodeTransactionRecord(record, 0)
  assert.equal(old.value!.readInt16BE(0), 0)
  const lost = { previousProducerId: -1, nextProducerId: -1, clientTransactionVersion: 0, lastProducerEpoch: -1 }
  assert.deepEqual(decodeTransactionRecord(old.key, old.value), { ...record, transaction: { ...transaction, ...lost } })
  const { key, value } = encodeTransactionRecord(record, 2)
  assert.deepEqual(decodeTransactionRecord(key, value), { ...record, transaction: { ...transaction, lastProducerEpoch: -1 } })
  assert.deepEqual(decodeTransactionRecord(key, null), { transactionalId: 'txn', transaction: null })
  const otherType = Buffer.from(key)
  otherType.writeInt16BE(1, 0)
  assert.equal(decodeTransactionRecord(otherType, value), undefined)
  const newer = Buffer.from(value!)
  newer.writeInt16BE(2, 0)
  assert.throws(() => decodeTransactionRecord(key, newer), RangeError)
  const statusAt = 2 + 8 + 2 + 4
  const unknownState = Buffer.from(value!)
  unknownState.writeInt8(9, statusAt)
  assert.throws(() => decodeTransactionRecord(key, unknownState), RangeError)
})
