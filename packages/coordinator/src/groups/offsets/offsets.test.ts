import assert from 'node:assert/strict'
import test from 'node:test'
import type { OffsetsOfTopic } from '@tidelog/coordinator'
import { errorTable, type OffsetDeleteResponse } from '@tidelog/protocol'
import { GroupDriver } from '@tidelog/testkit'

const code = (name: keyof typeof errorTable) => errorTable[name].code
const DAY_MS = 86_400_000

/** A stable group of one consumer that subscribes to `topics`. */
function consumerOf(driver: GroupDriver, topics: string[]): string {
  const names = topics.map((topic) => Buffer.concat([Buffer.from([0, topic.length]), Buffer.from(topic)]))
  const subscription = Buffer.concat([Buffer.from([0, 1, 0, 0, 0, topics.length]), ...names, Buffer.from('ffffffff', 'hex')])
  const { memberId, ticket } = driver.joinTwice({ protocols: { range: subscription }, sessionTimeoutMs: 1_800_000 })
  driver.advance(0)
  const { generationId } = driver.joined(ticket)
  driver.sync({ memberId, generationId })
  return memberId
}

function deleteOffsets(driver: GroupDriver, topics: string[], groupId = 'g'): OffsetDeleteResponse {
  const request = { groupId, topics: topics.map((name) => ({ name, partitions: [{ partitionIndex: 0 }, { partitionIndex: 9 }] })) }
  return driver.answer((groups, ticket, now) => groups.deleteOffsets(request, ticket, now))
}

const deleteGroup = (driver: GroupDriver, groupId = 'g') =>
  driver.answer<number>((groups, ticket, now) => groups.deleteGroup(groupId, ticket, now))

test('a commit without a group makes a simple group, which any commit without a generation may go on using', () => {
  const driver = new GroupDriver()
  assert.equal(driver.offset(), -1)
  assert.equal(driver.committed(driver.commit({ offset: 5 })), 0)
  assert.equal(driver.offset(), 5)
  assert.equal(driver.state(), 'Empty')
  assert.equal(driver.committed(driver.commit({ offset: 3 })), 0)
  assert.equal(driver.offset(), 3)
  assert.equal(driver.committed(driver.commit({ groupId: '', offset: 1 })), 0)
  assert.equal(driver.offset('t', ''), 1)
})

test('offsets become visible when they lie in the log; a failed append leaves the ones before', () => {
  const driver = new GroupDriver()
  driver.commit({ offset: 5 })
  driver.isHolding = true
  const first = driver.commit({ offset: 6 })
  const second = driver.commit({ offset: 7 })
  assert.equal(driver.offset(), 5)
  assert.equal(driver.replies.has(first), false)
  driver.settle('NOT_ENOUGH_REPLICAS')
  assert.equal(driver.committed(first), code('COORDINATOR_NOT_AVAILABLE'))
  assert.equal(driver.committed(second), code('COORDINATOR_NOT_AVAILABLE'))
  assert.equal(driver.offset(), 5)
  const stranger = driver.commit({ groupId: 'new' })
  assert.equal(driver.state('new'), 'Dead')
  driver.settle('KAFKA_STORAGE_ERROR')
  assert.equal(driver.committed(stranger), code('NOT_COORDINATOR'))
  assert.deepEqual(
    driver.groups.listGroups({ states: new Set(), types: new Set() }).map(({ groupId }) => groupId),
    ['g'],
  )
})

test('a reader that wants stable offsets waits for the commits under way', () => {
  const driver = new GroupDriver()
  driver.isHolding = true
  driver.commit({ offset: 6 })
  const topics = [{ name: 't', partitionIndexes: [0] }]
  const fetch = driver.ask((groups, ticket, now) => groups.fetchOffsets({ groupId: 'g', topics, requireStable: true }, ticket, now))
  assert.equal(driver.replies.has(fetch), false)
  driver.settle()
  assert.equal(driver.reply<OffsetsOfTopic[]>(fetch)[0]!.partitions[0]!.committedOffset, 6)
})

