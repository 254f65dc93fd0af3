import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { errorTable, Fetch } from '@tidelog/protocol'
import { type ApiProxy, FakeLeadership, pollUntil, readValues, startProxied } from '@tidelog/testkit'
import type { Consumer } from './consumer.ts'

const a = { topic: 'a', partition: 0 }
const numbers = (count: number, from = 0): string[] => Array.from({ length: count }, (_, i) => String(from + i))
const nodes = (proxy: ApiProxy): number[] => proxy.requests(Fetch).map(({ nodeId }) => nodeId)

interface Setup {
  readonly proxy: ApiProxy
  readonly send: (...values: readonly string[]) => Promise<void>
  readonly consumer: Consumer<string, string>
  /** What the follower answers instead, once a fetch. */
  readonly refusals: (keyof typeof errorTable)[]
}

/** Node 1 leads, and sends whoever is in rack `r2` to node 2. */
async function setUp(t: TestContext, { metadataMaxAgeMs = 300_000 }: { metadataMaxAgeMs?: number } = {}): Promise<Setup> {
  const config = { 'max.incremental.fetch.session.cache.slots': '0' }
  const { proxy, send, consumer: make } = await startProxied(t, { nodes: [1, 2], config })
  // Metadata of two brokers; who refuses what is said below.
  new FakeLeadership(proxy)
  const refusals: (keyof typeof errorTable)[] = []
  proxy.onRequest(Fetch, ({ request, nodeId }) => {
    const rows = request.topics.flatMap(({ topic, topicId, partitions }) =>
      partitions.map(({ partition }) => ({ topic, topicId, partition })),
    )
    const answer = (row: { errorCode: number; preferredReadReplica?: number }) => ({
      answer: {
        errorCode: 0,
        sessionId: 0,
        responses: rows.map(({ topic, topicId, partition }) => ({
          topic,
          topicId,
          partitions: [{ partitionIndex: partition, highWatermark: -1, abortedTransactions: null, records: null, ...row }],
        })),
      },
    })
    if (nodeId === 1) return request.rackId === 'r2' && rows.length > 0 ? answer({ errorCode: 0, preferredReadReplica: 2 }) : undefined
    const refusal = refusals.shift()
    return refusal === undefined ? undefined : answer({ errorCode: errorTable[refusal].code })
  })
  const consumer = make({ clientRack: 'r2', metadataMaxAgeMs })
  consumer.assign([a])
  return { proxy, send: (...values) => send('a', 0, ...values), consumer, refusals }
}

test('a consumer tells its rack, and fetches from the replica that the leader names', async (t) => {
  const { proxy, send, consumer } = await setUp(t)
  await send(...numbers(5))
  assert.deepEqual(await readValues(consumer, 5), numbers(5))
  await pollUntil(consumer, () => nodes(proxy).length >= 4)
  assert.deepEqual(nodes(proxy).slice(0, 3), [1, 2, 2])
  const ofPartition = consumer.metrics().find(({ name }) => name === 'preferred-read-replica')
  assert.deepEqual([ofPartition?.value, ofPartition?.tags.partition], [2, '0'])
})

test('the choice of a replica expires with the age of metadata: then the leader is asked again', async (t) => {
  const { proxy, consumer } = await setUp(t, { metadataMaxAgeMs: 60 })
  await pollUntil(consumer, () => nodes(proxy).filter((nodeId) => nodeId === 1).length >= 3)
  assert.ok(nodes(proxy).includes(2))
})

for (const refusal of ['OFFSET_OUT_OF_RANGE', 'NOT_LEADER_OR_FOLLOWER', 'REPLICA_NOT_AVAILABLE', 'KAFKA_STORAGE_ERROR'] as const) {
  test(`a replica that answers ${refusal} is left for the leader, and the position stays`, async (t) => {
    const { proxy, send, consumer, refusals } = await setUp(t)
    await send(...numbers(5))
    assert.deepEqual(await readValues(consumer, 5), numbers(5))
    const before = nodes(proxy).length
    refusals.push(refusal)
    await pollUntil(consumer, () => nodes(proxy).slice(before).includes(1))
    await send(...numbers(5, 5))
    assert.deepEqual(await readValues(consumer, 5), numbers(5, 5))
  })
}

test('a replica that cannot be reached is left for the leader', async (t) => {
  const { proxy, send, consumer } = await setUp(t)
  await send(...numbers(5))
  assert.deepEqual(await readValues(consumer, 5), numbers(5))
  proxy.down.add(2)
  proxy.breakAll()
  await pollUntil(consumer, () => nodes(proxy).slice(3).includes(1))
  proxy.down.delete(2)
  await send(...numbers(5, 5))
  assert.deepEqual(await readValues(consumer, 5), numbers(5, 5))
})
