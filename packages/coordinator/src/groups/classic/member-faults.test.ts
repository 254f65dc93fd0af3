import assert from 'node:assert/strict'
import test from 'node:test'
import { errorTable } from '@tidelog/protocol'
import { GroupDriver, type JoinOptions } from '@tidelog/testkit'

const code = (name: keyof typeof errorTable) => errorTable[name].code

/** Joins until the group is stable, each member with what it is given. @returns Member ids. */
function stableGroupOf(driver: GroupDriver, members: JoinOptions[]): string[] {
  const joins = members.map((options) => (options.groupInstanceId == null ? driver.joinTwice(options).ticket : driver.join(options)))
  driver.advance(0)
  const answers = joins.map((ticket) => driver.joined(ticket))
  for (const [i, { memberId, generationId, leader, errorCode }] of answers.entries()) {
    assert.equal(errorCode, 0)
    const groupInstanceId = members[i]!.groupInstanceId ?? null
    const assignments = memberId === leader ? Object.fromEntries(answers.map((each) => [each.memberId, 'x'])) : {}
    driver.sync({ memberId, generationId, groupInstanceId, assignments })
  }
  assert.equal(driver.state(), 'Stable')
  return answers.map(({ memberId }) => memberId)
}

test('G2: who heartbeats but does not rejoin within its rebalance timeout is out: its late commit is 25', () => {
  const driver = new GroupDriver()
  const [busy, other] = stableGroupOf(driver, [{ rebalanceTimeoutMs: 5000 }, { rebalanceTimeoutMs: 5000 }])
  const rejoin = driver.join({ memberId: other!, protocols: { range: 'other topics' }, rebalanceTimeoutMs: 5000 })
  driver.advance(4000)
  assert.equal(driver.heartbeat(busy!, 1).errorCode, code('REBALANCE_IN_PROGRESS'))
  assert.equal(driver.committed(driver.commit({ memberId: busy!, generationId: 1, offset: 7 })), 0, 'still in time')
  driver.advance(1000)
  assert.equal(driver.joined(rejoin).generationId, 2)
  assert.equal(driver.committed(driver.commit({ memberId: busy!, generationId: 1, offset: 9 })), code('UNKNOWN_MEMBER_ID'))
  assert.equal(driver.heartbeat(busy!, 1).errorCode, code('UNKNOWN_MEMBER_ID'))
  assert.equal(driver.offset(), 7)
})

test('G2: a static member that missed a generation is still a member: its late commit is 22', () => {
  const driver = new GroupDriver()
  const patient = { rebalanceTimeoutMs: 5000, sessionTimeoutMs: 60_000 }
  const [, busy] = stableGroupOf(driver, [
    { ...patient, groupInstanceId: 'a' },
    { ...patient, groupInstanceId: 'b' },
  ])
  const a = driver.joined(driver.join({ ...patient, groupInstanceId: 'a' })).memberId
  driver.join({ ...patient, memberId: a, groupInstanceId: 'a', protocols: { range: 'changed' } })
  driver.advance(5000)
  const late = { memberId: busy!, groupInstanceId: 'b', generationId: 1 }
  assert.equal(driver.committed(driver.commit(late)), code('ILLEGAL_GENERATION'))
  assert.equal(driver.heartbeat(busy!, 1, late).errorCode, code('ILLEGAL_GENERATION'))
  assert.equal(driver.synced(driver.sync(late)).errorCode, code('ILLEGAL_GENERATION'))
})

test('G3: a consumer that was stopped for longer than its session finds itself out, whatever it asks for', () => {
  const driver = new GroupDriver()
  const [stopped, other] = stableGroupOf(driver, [{ sessionTimeoutMs: 10_000 }, { sessionTimeoutMs: 60_000 }])
  driver.advance(10_000)
  const rejoin = driver.join({ memberId: other! })
  assert.equal(driver.joined(rejoin).members.length, 1)
  const late = { memberId: stopped!, generationId: 1 }
  assert.equal(driver.heartbeat(stopped!, 1).errorCode, code('UNKNOWN_MEMBER_ID'))
  assert.equal(driver.committed(driver.commit(late)), code('UNKNOWN_MEMBER_ID'))
  assert.equal(driver.synced(driver.sync(late)).errorCode, code('UNKNOWN_MEMBER_ID'))
  assert.equal(driver.joined(driver.join({ memberId: stopped! })).errorCode, code('UNKNOWN_MEMBER_ID'))
  assert.equal(driver.leave([{ memberId: stopped! }]).members[0]!.errorCode, code('UNKNOWN_MEMBER_ID'))
})