test('only members of the current generation commit to a group that has members', () => {
  const driver = new GroupDriver()
  assert.equal(driver.committed(driver.commit({ generationId: 1, memberId: 'x' })), code('ILLEGAL_GENERATION'))
  assert.equal(driver.committed(driver.commit({ generationId: 1, memberId: 'x', apiVersion: 9 })), code('GROUP_ID_NOT_FOUND'))
  const memberId = consumerOf(driver, ['t'])
  assert.equal(driver.committed(driver.commit()), code('UNKNOWN_MEMBER_ID'))
  assert.equal(driver.committed(driver.commit({ generationId: 1, memberId: 'x' })), code('UNKNOWN_MEMBER_ID'))
  assert.equal(driver.committed(driver.commit({ generationId: 2, memberId })), code('ILLEGAL_GENERATION'))
  assert.equal(driver.committed(driver.commit({ generationId: 1, memberId, groupInstanceId: 'i' })), code('UNKNOWN_MEMBER_ID'))
  assert.equal(driver.committed(driver.commit({ generationId: 1, memberId })), 0)
  const other = driver.joinTwice()
  assert.equal(driver.committed(driver.commit({ generationId: 1, memberId, offset: 2 })), 0)
  driver.join({ memberId, protocols: { range: 'changed' } })
  assert.equal(driver.joined(other.ticket).generationId, 2)
  assert.equal(driver.committed(driver.commit({ generationId: 2, memberId })), code('REBALANCE_IN_PROGRESS'))
  assert.equal(driver.offset(), 2)
})

test('a commit is a sign of life', () => {
  const driver = new GroupDriver()
  const { memberId, ticket } = driver.joinTwice({ sessionTimeoutMs: 10_000 })
  driver.advance(0)
  driver.joined(ticket)
  driver.sync({ memberId, generationId: 1 })
  driver.advance(9000)
  driver.commit({ generationId: 1, memberId })
  driver.advance(9000)
  assert.equal(driver.heartbeat(memberId, 1).errorCode, 0)
})

test('G6: metadata that is too long and offsets that are no safe numbers are refused, their neighbours are not', () => {
  const driver = new GroupDriver()
  assert.equal(driver.committed(driver.commit({ metadata: 'x'.repeat(4096) })), 0)
  assert.equal(driver.committed(driver.commit({ metadata: 'x'.repeat(4097) })), code('OFFSET_METADATA_TOO_LARGE'))
  assert.equal(driver.committed(driver.commit({ offset: 2 ** 53 })), code('INVALID_REQUEST'))
  assert.equal(driver.committed(driver.commit({ offset: -(2 ** 63) })), code('INVALID_REQUEST'))
  assert.equal(driver.offset(), 1)
})

test('all offsets of a group come back, after a restart too, with what was said about them', () => {
  const driver = new GroupDriver()
  driver.commit({ topic: 'a', offset: 1, metadata: 'hello' })
  driver.commit({ topic: 'b', offset: 2 })
  driver.commit({ topic: 'b', offset: 3 })
  const expected = [
    { name: 'a', partitions: [{ partitionIndex: 0, committedOffset: 1, committedLeaderEpoch: -1, metadata: 'hello', errorCode: 0 }] },
    { name: 'b', partitions: [{ partitionIndex: 0, committedOffset: 3, committedLeaderEpoch: -1, metadata: '', errorCode: 0 }] },
  ]
  for (const each of [driver, driver.restarted()]) {
    const all = each.answer((groups, ticket, now) => groups.fetchOffsets({ groupId: 'g', topics: null, requireStable: false }, ticket, now))
    assert.deepEqual(all, expected)
  }
})

test('offsets of a transaction count from its commit marker on, and never after an abort', () => {
  const driver = new GroupDriver()
  const value = { offset: 9, leaderEpoch: -1, metadata: '', commitTimestamp: 1, expireTimestamp: -1 }
  const record = { kind: 'offset', group: 'g', topic: 't', partition: 0, value } as const
  const stable = () =>
    driver.answer<OffsetsOfTopic[]>((groups, ticket, now) =>
      groups.fetchOffsets({ groupId: 'g', topics: [{ name: 't', partitionIndexes: [0] }], requireStable: true }, ticket, now),
    )[0]!.partitions[0]!
  driver.groups.replay(record, 1)
  assert.equal(driver.offset(), -1)
  assert.equal(stable().errorCode, code('UNSTABLE_OFFSET_COMMIT'))
  driver.groups.endTransaction(1, false)
  assert.equal(stable().committedOffset, -1)
  driver.groups.replay(record, 2)
  driver.groups.endTransaction(2, true)
  assert.equal(stable().committedOffset, 9)
})

