import assert from 'node:assert/strict'
import test from 'node:test'
import type { Ticket } from '@tidelog/coordinator'
import { type Random, seededRandom } from '@tidelog/core'
import type { ErrorName, JoinGroupResponse, SyncGroupResponse } from '@tidelog/protocol'
import { errorName } from '@tidelog/protocol'
import { GroupDriver } from '@tidelog/testkit'

const partitions = 12

/** A consumer that does what Java's does with each answer, at moments that the schedule chooses. */
class SimulatedMember {
  readonly instanceId: string | null
  memberId = ''
  generation = -1
  version = 0
  waiting: { kind: 'join' | 'sync'; ticket: Ticket } | undefined
  joined: JoinGroupResponse | undefined
  isStable = false
  isAlive = true

  constructor(instanceId: string | null) {
    this.instanceId = instanceId
  }

  /** A crash or an error: whatever it knew of its generation is void. */
  reset(keepId: boolean): void {
    if (!keepId) this.memberId = ''
    this.waiting = undefined
    this.joined = undefined
    this.isStable = false
  }
}

class Schedule {
  driver: GroupDriver
  readonly random: Random
  readonly members: SimulatedMember[]
  /** Who owns each partition, by generation; a static member is its instance, whatever its id. */
  readonly owners = new Map<number, Map<number, string>>()
  newestSync = -1
  newestJoin = -1
  syncs = 0
  leaves: Ticket[] = []

  constructor(seed: number) {
    this.random = seededRandom(seed)
    const config = { initialRebalanceDelayMs: this.random.int(2) * 3000, maxSize: 3 + this.random.int(8) }
    this.driver = new GroupDriver({ config, seed })
    const count = 3 + this.random.int(8)
    this.members = Array.from({ length: count }, (_, i) => new SimulatedMember(this.random.int(3) === 0 ? `i${i}` : null))
  }

  run(steps: number): void {
    for (let step = 0; step < steps; step++) {
      this.act(this.members[this.random.int(this.members.length)]!)
      if (this.random.int(4) === 0) this.driver.advance(this.random.int(4000))
      if (this.random.int(10) === 0) this.driver.isHolding = true
      else if (this.driver.isHolding && this.random.int(3) === 0) this.release()
      if (this.random.int(150) === 0) this.restart()
      for (const member of this.members) this.collect(member)
      this.checkGroup()
    }
    this.finish()
  }

  act(member: SimulatedMember): void {
    const { driver, random } = this
    const choice = random.int(20)
    if (choice === 0) {
      // Gone without a word; its connection's answers are lost.
      member.isAlive = false
      member.reset(false)
    } else if (choice === 1 && member.memberId !== '' && member.waiting === undefined) {
      const leaving = { memberId: member.memberId, groupInstanceId: member.instanceId, reason: null }
      this.leaves.push(driver.ask((groups, ticket, now) => groups.leaveGroup({ groupId: 'g', members: [leaving] }, ticket, now)))
      member.reset(false)
    } else if (choice === 2) {
      member.version++
      if (member.isStable) this.join(member)
    } else if (choice === 3 && member.isStable) this.join(member)
    else if (!member.isAlive) member.isAlive = random.int(3) > 0
    else if (member.waiting !== undefined) return
    else if (member.isStable) {
      this.heed(member, errorName(driver.heartbeat(member.memberId, member.generation, { groupInstanceId: member.instanceId }).errorCode))
    } else if (member.joined !== undefined) this.sync(member, member.joined)
    else this.join(member)
  }

  join(member: SimulatedMember): void {
    member.reset(true)
    const protocols = { sticky: `v${member.version}`, range: `v${member.version}` }
    const { memberId, instanceId: groupInstanceId } = member
    const apiVersion = this.random.int(10)
    const options = { memberId, groupInstanceId, protocols, apiVersion: groupInstanceId === null ? apiVersion : 5 + (apiVersion % 5) }
    const ticket = this.driver.join({ ...options, sessionTimeoutMs: 6000 + this.random.int(6000), rebalanceTimeoutMs: 10_000 })
    member.waiting = { kind: 'join', ticket }
  }

