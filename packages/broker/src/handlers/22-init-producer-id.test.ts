import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InitProducerId } from '@tidelog/protocol'
import { connectTo, startTestBroker } from '@tidelog/testkit'

test('idempotent producers get ids of their own; transactions have no coordinator; halves and empty ids are refused', async (t) => {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  const ids = new Set<number>()
  for (let version = 0; version <= 5; version++) {
    const { errorCode, producerId, producerEpoch } = await connection.send(InitProducerId, version, {
      transactionalId: null,
      transactionTimeoutMs: 1000,
    })
    assert.deepEqual([errorCode, producerEpoch], [0, 0])
    ids.add(producerId)
  }
  assert.equal(ids.size, 6)
  const codeOf = async (request: { transactionalId: string | null; producerId?: number; producerEpoch?: number }) =>
    (await connection.send(InitProducerId, 4, { transactionTimeoutMs: 1000, ...request })).errorCode
  assert.equal(await codeOf({ transactionalId: 'txn' }), 15)
  assert.equal(await codeOf({ transactionalId: '' }), 42)
  assert.equal(await codeOf({ transactionalId: null, producerId: 4 }), 42)
  assert.equal(await codeOf({ transactionalId: null, producerEpoch: 4 }), 42)
})
