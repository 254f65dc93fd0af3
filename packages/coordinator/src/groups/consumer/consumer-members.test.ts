import assert from 'node:assert/strict'
import test from 'node:test'
import { decodeGroupRecord, type GroupCoordinatorConfig } from '@tidelog/coordinator'
import { errorName } from '@tidelog/protocol'
import { GroupDriver } from '@tidelog/testkit'

const settings = { sessionTimeoutMs: 45_000, heartbeatIntervalMs: 5000, assignmentIntervalMs: 0 }

function driverOf({ partitions = 4, consumer = {} as Partial<GroupCoordinatorConfig['consumer']> } = {}): GroupDriver {
  const config: Partial<GroupCoordinatorConfig> = {
    consumer: { maxSize: 100, assignors: ['uniform', 'range'], migrationPolicy: 'disabled', settingsOf: () => settings, ...consumer },
  }
  const driver = new GroupDriver({ config })
  driver.topics.set('t', partitions)
  return driver
}

const errorOf = ({ errorCode }: { errorCode: number }): string => errorName(errorCode)
const describe = (driver: GroupDriver) => driver.groups.describeConsumerGroup('g')

/** Heartbeats of a member that does what it is told, until nothing changes for it any more. */
class Member {
  readonly driver: GroupDriver
  readonly id: string
  epoch = 0
  owned: Record<string, number[]> = {}

  constructor(driver: GroupDriver, id: string) {
    this.driver = driver
    this.id = id
  }

  beat(options: Parameters<GroupDriver['beat']>[2] = {}): Record<string, number[]> | undefined {
    const response = this.driver.beat(this.id, this.epoch, options)
    assert.equal(errorOf(response), 'NONE', response.errorMessage ?? '')
    this.epoch = response.memberEpoch
    const assigned = this.driver.assigned(response)
    if (assigned !== undefined) this.owned = assigned
    return assigned
  }

  /** Says what it has, which is what it was last assigned. */
  report(): Record<string, number[]> | undefined {
    return this.beat({ owned: this.owned })
  }
}

test('the first member of a group gets every partition with its first heartbeat', () => {
  const driver = driverOf()
  const response = driver.beat('a', 0)
  assert.deepEqual(driver.assigned(response), { t: [0, 1, 2, 3] })
  assert.deepEqual(
    { ...response, assignment: undefined },
    {
      throttleTimeMs: 0,
      errorCode: 0,
      errorMessage: null,
      memberId: 'a',
      memberEpoch: 2,
      heartbeatIntervalMs: 5000,
      assignment: undefined,
    },
  )
  assert.equal(driver.assigned(driver.beat('a', 2)), undefined, 'a heartbeat that changes nothing says nothing of the assignment')
  assert.equal(describe(driver).groupState, 'Stable')
})

test('a second member gets its share once the first has given it up, partition by partition', () => {
  const driver = driverOf()
  const [a, b] = [new Member(driver, 'a'), new Member(driver, 'b')]
  a.beat()
  assert.deepEqual(b.beat(), {}, 'nothing is free yet')
  assert.equal(b.epoch, 3)
  assert.equal(describe(driver).groupState, 'Reconciling')
  assert.deepEqual(a.beat(), { t: [0, 1] }, 'it is told what it may keep')
  assert.equal(a.epoch, 2, 'and stays in its epoch until it has given up the rest')
  assert.equal(b.beat(), undefined)
  a.report()
  assert.equal(a.epoch, 3)
  assert.deepEqual(b.beat(), { t: [2, 3] })
  assert.equal(describe(driver).groupState, 'Stable')
})

test('a member that leaves frees its partitions for the others', () => {
  const driver = driverOf()
  const [a, b] = [new Member(driver, 'a'), new Member(driver, 'b')]
  a.beat()
  b.beat()
  a.beat()
  a.report()
  b.beat()
  const left = driver.beat('b', -1)
  assert.equal(left.memberEpoch, -1)
  assert.equal(left.errorCode, 0)
  assert.deepEqual(a.beat(), { t: [0, 1, 2, 3] })
  driver.beat('a', -1)
  assert.equal(describe(driver).groupState, 'Empty')
  assert.equal(errorOf(driver.beat('a', a.epoch)), 'UNKNOWN_MEMBER_ID')
})

