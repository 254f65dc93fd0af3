import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { ConsumerGroupHeartbeat, errorTable, OffsetCommit, OffsetFetch } from '@tidelog/protocol'
import { connectForTest, type ProxiedClients, pollUntil, quickGroups, readValues, startProxied } from '@tidelog/testkit'
import type { TopicPartition } from '../../topic-partition.ts'
import type { Consumer } from '../consumer.ts'
import type { ConsumerOptions } from '../consumer-options.ts'
import { SubscriptionPattern } from '../subscription.ts'

type TestConsumer = Consumer<string, string>
const a = (partition: number): TopicPartition => ({ topic: 'a', partition })
const numbers = (count: number, from = 0): string[] => Array.from({ length: count }, (_, i) => String(from + i))
const partitionsOf = (consumer: TestConsumer): number[] =>
  consumer
    .assignment()
    .map(({ partition }) => partition)
    .sort()

async function setUp(t: TestContext, topics: Record<string, number> = { a: 4 }, config: Record<string, string> = {}) {
  const clients = await startProxied(t, { topics, config: { ...quickGroups, ...config } })
  const member = (options: ConsumerOptions<string, string> = {}) =>
    clients.consumer({ groupId: 'g', groupProtocol: 'consumer', ...options })
  return { ...clients, member }
}

/** Polls all of them in turn until the condition holds. */
async function pollAll(consumers: readonly TestConsumer[], condition: () => boolean): Promise<void> {
  while (!condition()) for (const consumer of consumers) await consumer.poll({ timeoutMs: 5 })
}

/** What a listener hears, as `+0 1` and `-1`, `!0` for what is lost. */
function heard(): { events: string[]; listener: Parameters<TestConsumer['subscribe']>[1] } {
  const events: string[] = []
  const note = (sign: string) => (partitions: readonly TopicPartition[]) =>
    void (
      partitions.length > 0 &&
      events.push(
        `${sign}${partitions
          .map(({ partition }) => partition)
          .sort()
          .join(' ')}`,
      )
    )
  return { events, listener: { onAssigned: note('+'), onRevoked: note('-'), onLost: note('!') } }
}

const leave = async (t: TestContext, { broker }: ProxiedClients, memberId: string) => {
  const call = await connectForTest(t, broker)
  await call(ConsumerGroupHeartbeat, 1, { groupId: 'g', memberId, memberEpoch: -1 })
}

test('members share the partitions as the coordinator has it: what one keeps it goes on reading, what it gives up it has committed', async (t) => {
  const { send, member, admin } = await setUp(t)
  for (const partition of [0, 1, 2, 3]) await send('a', partition, ...numbers(5))
  const [one, two] = [member(), member()]
  const first = heard()
  one.subscribe(['a'], first.listener)
  assert.equal((await readValues(one, 20)).length, 20)
  const { generationId: epoch } = one.groupMetadata()
  assert.ok(epoch > 0)
  two.subscribe(['a'])
  await pollAll([one, two], () => one.assignment().length === 2 && two.assignment().length === 2)
  assert.equal(first.events[0], '+0 1 2 3')
  assert.equal(first.events[1], `-${partitionsOf(two).join(' ')}`)
  assert.equal(first.events.length, 2)
  assert.ok(one.groupMetadata().generationId > epoch)
  const committed = await admin.listConsumerGroupOffsets('g')
  assert.deepEqual(
    two.assignment().map((partition) => committed.get(partition)?.offset),
    [5, 5],
  )
  for (const partition of [0, 1, 2, 3]) await send('a', partition, 'last')
  assert.deepEqual(await readValues(two, 2), ['last', 'last'])
  assert.deepEqual(await readValues(one, 2), ['last', 'last'])
  await two.close()
  await pollAll([one], () => one.assignment().length === 4)
  const described = (await admin.describeConsumerGroups(['g'])).get('g')!
  assert.deepEqual([described.type, described.members.map(({ memberId }) => memberId)], ['consumer', [one.groupMetadata().memberId]])
})

