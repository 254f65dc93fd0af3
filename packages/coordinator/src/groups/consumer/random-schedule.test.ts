import assert from 'node:assert/strict'
import test from 'node:test'
import type { Ticket } from '@tidelog/coordinator'
import { type Random, seededRandom } from '@tidelog/core'
import { type ConsumerGroupHeartbeatResponse, type ErrorName, errorName } from '@tidelog/protocol'
import { GroupDriver, type Owned } from '@tidelog/testkit'

const topics = ['a', 'b', 'c']
const subscriptions = [['a'], ['a', 'b'], ['a', 'b', 'c'], ['c', 'missing']]

/** A consumer that follows the protocol as Java's does: it has what it was last told, and what it gave up only once it has said so. */
class SimulatedMember {
  readonly id: string
  readonly instanceId: string | null
  epoch = 0
  owned: Owned = {}
  names: string[] = []
  regex = ''
  waiting: { ticket: Ticket; leaves: number; joins: boolean } | undefined
  /** It does not know whether its last heartbeat was heard: the next one says all again. */
  mustTellAll = false
  isAlive = false

  constructor(id: string, instanceId: string | null) {
    this.id = id
    this.instanceId = instanceId
  }

  reset(): void {
    this.epoch = 0
    this.owned = {}
    this.waiting = undefined
    this.isAlive = false
  }
}

const failures: ErrorName[] = ['NOT_ENOUGH_REPLICAS', 'NOT_LEADER_OR_FOLLOWER', 'KAFKA_STORAGE_ERROR']

const byName = ({ topicPartitions }: { topicPartitions: { topicName: string; partitions: number[] }[] }): Owned =>
  Object.fromEntries(topicPartitions.map(({ topicName, partitions }) => [topicName, partitions]))

class Schedule {
  driver: GroupDriver
  readonly random: Random
  readonly members: SimulatedMember[]
  /** The highest epoch that the log has had. */
  epoch = 0

  constructor(seed: number) {
    this.random = seededRandom(seed)
    const settings = { sessionTimeoutMs: 10_000, heartbeatIntervalMs: 3000, assignmentIntervalMs: this.random.int(2) * 500 }
    const config = {
      consumer: { maxSize: 20, assignors: ['uniform', 'range'], migrationPolicy: 'disabled' as const, settingsOf: () => settings },
    }
    this.driver = new GroupDriver({ config, seed })
    for (const [i, topic] of topics.entries()) this.driver.topics.set(topic, 2 + i * 3)
    const count = 2 + this.random.int(7)
    this.members = Array.from({ length: count }, (_, i) => new SimulatedMember(`m${i}`, this.random.int(4) === 0 ? `i${i}` : null))
  }

  run(steps: number): void {
    for (let step = 0; step < steps; step++) {
      this.act(this.pick(this.members))
      if (this.random.int(3) === 0) this.driver.advance(this.random.int(2500))
      if (this.random.int(12) === 0) this.driver.isHolding = true
      else if (this.driver.isHolding && this.random.int(3) === 0) this.release()
      if (this.random.int(60) === 0) this.changeTopics()
      if (this.random.int(200) === 0) this.restart()
      for (const member of this.members) this.collect(member)
      this.check()
    }
    this.finish()
  }

  pick<T>(from: readonly T[]): T {
    return from[this.random.int(from.length)]!
  }

  act(member: SimulatedMember): void {
    if (member.waiting !== undefined) return
    const choice = this.random.int(30)
    if (!member.isAlive) this.join(member)
    else if (choice === 0) member.reset()
    else if (choice === 1) this.leave(member)
    else if (choice === 2) this.subscribe(member)
    else this.beat(member, choice < 20)
  }

  join(member: SimulatedMember): void {
    this.subscribe(member, { memberEpoch: 0, rebalanceTimeoutMs: 5000, topicPartitions: [] })
  }