test('G3: of two processes with one static instance the older is fenced, whatever it asks for; also when it comes back while the newer one joins', () => {
  const driver = new GroupDriver()
  const [older] = stableGroupOf(driver, [{ groupInstanceId: 'i' }, {}])
  const newer = driver.joined(driver.join({ groupInstanceId: 'i' }))
  assert.equal(newer.errorCode, 0)
  const fenced = { memberId: older!, groupInstanceId: 'i', generationId: newer.generationId }
  const refusals = [
    driver.heartbeat(older!, newer.generationId, fenced).errorCode,
    driver.committed(driver.commit(fenced)),
    driver.synced(driver.sync(fenced)).errorCode,
    driver.joined(driver.join(fenced)).errorCode,
    driver.leave([fenced]).members[0]!.errorCode,
  ]
  assert.deepEqual(new Set(refusals), new Set([code('FENCED_INSTANCE_ID')]))
  assert.equal(driver.heartbeat(newer.memberId, newer.generationId, { groupInstanceId: 'i' }).errorCode, 0)
  // The same once the group, its log and nothing else are what is known.
  const restarted = driver.restarted()
  assert.equal(restarted.heartbeat(older!, newer.generationId, fenced).errorCode, code('FENCED_INSTANCE_ID'))
  assert.equal(restarted.heartbeat(newer.memberId, newer.generationId, { groupInstanceId: 'i' }).errorCode, 0)
})

test('G5: a session timeout outside of what the broker allows is 26, a member id that nobody gave out 25', () => {
  const driver = new GroupDriver({ config: { minSessionTimeoutMs: 6000, maxSessionTimeoutMs: 7000 } })
  for (const sessionTimeoutMs of [-1, 0, 5999, 7001, 2 ** 31 - 1]) {
    assert.equal(driver.joined(driver.join({ sessionTimeoutMs })).errorCode, code('INVALID_SESSION_TIMEOUT'))
  }
  assert.equal(driver.state(), 'Dead', 'nothing was made of them')
  assert.equal(driver.joined(driver.join({ sessionTimeoutMs: 6000 })).errorCode, code('MEMBER_ID_REQUIRED'))
})

test('G5: a full group in a rebalance lets the first who come back stay, up to its limit', () => {
  const driver = new GroupDriver({ config: { maxSize: 3 } })
  const members = stableGroupOf(driver, [{}, {}, {}])
  driver.join({ memberId: members[0]!, protocols: { range: 'changed' } })
  const newcomer = driver.joined(driver.join())
  assert.equal(newcomer.errorCode, code('MEMBER_ID_REQUIRED'))
  const admitted = driver.join({ memberId: newcomer.memberId })
  driver.join({ memberId: members[1]! })
  assert.equal(driver.joined(driver.join({ memberId: members[2]! })).errorCode, code('GROUP_MAX_SIZE_REACHED'))
  assert.equal(driver.joined(admitted).generationId, 2)
})

test('an id that was given out is no static member: joining with both is refused, and the id may still be used', () => {
  const driver = new GroupDriver()
  const { memberId } = driver.joined(driver.join())
  assert.equal(driver.joined(driver.join({ memberId, groupInstanceId: 'i' })).errorCode, code('UNKNOWN_SERVER_ERROR'))
  const ticket = driver.join({ memberId })
  driver.advance(0)
  assert.equal(driver.joined(ticket).errorCode, 0)
})

test('a dynamic member becomes static, and the reverse, by joining anew; what it was before is out after its session', () => {
  const driver = new GroupDriver()
  const brief = { sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 5000 }
  stableGroupOf(driver, [brief])
  const asStatic = driver.join({ ...brief, groupInstanceId: 'i' })
  driver.advance(5000)
  const first = driver.joined(asStatic)
  assert.deepEqual([first.generationId, first.members.map(({ groupInstanceId }) => groupInstanceId)], [2, ['i']])
  driver.sync({ memberId: first.memberId, groupInstanceId: 'i', generationId: 2, assignments: { [first.memberId]: 'x' } })
  // A static member does not leave when it stops: its place waits for the session to end.
  const { ticket } = driver.joinTwice(brief)
  driver.advance(5000)
  assert.equal(driver.joined(ticket).members.length, 2)
  driver.sync({ memberId: driver.joined(ticket).memberId, generationId: 3, assignments: {} })
  driver.heartbeat(driver.joined(ticket).memberId, 3)
  driver.advance(5000)
  const { members } = driver.groups.describeGroup('g', { apiVersion: 5 })
  assert.deepEqual(
    members.map(({ groupInstanceId }) => groupInstanceId),
    [null],
  )
})

