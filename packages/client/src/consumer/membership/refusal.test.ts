import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { ConsumerGroupHeartbeat, errorTable, FindCoordinator, Heartbeat, JoinGroup, Metadata } from '@tidelog/protocol'
import { pollUntil, quickGroups, readValues, startProxied } from '@tidelog/testkit'
import { AuthenticationError, ClientError } from '../../errors.ts'
import type { Consumer } from '../consumer.ts'
import { Refusal } from './refusal.ts'

const refused = { code: 'GROUP_AUTHORIZATION_FAILED' }
const errorCode = errorTable.GROUP_AUTHORIZATION_FAILED.code
const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i))

/** A group whose coordinator lets nobody in while `state.isRefused`. */
async function setUp(t: TestContext, groupProtocol: 'classic' | 'consumer') {
  const clients = await startProxied(t, { topics: { a: 1 }, config: quickGroups })
  const { proxy } = clients
  const state = { isRefused: true }
  proxy.onAnswer(JoinGroup, (answer) => (state.isRefused ? { ...answer, errorCode, members: [] } : undefined))
  proxy.onRequest(Heartbeat, () => (state.isRefused ? { answer: { errorCode } } : undefined))
  proxy.onRequest(ConsumerGroupHeartbeat, () =>
    state.isRefused ? { answer: { errorCode, memberId: null, memberEpoch: 0, heartbeatIntervalMs: 0, assignment: null } } : undefined,
  )
  const consumer = clients.consumer({ groupId: 'g', groupProtocol })
  const asked = () => proxy.requests(groupProtocol === 'classic' ? JoinGroup : ConsumerGroupHeartbeat).length
  return { ...clients, state, consumer, asked }
}

const ways: Readonly<Record<string, (consumer: Consumer<string, string>, count: number) => Promise<void>>> = {
  async 'poll()'(consumer, count) {
    await readValues(consumer, count)
  },
  async 'records()'(consumer, count) {
    let seen = 0
    for await (const _ of consumer.records()) if (++seen === count) break
  },
  async 'batches()'(consumer, count) {
    let seen = 0
    for await (const { records } of consumer.batches()) {
      seen += records.length
      if (seen >= count) break
    }
  },
  async 'run()'(consumer, count) {
    const stop = new AbortController()
    let seen = 0
    await consumer.run({ eachRecord: () => void (++seen === count && stop.abort()), signal: stop.signal })
  },
}

for (const groupProtocol of ['classic', 'consumer'] as const) {
  for (const [way, read] of Object.entries(ways)) {
    test(`a member that its group does not let in hears so of ${way}, and asks again by the next: what has been mended goes on (${groupProtocol})`, async (t) => {
      const { send, consumer, state, asked } = await setUp(t, groupProtocol)
      await send('a', 0, ...numbers(3))
      consumer.subscribe(['a'])
      await assert.rejects(read(consumer, 1), refused)
      const before = asked()
      await assert.rejects(read(consumer, 1), refused)
      assert.ok(asked() > before, 'it has asked again')
      state.isRefused = false
      await read(consumer, 3)
      assert.deepEqual(consumer.assignment(), [{ topic: 'a', partition: 0 }])
    })
  }

  test(`a member whose heartbeats are refused, and that is let in again before its session is over, keeps its place (${groupProtocol})`, async (t) => {
    const { send, consumer, state, proxy } = await setUp(t, groupProtocol)
    state.isRefused = false
    await send('a', 0, ...numbers(2))
    const events: string[] = []
    consumer.subscribe(['a'], {
      onAssigned: () => void events.push('+'),
      onRevoked: () => void events.push('-'),
      onLost: () => void events.push('!'),
    })
    await readValues(consumer, 2)
    const { memberId, generationId } = consumer.groupMetadata()
    state.isRefused = true
    await assert.rejects(
      pollUntil(consumer, () => false),
      refused,
    )
    state.isRefused = false
    const beats = () => proxy.requests(groupProtocol === 'classic' ? Heartbeat : ConsumerGroupHeartbeat).length
    const before = beats()
    await pollUntil(consumer, () => beats() > before + 1)
    await send('a', 0, 'more')
    assert.deepEqual(await readValues(consumer, 1), ['more'])
    assert.deepEqual([consumer.groupMetadata().memberId, consumer.groupMetadata().generationId, events], [memberId, generationId, ['+']])
    await consumer.commit()
  })
}

test('a coordinator that may not be asked for is asked for again by the next read', async (t) => {
  const { send, consumer: make, proxy } = await startProxied(t)
  await send('a', 0, 'v')
  let isRefused = true
  proxy.onAnswer(FindCoordinator, (answer) =>
    isRefused ? { ...answer, coordinators: answer.coordinators.map((one) => ({ ...one, errorCode, nodeId: -1 })) } : undefined,
  )
  const consumer = make({ groupId: 'g' })
  consumer.subscribe(['a'])
  await assert.rejects(consumer.poll(), refused)
  isRefused = false
  assert.deepEqual(await readValues(consumer, 1), ['v'])
})

for (const [way, read] of Object.entries(ways)) {
  test(`a topic that may not be read is an error of ${way} until it may: newer metadata is waited for, and not only when it is old`, async (t) => {
    const { send, consumer: make, proxy } = await startProxied(t)
    await send('a', 0, 'v')
    let refusals = 3
    const topicRefused = errorTable.TOPIC_AUTHORIZATION_FAILED.code
    proxy.onAnswer(Metadata, (answer) => {
      const topics = answer.topics.map((topic) => ({ ...topic, errorCode: topicRefused, partitions: [] }))
      return topics.length > 0 && refusals-- > 0 ? { ...answer, topics } : undefined
    })
    const consumer = make({ groupId: 'g', metadataMaxAgeMs: 600_000 })
    consumer.subscribe(['a'])
    // Who reads on at once, whatever is thrown, holds up nothing.
    let refused = 0
    const readOn = (): Promise<void> =>
      read(consumer, 1).catch((error) => {
        assert.equal((error as { code?: string }).code, 'TOPIC_AUTHORIZATION_FAILED')
        refused++
        return readOn()
      })
    await readOn()
    assert.equal(refused, 3)
  })
}

test('what is fatal stands for good, but for a login; anything else is thrown once and then tried again', () => {
  const refusal = new Refusal()
  assert.equal(refusal.check(), false)
  refusal.set(new ClientError('A', 'a'))
  assert.throws(() => refusal.check(), { code: 'A' })
  assert.equal(refusal.stands, true)
  assert.equal(refusal.check(), true)
  assert.equal(refusal.stands, false)
  refusal.set(new ClientError('B', 'b', { fatal: true }))
  for (let i = 0; i < 3; i++) assert.throws(() => refusal.check(), { code: 'B' })
  refusal.set(new AuthenticationError('C', 'c'))
  assert.throws(() => refusal.check(), { code: 'C' })
  assert.equal(refusal.check(), true)
})
