import assert from 'node:assert/strict'
import test from 'node:test'
import type { GroupCoordinatorConfig } from '@tidelog/coordinator'
import { ByteReader, ByteWriter } from '@tidelog/core'
import { consumerProtocolAssignment, consumerProtocolSubscription, errorName } from '@tidelog/protocol'
import { GroupDriver } from '@tidelog/testkit'

type Policy = GroupCoordinatorConfig['consumer']['migrationPolicy']
type Owned = Record<string, number[]>

function driverOf(migrationPolicy: Policy = 'bidirectional'): GroupDriver {
  const settingsOf = () => ({ sessionTimeoutMs: 45_000, heartbeatIntervalMs: 5000, assignmentIntervalMs: 0 })
  const driver = new GroupDriver({ config: { consumer: { maxSize: 100, assignors: ['uniform', 'range'], migrationPolicy, settingsOf } } })
  driver.topics.set('t', 4)
  return driver
}

const version = 3
const listed = (owned: Owned) => Object.entries(owned).map(([topic, partitions]) => ({ topic, partitions }))

function encoded(write: (writer: ByteWriter) => void): Buffer {
  const writer = new ByteWriter()
  writer.int16(version)
  write(writer)
  return writer.toBuffer()
}
const assignmentBytes = (owned: Owned, userData: Buffer | null = null) =>
  encoded((writer) => consumerProtocolAssignment.codec(version).write(writer, { assignedPartitions: listed(owned), userData }))

function assignmentIn(bytes: Uint8Array): Owned {
  const reader = new ByteReader(Buffer.from(bytes))
  reader.int16()
  const { assignedPartitions } = consumerProtocolAssignment.codec(version).read(reader)
  return Object.fromEntries(assignedPartitions.map(({ topic, partitions }) => [topic, partitions]))
}

/** A consumer of the classic protocol, as cooperative assignors make it: it tells what it has. */
class ClassicMember {
  readonly driver: GroupDriver
  readonly groupInstanceId: string | null
  memberId = ''
  generation = -1
  owned: Owned = {}

  constructor(driver: GroupDriver, groupInstanceId: string | null = null) {
    this.driver = driver
    this.groupInstanceId = groupInstanceId
  }

  ticket(): number {
    const subscription = { topics: ['t'], userData: null, ownedPartitions: listed(this.owned), generationId: this.generation, rackId: null }
    const metadata = encoded((writer) => consumerProtocolSubscription.codec(version).write(writer, subscription))
    const options = { memberId: this.memberId, groupInstanceId: this.groupInstanceId, protocols: { range: metadata } }
    return this.driver.join(options)
  }

  /** Asks for a member id, and joins with it. */
  begin(): number {
    const { memberId, errorCode } = this.driver.joined(this.ticket())
    assert.equal(errorName(errorCode), 'MEMBER_ID_REQUIRED')
    this.memberId = memberId
    return this.ticket()
  }

  joined(ticket: number): void {
    const { errorCode, memberId, generationId } = this.driver.joined(ticket)
    assert.equal(errorName(errorCode), 'NONE')
    this.memberId = memberId
    this.generation = generationId
  }

  /** @param assignments By member id, from the leader of a classic group. */
  syncTicket(assignments: Record<string, Buffer> = {}): number {
    const { memberId, groupInstanceId, generation: generationId } = this
    const rows = Object.entries(assignments).map(([id, assignment]) => ({ memberId: id, assignment }))
    const request = {
      groupId: 'g',
      memberId,
      groupInstanceId,
      generationId,
      protocolType: 'consumer',
      protocolName: 'range',
      assignments: rows,
    }
    return this.driver.ask((groups, ticket, now) => groups.syncGroup(request, ticket, now))
  }

  synced(ticket: number): void {
    const { errorCode, assignment } = this.driver.synced(ticket)
    assert.equal(errorName(errorCode), 'NONE')
    this.owned = assignmentIn(assignment)
  }

  /** Joins and syncs in a group where nobody waits. */
  fetch(): Owned {
    this.joined(this.ticket())
    this.synced(this.syncTicket())
    return this.owned
  }

  heartbeat(): string {
    const options = { groupInstanceId: this.groupInstanceId }
    return errorName(this.driver.heartbeat(this.memberId, this.generation, options).errorCode)
  }
}