test('G3: a member that is put out of the group hears what it has lost, cannot commit meanwhile, and comes back under the same id', async (t) => {
  const clients = await setUp(t, { a: 2 })
  const { send, member } = clients
  await send('a', 0, 'v')
  const consumer = member({ enableAutoCommit: false })
  const { events, listener } = heard()
  consumer.subscribe(['a'], listener)
  await readValues(consumer, 1)
  const { memberId } = consumer.groupMetadata()
  await leave(t, clients, memberId)
  const isCommitted = () =>
    consumer.commit().then(
      () => true,
      (error) => error.code !== 'COMMIT_FAILED',
    )
  while (await isCommitted()) await new Promise((resolve) => setTimeout(resolve, 5))
  // A transaction speaks for the membership that was, and is refused.
  assert.equal(consumer.groupMetadata().memberId, memberId)
  assert.deepEqual(await readValues(consumer, 1), ['v'])
  assert.deepEqual(events, ['+0 1', '!0 1', '+0 1'])
  assert.equal(consumer.groupMetadata().memberId, memberId)
})

test('G2: a member that does not come back for records leaves, and joins again when it does', async (t) => {
  const { send, member, admin } = await setUp(t, { a: 1 })
  await send('a', 0, 'v')
  const consumer = member({ maxPollIntervalMs: 100, enableAutoCommit: false })
  const { events, listener } = heard()
  consumer.subscribe(['a'], listener)
  await readValues(consumer, 1)
  while ((await admin.describeConsumerGroups(['g'])).get('g')!.members.length > 0) await new Promise((resolve) => setTimeout(resolve, 10))
  assert.deepEqual(await readValues(consumer, 1), ['v'])
  assert.deepEqual(events, ['+0', '!0', '+0'])
})

test('G3: a static member keeps its partitions over a restart; a second one of its name is refused; it leaves for good when told to', async (t) => {
  const { member, admin } = await setUp(t)
  const join = (groupInstanceId: string) => {
    const consumer = member({ groupInstanceId })
    consumer.subscribe(['a'])
    return consumer
  }
  const [one, two] = [join('one'), join('two')]
  await pollAll([one, two], () => one.assignment().length === 2 && two.assignment().length === 2)
  const twin = join('two')
  await assert.rejects(
    pollUntil(twin, () => false),
    { code: 'UNRELEASED_INSTANCE_ID' },
  )
  const mine = partitionsOf(two)
  await two.close()
  assert.equal((await admin.describeConsumerGroups(['g'])).get('g')!.members.length, 2)
  const again = join('two')
  await pollAll([again], () => again.assignment().length === 2)
  assert.deepEqual(partitionsOf(again), mine)
  await again.close({ groupMembershipOperation: 'leave-group' })
  await pollUntil(one, () => one.assignment().length === 4)
})

test('whether a member leaves when it closes can be said: a dynamic one stays until its session is over', async (t) => {
  const { member, admin, proxy } = await setUp(t)
  const consumer = member()
  consumer.subscribe(['a'])
  await pollUntil(consumer, () => consumer.assignment().length === 4)
  await consumer.close({ groupMembershipOperation: 'remain-in-group' })
  assert.equal((await admin.describeConsumerGroups(['g'])).get('g')!.members.length, 1)
  assert.ok(proxy.requests(ConsumerGroupHeartbeat).every(({ request }) => request.memberEpoch >= 0))
})

test('a pattern that the coordinator evaluates brings topics that the client never named', async (t) => {
  const { member, send, proxy } = await setUp(t, { 'log-a': 1, 'log-b': 1, other: 1 })
  await send('log-a', 0, 'one')
  await send('log-b', 0, 'two')
  const consumer = member()
  consumer.subscribe(new SubscriptionPattern('log-.*'))
  assert.deepEqual((await readValues(consumer, 2)).sort(), ['one', 'two'])
  assert.deepEqual([...consumer.subscription()].sort(), ['log-a', 'log-b'])
  assert.equal(proxy.requests(ConsumerGroupHeartbeat)[0]!.request.subscribedTopicRegex, 'log-.*')
  // Names instead take the pattern away.
  consumer.subscribe(['other'])
  await pollUntil(consumer, () => consumer.assignment().length === 1)
  assert.deepEqual(consumer.assignment(), [{ topic: 'other', partition: 0 }])
})

test("a RegExp is the client's to evaluate, and topics that come and go change the assignment", async (t) => {
  const { member, admin } = await setUp(t, { 'log-a': 1 })
  const consumer = member({ metadataMaxAgeMs: 50 })
  consumer.subscribe(/^log-(?!x)/)
  await pollUntil(consumer, () => consumer.assignment().length === 1)
  await admin.createTopics([
    { topic: 'log-b', numPartitions: 2 },
    { topic: 'log-x', numPartitions: 2 },
  ])
  await pollUntil(consumer, () => consumer.assignment().length === 3)
  await admin.deleteTopics(['log-a'])
  await pollUntil(consumer, () => consumer.assignment().length === 2)
  assert.ok(consumer.assignment().every(({ topic }) => topic === 'log-b'))
})