  sync(member: SimulatedMember, { generationId, members, skipAssignment }: JoinGroupResponse): void {
    const assignments: Record<string, string> = {}
    if (members.length > 0 && !skipAssignment) {
      for (const [i, { memberId }] of members.entries()) {
        assignments[memberId] = Array.from({ length: partitions }, (_, p) => p)
          .filter((p) => p % members.length === i)
          .join(',')
      }
    }
    const { memberId, instanceId: groupInstanceId } = member
    member.waiting = { kind: 'sync', ticket: this.driver.sync({ memberId, generationId, groupInstanceId, assignments }) }
  }

  /** Takes the answer that has come for a member that still waits for it. */
  collect(member: SimulatedMember): void {
    if (member.waiting === undefined || !this.driver.replies.has(member.waiting.ticket)) return
    const { kind, ticket } = member.waiting
    member.waiting = undefined
    const response = this.driver.reply<JoinGroupResponse | SyncGroupResponse>(ticket)
    if (response.errorCode !== 0) {
      if ('memberId' in response && errorName(response.errorCode) === 'MEMBER_ID_REQUIRED') member.memberId = response.memberId
      else this.heed(member, errorName(response.errorCode))
    } else if (kind === 'join') this.takeJoin(member, response as JoinGroupResponse)
    else this.takeSync(member, response as SyncGroupResponse)
  }

  takeJoin(member: SimulatedMember, response: JoinGroupResponse): void {
    assert.ok(response.generationId >= this.newestJoin, `generation went from ${this.newestJoin} back to ${response.generationId}`)
    this.newestJoin = response.generationId
    member.memberId = response.memberId
    member.generation = response.generationId
    member.joined = response
  }

  takeSync(member: SimulatedMember, { assignment }: SyncGroupResponse): void {
    assert.ok(member.generation >= this.newestSync, `generation ${member.generation} was assigned after ${this.newestSync}`)
    this.newestSync = member.generation
    this.syncs++
    member.isStable = true
    const owners = this.owners.get(member.generation) ?? new Map<number, string>()
    this.owners.set(member.generation, owners)
    const owner = member.instanceId ?? member.memberId
    for (const partition of assignment.toString().split(',').filter(Boolean).map(Number)) {
      const other = owners.get(partition)
      assert.ok(other === undefined || other === owner, `partition ${partition} of generation ${member.generation}: ${other} and ${owner}`)
      owners.set(partition, owner)
    }
  }

  heed(member: SimulatedMember, error: ErrorName): void {
    if (error === 'NONE') return
    if (error === 'REBALANCE_IN_PROGRESS') this.join(member)
    else member.reset(!['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'FENCED_INSTANCE_ID', 'GROUP_MAX_SIZE_REACHED'].includes(error))
  }

  release(): void {
    this.driver.isHolding = false
    this.driver.settle(this.random.int(4) === 0 ? 'NOT_ENOUGH_REPLICAS' : undefined)
  }

  /** The broker is killed: what waited is never answered, what was held is lost. */
  restart(): void {
    this.driver = this.driver.restarted()
    this.newestJoin = this.newestSync
    this.leaves = []
    for (const member of this.members) if (member.waiting !== undefined) member.reset(true)
  }

  checkGroup(): void {
    const { groupState, members } = this.driver.groups.describeGroup('g', { apiVersion: 5 })
    if (groupState === 'Empty') assert.equal(members.length, 0)
    const instances = members.map(({ groupInstanceId }) => groupInstanceId).filter((id) => id !== null)
    assert.equal(new Set(instances).size, instances.length, 'one member an instance')
  }

  /** Everyone falls silent: every request that waits is answered, and nobody stays. */
  finish(): void {
    this.release()
    this.driver.advance(3_600_000)
    for (const { waiting } of this.members) {
      if (waiting !== undefined) assert.ok(this.driver.replies.has(waiting.ticket), `${waiting.kind} ${waiting.ticket} is never answered`)
    }
    for (const ticket of this.leaves) assert.ok(this.driver.replies.has(ticket), `leave ${ticket} is never answered`)
    assert.ok(['Empty', 'Dead'].includes(this.driver.state()), this.driver.state())
  }
}

test('whatever members do, partitions have one owner a generation, generations rise, and every request is answered', () => {
  let syncs = 0
  for (let seed = 1; seed <= 60; seed++) {
    const schedule = new Schedule(seed)
    try {
      schedule.run(400)
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : error}`)
    }
    syncs += schedule.syncs
  }
  assert.ok(syncs > 300, `only ${syncs} assignments were made: the schedules prove nothing`)
})
