import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { BatchBuilder, errorTable, iterateBatches, KafkaError } from '@tidelog/protocol'
import { commitRequest, GroupHarness, joinRequest, MemoryLog, turn } from './group-harness.test.ts'

const caller = { apiVersion: 9, clientId: 'client', clientHost: '/127.0.0.1' }
const code = (name: keyof typeof errorTable) => errorTable[name].code
const failsWith = (name: keyof typeof errorTable) => (error: unknown) => error instanceof KafkaError && error.errorName === name
const fetchAll = { groupId: 'g', topics: null, requireStable: false }

async function stableMember({ groups, clock }: GroupHarness): Promise<string> {
  const { memberId } = await groups.joinGroup(joinRequest, caller)
  const joining = groups.joinGroup({ ...joinRequest, memberId }, caller)
  clock.advance(0)
  const { generationId } = await joining
  const assignments = [{ memberId, assignment: Buffer.from('all') }]
  const sync = { groupId: 'g', generationId, memberId, groupInstanceId: null, protocolType: null, protocolName: null, assignments }
  assert.equal((await groups.syncGroup(sync)).errorCode, 0)
  return memberId
}

test('groups, members and offsets are there again after a restart', async () => {
  const harness = await GroupHarness.start()
  const memberId = await stableMember(harness)
  await harness.groups.commitOffsets({ ...commitRequest, memberId, generationIdOrMemberEpoch: 1 }, caller)
  const { groups } = await harness.restarted()
  assert.equal(groups.heartbeat({ groupId: 'g', generationId: 1, memberId, groupInstanceId: null }).errorCode, 0)
  const { groupState, members } = groups.describeGroup('g', caller)
  assert.equal(groupState, 'Stable')
  assert.equal(members[0]?.memberAssignment.toString(), 'all')
  assert.equal((await groups.fetchOffsets(fetchAll))[0]?.partitions[0]?.committedOffset, 5)
})

test('what Kafka wrote is understood: the golden offsets partition', async () => {
  const log = new MemoryLog()
  const file = new URL('../../../storage/fixtures/golden/data/__consumer_offsets-49/00000000000000000000.log', import.meta.url)
  for (const batch of iterateBatches(readFileSync(file))) log.batches.push(Buffer.from(batch.bytes))
  const { groups } = await GroupHarness.start(log)
  const [topic] = await groups.fetchOffsets({ ...fetchAll, groupId: 'golden-group' })
  assert.deepEqual(topic, {
    name: 'golden-plain',
    partitions: [{ partitionIndex: 0, committedOffset: 123, committedLeaderEpoch: -1, metadata: 'meta\0', errorCode: 0 }],
  })
  const listed = groups.listGroups({ states: new Set(), types: new Set() }).map(({ groupId }) => groupId)
  assert.ok(listed.includes('golden-group'))
})

test('G4: while the log is being replayed requests are told to come back, and elsewhere that they are wrong', async () => {
  const log = new MemoryLog()
  log.hold()
  const starting = GroupHarness.start(log)
  const { groups } = await GroupHarness.start()
  groups.resigned(0)
  await assert.rejects(groups.fetchOffsets(fetchAll), failsWith('NOT_COORDINATOR'))
  const loading = groups.elected(0, 1, log)
  await assert.rejects(groups.fetchOffsets(fetchAll), failsWith('COORDINATOR_LOAD_IN_PROGRESS'))
  assert.throws(() => groups.listGroups({ states: new Set(), types: new Set() }), failsWith('COORDINATOR_LOAD_IN_PROGRESS'))
  log.release()
  await Promise.all([starting, loading])
  assert.deepEqual(await groups.fetchOffsets(fetchAll), [])
  groups.close()
  await assert.rejects(groups.fetchOffsets(fetchAll), failsWith('COORDINATOR_NOT_AVAILABLE'))
})

test('G8: a record that cannot be read is passed over, and types from the future too', async () => {
  const harness = await GroupHarness.start()
  await harness.groups.commitOffsets(commitRequest, caller)
  const builder = new BatchBuilder({ baseOffset: 1 })
  builder.append({ key: Buffer.from('0001ff', 'hex'), value: Buffer.from('00') })
  builder.append({ key: Buffer.from('0002000167', 'hex'), value: Buffer.from('0063', 'hex') })
  builder.append({ key: Buffer.from('00160001670001', 'hex'), value: Buffer.from('0000', 'hex') })
  builder.append({ key: null, value: null })
  harness.log.batches.push(builder.build())
  const { groups } = await harness.restarted()
  assert.equal((await groups.fetchOffsets(fetchAll))[0]?.partitions[0]?.committedOffset, 5)
})

