import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import {
  Admin,
  ConfigResourceTypes,
  Consumer,
  IncrementalAlterConfigOperationTypes,
  ListOffsetTimestamps,
  type MessagesStream,
  Producer,
  stringDeserializers,
  stringSerializers,
} from '@platformatic/kafka'
import { eventually, keyAndValue, restartableBroker } from './in-process.ts'

type Stream = MessagesStream<string, string, string, string>

async function client(t: TestContext, config: Record<string, string> = {}) {
  const broker = await restartableBroker(t, config)
  const base = { clientId: 'compat', bootstrapBrokers: [broker.bootstrap], retryDelay: 50, retries: 20 }
  const closing = <T extends { close(): Promise<void> }>(what: T): T => {
    broker.beforeItGoes(() => what.close())
    return what
  }
  return {
    broker,
    admin: closing(new Admin(base)),
    producer: closing(new Producer({ ...base, serializers: stringSerializers, autocreateTopics: true })),
    consumer: (groupId: string) =>
      new Consumer({
        ...base,
        groupId,
        deserializers: stringDeserializers,
        heartbeatInterval: 200,
        sessionTimeout: 6000,
        rebalanceTimeout: 6000,
        maxWaitTime: 200,
        autocommit: false,
      }),
    /** One that uses the protocol in which the coordinator assigns (KIP-848). */
    consumerOf: (groupId: string) =>
      new Consumer({ ...base, groupId, groupProtocol: 'consumer', deserializers: stringDeserializers, maxWaitTime: 200 }),
  }
}

type Client = Awaited<ReturnType<typeof client>>

/** Reads `count` messages of a stream. */
async function take(stream: Stream, count: number) {
  const messages = []
  for await (const message of stream) {
    messages.push(message)
    if (messages.length === count) return messages
  }
  return messages
}

test('@platformatic/kafka creates, describes, alters and deletes a topic', async (t) => {
  const { admin } = await client(t)
  await admin.createTopics({ topics: ['made'], partitions: 3, replicas: 1, configs: [{ name: 'retention.ms', value: '600000' }] })
  const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: 'made' }
  const configOf = async (name: string) =>
    (await admin.describeConfigs({ resources: [resource] }))[0]?.configs.find((config) => config.name === name)?.value
  assert.equal(await configOf('retention.ms'), '600000')
  const change = { name: 'max.message.bytes', configOperation: IncrementalAlterConfigOperationTypes.SET, value: '2000000' }
  await admin.incrementalAlterConfigs({ resources: [{ ...resource, configs: [change] }] })
  await eventually('the change shows', async () => (await configOf('max.message.bytes')) === '2000000')
  await admin.createPartitions({ topics: [{ name: 'made', count: 5 }] })
  await admin.deleteTopics({ topics: ['made'] })
  await eventually('it is gone', async () => !(await admin.listTopics()).includes('made'))
})

test('@platformatic/kafka writes and reads keys, headers, null keys and tombstones with every codec of this Node', async (t) => {
  const { producer, consumer } = await client(t)
  for (const compression of ['none', 'gzip', 'snappy', 'lz4'] as const) {
    const topic = `codec-${compression}`
    const messages = Array.from({ length: 200 }, (_, i) => {
      const { key, value } = keyAndValue(i)
      return { topic, partition: 0, headers: { h: '1' }, ...(key === null ? {} : { key }), ...(value === null ? {} : { value }) }
    })
    await producer.send({ messages, compression, acks: -1 })
    const reader = consumer(`readers-${compression}`)
    const stream = await reader.consume({ topics: [topic], mode: 'earliest' })
    for (const [i, { offset, key, value, headers }] of (await take(stream, 200)).entries()) {
      assert.equal(offset, BigInt(i))
      assert.deepEqual([key || null, value || null], [keyAndValue(i).key, keyAndValue(i).value])
      assert.deepEqual([...headers], [['h', '1']])
    }
    await stream.close()
    await reader.close()
  }
})