test("the group's assignor is the one a member asks for, and one that the broker lacks is an error", async (t) => {
  const { member, admin } = await setUp(t, { a: 2, b: 2 })
  const consumer = member({ groupRemoteAssignor: 'range' })
  consumer.subscribe(['a', 'b'])
  await pollUntil(consumer, () => consumer.assignment().length === 4)
  assert.equal((await admin.describeConsumerGroups(['g'])).get('g')!.partitionAssignor, 'range')
  const other = member({ groupId: 'h', groupRemoteAssignor: 'best' })
  other.subscribe(['a'])
  await assert.rejects(
    pollUntil(other, () => false),
    { code: 'UNSUPPORTED_ASSIGNOR' },
  )
  // Once and for all.
  await assert.rejects(other.poll(), { code: 'UNSUPPORTED_ASSIGNOR' })
})

test('a broker without groups of the consumer protocol is told so in words that help', async (t) => {
  const { member } = await setUp(t, { a: 1 }, { 'group.coordinator.rebalance.protocols': 'classic' })
  const consumer = member()
  consumer.subscribe(['a'])
  await assert.rejects(
    pollUntil(consumer, () => false),
    { code: 'UNSUPPORTED_VERSION', message: /use groupProtocol: 'classic'/ },
  )
})

test('heartbeats that fail are sent again, with everything that there is to say, and nothing is lost', async (t) => {
  const { member, proxy, send } = await setUp(t, { a: 2 })
  await send('a', 0, 'one')
  const consumer = member()
  const { events, listener } = heard()
  consumer.subscribe(['a'], listener)
  let failures = 0
  proxy.onAnswer(ConsumerGroupHeartbeat, (answer) => {
    if (++failures % 2 === 0) return undefined
    return failures % 4 === 1 ? { ...answer, errorCode: errorTable.COORDINATOR_LOAD_IN_PROGRESS.code, assignment: null } : 'cut'
  })
  assert.deepEqual(await readValues(consumer, 1), ['one'])
  while (failures < 12) await consumer.poll({ timeoutMs: 10 })
  proxy.onAnswer(ConsumerGroupHeartbeat, undefined)
  assert.deepEqual(events, ['+0 1'])
  const asked = proxy.requests(ConsumerGroupHeartbeat).map(({ request }) => request)
  for (const [index, request] of asked.entries()) {
    const follows = index > 0 && index < failures && index % 2 === 1
    if (follows) assert.ok(request.subscribedTopicNames !== null && request.topicPartitions !== null, `heartbeat ${index}`)
  }
})

test('a commit under an epoch that has passed is made again under the one that holds now', async (t) => {
  const { member, proxy, send, admin } = await setUp(t, { a: 1 })
  await send('a', 0, ...numbers(3))
  const consumer = member({ enableAutoCommit: false })
  consumer.subscribe(['a'])
  await readValues(consumer, 3)
  let refusals = 2
  proxy.onAnswer(OffsetCommit, (answer) => {
    if (refusals-- <= 0) return undefined
    const errorCode = errorTable.STALE_MEMBER_EPOCH.code
    return {
      ...answer,
      topics: answer.topics.map((topic) => ({ ...topic, partitions: topic.partitions.map((row) => ({ ...row, errorCode })) })),
    }
  })
  await consumer.commit()
  assert.equal((await admin.listConsumerGroupOffsets('g')).get(a(0))?.offset, 3)
  const { memberId, generationId } = consumer.groupMetadata()
  const commit = proxy.requests(OffsetCommit).at(-1)!.request
  assert.deepEqual([commit.memberId, commit.generationIdOrMemberEpoch], [memberId, generationId])
  const [asked] = proxy.requests(OffsetFetch).map(({ request }) => request.groups[0])
  assert.equal(asked?.memberId, memberId)
  assert.ok(asked.memberEpoch > 0)
})

test('a listener that throws is heard by whoever reads, once, and the rebalance goes on', async (t) => {
  const { member, send } = await setUp(t, { a: 2 })
  await send('a', 0, 'v')
  const [one, two] = [member(), member()]
  one.subscribe(['a'], {
    onAssigned: () => {
      throw new Error('no use for them')
    },
    onRevoked: async () => {
      throw new Error('would rather keep them')
    },
  })
  await assert.rejects(readValues(one, 1), /no use for them/)
  assert.deepEqual(await readValues(one, 1), ['v'])
  two.subscribe(['a'])
  await assert.rejects(
    pollAll([two, one], () => false),
    /would rather keep them/,
  )
  await pollAll([one, two], () => one.assignment().length === 1 && two.assignment().length === 1)
})

