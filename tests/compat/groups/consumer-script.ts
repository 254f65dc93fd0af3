/** What two brokers must answer alike: groups of the consumer protocol, step by step. */
import { type Random, seededRandom } from '@tidelog/core'
import type { GroupStage, Owned } from './group-stage.ts'

export async function refusals(stage: GroupStage): Promise<void> {
  const beat = (what: string, options: Parameters<GroupStage['beat']>[2] & { id?: string }) => {
    const { id = 'x', ...rest } = options
    return stage.beat(`refused: ${what}`, id, { groupId: 'refused', subscribedTopicNames: ['A'], ...rest })
  }
  await beat('no member id', { id: '' })
  await beat('no group id', { groupId: '' })
  await beat('empty instance id', { instanceId: '' })
  await beat('blank rack', { rackId: ' ' })
  await beat('no rebalance timeout', { rebalanceTimeoutMs: -1 })
  await beat('joins with partitions', { owned: { A: [0] } })
  await beat('joins without topics', { subscribedTopicNames: undefined as never })
  await beat('static leave without instance', { memberEpoch: -2 })
  await beat('epoch -3', { memberEpoch: -3 })
  await beat('assignor', { serverAssignor: 'best' })
  await beat('regex', { subscribedTopicRegex: '(' })
  await beat('unknown group', { memberEpoch: 3 })
  await beat('leaves unknown group', { memberEpoch: -1 })
  await stage.describe('refused: nothing is left', 'refused')
}

export async function ordinary(stage: GroupStage): Promise<void> {
  const A = { subscribedTopicNames: ['A'] }
  await stage.beat('a joins', 'a', A)
  await stage.describe('described with one member')
  await stage.list('listed')
  await stage.beat('a again', 'a')
  await stage.beat('a tells all', 'a', { ...A, rebalanceTimeoutMs: 60_000, owned: stage.member('a').owned })
  await stage.commit('a commits', 'a', stage.member('a').epoch, 'A', 0)
  await stage.commit('a commits by id', 'a', stage.member('a').epoch, 'A', 0, 10)
  await stage.commit('a commits in an old version', 'a', stage.member('a').epoch, 'A', 0, 8)
  await stage.beat('b joins', 'b', A)
  await stage.describe('described while reconciling')
  await stage.beat('a is told to give up', 'a')
  await stage.beat('a has not given up', 'a')
  await stage.beat('a still has all', 'a', { owned: { A: [0, 1, 2, 3, 4, 5] } })
  await stage.beat('b waits', 'b')
  await stage.beat('a has given up', 'a', { owned: stage.member('a').owned })
  await stage.beat('a missed the answer', 'a', { memberEpoch: 2, owned: stage.member('a').owned })
  await stage.beat('a missed the answer and does not tell', 'a', { memberEpoch: 2 })
  await stage.beat('a in an epoch to come', 'a', { memberEpoch: 9 })
  await stage.beat('b gets its share', 'b')
  await stage.describe('described when stable')
  for (const epoch of [-1, 0, 1, 2, 3, 4]) {
    await stage.commit(`a commits partition 0 in epoch ${epoch}`, 'a', epoch, 'A', 0)
    await stage.commit(`b commits partition 5 in epoch ${epoch}`, 'b', epoch, 'A', 5)
    await stage.commit(`a commits another's partition in epoch ${epoch}`, 'a', epoch, 'A', 5)
    await stage.commit(`nobody commits in epoch ${epoch}`, '', epoch, 'A', 0)
    await stage.offsets(`a reads offsets in epoch ${epoch}`, 'a', epoch, 'A')
    if (epoch < 0) await stage.offsets(`a stranger reads offsets in epoch ${epoch}`, null, epoch, 'A')
    await stage.offsets(`an unknown member reads offsets in epoch ${epoch}`, 'x', epoch, 'A')
  }
  await stage.beat('a subscribes to more', 'a', { subscribedTopicNames: ['A', 'B'] })
  await stage.beat('b after that', 'b')
  await stage.beat('b subscribes to something else', 'b', { subscribedTopicNames: ['C', 'nothing'] })
  await stage.beat('b has given up', 'b', { owned: stage.member('b').owned })
  await stage.beat('a after that', 'a')
  await stage.describe('described with different subscriptions')
  await stage.beat('b joins again', 'b', { memberEpoch: 0, ...A })
  await stage.beat('s joins', 's', { instanceId: 'i', serverAssignor: 'range', ...A })
  await stage.beat('t wants its place', 't', { instanceId: 'i', ...A })
  await stage.beat('a stranger in its name', 'x', { instanceId: 'i', memberEpoch: 1 })
  await stage.beat('an unknown instance', 'x', { instanceId: 'j', memberEpoch: 1 })
  await stage.beat('s goes for a while', 's', { instanceId: 'i', memberEpoch: -2 })
  await stage.describe('described with one away')
  await stage.beat('t comes back for it', 't', { instanceId: 'i', ...A })
  await stage.beat('s is unknown now', 's', { instanceId: 'i', memberEpoch: 2 })
  await stage.describe('described with one back')
  await stage.beat('a leaves', 'a', { memberEpoch: -1 })
  await stage.beat('a again after leaving', 'a', { memberEpoch: 3 })
  await stage.beat('t leaves', 't', { instanceId: 'i', memberEpoch: -1 })
  await stage.beat('b leaves', 'b', { memberEpoch: -1 })
  await stage.describe('described when empty')
  await stage.list('listed when empty')
}