test('G7: offsets of topics that members subscribe to are not deleted, those of others are', () => {
  const driver = new GroupDriver()
  driver.commit({ topic: 't' })
  driver.commit({ topic: 'other' })
  consumerOf(driver, ['t'])
  const { errorCode, topics } = deleteOffsets(driver, ['t', 'other'])
  assert.equal(errorCode, 0)
  assert.deepEqual(
    topics.map(({ partitions }) => partitions.map((partition) => partition.errorCode)),
    [
      [code('GROUP_SUBSCRIBED_TO_TOPIC'), code('GROUP_SUBSCRIBED_TO_TOPIC')],
      [0, 0],
    ],
  )
  assert.equal(driver.offset('t'), 1)
  assert.equal(driver.offset('other'), -1)
  assert.equal(deleteOffsets(driver, ['t'], 'none').errorCode, code('GROUP_ID_NOT_FOUND'))
  assert.equal(deleteOffsets(driver, ['t'], '').errorCode, code('INVALID_GROUP_ID'))
})

test('offsets of a group whose members are no consumers are deleted only when it is empty', () => {
  const driver = new GroupDriver()
  const ticket = driver.join({ protocolType: 'connect', apiVersion: 3 })
  driver.advance(0)
  assert.equal(deleteOffsets(driver, ['t']).errorCode, code('NON_EMPTY_GROUP'))
  driver.leave([{ memberId: driver.joined(ticket).memberId }])
  assert.equal(deleteOffsets(driver, ['t']).errorCode, 0)
})

test('G7: an empty group is deleted with its offsets, also with those still under way; one with members is not', () => {
  const driver = new GroupDriver()
  assert.equal(deleteGroup(driver), code('GROUP_ID_NOT_FOUND'))
  driver.commit({ topic: 'a' })
  const memberId = consumerOf(driver, ['t'])
  assert.equal(deleteGroup(driver), code('NON_EMPTY_GROUP'))
  driver.leave([{ memberId }])
  driver.isHolding = true
  driver.commit({ topic: 'b' })
  const ticket = driver.ask((groups, ticket, now) => groups.deleteGroup('g', ticket, now))
  driver.isHolding = false
  driver.settle()
  assert.equal(driver.reply(ticket), 0)
  assert.equal(driver.state(), 'Dead')
  for (const each of [driver, driver.restarted()]) {
    assert.equal(each.state(), 'Dead')
    assert.equal(each.offset('a'), -1)
    assert.equal(each.offset('b'), -1)
  }
})

test('a group that could not be deleted is there again', () => {
  const driver = new GroupDriver()
  driver.commit()
  driver.isHolding = true
  const ticket = driver.ask((groups, ticket, now) => groups.deleteGroup('g', ticket, now))
  driver.settle('NOT_ENOUGH_REPLICAS')
  assert.equal(driver.reply(ticket), code('COORDINATOR_NOT_AVAILABLE'))
  assert.equal(driver.state(), 'Empty')
  assert.equal(driver.offset(), 1)
})

test('an unknown group is Dead, and from version 6 of DescribeGroups on an error', () => {
  const driver = new GroupDriver()
  assert.deepEqual(driver.groups.describeGroup('g', { apiVersion: 6 }), {
    errorCode: code('GROUP_ID_NOT_FOUND'),
    errorMessage: 'Group g not found.',
    groupId: 'g',
    groupState: 'Dead',
    protocolType: '',
    protocolData: '',
    members: [],
    authorizedOperations: -2147483648,
  })
  assert.equal(driver.groups.describeGroup('g', { apiVersion: 5 }).errorCode, 0)
})