test('a batch of members leaves in one rebalance: dynamic, static, one that only has its id, and strangers with their own error', () => {
  const driver = new GroupDriver()
  const [a, b, c] = stableGroupOf(driver, [{}, { groupInstanceId: 'b' }, {}])
  const pending = driver.joined(driver.join()).memberId
  const { errorCode, members } = driver.leave([
    { memberId: a! },
    { memberId: a! },
    { memberId: b!, groupInstanceId: 'b' },
    { memberId: pending },
    { memberId: '' },
    { memberId: c!, groupInstanceId: 'b' },
  ])
  assert.equal(errorCode, 0)
  assert.deepEqual(
    members.map((row) => row.errorCode),
    [0, code('UNKNOWN_MEMBER_ID'), 0, 0, code('UNKNOWN_MEMBER_ID'), code('UNKNOWN_MEMBER_ID')],
  )
  assert.equal(driver.heartbeat(c!, 1).errorCode, code('REBALANCE_IN_PROGRESS'))
  assert.equal(driver.joined(driver.join({ memberId: c! })).generationId, 2, 'nobody is waited for')
})

test('a rolling change of the assignor: once the last member that only knows the old one has changed, the new one is chosen', () => {
  const driver = new GroupDriver()
  const [a, b] = stableGroupOf(driver, [{ protocols: { range: 'm' } }, { protocols: { range: 'm' } }])
  const both = { 'cooperative-sticky': 'm', range: 'm' }
  const round = (change: Record<string, Record<string, string>>): string | null => {
    const tickets = [a!, b!].map((memberId) => driver.join({ memberId, protocols: change[memberId]! }))
    const { generationId, protocolName, leader } = driver.joined(tickets[0]!)
    for (const memberId of [a!, b!])
      driver.sync({ memberId, generationId, assignments: memberId === leader ? { [a!]: 'x', [b!]: 'y' } : {} })
    return protocolName
  }
  assert.equal(round({ [a!]: both, [b!]: { range: 'm' } }), 'range')
  assert.equal(round({ [a!]: both, [b!]: both }), 'cooperative-sticky')
  assert.equal(round({ [a!]: { 'cooperative-sticky': 'm' }, [b!]: both }), 'cooperative-sticky')
  assert.equal(driver.joined(driver.join({ memberId: b!, protocols: { range: 'm' } })).errorCode, code('INCONSISTENT_GROUP_PROTOCOL'))
})

test('workers of Connect form a group of their own kind: any bytes as metadata, described and listed by it, offsets kept while members are there', () => {
  const driver = new GroupDriver()
  const metadata = Buffer.from([0, 1, 0xff, 0xfe, 0, 9])
  const worker = { protocolType: 'connect', protocols: { sessioned: metadata, default: metadata } }
  const [leader, follower] = stableGroupOf(driver, [worker, worker])
  const { protocolType, protocolData, members } = driver.groups.describeGroup('g', { apiVersion: 5 })
  assert.deepEqual([protocolType, protocolData, members.length], ['connect', 'sessioned', 2])
  assert.deepEqual(members[0]!.memberMetadata, metadata)
  const listed = driver.groups.listGroups({ states: new Set(['stable']), types: new Set() })
  assert.deepEqual(listed, [{ groupId: 'g', protocolType: 'connect', groupState: 'Stable', groupType: 'classic' }])
  assert.equal(driver.joined(driver.join({ protocolType: 'consumer' })).errorCode, code('INCONSISTENT_GROUP_PROTOCOL'))
  driver.leave([{ memberId: leader! }])
  assert.equal(driver.joined(driver.join({ ...worker, memberId: follower! })).protocolType, 'connect')
  const restarted = driver.restarted()
  assert.equal(restarted.groups.describeGroup('g', { apiVersion: 5 }).protocolType, 'connect')
})

test('a rebalance ends with the rebalance timeout from when it began, however many come in the meantime', () => {
  const driver = new GroupDriver()
  const brief = { rebalanceTimeoutMs: 5000 }
  const [silent] = stableGroupOf(driver, [brief])
  const first = driver.joinTwice(brief).ticket
  driver.advance(3000)
  driver.heartbeat(silent!, 1)
  const second = driver.joinTwice(brief).ticket
  driver.advance(1999)
  assert.equal(driver.replies.has(first), false)
  driver.advance(1)
  assert.equal(driver.joined(first).generationId, 2)
  assert.equal(driver.joined(second).generationId, 2)
  assert.equal(driver.heartbeat(silent!, 1).errorCode, code('UNKNOWN_MEMBER_ID'))
})

test('two thousand members join again without looking at one another', () => {
  const driver = new GroupDriver()
  const joins = Array.from({ length: 2000 }, () => driver.joinTwice())
  driver.advance(0)
  const tickets = joins.map(({ memberId }) => driver.join({ memberId, protocols: { range: 'changed' } }))
  assert.equal(driver.joined(tickets[0]!).generationId, 2)
  assert.equal(driver.joined(tickets.at(-1)!).generationId, 2)
})
