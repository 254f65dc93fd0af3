import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { errorTable, Heartbeat, LeaveGroup } from '@tidelog/protocol'
import { connectForTest, pollUntil, readValues, startProxied } from '@tidelog/testkit'
import type { TopicPartition } from '../../topic-partition.ts'
import type { Assignor, GroupMember } from '../assignors/assignor.ts'
import type { Consumer } from '../consumer.ts'
import type { ConsumerOptions } from '../consumer-options.ts'

type TestConsumer = Consumer<string, string>
const a = (partition: number): TopicPartition => ({ topic: 'a', partition })

async function setUp(t: TestContext, topics: Record<string, number> = { a: 4 }) {
  const clients = await startProxied(t, { topics })
  const member = (options: ConsumerOptions<string, string> = {}) => clients.consumer({ groupId: 'g', ...options })
  return { ...clients, member }
}

/** Polls all of them in turn until the condition holds. */
async function pollAll(consumers: readonly TestConsumer[], condition: () => boolean): Promise<void> {
  while (!condition()) for (const consumer of consumers) await consumer.poll({ timeoutMs: 5 })
}

const sizes = (...consumers: readonly TestConsumer[]): string => consumers.map((consumer) => consumer.assignment().length).join(' ')

test('cooperative: what a member keeps it goes on reading while the group waits for others', async (t) => {
  const { send, member } = await setUp(t)
  const options = { partitionAssignmentStrategy: 'cooperative-sticky', enableAutoCommit: false } as const
  const [one, slow, third] = [member(options), member(options), member(options)]
  for (const consumer of [one, slow]) consumer.subscribe(['a'])
  await pollAll([one, slow], () => sizes(one, slow) === '2 2')
  // The third waits for the slow one, which does not come back for records.
  third.subscribe(['a'])
  const joining = third.poll({ timeoutMs: 1 })
  await pollUntil(one, () => one.assignment().length === 2)
  for (const { partition } of one.assignment()) await send('a', partition, 'while they wait')
  assert.deepEqual(await readValues(one, 2), ['while they wait', 'while they wait'])
  assert.equal(third.assignment().length, 0)
  await joining
  await pollAll(
    [one, slow, third],
    () => sizes(third) !== '0' && one.assignment().length + slow.assignment().length + third.assignment().length === 4,
  )
})

test('several assignors in one list: members agree on one that all have, and what one of them needs holds for all', async (t) => {
  const { member, admin } = await setUp(t)
  const one = member({ partitionAssignmentStrategy: ['cooperative-sticky', 'range'] })
  const two = member({ partitionAssignmentStrategy: ['roundrobin', 'range'] })
  for (const consumer of [one, two]) consumer.subscribe(['a'])
  await pollAll([one, two], () => sizes(one, two) === '2 2')
  assert.equal((await admin.describeClassicGroups(['g'])).get('g')!.partitionAssignor, 'range')
  const stranger = member({ partitionAssignmentStrategy: 'sticky' })
  stranger.subscribe(['a'])
  await assert.rejects(
    pollUntil(stranger, () => false),
    { code: 'INCONSISTENT_GROUP_PROTOCOL' },
  )
})

test("an assignor of one's own: what members say reaches it, what it says reaches them, and enforceRebalance() has it assign anew", async (t) => {
  const { member } = await setUp(t)
  const told: string[] = []
  /** Everything to whoever wants it most. */
  const byWish = (wish: () => number): Assignor => ({
    name: 'by-wish',
    supportedProtocols: ['eager'],
    subscriptionUserData: () => Buffer.from([wish()]),
    async assign(members: readonly GroupMember[], partitionCounts) {
      const [keenest] = [...members].sort((x, y) => y.userData![0]! - x.userData![0]!)
      const partitions = [...partitionCounts].flatMap(([topic, count]) =>
        Array.from({ length: count }, (_, partition) => ({ topic, partition })),
      )
      return new Map([[keenest!.memberId, { partitions, userData: Buffer.from(`as number ${keenest!.userData![0]}`) }]])
    },
    onAssignment: (partitions, userData) => {
      if (partitions.length > 0) told.push(userData!.toString())
    },
  })
  const wishes = [1, 2]
  const [one, two] = [0, 1].map((index) => member({ partitionAssignmentStrategy: byWish(() => wishes[index]!) })) as [
    TestConsumer,
    TestConsumer,
  ]
  for (const consumer of [one, two]) consumer.subscribe(['a'])
  await pollAll([one, two], () => sizes(one, two) === '0 4')
  wishes[0] = 3
  one.enforceRebalance('it wants them more now')
  await pollAll([one, two], () => sizes(one, two) === '4 0')
  assert.deepEqual(told.slice(-2), ['as number 2', 'as number 3'])
})