test('a member that is not heard of for the session timeout is out: its commits come too late, and others read on from its last one (G1, G2)', () => {
  const driver = driverOf()
  const commit = (offset: number) => errorName(driver.committed(driver.commit({ memberId: 'a', generationId: 2, offset, apiVersion: 9 })))
  driver.beat('a', 0)
  driver.advance(44_000)
  assert.equal(errorOf(driver.beat('a', 2)), 'NONE')
  assert.equal(commit(5), 'NONE')
  driver.advance(44_999)
  assert.equal(describe(driver).members.length, 1, 'a commit is no heartbeat')
  const b = new Member(driver, 'b')
  assert.deepEqual(b.beat(), {})
  driver.advance(1)
  assert.equal(describe(driver).members.length, 1)
  assert.equal(errorOf(driver.beat('a', 2)), 'UNKNOWN_MEMBER_ID')
  assert.equal(commit(9), 'UNKNOWN_MEMBER_ID')
  assert.deepEqual(b.beat(), { t: [0, 1, 2, 3] })
  assert.equal(driver.offset(), 5)
})

test('a member that does not give up partitions within its rebalance timeout is out, though it heartbeats', () => {
  const driver = driverOf()
  driver.beat('a', 0, { rebalanceTimeoutMs: 20_000 })
  driver.beat('b', 0)
  driver.beat('a', 2)
  driver.advance(19_999)
  assert.equal(errorOf(driver.beat('a', 2)), 'NONE')
  driver.advance(1)
  assert.equal(errorOf(driver.beat('a', 2)), 'UNKNOWN_MEMBER_ID')
  assert.deepEqual(driver.assigned(driver.beat('b', 3)), { t: [0, 1, 2, 3] })
})

test('an epoch that is not the one of the member fences it; the one before is let through for an answer that was lost (G3)', () => {
  const driver = driverOf()
  driver.beat('a', 0)
  assert.equal(errorOf(driver.beat('a', 3)), 'FENCED_MEMBER_EPOCH')
  driver.beat('b', 0)
  driver.beat('a', 2, { owned: { t: [0, 1, 2, 3] } })
  assert.equal(driver.beat('a', 2, { owned: { t: [0, 1] } }).memberEpoch, 3)
  const repeated = driver.beat('a', 2, { owned: { t: [0, 1] } })
  assert.equal(repeated.memberEpoch, 3, 'it has not heard of epoch 3')
  assert.equal(errorOf(driver.beat('a', 2)), 'FENCED_MEMBER_EPOCH', 'it does not tell what it has')
  assert.equal(errorOf(driver.beat('a', 2, { owned: { t: [0, 1, 2] } })), 'FENCED_MEMBER_EPOCH', 'it has what is not its own any more')
  assert.equal(errorOf(driver.beat('a', 1, { owned: {} })), 'FENCED_MEMBER_EPOCH')
  assert.equal(driver.beat('a', 0).memberEpoch, 3, 'it may join again')
})