/** One turn of a group that lives longer than a broker: it is left while partitions are on their way. */
export async function goOn(stage: GroupStage, turn: number): Promise<void> {
  const of = { groupId: 'lasting' }
  await stage.coordinated('another')
  const beat = (what: string, id: string, options: Parameters<GroupStage['beat']>[2] = {}) =>
    stage.beat(`turn ${turn}: ${what}`, id, { ...of, ...options })
  if (turn > 0) {
    await stage.describe(`turn ${turn}: as it was left`, 'lasting')
    await beat('a has given up', 'a', { owned: stage.member('a').owned })
    await beat(`b${turn - 1} gets what is free`, `b${turn - 1}`)
  } else {
    await beat('a joins', 'a', { subscribedTopicNames: ['A', 'B'] })
    await stage.commit('a commits', 'a', stage.member('a').epoch, 'A', 0, 9, 'lasting')
    await beat('s joins', 's', { instanceId: 'i', subscribedTopicNames: ['A', 'B'] })
    await beat('a gives up', 'a')
    await beat('a has given up', 'a', { owned: stage.member('a').owned })
    await beat('s gets its share', 's', { instanceId: 'i' })
  }
  await beat('s goes on', 's', { instanceId: 'i' })
  await stage.offsets(`turn ${turn}: a reads offsets`, null, -1, 'A', 'lasting')
  await beat(`b${turn} joins`, `b${turn}`, { subscribedTopicNames: ['A', 'B'] })
  await beat('a is to give up', 'a')
  await beat('s is to give up', 's', { instanceId: 'i' })
  await stage.describe(`turn ${turn}: left in the middle`, 'lasting')
}

/** Regular expressions are matched outside of heartbeats, a moment later. */
export async function regular(stage: GroupStage): Promise<void> {
  const of = { groupId: 'regular' }
  const [A, B, C] = ['A', 'B', 'C'].map((topic) => stage.nameOf(topic))
  const settle = () => new Promise((resolve) => setTimeout(resolve, 500))
  const subscribedTopicRegex = `${A}|(?i:${B})`
  await stage.beat('r joins by an expression', 'r', { ...of, subscribedTopicRegex })
  await settle()
  await stage.beat('r gets what matches', 'r', of)
  await stage.describe('by an expression', 'regular')
  await stage.beat('q joins by the same', 'q', { ...of, subscribedTopicRegex })
  await stage.beat('r gives up', 'r', of)
  await stage.beat('r has given up', 'r', { ...of, owned: stage.member('r').owned })
  await stage.beat('q gets its share', 'q', of)
  await stage.beat('n joins by names', 'n', { ...of, subscribedTopicNames: ['C'] })
  await stage.beat('q adds names', 'q', { ...of, subscribedTopicNames: ['C'] })
  for (const id of ['r', 'q', 'n', 'q']) await stage.beat(`${id} goes on`, id, { ...of, owned: stage.member(id).owned })
  await stage.describe('by an expression and by names', 'regular')
  await stage.beat('r changes to names', 'r', { ...of, subscribedTopicRegex: '', subscribedTopicNames: ['A'] })
  await stage.beat('r has given up more', 'r', { ...of, owned: stage.member('r').owned })
  await stage.beat('an expression that does not parse', 'x', { ...of, memberEpoch: 0, subscribedTopicRegex: `${C}[` })
  await stage.beat('q leaves', 'q', { ...of, memberEpoch: -1 })
  await stage.describe('the expression has nobody', 'regular')
}

