import assert from 'node:assert/strict'
import test from 'node:test'
import type { Ticket } from '@tidelog/coordinator'
import { type Random, seededRandom } from '@tidelog/core'
import type { ErrorName, JoinGroupResponse, SyncGroupResponse } from '@tidelog/protocol'
import { errorName } from '@tidelog/protocol'
import { GroupDriver } from '@tidelog/testkit'

const partitions = 12

/** Seeds that have failed once; they are run for ever. */
const failedSeeds: readonly number[] = []

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
  /** Commits and deletions of the offset under way, in the order they were asked for. */
  offsetCalls: { readonly ticket: Ticket; readonly offset: number }[] = []
  /** What an answer has promised; -1: nothing. */
  committed = -1
  /** Calls whose outcome a restart has left open: the log may hold any of them. */
  possible: number[] = []
  nextOffset = 0
  commits = 0

  constructor(seed: number) {
    this.random = seededRandom(seed)
    const config = { initialRebalanceDelayMs: this.random.int(2) * 3000, maxSize: 3 + this.random.int(8) }
    this.driver = new GroupDriver({ config, seed })
    const count = 3 + this.random.int(8)
    // Of static instances there may be two at a time: a process that was thought dead, and the one that was started in its place.
    this.members = Array.from({ length: count }, (_, i) => new SimulatedMember(this.random.int(3) === 0 ? `i${i % 4}` : null))
  }

  run(steps: number): void {
    for (let step = 0; step < steps; step++) {
      this.act(this.members[this.random.int(this.members.length)]!)
      if (this.random.int(4) === 0) this.driver.advance(this.random.int(4000))
      if (this.random.int(10) === 0) this.driver.isHolding = true
      else if (this.driver.isHolding && this.random.int(3) === 0) this.release()
      if (this.random.int(150) === 0) this.restart()
      for (const member of this.answered()) this.collect(member)
      this.collectOffsets()
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
    } else if (choice >= 6 && choice <= 10 && member.isStable) this.commit(member)
    else if (choice === 5 && random.int(8) === 0) this.administer(member)
    else if (choice === 2) {
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

  /** Commits what comes next, from a member that believes in its generation or, once nobody is there, from a tool. */
  commit(member: SimulatedMember): void {
    const offset = this.nextOffset++
    const { memberId, generation: generationId, instanceId: groupInstanceId } = member
    this.offsetCalls.push({ ticket: this.driver.commit({ memberId, generationId, groupInstanceId, offset }), offset })
  }

  /** What tools do: take a static member out, delete offsets, delete the group. */
  administer({ instanceId }: SimulatedMember): void {
    const { driver, random } = this
    if (instanceId !== null && random.int(2) === 0) {
      const leaving = { memberId: '', groupInstanceId: instanceId, reason: null }
      this.leaves.push(driver.ask((groups, ticket, now) => groups.leaveGroup({ groupId: 'g', members: [leaving] }, ticket, now)))
    } else if (random.int(2) === 0) {
      const topics = [{ name: 't', partitions: [{ partitionIndex: 0 }] }]
      this.offsetCalls.push({
        ticket: driver.ask((groups, ticket, now) => groups.deleteOffsets({ groupId: 'g', topics }, ticket, now)),
        offset: -1,
      })
    } else {
      if (driver.state() === 'Empty') {
        // Whoever comes next makes a new group, whose generations begin anew.
        this.newestJoin = -1
        this.newestSync = -1
        this.owners.clear()
      }
      this.offsetCalls.push({ ticket: driver.ask((groups, ticket, now) => groups.deleteGroup('g', ticket, now)), offset: -1 })
    }
  }

  /** Answers come in the order of the calls; a successful one is what everybody reads from then on. */
  collectOffsets(): void {
    while (this.offsetCalls.length > 0 && this.driver.replies.has(this.offsetCalls[0]!.ticket)) {
      const { ticket, offset } = this.offsetCalls.shift()!
      if (offset >= 0) {
        if (this.driver.committed(ticket) !== 0) continue
        this.commits++
      } else {
        const answer = this.driver.reply<number | { errorCode: number; topics: { partitions: { errorCode: number }[] }[] }>(ticket)
        const errors =
          typeof answer === 'number' ? [answer] : [answer.errorCode, ...answer.topics.map(({ partitions }) => partitions[0]!.errorCode)]
        if (errors.some((error) => error !== 0)) continue
      }
      this.committed = offset
      this.possible = []
    }
    if (this.offsetCalls.length > 0) return
    const found = this.driver.offset()
    if (this.possible.includes(found)) this.committed = found
    assert.equal(found, this.committed, 'what was answered is what is committed')
    this.possible = []
  }

  /** Members whose answers have come, in the order in which these came: time that passes may end several generations. */
  answered(): SimulatedMember[] {
    const waiting = new Map(this.members.map((member) => [member.waiting?.ticket, member]))
    return [...this.driver.replies.keys()].flatMap((ticket) => waiting.get(ticket) ?? [])
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
    this.possible = this.offsetCalls.map(({ offset }) => offset)
    this.offsetCalls = []
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
    this.collectOffsets()
    this.driver.advance(3_600_000)
    for (const { ticket } of this.offsetCalls) assert.ok(this.driver.replies.has(ticket), `offset call ${ticket} is never answered`)
    for (const { waiting } of this.members) {
      if (waiting !== undefined) assert.ok(this.driver.replies.has(waiting.ticket), `${waiting.kind} ${waiting.ticket} is never answered`)
    }
    for (const ticket of this.leaves) assert.ok(this.driver.replies.has(ticket), `leave ${ticket} is never answered`)
    assert.ok(['Empty', 'Dead'].includes(this.driver.state()), this.driver.state())
  }
}

test('whatever members and tools do, partitions have one owner a generation, generations rise, committed offsets are those that were answered, and every request is answered', () => {
  let [syncs, commits] = [0, 0]
  for (const seed of [...failedSeeds, ...Array.from({ length: 40 }, (_, i) => i + 1)]) {
    const schedule = new Schedule(seed)
    try {
      schedule.run(400)
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : error}`)
    }
    syncs += schedule.syncs
    commits += schedule.commits
  }
  assert.ok(syncs > 300, `only ${syncs} assignments were made: the schedules prove nothing`)
  assert.ok(commits > 300, `only ${commits} commits succeeded: the schedules prove nothing`)
})