test('requests that make no sense are refused as Kafka does', () => {
  const driver = driverOf({ consumer: { maxSize: 1 } })
  const cases: [string, number, Parameters<GroupDriver['beat']>[2], string][] = [
    ['', 0, {}, 'INVALID_REQUEST'],
    ['a', 0, { groupId: '' }, 'INVALID_REQUEST'],
    ['a', 0, { instanceId: '' }, 'INVALID_REQUEST'],
    ['a', 0, { rackId: ' ' }, 'INVALID_REQUEST'],
    ['a', 0, { rebalanceTimeoutMs: -1 }, 'INVALID_REQUEST'],
    ['a', 0, { topicPartitions: null }, 'INVALID_REQUEST'],
    ['a', 0, { subscribedTopicNames: null }, 'INVALID_REQUEST'],
    ['a', -2, {}, 'INVALID_REQUEST'],
    ['a', -3, {}, 'INVALID_REQUEST'],
    ['a', 0, { serverAssignor: 'best' }, 'UNSUPPORTED_ASSIGNOR'],
    ['a', 0, { subscribedTopicRegex: '(' }, 'INVALID_REGULAR_EXPRESSION'],
    ['x'.repeat(40_000), 0, {}, 'INVALID_REQUEST'],
    ['a', 1, {}, 'GROUP_ID_NOT_FOUND'],
    ['a', -1, {}, 'GROUP_ID_NOT_FOUND'],
  ]
  for (const [memberId, epoch, options, error] of cases) {
    assert.equal(errorOf(driver.beat(memberId, epoch, options)), error, `${memberId.slice(0, 9)} ${epoch} ${JSON.stringify(options)}`)
  }
  assert.deepEqual(driver.groups.listGroups({ states: new Set(), types: new Set() }), [], 'nothing of them is left')
  assert.notEqual(driver.beat('', 0, { apiVersion: 0 }).memberId, '', 'version 0 lets the coordinator make up the id')
  assert.equal(errorOf(driver.beat('b', 0)), 'GROUP_MAX_SIZE_REACHED')
  assert.equal(errorOf(driver.beat('b', 2)), 'GROUP_MAX_SIZE_REACHED')
})

test('a group assigns again when a topic it subscribes to comes, grows or goes', () => {
  const driver = driverOf()
  const a = new Member(driver, 'a')
  assert.deepEqual(a.beat({ subscribedTopicNames: ['t', 'later'] }), { t: [0, 1, 2, 3] })
  driver.topics.set('later', 2)
  driver.groups.topicsChanged(new Set(['later']), driver.now)
  assert.deepEqual(a.beat(), { t: [0, 1, 2, 3], later: [0, 1] })
  driver.topics.set('t', 5)
  driver.groups.topicsChanged(new Set(['t']), driver.now)
  assert.deepEqual(a.beat(), { t: [0, 1, 2, 3, 4], later: [0, 1] })
  driver.topics.delete('t')
  driver.groups.topicsChanged(new Set(['t']), driver.now)
  assert.deepEqual(driver.beat('a', a.epoch).assignment?.topicPartitions.length, 1)
})

test('a topic made anew under its old name is another topic: what members had of the old one they give up', () => {
  const driver = driverOf()
  const a = new Member(driver, 'a')
  a.beat()
  driver.topics.set('t', 2, { incarnation: 1 })
  driver.groups.topicsChanged(new Set(['t']), driver.now)
  const revoked = driver.beat('a', a.epoch)
  assert.deepEqual(revoked.assignment?.topicPartitions, [])
  const response = driver.beat('a', a.epoch, { owned: {} })
  assert.deepEqual(driver.assigned(response), { t: [0, 1] })
})

test('a member that changes its topics gives up the old ones before it gets new ones', () => {
  const driver = driverOf({ partitions: 2 })
  driver.topics.set('u', 2)
  const a = new Member(driver, 'a')
  a.beat()
  assert.deepEqual(a.beat({ subscribedTopicNames: ['u'] }), {})
  assert.deepEqual(a.report(), { u: [0, 1] })
})

test('assignments are made no more often than the interval allows; members wait in the one that there is', () => {
  const settingsOf = () => ({ ...settings, assignmentIntervalMs: 1000 })
  const driver = driverOf({ consumer: { settingsOf } })
  const [a, b] = [new Member(driver, 'a'), new Member(driver, 'b')]
  a.beat()
  assert.deepEqual(b.beat(), {})
  assert.equal(b.epoch, 2, 'it takes part in the assignment before it, with nothing')
  assert.equal(describe(driver).groupState, 'Assigning')
  driver.advance(999)
  b.beat()
  assert.equal(describe(driver).groupState, 'Assigning')
  driver.advance(1)
  b.beat()
  assert.equal(b.epoch, 3)
  assert.deepEqual(a.beat(), { t: [0, 1] })
})