test('commits that arrive while an append is under way leave in one batch behind it', async () => {
  const { groups, log } = await GroupHarness.start()
  log.hold()
  const commits = Array.from({ length: 50 }, (_, i) => groups.commitOffsets({ ...commitRequest, groupId: `g${i}` }, caller))
  await turn()
  log.release()
  for (const [topic] of await Promise.all(commits)) assert.equal(topic?.partitions[0]?.errorCode, 0)
  assert.deepEqual(
    log.batches.map((batch) => [...iterateBatches(batch)][0]?.recordsCount),
    [1, 49],
  )
})

test('G6: a commit larger than a batch may be is refused whole, its neighbours are not', async () => {
  const { groups, log } = await GroupHarness.start()
  log.maxBatchBytes = 20_000
  const metadata = 'x'.repeat(4000)
  const partition = commitRequest.topics[0]!.partitions[0]!
  const partitions = Array.from({ length: 10 }, (_, partitionIndex) => ({ ...partition, partitionIndex, committedMetadata: metadata }))
  const [large, small] = await Promise.all([
    groups.commitOffsets({ ...commitRequest, groupId: 'large', topics: [{ name: 'orders', partitions }] }, caller),
    groups.commitOffsets(commitRequest, caller),
  ])
  assert.deepEqual(new Set(large[0]?.partitions.map(({ errorCode }) => errorCode)), new Set([code('UNKNOWN_SERVER_ERROR')]))
  assert.equal(small[0]?.partitions[0]?.errorCode, 0)
  assert.equal(groups.describeGroup('large', { apiVersion: 5 }).groupState, 'Dead')
})

test('G4: who resigns answers everyone who waits, and the late outcome of an append changes nothing', async () => {
  const harness = await GroupHarness.start()
  const { groups, log, clock } = harness
  const { memberId } = await groups.joinGroup(joinRequest, caller)
  const joining = groups.joinGroup({ ...joinRequest, memberId }, caller)
  log.hold()
  const commit = groups.commitOffsets({ ...commitRequest, groupId: 'other' }, caller)
  const fetch = groups.fetchOffsets({ ...fetchAll, requireStable: true })
  await turn()
  groups.resigned(0)
  assert.equal((await joining).errorCode, code('NOT_COORDINATOR'))
  assert.equal((await commit)[0]?.partitions[0]?.errorCode, code('NOT_COORDINATOR'))
  await assert.rejects(fetch, failsWith('NOT_COORDINATOR'))
  assert.equal(clock.pendingTimers, 0)
  log.release()
  await turn()
  await groups.elected(0, 1, log)
  assert.equal((await groups.fetchOffsets({ ...fetchAll, groupId: 'other' }))[0]?.partitions[0]?.committedOffset, 5)
})

test('G4: an append that fails is told in the reply, and the next one is tried again', async () => {
  const { groups, log } = await GroupHarness.start()
  log.failure = new KafkaError('NOT_ENOUGH_REPLICAS')
  const [failed] = await groups.commitOffsets(commitRequest, caller)
  assert.equal(failed?.partitions[0]?.errorCode, code('COORDINATOR_NOT_AVAILABLE'))
  log.failure = undefined
  const [done] = await groups.commitOffsets(commitRequest, caller)
  assert.equal(done?.partitions[0]?.errorCode, 0)
})

test('G4: when nobody knows whether an append was committed, the log tells: groups are loaded again', async () => {
  const { groups, log } = await GroupHarness.start()
  await groups.commitOffsets(commitRequest, caller)
  const append = log.append.bind(log)
  log.append = async (batch) => {
    await append(batch)
    throw new KafkaError('REQUEST_TIMED_OUT')
  }
  const partitions = [{ ...commitRequest.topics[0]!.partitions[0]!, committedOffset: 6 }]
  const [late] = await groups.commitOffsets({ ...commitRequest, topics: [{ name: 'orders', partitions }] }, caller)
  assert.equal(late?.partitions[0]?.errorCode, code('COORDINATOR_NOT_AVAILABLE'))
  log.append = append
  await turn()
  assert.equal((await groups.fetchOffsets(fetchAll))[0]?.partitions[0]?.committedOffset, 6)
})

test('sessions end by the clock, and a closed service leaves no timer behind', async () => {
  const harness = await GroupHarness.start()
  const { groups, clock } = harness
  const memberId = await stableMember(harness)
  const heartbeat = () => groups.heartbeat({ groupId: 'g', generationId: 1, memberId, groupInstanceId: null }).errorCode
  for (let i = 0; i < 5; i++) {
    clock.advance(9000)
    assert.equal(heartbeat(), 0)
  }
  clock.advance(10_000)
  assert.equal(heartbeat(), code('UNKNOWN_MEMBER_ID'))
  groups.close()
  assert.equal(clock.pendingTimers, 0)
})

test('an election of an older epoch changes nothing', async () => {
  const { groups } = await GroupHarness.start()
  await groups.elected(0, 5, new MemoryLog())
  await groups.commitOffsets(commitRequest, caller)
  await groups.elected(0, 4, new MemoryLog())
  assert.equal((await groups.fetchOffsets(fetchAll)).length, 1)
})