/** Two members of a group read a topic that is written to all the while, a third joins, the first leaves: together they see every record. */
async function readByThree(options: {
  broker: Client['broker']
  producer: Client['producer']
  topic: string
  member: () => ReturnType<Client['consumerOf']>
  autocommit: number | false
}): Promise<void> {
  const { broker, producer, topic, member: newMember, autocommit } = options
  const seen = new Set<string>()
  const members: { leave(): Promise<void> }[] = []
  const join = async () => {
    const member = newMember()
    const stream = await member.consume({ topics: [topic], mode: 'committed', fallbackMode: 'earliest', autocommit })
    stream.on('data', ({ value }) => seen.add(value))
    let isGone = false
    const leave = async () => {
      if (isGone) return
      isGone = true
      await stream.close().catch(() => {})
      await member.close(true)
    }
    members.push({ leave })
    broker.beforeItGoes(leave)
  }
  const send = (prefix: string) =>
    producer.send({
      messages: Array.from({ length: 300 }, (_, i) => ({ topic, key: `${i}`, value: `${prefix}-${i}` })),
      acks: -1,
    })
  await join()
  await join()
  await send('a')
  await join()
  await send('b')
  await members.shift()?.leave()
  await send('c')
  await eventually('every record is seen', () => seen.size === 900)
}

test('@platformatic/kafka: a group of three, one joining and one leaving mid-stream, reads every record', async (t) => {
  const { broker, admin, producer, consumer } = await client(t)
  await admin.createTopics({ topics: ['grouped'], partitions: 6, replicas: 1 })
  // Without commits: one that a rebalance refuses, as it may, ends this client's stream for good, on a busy machine with Apache Kafka too.
  // Whoever gets a partition reads it from its beginning.
  await readByThree({ broker, producer, topic: 'grouped', member: () => consumer('three'), autocommit: false })
})

test('@platformatic/kafka with the consumer protocol: a group of three, one joining and one leaving, reads every record and commits', async (t) => {
  const { broker, admin, producer, consumerOf } = await client(t, {
    'group.consumer.heartbeat.interval.ms': '200',
    'group.consumer.min.heartbeat.interval.ms': '100',
    'group.consumer.assignment.interval.ms': '100',
  })
  await admin.createTopics({ topics: ['assigned'], partitions: 6, replicas: 1 })
  await readByThree({ broker, producer, topic: 'assigned', member: () => consumerOf('assigned-three'), autocommit: 100 })
  const groups = await admin.listGroups({ types: ['consumer'] })
  assert.deepEqual([...groups.keys()], ['assigned-three'])
})

test('@platformatic/kafka: commits, offsets, and a restart of the broker in between with nothing lost', async (t) => {
  const { broker, admin, producer, consumer } = await client(t)
  const send = (from: number, to: number) =>
    producer.send({
      messages: Array.from({ length: to - from }, (_, i) => ({ topic: 'restarted', partition: 0, key: 'k', value: `${from + i}` })),
      acks: -1,
    })
  await send(0, 100)
  const partition = { topic: 'restarted', partition: 0 }
  const first = consumer('readers')
  const stream = await first.consume({ topics: ['restarted'], mode: 'earliest' })
  const read = await take(stream, 100)
  await first.commit({ offsets: [{ ...partition, offset: (read[49]?.offset ?? 0n) + 1n, leaderEpoch: 0 }] })
  const [ends] = await admin.listOffsets({
    topics: [{ name: 'restarted', partitions: [{ partitionIndex: 0, timestamp: ListOffsetTimestamps.LATEST }] }],
  })
  assert.equal(ends?.partitions[0]?.offset, 100n)
  await stream.close()
  await first.close()
  await broker.restart()
  await send(100, 150)
  const second = consumer('readers')
  const again = await second.consume({ topics: ['restarted'], mode: 'committed' })
  assert.deepEqual(
    (await take(again, 100)).map(({ value }) => Number(value)),
    Array.from({ length: 100 }, (_, i) => 50 + i),
  )
  await again.close()
  await second.close()
})