test('a listener may commit, seek and ask for positions; heartbeats go on while it takes its time', async (t) => {
  const { member, send, proxy } = await setUp(t, { a: 1 })
  await send('a', 0, ...numbers(5))
  const consumer = member({ enableAutoCommit: false })
  let beats = 0
  consumer.subscribe(['a'], {
    onAssigned: async () => {
      consumer.seek(a(0), 3)
      assert.equal(await consumer.position(a(0)), 3)
      await consumer.commit([{ ...a(0), offset: 2 }])
      const before = proxy.requests(ConsumerGroupHeartbeat).length
      while (proxy.requests(ConsumerGroupHeartbeat).length < before + 3) await new Promise((resolve) => setTimeout(resolve, 5))
      beats = proxy.requests(ConsumerGroupHeartbeat).length
    },
  })
  assert.deepEqual(await readValues(consumer, 2), ['3', '4'])
  assert.ok(beats > 3)
  assert.equal((await consumer.committed([a(0)])).get(a(0))?.offset, 2)
})

test('a group goes over to the consumer protocol member by member, and back, while it reads', async (t) => {
  const { member, consumer: make, send, admin } = await setUp(t)
  const typeOf = async () => (await admin.describeConsumerGroups(['g'])).get('g')!.type
  const read: string[] = []
  const start = (consumer: TestConsumer) => {
    consumer.subscribe(['a'])
    const stop = new AbortController()
    const running = consumer.run({ eachRecord: ({ value }) => void read.push(value!), signal: stop.signal })
    return {
      consumer,
      async leave() {
        stop.abort()
        await running
        await consumer.close()
      },
    }
  }
  const classic = () => start(make({ groupId: 'g', partitionAssignmentStrategy: 'cooperative-sticky' }))
  const balanced = async (...members: { consumer: TestConsumer }[]) => {
    const owned = () => members.flatMap(({ consumer }) => partitionsOf(consumer))
    while (members.some(({ consumer }) => consumer.assignment().length === 0) || owned().sort().join() !== '0,1,2,3')
      await new Promise((resolve) => setTimeout(resolve, 5))
  }
  let sent = 0
  const sendSome = async () => {
    for (const partition of [0, 1, 2, 3]) await send('a', partition, ...numbers(3, sent))
    sent += 3
    while (read.length < sent * 4) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const one = classic()
  await balanced(one)
  await sendSome()
  const two = start(member())
  await balanced(one, two)
  assert.equal(await typeOf(), 'consumer')
  await sendSome()
  await one.leave()
  await balanced(two)
  await sendSome()
  const three = classic()
  await balanced(two, three)
  await sendSome()
  await two.leave()
  await balanced(three)
  await sendSome()
  await three.leave()
  assert.equal(read.length, sent * 4)
})

test('a transaction commits for the member that reads, under its epoch, and one that was put out is refused', async (t) => {
  const clients = await setUp(t, { a: 1, b: 1 })
  const { member, send, producer: make, admin } = clients
  await send('a', 0, ...numbers(3))
  const consumer = member({ enableAutoCommit: false })
  consumer.subscribe(['a'])
  await readValues(consumer, 3)
  const producer = make({ transactionalId: 'copier' })
  await producer.transaction(async (txn) => {
    txn.send({ topic: 'b', value: 'copied' })
    await txn.sendOffsets([{ ...a(0), offset: 2 }], consumer.groupMetadata())
  })
  const committed = await admin.listConsumerGroupOffsets('g', { requireStable: true })
  assert.equal(committed.get(a(0))?.offset, 2)
  const before = consumer.groupMetadata()
  await leave(t, clients, before.memberId)
  await assert.rejects(
    producer.transaction(async (txn) => {
      await txn.sendOffsets([{ ...a(0), offset: 3 }], before)
    }),
  )
  assert.equal((await admin.listConsumerGroupOffsets('g', { requireStable: true })).get(a(0))?.offset, 2)
})

test('what belongs to the classic protocol is refused', async (t) => {
  const { member, consumer: make } = await setUp(t)
  const consumer = member()
  consumer.subscribe(['a'])
  assert.throws(() => consumer.enforceRebalance(), { code: 'ILLEGAL_STATE' })
  const classic = make({ groupId: 'classic' })
  assert.throws(() => classic.subscribe(new SubscriptionPattern('a')), /groupProtocol: 'consumer'/)
})