  subscribe(member: SimulatedMember, fields: Parameters<GroupDriver['beatTicket']>[2] = {}): void {
    member.names = this.pick(subscriptions)
    member.regex = this.random.int(4) === 0 ? '[bc]' : ''
    const serverAssignor = this.random.int(3) === 0 ? this.pick(['uniform', 'range']) : null
    const subscription = { subscribedTopicNames: member.names, subscribedTopicRegex: member.regex, serverAssignor }
    this.send(member, { ...subscription, ...fields })
  }

  beat(member: SimulatedMember, tells: boolean): void {
    const { names: subscribedTopicNames, regex: subscribedTopicRegex, mustTellAll } = member
    const all = mustTellAll ? { subscribedTopicNames, subscribedTopicRegex, rebalanceTimeoutMs: 5000 } : {}
    this.send(member, tells || mustTellAll ? { owned: this.known(member.owned), ...all } : {})
  }

  leave(member: SimulatedMember): void {
    const memberEpoch = member.instanceId !== null && this.random.int(2) === 0 ? -2 : -1
    this.send(member, { memberEpoch })
  }

  /** Topics that are gone have no id to report by. */
  known(owned: Owned): Owned {
    return Object.fromEntries(Object.entries(owned).filter(([topic]) => this.driver.topics.byName(topic) !== undefined))
  }

  send(member: SimulatedMember, fields: Parameters<GroupDriver['beatTicket']>[2]): void {
    const memberEpoch = fields?.memberEpoch ?? member.epoch
    const ticket = this.driver.beatTicket(member.id, memberEpoch, { instanceId: member.instanceId, ...fields })
    member.waiting = { ticket, leaves: Math.min(memberEpoch, 0), joins: memberEpoch === 0 }
    this.collect(member)
  }

  collect(member: SimulatedMember): void {
    const { waiting } = member
    if (waiting === undefined || !this.driver.replies.has(waiting.ticket)) return
    member.waiting = undefined
    const response = this.driver.reply<ConsumerGroupHeartbeatResponse>(waiting.ticket)
    const error = errorName(response.errorCode)
    if (error === 'NONE') {
      member.mustTellAll = false
      if (waiting.leaves < 0) member.reset()
      else this.follow(member, response, waiting.joins)
    } else if (error === 'COORDINATOR_NOT_AVAILABLE' || error === 'NOT_COORDINATOR') {
      member.mustTellAll = true
    } else {
      assert.match(error, /^(FENCED_MEMBER_EPOCH|UNKNOWN_MEMBER_ID|GROUP_ID_NOT_FOUND|UNRELEASED_INSTANCE_ID|FENCED_INSTANCE_ID)$/)
      member.reset()
    }
  }

  follow(member: SimulatedMember, response: ConsumerGroupHeartbeatResponse, joins: boolean): void {
    if (!joins)
      assert.ok(response.memberEpoch >= member.epoch, `${member.id} went from epoch ${member.epoch} back to ${response.memberEpoch}`)
    member.epoch = response.memberEpoch
    member.isAlive = true
    if (response.assignment === null) return
    const rows = response.assignment.topicPartitions.flatMap(({ topicId, partitions }) => {
      const name = this.driver.topics.byId(topicId)?.name
      return name === undefined ? [] : [[name, partitions] as const]
    })
    member.owned = Object.fromEntries(rows)
  }

  changeTopics(): void {
    const topic = this.pick(topics)
    const existing = this.driver.topics.byName(topic)
    if (existing === undefined) this.driver.topics.set(topic, 1 + this.random.int(6), { incarnation: this.random.int(1000) })
    else if (this.random.int(3) === 0) this.driver.topics.delete(topic)
    else this.driver.topics.set(topic, existing.partitionCount + 1)
    this.driver.groups.topicsChanged(new Set([topic]), this.driver.now)
  }

  release(): void {
    this.driver.isHolding = false
    this.driver.settle(this.random.int(4) === 0 ? this.pick(failures) : undefined)
  }

  /** The broker stops: what is under way is lost with its answers. */
  restart(): void {
    this.driver.isHolding = false
    this.driver = this.driver.restarted()
    for (const member of this.members) {
      member.mustTellAll ||= member.waiting !== undefined
      member.waiting = undefined
    }
  }