test('a listener that throws is heard by whoever reads, once, and the rebalance goes on', async (t) => {
  const { member, send } = await setUp(t)
  for (const partition of [0, 1, 2, 3]) await send('a', partition, 'v')
  const [one, two] = [member(), member()]
  one.subscribe(['a'], {
    onAssigned: async () => {
      throw new Error('no use for them')
    },
    onRevoked: () => {
      throw new Error('would rather keep them')
    },
  })
  await assert.rejects(readValues(one, 1), /no use for them/)
  assert.equal((await readValues(one, 4)).length, 4)
  two.subscribe(['a'])
  const errors: string[] = []
  while (sizes(one, two) !== '2 2') {
    await one.poll({ timeoutMs: 5 }).catch((error) => errors.push(error.message))
    await two.poll({ timeoutMs: 5 })
  }
  assert.deepEqual([...new Set(errors)], ['would rather keep them', 'no use for them'])
})

test('G3: a static member whose place another one of its name has taken ends with a fatal error', async (t) => {
  const { member } = await setUp(t)
  const one = member({ groupInstanceId: 'i' })
  one.subscribe(['a'])
  await pollUntil(one, () => one.assignment().length === 4)
  const twin = member({ groupInstanceId: 'i' })
  twin.subscribe(['a'])
  await pollUntil(twin, () => twin.assignment().length === 4)
  await assert.rejects(
    pollUntil(one, () => false),
    { code: 'FENCED_INSTANCE_ID', fatal: true },
  )
  await assert.rejects(one.poll(), { code: 'FENCED_INSTANCE_ID' })
})

test('whether a member leaves when it closes can be said', async (t) => {
  const { member, admin, proxy } = await setUp(t)
  const count = async () => (await admin.describeClassicGroups(['g'])).get('g')!.members.length
  const stays = member()
  stays.subscribe(['a'])
  await pollUntil(stays, () => stays.assignment().length === 4)
  await stays.close({ groupMembershipOperation: 'remain-in-group' })
  assert.equal(await count(), 1)
  const goes = member({ groupId: 'h', groupInstanceId: 'i' })
  goes.subscribe(['a'])
  await pollUntil(goes, () => goes.assignment().length === 4)
  await goes.close({ groupMembershipOperation: 'leave-group' })
  assert.equal(proxy.requests(LeaveGroup).at(-1)!.request.members[0]!.groupInstanceId, 'i')
})

test('topics that go and topics that grow have the group assign anew', async (t) => {
  const { member, admin } = await setUp(t, { a: 1, b: 2 })
  const consumer = member({ metadataMaxAgeMs: 50, allowAutoCreateTopics: false })
  consumer.subscribe(['a', 'b'])
  await pollUntil(consumer, () => consumer.assignment().length === 3)
  await admin.createPartitions([{ topic: 'a', totalCount: 3 }])
  await pollUntil(consumer, () => consumer.assignment().length === 5)
  await admin.deleteTopics(['b'])
  await pollUntil(consumer, () => consumer.assignment().length === 3)
})

test('heartbeats go on while a record is handled, and the member stays what it is', async (t) => {
  const { member, send, proxy } = await setUp(t, { a: 1 })
  await send('a', 0, 'slow', 'next')
  const consumer = member({ enableAutoCommit: false })
  consumer.subscribe(['a'])
  for await (const record of consumer.records()) {
    if (record.value === 'next') break
    const { generationId } = consumer.groupMetadata()
    const before = proxy.requests(Heartbeat).length
    while (proxy.requests(Heartbeat).length < before + 5) await new Promise((resolve) => setTimeout(resolve, 5))
    await consumer.commit([{ ...a(0), offset: 1 }])
    assert.equal(consumer.groupMetadata().generationId, generationId)
  }
})

test('G3: a member that is put out of the group joins again; while the coordinator loads it stays what it is', async (t) => {
  const { member, proxy, broker } = await setUp(t, { a: 1 })
  const consumer = member()
  const lost: TopicPartition[] = []
  consumer.subscribe(['a'], { onLost: (partitions) => void lost.push(...partitions) })
  await pollUntil(consumer, () => consumer.assignment().length === 1)
  let answers = 0
  proxy.onAnswer(Heartbeat, (answer) => {
    answers++
    return { ...answer, errorCode: errorTable.COORDINATOR_LOAD_IN_PROGRESS.code }
  })
  await pollUntil(consumer, () => answers > 3)
  assert.deepEqual(lost, [])
  proxy.onAnswer(Heartbeat, undefined)
  const { memberId } = consumer.groupMetadata()
  await (await connectForTest(t, broker))(LeaveGroup, 3, { groupId: 'g', members: [{ memberId }] })
  await pollUntil(consumer, () => lost.length > 0)
  await pollUntil(consumer, () => consumer.assignment().length === 1)
})
