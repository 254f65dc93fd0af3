import assert from 'node:assert/strict'
import test from 'node:test'
import { decodeGroupRecord } from '@tidelog/coordinator'
import { errorTable } from '@tidelog/protocol'
import { GroupDriver } from '@tidelog/testkit'

const code = (name: keyof typeof errorTable) => errorTable[name].code

/** A stable group of dynamic members; the first is the leader. */
function stableGroup(driver: GroupDriver, count: number, protocols: Record<string, string> = { range: 'm' }): string[] {
  const joins = Array.from({ length: count }, () => driver.joinTwice({ protocols }))
  driver.advance(0)
  const memberIds = joins.map(({ memberId }) => memberId)
  const { generationId, leader } = driver.joined(joins[0]!.ticket)
  memberIds.sort((a, b) => Number(b === leader) - Number(a === leader))
  const assignments = Object.fromEntries(memberIds.map((memberId) => [memberId, `of ${memberId}`]))
  const syncs = memberIds.map((memberId) => driver.sync({ memberId, generationId, ...(memberId === leader ? { assignments } : {}) }))
  for (const sync of syncs) assert.equal(driver.synced(sync).errorCode, 0)
  assert.equal(driver.state(), 'Stable')
  return memberIds
}

test('G5: a new member is told its id first and joins with it; clients before version 4 join at once', () => {
  const driver = new GroupDriver()
  const first = driver.joined(driver.join({ clientId: 'app' }))
  assert.equal(first.errorCode, code('MEMBER_ID_REQUIRED'))
  assert.match(first.memberId, /^app-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  const second = driver.join({ memberId: first.memberId })
  driver.advance(0)
  assert.deepEqual(driver.joined(second), {
    throttleTimeMs: 0,
    errorCode: 0,
    generationId: 1,
    protocolType: 'consumer',
    protocolName: 'range',
    leader: first.memberId,
    skipAssignment: false,
    memberId: first.memberId,
    members: [{ memberId: first.memberId, groupInstanceId: null, metadata: Buffer.from('m') }],
  })
  const old = driver.join({ groupId: 'old', apiVersion: 3 })
  driver.advance(0)
  assert.equal(driver.joined(old).errorCode, 0)
})

test('an id that was given out and not used is forgotten after the session timeout, and no longer holds up a rebalance', () => {
  const driver = new GroupDriver()
  const [leader] = stableGroup(driver, 1)
  driver.join({ sessionTimeoutMs: 8000 })
  const rejoin = driver.join({ memberId: leader! })
  assert.equal(driver.state(), 'PreparingRebalance')
  driver.advance(7999)
  assert.equal(driver.replies.has(rejoin), false)
  driver.advance(1)
  assert.equal(driver.joined(rejoin).generationId, 2)
})

test('the first rebalance waits for more members as long as they keep coming, at most the rebalance timeout', () => {
  const driver = new GroupDriver({ config: { initialRebalanceDelayMs: 3000 } })
  const first = driver.joinTwice({ rebalanceTimeoutMs: 7000 })
  for (let second = 0; second < 6; second++) {
    driver.advance(1000)
    driver.joinTwice({ rebalanceTimeoutMs: 7000 })
    assert.equal(driver.replies.has(first.ticket), false)
  }
  driver.advance(1000)
  assert.equal(driver.joined(first.ticket).members.length, 7)
})

test('the first rebalance ends after one delay when nobody else comes', () => {
  const driver = new GroupDriver({ config: { initialRebalanceDelayMs: 3000 } })
  const { ticket } = driver.joinTwice()
  driver.advance(2999)
  assert.equal(driver.replies.has(ticket), false)
  driver.advance(1)
  assert.equal(driver.joined(ticket).generationId, 1)
})

test('each member gets the assignment that the leader made for it, and one that was forgotten an empty one', () => {
  const driver = new GroupDriver()
  const a = driver.joinTwice()
  const b = driver.joinTwice()
  driver.advance(0)
  assert.equal(driver.joined(b.ticket).members.length, 0)
  const follower = driver.sync({ memberId: b.memberId, generationId: 1 })
  assert.equal(driver.replies.has(follower), false)
  const leader = driver.sync({ memberId: a.memberId, generationId: 1, assignments: { [a.memberId]: 'x', stranger: 'y' } })
  assert.equal(driver.synced(leader).assignment.toString(), 'x')
  assert.equal(driver.synced(follower).assignment.toString(), '')
  assert.equal(driver.synced(follower).protocolName, 'range')
  const again = driver.sync({ memberId: a.memberId, generationId: 1 })
  assert.equal(driver.synced(again).assignment.toString(), 'x')
})

test('assignments leave when they lie in the log, and a failed append sends everyone back to join', () => {
  const driver = new GroupDriver()
  const { memberId } = driver.joinTwice()
  driver.advance(0)
  driver.isHolding = true
  const sync = driver.sync({ memberId, generationId: 1, assignments: { [memberId]: 'x' } })
  assert.equal(driver.replies.has(sync), false)
  assert.equal(driver.state(), 'CompletingRebalance')
  driver.settle('NOT_ENOUGH_REPLICAS')
  assert.equal(driver.synced(sync).errorCode, code('COORDINATOR_NOT_AVAILABLE'))
  assert.equal(driver.state(), 'PreparingRebalance')
  assert.equal(driver.heartbeat(memberId, 1).errorCode, code('REBALANCE_IN_PROGRESS'))
})

test('a member that joins makes the others rejoin, and who does not within the rebalance timeout is out', () => {
  const driver = new GroupDriver()
  const [a, b] = stableGroup(driver, 2)
  const c = driver.joinTwice()
  assert.equal(driver.heartbeat(a!, 1).errorCode, code('REBALANCE_IN_PROGRESS'))
  assert.equal(driver.synced(driver.sync({ memberId: a!, generationId: 1 })).errorCode, code('REBALANCE_IN_PROGRESS'))
  const rejoined = driver.join({ memberId: b! })
  for (let passed = 0; passed < 60_000; passed += 5000) {
    assert.equal(driver.heartbeat(a!, 1).errorCode, code('REBALANCE_IN_PROGRESS'))
    driver.advance(5000)
  }
  const { generationId, leader, members } = driver.joined(rejoined)
  assert.equal(generationId, 2)
  assert.equal(leader, b)
  assert.deepEqual(new Set(members.map(({ memberId }) => memberId)), new Set([b, c.memberId]))
  assert.equal(driver.heartbeat(a!, 1).errorCode, code('UNKNOWN_MEMBER_ID'))
})

test('a member whose heartbeats stop is out after its session timeout, and the others rebalance', () => {
  const driver = new GroupDriver()
  const [a, b] = stableGroup(driver, 2)
  driver.advance(9999)
  assert.equal(driver.heartbeat(a!, 1).errorCode, 0)
  driver.advance(1)
  assert.equal(driver.heartbeat(a!, 1).errorCode, code('REBALANCE_IN_PROGRESS'))
  assert.equal(driver.heartbeat(b!, 1).errorCode, code('UNKNOWN_MEMBER_ID'))
  assert.equal(driver.joined(driver.join({ memberId: a! })).members.length, 1)
})

test('a member that joined and never syncs is out after the rebalance timeout', () => {
  const driver = new GroupDriver()
  const a = driver.joinTwice({ sessionTimeoutMs: 1_000_000 })
  const b = driver.joinTwice({ sessionTimeoutMs: 1_000_000 })
  driver.advance(0)
  driver.sync({ memberId: a.memberId, generationId: 1 })
  driver.advance(60_000)
  assert.equal(driver.heartbeat(b.memberId, 1).errorCode, code('UNKNOWN_MEMBER_ID'))
  assert.equal(driver.heartbeat(a.memberId, 1).errorCode, code('REBALANCE_IN_PROGRESS'))
})

test('the last member to leave empties the group, whose next generation goes on counting', () => {
  const driver = new GroupDriver()
  const [a] = stableGroup(driver, 1)
  driver.isHolding = true
  const request = { groupId: 'g', members: [{ memberId: a!, groupInstanceId: null, reason: null }] }
  const leave = driver.ask((groups, ticket, now) => groups.leaveGroup(request, ticket, now))
  assert.equal(driver.replies.has(leave), false)
  driver.isHolding = false
  driver.settle()
  assert.deepEqual(driver.reply(leave), {
    throttleTimeMs: 0,
    errorCode: 0,
    members: [{ memberId: a, groupInstanceId: null, errorCode: 0 }],
  })
  assert.equal(driver.state(), 'Empty')
  const { ticket } = driver.joinTwice()
  driver.advance(0)
  assert.equal(driver.joined(ticket).generationId, 3)
})

test('a follower that joins again unchanged gets its generation again; a changed one, or the leader, starts a rebalance', () => {
  const driver = new GroupDriver()
  const [a, b] = stableGroup(driver, 2)
  const same = driver.joined(driver.join({ memberId: b! }))
  assert.equal(same.generationId, 1)
  assert.equal(same.members.length, 0)
  assert.equal(driver.state(), 'Stable')
  driver.join({ memberId: b!, protocols: { range: 'changed' } })
  assert.equal(driver.state(), 'PreparingRebalance')
  assert.equal(driver.joined(driver.join({ memberId: a! })).generationId, 2)
  const resend = driver.joined(driver.join({ memberId: a! }))
  assert.equal(resend.generationId, 2)
  assert.equal(resend.members.length, 2)
  assert.equal(driver.state(), 'CompletingRebalance')
})

test('a second JoinGroup of a member that waits takes the place of the first', () => {
  const driver = new GroupDriver()
  const [a, b] = stableGroup(driver, 2)
  const first = driver.join({ memberId: b!, protocols: { range: 'changed' } })
  const second = driver.join({ memberId: b!, protocols: { range: 'changed' } })
  assert.equal(driver.joined(first).errorCode, code('REBALANCE_IN_PROGRESS'))
  driver.join({ memberId: a! })
  assert.equal(driver.joined(second).generationId, 2)
})

test('the protocol is the one that most members prefer among those that all of them have', () => {
  const driver = new GroupDriver()
  const a = driver.joinTwice({ protocols: { sticky: '1', range: '1', only: '1' } })
  driver.joinTwice({ protocols: { range: '2', sticky: '2' } })
  driver.joinTwice({ protocols: { range: '3', sticky: '3' } })
  driver.advance(0)
  assert.equal(driver.joined(a.ticket).protocolName, 'range')
  assert.deepEqual(
    driver.joined(a.ticket).members.map(({ metadata }) => metadata.toString()),
    ['1', '2', '3'],
  )
})

test('G5: nothing in common with the group is an inconsistent protocol: another type, no shared protocol, none at all', () => {
  const driver = new GroupDriver()
  assert.equal(driver.joined(driver.join({ protocols: {} })).errorCode, code('INCONSISTENT_GROUP_PROTOCOL'))
  assert.equal(driver.joined(driver.join({ protocolType: '' })).errorCode, code('INCONSISTENT_GROUP_PROTOCOL'))
  const [a] = stableGroup(driver, 1)
  assert.equal(driver.joined(driver.join({ protocolType: 'connect' })).errorCode, code('INCONSISTENT_GROUP_PROTOCOL'))
  assert.equal(driver.joined(driver.join({ protocols: { other: '' } })).errorCode, code('INCONSISTENT_GROUP_PROTOCOL'))
  const sync = driver.sync({ memberId: a!, generationId: 1, protocolName: 'other' })
  assert.equal(driver.synced(sync).errorCode, code('INCONSISTENT_GROUP_PROTOCOL'))
})

test('requests of strangers, of other generations and for no group are refused as Kafka does', () => {
  const driver = new GroupDriver()
  const [a] = stableGroup(driver, 1)
  assert.equal(driver.heartbeat(a!, 7).errorCode, code('ILLEGAL_GENERATION'))
  assert.equal(driver.heartbeat('stranger', 1).errorCode, code('UNKNOWN_MEMBER_ID'))
  assert.equal(driver.heartbeat(a!, 1, { groupId: 'none' }).errorCode, code('UNKNOWN_MEMBER_ID'))
  assert.equal(driver.heartbeat(a!, 1, { groupId: '' }).errorCode, code('INVALID_GROUP_ID'))
  assert.equal(driver.synced(driver.sync({ memberId: a!, generationId: 7 })).errorCode, code('ILLEGAL_GENERATION'))
  assert.equal(driver.synced(driver.sync({ memberId: a!, generationId: 1, groupId: 'none' })).errorCode, code('UNKNOWN_MEMBER_ID'))
  assert.equal(driver.joined(driver.join({ memberId: 'stranger' })).errorCode, code('UNKNOWN_MEMBER_ID'))
  assert.equal(driver.joined(driver.join({ memberId: 'x', groupId: 'none' })).errorCode, code('UNKNOWN_MEMBER_ID'))
  assert.equal(driver.joined(driver.join({ groupId: '' })).errorCode, code('INVALID_GROUP_ID'))
  assert.equal(driver.joined(driver.join({ sessionTimeoutMs: 5999 })).errorCode, code('INVALID_SESSION_TIMEOUT'))
  assert.equal(driver.joined(driver.join({ sessionTimeoutMs: 1_800_001 })).errorCode, code('INVALID_SESSION_TIMEOUT'))
  assert.equal(driver.leave([{ memberId: 'stranger' }]).members[0]!.errorCode, code('UNKNOWN_MEMBER_ID'))
  assert.equal(driver.leave([{ memberId: 'x' }], 'none').members[0]!.errorCode, code('UNKNOWN_MEMBER_ID'))
})

test('G5: a full group takes no newcomer, and is not disturbed by one', () => {
  const driver = new GroupDriver({ config: { maxSize: 2 } })
  stableGroup(driver, 2)
  assert.equal(driver.joined(driver.join()).errorCode, code('GROUP_MAX_SIZE_REACHED'))
  assert.equal(driver.state(), 'Stable')
})

test('a static member that comes back takes its place without a rebalance, and fences who used the old id', () => {
  const driver = new GroupDriver()
  const a = driver.join({ groupInstanceId: 'a' })
  const b = driver.join({ groupInstanceId: 'b' })
  driver.advance(0)
  const { memberId: idOfA, leader } = driver.joined(a)
  const { memberId: idOfB } = driver.joined(b)
  assert.equal(leader, idOfA)
  driver.sync({ memberId: idOfB, generationId: 1, groupInstanceId: 'b' })
  driver.sync({ memberId: idOfA, generationId: 1, groupInstanceId: 'a', assignments: { [idOfA]: 'x', [idOfB]: 'y' } })

  const back = driver.joined(driver.join({ groupInstanceId: 'b' }))
  assert.match(back.memberId, /^b-/)
  assert.notEqual(back.memberId, idOfB)
  assert.deepEqual([back.errorCode, back.generationId, back.skipAssignment, back.leader], [0, 1, false, idOfA])
  assert.equal(driver.state(), 'Stable')
  assert.equal(driver.heartbeat(idOfB, 1, { groupInstanceId: 'b' }).errorCode, code('FENCED_INSTANCE_ID'))
  assert.equal(driver.synced(driver.sync({ memberId: back.memberId, generationId: 1, groupInstanceId: 'b' })).assignment.toString(), 'y')

  const leaderBack = driver.joined(driver.join({ groupInstanceId: 'a' }))
  assert.deepEqual([leaderBack.skipAssignment, leaderBack.leader, leaderBack.members.length], [true, leaderBack.memberId, 2])
  const oldClient = driver.joined(driver.join({ groupInstanceId: 'a', apiVersion: 8 }))
  assert.deepEqual([oldClient.skipAssignment, oldClient.leader, oldClient.members.length], [false, leaderBack.memberId, 0])
})

test('a static member that comes back during a join phase fences the one that waits', () => {
  const driver = new GroupDriver({ config: { initialRebalanceDelayMs: 3000 } })
  const first = driver.join({ groupInstanceId: 'a' })
  const second = driver.join({ groupInstanceId: 'a' })
  assert.equal(driver.joined(first).errorCode, code('FENCED_INSTANCE_ID'))
  driver.advance(6000)
  assert.equal(driver.joined(second).members.length, 1)
})

test('a static member that did not rejoin in time stays in the group until its session ends', () => {
  const driver = new GroupDriver()
  const options = { rebalanceTimeoutMs: 5000, sessionTimeoutMs: 20_000 }
  const a = driver.join({ ...options, groupInstanceId: 'a' })
  const b = driver.join({ ...options, groupInstanceId: 'b' })
  driver.advance(0)
  const { memberId: idOfA } = driver.joined(a)
  const { memberId: idOfB } = driver.joined(b)
  driver.sync({ memberId: idOfB, generationId: 1, groupInstanceId: 'b' })
  driver.sync({ memberId: idOfA, generationId: 1, groupInstanceId: 'a' })
  const rejoin = driver.join({ ...options, memberId: idOfA, groupInstanceId: 'a' })
  driver.advance(5000)
  assert.equal(driver.joined(rejoin).generationId, 2)
  assert.deepEqual(
    driver.joined(rejoin).members.map(({ groupInstanceId }) => groupInstanceId),
    ['a', 'b'],
  )
})

test('a failed append gives a static member its old id back', () => {
  const driver = new GroupDriver()
  const ticket = driver.join({ groupInstanceId: 'a' })
  driver.advance(0)
  const { memberId } = driver.joined(ticket)
  driver.sync({ memberId, generationId: 1, groupInstanceId: 'a', assignments: { [memberId]: 'x' } })
  driver.isHolding = true
  const back = driver.join({ groupInstanceId: 'a' })
  driver.settle('NOT_LEADER_OR_FOLLOWER')
  assert.equal(driver.joined(back).errorCode, code('NOT_COORDINATOR'))
  assert.equal(driver.heartbeat(memberId, 1, { groupInstanceId: 'a' }).errorCode, 0)
  assert.equal(driver.synced(driver.sync({ memberId, generationId: 1, groupInstanceId: 'a' })).assignment.toString(), 'x')
})

test('an administrator removes static members by instance id; other rows of the batch are refused on their own', () => {
  const driver = new GroupDriver()
  const ticket = driver.join({ groupInstanceId: 'a' })
  driver.advance(0)
  const { memberId } = driver.joined(ticket)
  const { members } = driver.leave([
    { groupInstanceId: 'none' },
    { memberId: 'other', groupInstanceId: 'a' },
    { groupInstanceId: 'a' },
    { memberId: 'stranger' },
  ])
  assert.deepEqual(
    members.map(({ errorCode }) => errorCode),
    [code('UNKNOWN_MEMBER_ID'), code('FENCED_INSTANCE_ID'), 0, code('UNKNOWN_MEMBER_ID')],
  )
  assert.equal(driver.heartbeat(memberId, 1).errorCode, code('UNKNOWN_MEMBER_ID'))
})

test('after a restart the members of a stable group go on without a rebalance', () => {
  const driver = new GroupDriver()
  const [a, b] = stableGroup(driver, 2)
  const restarted = driver.restarted()
  assert.equal(restarted.state(), 'Stable')
  for (const memberId of [a!, b!]) assert.equal(restarted.heartbeat(memberId, 1).errorCode, 0)
  assert.equal(restarted.synced(restarted.sync({ memberId: b!, generationId: 1 })).assignment.toString(), `of ${b}`)
  restarted.advance(9999)
  assert.equal(restarted.heartbeat(a!, 1).errorCode, 0)
  restarted.advance(1)
  assert.equal(restarted.heartbeat(b!, 1).errorCode, code('UNKNOWN_MEMBER_ID'))
})

test('a group that is larger than the limit after a restart rebalances down to it', () => {
  const driver = new GroupDriver()
  const members = stableGroup(driver, 3)
  const restarted = driver.restarted({ maxSize: 2 })
  assert.equal(restarted.state(), 'PreparingRebalance')
  const tickets = members.map((memberId) => restarted.join({ memberId }))
  assert.equal(restarted.joined(tickets[2]!).errorCode, code('GROUP_MAX_SIZE_REACHED'))
  assert.equal(restarted.joined(tickets[0]!).generationId, 2)
})

test('what a group leaves in the log are records in the form of Kafka: the newborn, the stable and the empty group', () => {
  const driver = new GroupDriver()
  const [a] = stableGroup(driver, 1)
  driver.leave([{ memberId: a! }])
  const values = driver.log.map(({ key, value }) => {
    const record = decodeGroupRecord(key, value)
    assert.ok(record?.kind === 'group' && record.value !== null)
    const { protocolType, generation, protocol, leader, members } = record.value
    return { protocolType, generation, protocol, leader, members: members.map(({ memberId }) => memberId) }
  })
  assert.deepEqual(values, [
    { protocolType: '', generation: 0, protocol: null, leader: null, members: [] },
    { protocolType: 'consumer', generation: 1, protocol: 'range', leader: a, members: [a] },
    { protocolType: 'consumer', generation: 2, protocol: null, leader: null, members: [] },
  ])
  assert.deepEqual(driver.log[0]!.key, Buffer.from('0002000167', 'hex'))
  assert.equal(driver.log[1]!.value!.readInt16BE(0), 3)
})

test('a partition that is given up tells everyone who waits', () => {
  const driver = new GroupDriver()
  const a = driver.joinTwice()
  const b = driver.joinTwice()
  driver.advance(0)
  const sync = driver.sync({ memberId: b.memberId, generationId: 1 })
  const other = driver.joinTwice({ groupId: 'h' })
  driver.carryOut(driver.groups.unload(driver.now))
  assert.equal(driver.joined(a.ticket).errorCode, 0)
  assert.equal(driver.synced(sync).errorCode, code('NOT_COORDINATOR'))
  assert.equal(driver.joined(other.ticket).errorCode, code('NOT_COORDINATOR'))
  assert.equal(driver.groups.nextDeadlineMs, Infinity)
})

test('G5: two hundred members that come and go for a minute end in one stable generation', () => {
  const driver = new GroupDriver({ config: { initialRebalanceDelayMs: 3000 } })
  const options = { sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 5000 }
  let live = Array.from({ length: 200 }, () => driver.joinTwice(options).memberId)
  for (let second = 0; second < 60; second++) {
    driver.leave([{ memberId: live.shift()! }])
    live.push(driver.joinTwice(options).memberId)
    for (const memberId of live) driver.join({ ...options, memberId })
    driver.advance(1000)
    live = live.filter((memberId) => driver.heartbeat(memberId, 0).errorCode !== code('UNKNOWN_MEMBER_ID'))
  }
  const tickets = live.map((memberId) => driver.join({ ...options, memberId }))
  const { generationId, leader } = driver.joined(tickets.at(-1)!)
  const syncs = live.map((memberId) => driver.sync({ memberId, generationId, assignments: memberId === leader ? { [memberId]: 'x' } : {} }))
  for (const sync of syncs) assert.equal(driver.synced(sync).errorCode, 0)
  assert.equal(driver.state(), 'Stable')
  assert.equal(live.length, 200)
})

test('groups and members may be called what objects are made of', () => {
  const driver = new GroupDriver()
  for (const groupId of ['__proto__', 'constructor', 'hasOwnProperty']) {
    assert.equal(driver.state(groupId), 'Dead')
    const ticket = driver.join({ groupId, groupInstanceId: '__proto__', protocols: Object.fromEntries([['constructor', 'm']]) })
    driver.advance(0)
    assert.equal(driver.joined(ticket).protocolName, 'constructor')
    assert.equal(driver.state(groupId), 'CompletingRebalance')
  }
})

test('a client whose member id would be too long for a record is refused, whether it is static or not', () => {
  const driver = new GroupDriver()
  const long = 'x'.repeat(0x7fff)
  for (const options of [{ clientId: long }, { clientId: long, apiVersion: 3 }, { groupInstanceId: 'é'.repeat(0x3fff) }]) {
    assert.equal(driver.joined(driver.join(options)).errorCode, code('INVALID_REQUEST'))
  }
  assert.equal(driver.state(), 'Empty')
})
