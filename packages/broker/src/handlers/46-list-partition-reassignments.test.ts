import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ListPartitionReassignments } from '@tidelog/protocol'
import { startBrokerForTest } from '@tidelog/testkit'

test('no partition is moving', async (t) => {
  const { call } = await startBrokerForTest(t)
  for (const topics of [null, [{ name: 'orders', partitionIndexes: [0] }]]) {
    const response = await call(ListPartitionReassignments, 0, { timeoutMs: 1000, topics })
    assert.deepEqual(response, { throttleTimeMs: 0, errorCode: 0, errorMessage: null, topics: [] })
  }
})