/** A stable classic group of two, each with two of the four partitions. */
function classicGroup(driver: GroupDriver, instances: (string | null)[] = [null, null], userData: Buffer | null = null): ClassicMember[] {
  const members = instances.map((instance) => new ClassicMember(driver, instance))
  const joins = members.map((member) => (member.groupInstanceId === null ? member.begin() : member.ticket()))
  driver.advance(0)
  const again = members.map((member, i) => {
    if (driver.replies.has(joins[i]!)) member.joined(joins[i]!)
    return member
  })
  const late = again.filter((member) => member.heartbeat() === 'REBALANCE_IN_PROGRESS').map((member) => [member, member.ticket()] as const)
  for (const [i, member] of members.entries()) if (member.generation === -1) member.joined(joins[i]!)
  for (const [member, ticket] of late) member.joined(ticket)
  const assignments = Object.fromEntries(members.map(({ memberId }, i) => [memberId, assignmentBytes({ t: [2 * i, 2 * i + 1] }, userData)]))
  const syncs = members.map((member) => member.syncTicket(assignments))
  for (const [i, member] of members.entries()) member.synced(syncs[i]!)
  assert.equal(driver.state(), 'Stable')
  return members
}

function describe(driver: GroupDriver) {
  const { members, ...group } = driver.groups.describeConsumerGroup('g')
  return { ...group, members: members.sort((a, b) => (a.memberId < b.memberId ? -1 : 1)) }
}

test('a classic group goes over to the consumer protocol with its first such member, and hands partitions over without a stop', () => {
  const driver = driverOf()
  const [a, b] = classicGroup(driver) as [ClassicMember, ClassicMember]
  const joined = driver.beat('c', 0)
  assert.equal(errorName(joined.errorCode), 'NONE')
  assert.deepEqual(driver.assigned(joined), {}, 'all is still owned')
  assert.equal(joined.memberEpoch, a.generation + 1)
  assert.deepEqual(
    describe(driver).members.map(({ memberType }) => memberType),
    [1, 0, 0],
  )
  const before = { a: a.owned, b: b.owned }
  for (const member of [a, b]) {
    assert.equal(member.heartbeat(), 'REBALANCE_IN_PROGRESS')
    member.fetch()
    if (member.heartbeat() === 'REBALANCE_IN_PROGRESS') member.fetch()
    assert.equal(member.heartbeat(), 'NONE')
  }
  assert.ok([...a.owned.t!, ...b.owned.t!].every((partition) => [...before.a.t!, ...before.b.t!].includes(partition)))
  const got = driver.assigned(driver.beat('c', joined.memberEpoch))!
  assert.deepEqual([...a.owned.t!, ...b.owned.t!, ...got.t!].sort(), [0, 1, 2, 3])
  assert.equal(describe(driver).groupState, 'Stable')
  assert.deepEqual(describe(driver.restarted()), describe(driver))
})

test('it goes back to the classic protocol when the last member of the consumer protocol leaves, and everyone joins again', () => {
  const driver = driverOf()
  const [a, b] = classicGroup(driver) as [ClassicMember, ClassicMember]
  const { memberEpoch } = driver.beat('c', 0)
  driver.beat('c', -1)
  assert.equal(driver.state(), 'PreparingRebalance')
  assert.throws(() => describe(driver), /not a consumer group/)
  assert.equal(a.heartbeat(), 'ILLEGAL_GENERATION', 'the generation is the epoch of the group that was')
  const joins = [a.ticket(), b.ticket()]
  a.joined(joins[0]!)
  b.joined(joins[1]!)
  assert.ok(a.generation > memberEpoch)
  assert.equal(driver.restarted().state(), 'Stable', 'as the log has it')
})

test('a member that goes over under the same instance id takes its place; the last to come back takes the group with it', () => {
  const driver = driverOf()
  const [a, b] = classicGroup(driver, ['i', 'j']) as [ClassicMember, ClassicMember]
  const up = driver.beat('c', 0, { instanceId: 'i' })
  assert.deepEqual(driver.assigned(up), { t: [0, 1] }, 'what its instance had')
  assert.equal(a.heartbeat(), 'FENCED_INSTANCE_ID')
  assert.equal(b.heartbeat(), 'NONE')
  const back = new ClassicMember(driver, 'i')
  back.joined(back.ticket())
  assert.equal(driver.state(), 'Stable', 'nobody has to join again')
  back.synced(back.syncTicket())
  assert.deepEqual(back.owned, { t: [0, 1] })
  assert.equal(errorName(driver.beat('c', up.memberEpoch, { instanceId: 'i' }).errorCode), 'GROUP_ID_NOT_FOUND')
})

