import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '@tidelog/core'
import { openTestStore } from '@tidelog/testkit'
import { openCluster } from './cluster.ts'
import { ProducerIdAllocator } from './producer-id-allocator.ts'

test('no producer id is handed out twice: not by two brokers, not after a restart', async (t) => {
  const store = await openTestStore(t)
  const session = store.connect()
  await openCluster(session, { random: seededRandom(1) })
  const brokers = [1, 2, 1].map((brokerId) => new ProducerIdAllocator({ store: store.connect(), brokerId }))
  const ids = await Promise.all(Array.from({ length: 4_500 }, (_, index) => brokers[index % 3]!.allocate()))
  assert.equal(new Set(ids).size, ids.length)
  assert.ok(Math.min(...ids) === 0)
  const { data } = await session.get('/latest_producer_id_block')
  assert.match(data.toString(), /^\{"version":1,"broker":[12],"block_start":"5000","block_end":"5999"\}$/)
})

test('without a store there are no producer ids, and the client is told to try again', async (t) => {
  const store = await openTestStore(t)
  const session = store.connect()
  await openCluster(session, { random: seededRandom(1) })
  await session.close()
  await assert.rejects(new ProducerIdAllocator({ store: session, brokerId: 1 }).allocate(), {
    errorName: 'COORDINATOR_LOAD_IN_PROGRESS',
    retriable: true,
  })
})