test('the assignor is the one that most members ask for', () => {
  const driver = driverOf({ partitions: 2 })
  driver.topics.set('u', 2)
  const topics = { subscribedTopicNames: ['t', 'u'] }
  driver.beat('a', 0, { ...topics, serverAssignor: 'range' })
  assert.equal(describe(driver).assignorName, 'range')
  driver.beat('b', 0, topics)
  driver.beat('a', 2)
  driver.beat('a', 2, { owned: { t: [0], u: [0] } })
  assert.deepEqual(driver.assigned(driver.beat('b', 3)), { t: [1], u: [1] }, 'the same place in each topic')
})

test('what is told lies in the log first; when it cannot be appended, the group is what it was (G4)', () => {
  const driver = driverOf()
  driver.isHolding = true
  const ticket = driver.beatTicket('a', 0)
  assert.equal(driver.replies.has(ticket), false)
  const later = driver.beatTicket('b', 0)
  assert.throws(() => describe(driver), /not found/, 'others do not see it yet')
  driver.settle('NOT_ENOUGH_REPLICAS')
  assert.equal(errorOf(driver.reply(ticket)), 'COORDINATOR_NOT_AVAILABLE')
  assert.equal(errorOf(driver.reply(later)), 'COORDINATOR_NOT_AVAILABLE')
  assert.equal(driver.log.length, 0)
  driver.isHolding = false
  assert.deepEqual(driver.assigned(driver.beat('a', 0)), { t: [0, 1, 2, 3] })

  driver.isHolding = true
  const joining = driver.beatTicket('b', 0)
  const steady = driver.beatTicket('a', 2)
  assert.equal(describe(driver).members.length, 1, 'described as the log has it')
  driver.settle('NOT_LEADER_OR_FOLLOWER')
  for (const each of [joining, steady]) assert.equal(errorOf(driver.reply(each)), 'NOT_COORDINATOR')
  driver.isHolding = false
  assert.equal(driver.assigned(driver.beat('a', 2)), undefined, 'it still has all of them')
  assert.equal(describe(driver).groupEpoch, 2)
  driver.advance(45_000)
  assert.equal(describe(driver).groupState, 'Empty')
})

test('a change made on top of one that failed is not appended, whatever comes of its own append', () => {
  const driver = driverOf()
  driver.beat('a', 0)
  const logged = driver.log.length
  driver.isHolding = true
  driver.beatTicket('b', 0)
  driver.beatTicket('c', 0)
  const [first, second] = driver.held.splice(0)
  driver.carryOut(first!.settle(driver.now, 'NOT_ENOUGH_REPLICAS'))
  assert.deepEqual(second!.records, [])
  driver.carryOut(second!.settle(driver.now))
  assert.equal(driver.log.length, logged)
  assert.deepEqual(
    describe(driver).members.map(({ memberId }) => memberId),
    ['a'],
  )
})

test('after a restart members go on where they were, or are out after their session timeout (G4)', () => {
  const before = driverOf()
  const [a, b] = [new Member(before, 'a'), new Member(before, 'b')]
  a.beat()
  b.beat()
  a.beat()
  const driver = before.restarted()
  assert.deepEqual(driver.groups.describeConsumerGroup('g'), before.groups.describeConsumerGroup('g'))
  assert.equal(driver.beat('a', 2, { owned: { t: [0, 1] } }).memberEpoch, 3)
  assert.deepEqual(driver.assigned(driver.beat('b', 3)), { t: [2, 3] })
  driver.advance(44_000)
  driver.beat('b', 3)
  driver.advance(1000)
  assert.deepEqual(
    describe(driver).members.map(({ memberId }) => memberId),
    ['b'],
  )
})