  described() {
    return this.driver.groups.describeConsumerGroup('g')
  }

  check(): void {
    if (!this.driver.groups.listGroups({ states: new Set(), types: new Set() }).some(({ groupId }) => groupId === 'g')) return
    const { members, groupEpoch, assignmentEpoch } = this.described()
    assert.ok(groupEpoch >= this.epoch, `the group went from epoch ${this.epoch} back to ${groupEpoch}`)
    this.epoch = groupEpoch
    assert.ok(assignmentEpoch <= groupEpoch)
    const owners = new Map<string, string>()
    const targets = new Map<string, string>()
    for (const { memberId, memberEpoch, assignment, targetAssignment } of members) {
      assert.ok(memberEpoch <= groupEpoch)
      for (const { topicId, partitions } of assignment.topicPartitions) {
        for (const partition of partitions) {
          const key = `${topicId}-${partition}`
          assert.equal(owners.get(key), undefined, `${key} is ${owners.get(key)}'s and ${memberId}'s`)
          owners.set(key, memberId)
        }
      }
      for (const { topicId, partitions } of targetAssignment.topicPartitions) {
        for (const partition of partitions) {
          const key = `${topicId}-${partition}`
          assert.equal(targets.get(key), undefined, `${key} is to be ${targets.get(key)}'s and ${memberId}'s`)
          targets.set(key, memberId)
        }
      }
    }
  }

  /** When nothing happens any more, everyone ends with a share of every topic that anyone subscribes to, and the log says the same. */
  finish(): void {
    if (this.driver.isHolding) this.driver.isHolding = false
    this.driver.settle()
    for (const member of this.members) this.collect(member)
    for (let round = 0; round < 40; round++) {
      for (const member of this.members) {
        if (!member.isAlive) this.join(member)
        else this.beat(member, true)
        this.check()
      }
      this.driver.advance(2000)
    }
    const { groupState, members } = this.described()
    assert.equal(groupState, 'Stable')
    for (const member of this.members) {
      const seen = members.find(({ memberId }) => memberId === member.id)
      assert.ok(seen, `${member.id} is in the group`)
      assert.deepEqual(byName(seen.assignment), byName(seen.targetAssignment))
      assert.deepEqual(this.known(member.owned), byName(seen.assignment), `${member.id} has what the coordinator thinks it has`)
    }
    const assigned = members.flatMap(({ assignment }) =>
      assignment.topicPartitions.flatMap(({ topicName, partitions }) => partitions.map((p) => `${topicName}-${p}`)),
    )
    const wanted = new Set(this.members.flatMap(({ names, regex }) => [...names, ...(regex === '' ? [] : ['b', 'c'])]))
    const existing = [...wanted].flatMap((name) => {
      const topic = this.driver.topics.byName(name)
      return topic === undefined ? [] : Array.from({ length: topic.partitionCount }, (_, p) => `${name}-${p}`)
    })
    assert.deepEqual(assigned.sort(), existing.sort(), 'each partition of a topic that anyone subscribes to has an owner')
    const inOrder = (driver: GroupDriver) => {
      const { members: unsorted, ...group } = driver.groups.describeConsumerGroup('g')
      const plain = unsorted.map(({ assignment, targetAssignment, ...member }) => ({
        ...member,
        subscribedTopicNames: member.subscribedTopicNames.sort(),
        assignment: byName(assignment),
        targetAssignment: byName(targetAssignment),
      }))
      return { ...group, members: plain.sort((a, b) => (a.memberId < b.memberId ? -1 : 1)) }
    }
    assert.deepEqual(inOrder(this.driver.restarted()), inOrder(this.driver), 'the log says the same')
  }
}

/** The last ones have failed once. */
const seeds = [1, 2, 3, 4, 5, 6, 7, 8, 38]

test('whatever members do, a partition has one owner, epochs rise, and when they are quiet everyone has a share (G4, G5)', () => {
  for (const seed of seeds) {
    try {
      new Schedule(seed).run(400)
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error })
    }
  }
})