test('groups are listed by state and type', () => {
  const driver = new GroupDriver()
  driver.commit({ groupId: 'simple' })
  consumerOf(driver, ['t'])
  const list = (states: string[], types: string[] = []) =>
    driver.groups.listGroups({ states: new Set(states), types: new Set(types) }).map(({ groupId }) => groupId)
  assert.deepEqual(list([]), ['simple', 'g'])
  assert.deepEqual(list(['empty']), ['simple'])
  assert.deepEqual(list(['stable', 'dead'], ['classic']), ['g'])
  assert.deepEqual(list([], ['consumer']), [])
})

test('a deleted topic takes the offsets of every group with it', () => {
  const driver = new GroupDriver()
  driver.commit({ topic: 'gone' })
  driver.commit({ topic: 'kept' })
  driver.commit({ groupId: 'h', topic: 'gone' })
  driver.carryOut(driver.groups.topicsDeleted(new Set(['gone']), driver.now))
  assert.deepEqual([driver.offset('gone'), driver.offset('kept'), driver.offset('gone', 'h')], [-1, 1, -1])
})

// --- retention -----------------------------------------------------------------------------------------------------------------------

const checkMs = 600_000

test('a simple group loses each offset when its own retention time is over, and goes with the last one', () => {
  const driver = new GroupDriver()
  driver.commit({ topic: 'a' })
  driver.advance(DAY_MS)
  driver.commit({ topic: 'b' })
  driver.advance(6 * DAY_MS + checkMs)
  assert.deepEqual([driver.offset('a'), driver.offset('b'), driver.state()], [-1, 1, 'Empty'])
  driver.advance(DAY_MS)
  assert.deepEqual([driver.offset('b'), driver.state()], [-1, 'Dead'])
  assert.equal(driver.restarted().state(), 'Dead')
})

test('an empty group keeps its offsets for the retention time from when its last member left', () => {
  const driver = new GroupDriver()
  const memberId = consumerOf(driver, ['t'])
  driver.commit({ generationId: 1, memberId })
  for (let days = 0; days < 10; days += 1 / 96) {
    driver.advance(DAY_MS / 96)
    driver.heartbeat(memberId, 1)
  }
  driver.leave([{ memberId }])
  driver.advance(7 * DAY_MS - checkMs)
  assert.equal(driver.offset(), 1)
  driver.advance(2 * checkMs)
  assert.deepEqual([driver.offset(), driver.state()], [-1, 'Dead'])
})

test('a stable group of consumers loses old offsets of topics that nobody subscribes to any more', () => {
  const driver = new GroupDriver()
  driver.commit({ topic: 'left' })
  driver.commit({ topic: 't' })
  const memberId = consumerOf(driver, ['t'])
  for (let passed = 0; passed < 8 * DAY_MS; passed += checkMs) {
    driver.advance(checkMs)
    driver.heartbeat(memberId, 1)
  }
  assert.deepEqual([driver.offset('left'), driver.offset('t'), driver.state()], [-1, 1, 'Stable'])
})

test('a retention time that the client named holds for that offset', () => {
  const driver = new GroupDriver()
  driver.commit({ topic: 'a', retentionTimeMs: DAY_MS })
  driver.commit({ topic: 'b' })
  assert.equal(driver.log[0]!.value!.readInt16BE(0), 1)
  driver.advance(DAY_MS + checkMs)
  assert.deepEqual([driver.offset('a'), driver.offset('b')], [-1, 1])
})

test('a retention time that leads beyond ±(2^53−1) is refused', () => {
  const driver = new GroupDriver()
  for (const retentionTimeMs of [2 ** 53 - 1, 2 ** 62, -(2 ** 63)]) {
    assert.equal(driver.committed(driver.commit({ retentionTimeMs })), code('INVALID_REQUEST'))
  }
  assert.equal(driver.offset(), -1)
})

test('a group whose members are no consumers keeps its offsets while it has members', () => {
  const driver = new GroupDriver()
  driver.commit()
  const ticket = driver.join({ protocolType: 'connect', apiVersion: 3, sessionTimeoutMs: 1_800_000 })
  driver.advance(0)
  const { memberId } = driver.joined(ticket)
  driver.sync({ memberId, generationId: 1 })
  for (let passed = 0; passed < 8 * DAY_MS; passed += checkMs) {
    driver.advance(checkMs)
    driver.heartbeat(memberId, 1)
  }
  assert.equal(driver.offset(), 1)
})
