/** Our client with a cluster of Apache Kafka: replicas that are closer, leaders and coordinators that die. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Admin, Consumer, Producer, string } from '@tidelog/client'
import { startKafkaCluster } from './kafka-cluster.ts'

const quick = { retryBackoffMs: 20, reconnectBackoffMs: 20, reconnectBackoffMaxMs: 200 }

/** Clusters take their time to start, and to notice that a broker has died. */
async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 120_000
  while (!(await holds())) {
    assert.ok(performance.now() < deadline, what)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** A topic whose partitions have these replicas, the leader first, all of them in sync. */
async function createTopic(admin: Admin, topic: string, assignments: readonly (readonly number[])[]): Promise<void> {
  const isMade = () =>
    admin.createTopics([{ topic, assignments }]).then(
      () => true,
      () => false,
    )
  // Brokers join the cluster one by one.
  await eventually('all brokers are there', isMade)
  await eventually('every replica is in sync', async () => {
    const described = (await admin.describeTopics([topic]).catch(() => new Map())).get(topic)
    return described?.partitions.every(({ isr }: { isr: readonly unknown[] }) => isr.length === assignments[0]!.length) ?? false
  })
}

function clientsOf(t: TestContext, bootstrapServers: string) {
  const admin = new Admin({ ...quick, bootstrapServers })
  const producer = new Producer<string, string>({ ...quick, bootstrapServers, valueSerializer: string, requestTimeoutMs: 3000 })
  t.after(() => Promise.all([admin.close(), producer.close({ timeoutMs: 1000 })]))
  return { admin, producer }
}

test('a consumer reads from the replica in its rack, and from the leader when that one dies', async (t) => {
  const cluster = await startKafkaCluster(t, ['r1', 'r2'])
  const { admin, producer } = clientsOf(t, cluster.bootstrap)
  await createTopic(admin, 'a', [[1, 2]])
  const a = { topic: 'a', partition: 0 }
  const consumer = new Consumer<string, string>({
    ...quick,
    bootstrapServers: cluster.bootstrap,
    clientRack: 'r2',
    valueDeserializer: string,
    autoOffsetReset: 'earliest',
    fetchMaxWaitMs: 100,
    requestTimeoutMs: 3000,
  })
  t.after(() => consumer.close({ timeoutMs: 1000 }))
  consumer.assign([a])
  const seen: number[] = []
  let sent = 0
  const more = async () => {
    for (let i = 0; i < 10; i++) await producer.send({ ...a, value: String(sent++) })
    while (seen.length < sent) for (const { value } of await consumer.poll()) seen.push(Number(value))
  }
  const replica = () => consumer.metrics().find(({ name }) => name === 'preferred-read-replica')?.value
  await more()
  await eventually('the follower is read', async () => {
    await more()
    return replica() === 2
  })
  await more()
  await cluster.kill(2)
  await eventually('the leader is read', async () => {
    await more()
    return replica() === -1
  })
  assert.deepEqual(
    seen,
    seen.map((_, i) => i),
  )
})

test('leaders and coordinators that die: every record is there once, and read once', async (t) => {
  const cluster = await startKafkaCluster(t, ['r1', 'r2', 'r3'])
  const { admin, producer } = clientsOf(t, cluster.bootstrap)
  await createTopic(admin, 'a', [
    [2, 3, 1],
    [3, 2, 1],
    [1, 2, 3],
  ])
  const consumer = new Consumer<string, string>({
    ...quick,
    bootstrapServers: cluster.bootstrap,
    groupId: 'g',
    valueDeserializer: string,
    autoOffsetReset: 'earliest',
    autoCommitIntervalMs: 100,
    heartbeatIntervalMs: 200,
    fetchMaxWaitMs: 100,
    requestTimeoutMs: 3000,
  })
  t.after(() => consumer.close({ timeoutMs: 1000 }))
  consumer.subscribe(['a'])
  const seen: number[][] = [[], [], []]
  const stop = new AbortController()
  const reading = consumer.run({ eachRecord: ({ partition, value }) => void seen[partition]!.push(Number(value)), signal: stop.signal })
  let sent = 0
  let isOver = false
  const writing = (async () => {
    while (!isOver) {
      const value = String(sent++)
      await producer.sendMany([0, 1, 2].map((partition) => ({ topic: 'a', partition, value })))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  })()
  const progress = async (what: string) => {
    const before = seen.map((values) => values.length)
    await eventually(what, () => seen.every((values, partition) => values.length > before[partition]! + 20))
  }
  await progress('before')
  for (const nodeId of [2, 3]) {
    await cluster.kill(nodeId)
    await progress(`without ${nodeId}`)
    cluster.revive(nodeId)
    await eventually(`${nodeId} is back in sync`, async () => {
      const described = (await admin.describeTopics(['a']).catch(() => new Map())).get('a')
      return described?.partitions.every(({ isr }: { isr: readonly unknown[] }) => isr.length === 3) ?? false
    })
    await progress(`${nodeId} is back`)
  }
  isOver = true
  await writing
  await eventually('all is read', () => seen.every((values) => values.length >= sent))
  stop.abort()
  await reading
  for (const values of seen) {
    assert.deepEqual(
      values,
      values.map((_, i) => i),
    )
    assert.equal(values.length, sent)
  }
})