/** A classic group goes over to the consumer protocol and back, with members that are asked to come along. */
export async function migrating(stage: GroupStage): Promise<void> {
  const all: Owned = { A: [0, 1, 2, 3, 4, 5] }
  const groupId = 'migrating'
  const of = { groupId }
  await stage.join('old joins', 'old', of)
  await stage.sync('old assigns', 'old', { ...of, given: all })
  await stage.describeClassic('classic', groupId)
  await stage.beat('new joins', 'new', { ...of, subscribedTopicNames: ['A'] })
  await stage.describe('upgraded', groupId)
  await stage.heartbeat('old is told to rejoin', 'old', of)
  await stage.join('old rejoins', 'old', of)
  await stage.sync('old is told what it keeps', 'old', of)
  await stage.heartbeat('old is to report', 'old', of)
  await stage.join('old reports', 'old', of)
  await stage.sync('old syncs', 'old', of)
  await stage.heartbeat('old is done', 'old', of)
  await stage.beat('new gets its share', 'new', of)
  await stage.join('second joins in the old way', 'second', of)
  await stage.sync('second syncs', 'second', of)
  await stage.heartbeat('second waits', 'second', of)
  await stage.describe('with two of each', groupId)
  await stage.heartbeat('old is told again', 'old', of)
  await stage.beat('new is told to give up', 'new', of)
  await stage.beat('new has given up', 'new', { ...of, owned: stage.member('new').owned })
  await stage.heartbeat('second may fetch', 'second', of)
  await stage.sync('second syncs in an old generation', 'second', of)
  await stage.join('second fetches', 'second', of)
  await stage.sync('second has its share', 'second', of)
  await stage.describe('before the last of the new ones goes', groupId)
  await stage.beat('new leaves', 'new', { ...of, memberEpoch: -1 })
  await stage.describe('downgraded', groupId)
  await stage.describeClassic('downgraded, as a classic group', groupId)
  await stage.heartbeat('old in the classic group', 'old', of)
  await stage.leave('both leave', ['old', 'second'], groupId)
  await stage.describeClassic('empty', groupId)

  const still = { groupId: 'replaced', instanceId: 'i' }
  await stage.join('static joins', 'static', still)
  await stage.sync('static assigns', 'static', { ...still, given: all })
  await stage.beat('it comes back in the new way', 'renewed', { ...still, subscribedTopicNames: ['A'] })
  await stage.heartbeat('the old id is fenced', 'static', still)
  await stage.describe('replaced', 'replaced')
  await stage.beat('another joins', 'other', { groupId: 'replaced', subscribedTopicNames: ['A'] })
  await stage.leave('removed by an administrator', ['other', 'nobody'], 'replaced')
  await stage.describe('after that', 'replaced')
  await stage.beat('the last leaves', 'renewed', { ...still, memberEpoch: -1 })
}

/** Members that do what they are told, or not quite: the same to every broker for one seed. */
export async function atRandom(stage: GroupStage, seed: number, steps: number): Promise<void> {
  const random = seededRandom(seed)
  const groupId = `random-${seed}`
  const ids = Array.from({ length: 3 + random.int(6) }, (_, i) => `member-${seed}-${i}-${random.int(1000)}`)
  const assignors = random.int(2) === 0 ? [null, null, 'uniform', 'range'] : [null]
  const subscriptions = random.int(2) === 0 ? [['A', 'B']] : [['A'], ['B'], ['A', 'B'], ['A', 'B', 'C'], ['C']]
  const pick = <T>(from: readonly T[], by: Random = random): T => from[by.int(from.length)]!
  const instances = new Map(ids.filter(() => random.int(4) === 0).map((id) => [id, `instance of ${id}`]))
  for (let step = 0; step < steps; step++) {
    const id = pick(ids)
    const member = stage.member(id)
    const instanceId = instances.get(id) ?? null
    const label = `random ${seed} ${step}: ${id}`
    const common = { groupId, instanceId }
    const choice = random.int(24)
    const subscription = { subscribedTopicNames: pick(subscriptions), serverAssignor: pick(assignors) }
    const report: { owned?: Owned } = random.int(3) === 0 ? {} : { owned: member.owned }
    if (member.epoch === 0 || choice === 0) await stage.beat(`${label} joins`, id, { ...common, ...subscription, memberEpoch: 0 })
    else if (choice === 1) {
      const memberEpoch = instanceId !== null && random.int(2) === 0 ? -2 : -1
      await stage.beat(`${label} leaves`, id, { ...common, memberEpoch })
    } else if (choice === 2) await stage.beat(`${label} subscribes`, id, { ...common, ...subscription, ...report })
    else if (choice === 3)
      await stage.beat(`${label} is confused`, id, { ...common, memberEpoch: member.epoch - 1 + random.int(3), ...report })
    else await stage.beat(`${label} goes on`, id, { ...common, ...report })
    if (step % 20 === 19) await stage.describe(`random ${seed} ${step}: described`, groupId)
  }
}