test('the policy decides whether groups with members change their protocol', () => {
  for (const [policy, up, down] of [
    ['disabled', false, false],
    ['upgrade', true, false],
    ['downgrade', false, true],
    ['bidirectional', true, true],
  ] as const) {
    const driver = driverOf(policy)
    classicGroup(driver)
    const { errorCode, errorMessage } = driver.beat('c', 0)
    assert.equal(errorName(errorCode), up ? 'NONE' : 'GROUP_ID_NOT_FOUND', policy)
    if (!up) {
      assert.equal(errorMessage, 'Cannot upgrade classic group g to consumer group because online upgrade is disabled.')
      continue
    }
    driver.beat('c', -1)
    assert.equal(driver.state() !== 'Dead', down, policy)
  }
})

test('a group that no coordinator can assign for stays what it is', () => {
  const driver = driverOf()
  classicGroup(driver, [null, null], Buffer.from('sticky'))
  assert.match(String(driver.beat('c', 0).errorMessage), /unsupported custom assignor/)
  const other = driverOf()
  const { ticket } = other.joinTwice({ protocolType: 'connect', protocols: { default: 'x' } })
  other.advance(0)
  other.joined(ticket)
  assert.match(String(other.beat('c', 0).errorMessage), /does not use the consumer embedded protocol/)
  const odd = driverOf()
  odd.joinTwice({ protocols: { range: '' } })
  odd.advance(0)
  assert.match(String(odd.beat('c', 0).errorMessage), /malformed/)
})

test('when the records of an upgrade cannot be appended the group is a classic one as before, and its members join again', () => {
  const driver = driverOf()
  const [a, b] = classicGroup(driver) as [ClassicMember, ClassicMember]
  driver.isHolding = true
  const ticket = driver.beatTicket('c', 0)
  driver.settle('NOT_ENOUGH_REPLICAS')
  driver.isHolding = false
  assert.equal(errorName(driver.reply<{ errorCode: number }>(ticket).errorCode), 'COORDINATOR_NOT_AVAILABLE')
  assert.equal(driver.state(), 'PreparingRebalance')
  const joins = [a.ticket(), b.ticket()]
  a.joined(joins[0]!)
  b.joined(joins[1]!)
})

test('when the records of a downgrade cannot be appended the group is of the consumer protocol as before', () => {
  const driver = driverOf()
  classicGroup(driver)
  driver.beat('c', 0)
  const before = describe(driver)
  driver.isHolding = true
  const ticket = driver.beatTicket('c', -1)
  driver.settle('NOT_LEADER_OR_FOLLOWER')
  driver.isHolding = false
  assert.equal(errorName(driver.reply<{ errorCode: number }>(ticket).errorCode), 'NOT_COORDINATOR')
  assert.deepEqual(describe(driver), before)
})

test('classic members of a consumer group are out when they do not join or sync in time, or are removed', () => {
  const driver = driverOf()
  const [a, b] = classicGroup(driver) as [ClassicMember, ClassicMember]
  driver.beat('c', 0, { rebalanceTimeoutMs: 300_000 })
  const idsAfter = (ms: number, ...alive: ClassicMember[]) => {
    for (let passed = 0; passed < ms; passed += 1000) {
      driver.advance(1000)
      for (const member of alive) member.heartbeat()
      driver.beat('c', describe(driver).members.find(({ memberId }) => memberId === 'c')!.memberEpoch)
    }
    return describe(driver).members.map(({ memberId }) => memberId)
  }
  assert.equal(a.heartbeat(), 'REBALANCE_IN_PROGRESS')
  b.fetch()
  if (b.heartbeat() === 'REBALANCE_IN_PROGRESS') b.fetch()
  assert.deepEqual(idsAfter(60_000, a, b), ['c', b.memberId], 'a heartbeats, and does not join within its rebalance timeout')
  assert.equal(a.heartbeat(), 'UNKNOWN_MEMBER_ID')
  b.joined(b.ticket())
  assert.deepEqual(idsAfter(60_000, b), ['c'], 'b did not sync')
  const d = new ClassicMember(driver)
  d.joined(d.begin())
  assert.deepEqual(
    driver.leave([{ memberId: d.memberId }, { memberId: 'x' }]).members.map(({ errorCode }) => errorName(errorCode)),
    ['NONE', 'UNKNOWN_MEMBER_ID'],
  )
  assert.equal(errorName(driver.committed(driver.commit({ memberId: 'c', generationId: 99, apiVersion: 9 }))), 'STALE_MEMBER_EPOCH')
})