test('a static member that goes for a while finds its partitions again, under whatever id it comes back', () => {
  const driver = driverOf()
  const response = driver.beat('a', 0, { instanceId: 'i' })
  assert.deepEqual(driver.assigned(response), { t: [0, 1, 2, 3] })
  assert.equal(errorOf(driver.beat('b', 0, { instanceId: 'i' })), 'UNRELEASED_INSTANCE_ID')
  assert.equal(driver.beat('a', -2, { instanceId: 'i' }).memberEpoch, -2)
  assert.deepEqual(driver.assigned(driver.beat('b', 0, { instanceId: 'i' })), { t: [0, 1, 2, 3] })
  assert.equal(describe(driver).groupEpoch, 2, 'nothing changes for the others')
  assert.equal(errorOf(driver.beat('a', 2, { instanceId: 'i' })), 'FENCED_INSTANCE_ID')
  assert.equal(errorOf(driver.beat('x', 2, { instanceId: 'j' })), 'UNKNOWN_MEMBER_ID')
  driver.beat('b', -2, { instanceId: 'i' })
  driver.advance(45_000)
  assert.equal(describe(driver).groupState, 'Empty', 'it did not come back in time')
})

test('a regular expression stands for the topics that match it as a whole and that the member may know of', () => {
  const driver = driverOf({ partitions: 1 })
  driver.topics.set('tea', 2)
  driver.topics.set('teapot', 1)
  driver.topics.set('secret-tea', 1)
  driver.topics.set('tea-secret', 1)
  const regex = { subscribedTopicNames: null, subscribedTopicRegex: 'te.*|t', mayDescribe: (topic: string) => !topic.includes('secret') }
  const a = new Member(driver, 'a')
  assert.deepEqual(a.beat(regex), {}, 'it is matched outside of the heartbeat')
  driver.advance(0)
  assert.deepEqual(a.beat(regex), { t: [0], tea: [0, 1], teapot: [0] })
  driver.topics.set('tent', 1)
  driver.groups.topicsChanged(new Set(['tent']), driver.now)
  a.beat(regex)
  driver.advance(0)
  assert.equal(a.beat(regex)?.tent, undefined, 'not within ten seconds of the last time')
  driver.advance(10_001)
  a.beat(regex)
  driver.advance(0)
  assert.deepEqual(a.beat(regex)?.tent, [0])
  const restarted = driver.restarted()
  assert.deepEqual(restarted.groups.describeConsumerGroup('g'), describe(driver))
  assert.deepEqual(a.beat({ subscribedTopicRegex: '', subscribedTopicNames: ['t'] }), { t: [0] })
  assert.equal(driver.groups.describeConsumerGroup('g').members[0]!.subscribedTopicRegex, '')
})

test('members commit and read offsets in their epoch, or what they have had since an earlier one', () => {
  const driver = driverOf()
  const commit = (memberId: string, epoch: number, apiVersion = 9) =>
    errorName(driver.committed(driver.commit({ memberId, generationId: epoch, apiVersion })))
  driver.beat('a', 0)
  assert.equal(commit('a', 2), 'NONE')
  assert.equal(commit('a', 2, 8), 'UNSUPPORTED_VERSION')
  assert.equal(commit('a', 3), 'STALE_MEMBER_EPOCH')
  assert.equal(commit('x', 2), 'UNKNOWN_MEMBER_ID')
  assert.equal(commit('', -1), 'UNKNOWN_MEMBER_ID', 'the group has members')
  driver.beat('b', 0)
  driver.beat('a', 2, { owned: { t: [0, 1, 2, 3] } })
  driver.beat('a', 2, { owned: { t: [0, 1] } })
  assert.equal(commit('a', 2), 'NONE', 'it has had partition 0 since epoch 2')
  assert.equal(commit('a', 1), 'STALE_MEMBER_EPOCH')
  const topics = [{ name: 't', partitionIndexes: [0] }]
  const fetch = (memberId: string | null, memberEpoch: number) =>
    driver.answer((groups, ticket, now) =>
      groups.fetchOffsets({ groupId: 'g', topics, requireStable: false, memberId, memberEpoch }, ticket, now),
    )
  assert.match(String(fetch('a', 2)), /STALE|epoch/)
  assert.ok(Array.isArray(fetch('a', 3)))
  assert.ok(Array.isArray(fetch(null, -1)))
  assert.match(String(fetch('x', 3)), /member/)
})

test('a group of the consumer protocol is listed, described and deleted as one', () => {
  const driver = driverOf()
  driver.beat('a', 0)
  const list = (types: string[], states: string[] = []) =>
    driver.groups
      .listGroups({ types: new Set(types), states: new Set(states) })
      .map(({ groupType, groupState }) => `${groupType} ${groupState}`)
  assert.deepEqual(list([]), ['consumer Stable'])
  assert.deepEqual(list(['classic']), [])
  assert.deepEqual(list(['consumer'], ['empty']), [])
  const described = driver.groups.describeGroup('g', { apiVersion: 6 })
  assert.equal(described.errorMessage, 'Group g is not a classic group.')
  assert.equal(driver.groups.describeGroup('g', { apiVersion: 5 }).groupState, 'Dead')
  const remove = () => errorName(driver.answer<number>((groups, ticket, now) => groups.deleteGroup('g', ticket, now)))
  assert.equal(remove(), 'NON_EMPTY_GROUP')
  driver.commit({ memberId: 'a', generationId: 2, apiVersion: 9 })
  driver.beat('a', -1)
  assert.equal(remove(), 'NONE')
  assert.throws(() => describe(driver), /Group g not found/)
  assert.equal(driver.restarted().groups.listGroups({ types: new Set(), states: new Set() }).length, 0)
})

test('an empty group goes over to the other protocol with its offsets, and back', () => {
  const driver = driverOf()
  driver.commit({ offset: 7 })
  driver.beat('a', 0)
  assert.equal(describe(driver).groupState, 'Stable')
  driver.beat('a', -1)
  const { memberId, ticket } = driver.joinTwice()
  driver.advance(0)
  assert.equal(driver.joined(ticket).generationId, 1)
  assert.equal(driver.offset(), 7)
  assert.equal(errorOf(driver.beat('a', 0)), 'GROUP_ID_NOT_FOUND', 'the classic group has a member')
  driver.leave([{ memberId }])
  assert.equal(errorOf(driver.beat('a', 0)), 'NONE')
  assert.equal(driver.offset(), 7)
  const restarted = driver.restarted()
  assert.equal(restarted.groups.describeConsumerGroup('g').members.length, 1)
  assert.equal(restarted.offset(), 7)
})

test('offsets of topics that members subscribe to are kept, others expire by themselves', () => {
  const driver = driverOf({ consumer: { settingsOf: () => ({ ...settings, sessionTimeoutMs: 3_600_001 }) } })
  const { memberEpoch } = driver.beat('a', 0)
  for (const topic of ['t', 'other']) driver.commit({ topic, memberId: 'a', generationId: memberEpoch, apiVersion: 9 })
  for (let hour = 0; hour < 8 * 24; hour++) {
    driver.advance(3_600_000)
    driver.beat('a', memberEpoch)
  }
  assert.equal(driver.offset('t'), 1)
  assert.equal(driver.offset('other'), -1)
})

test('every record of a consumer group reads back as it was written', () => {
  const driver = driverOf()
  driver.beat('a', 0, { instanceId: 'i', rackId: 'r', serverAssignor: 'range', subscribedTopicRegex: 't' })
  driver.advance(0)
  driver.beat('a', 2)
  const kinds = new Set(driver.log.map(({ key, value }) => decodeGroupRecord(key, value)?.kind))
  assert.deepEqual([...kinds].sort(), [
    'consumer-current',
    'consumer-group',
    'consumer-member',
    'consumer-regex',
    'consumer-target',
    'consumer-target-member',
  ])
})
