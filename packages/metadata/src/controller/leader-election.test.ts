import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LiveBroker, PartitionState } from './cluster-state.ts'
import { electLeader, leadershipAfterBrokerChange } from './leader-election.ts'

/** Live brokers and when each registered. */
const live = (...registrations: [id: number, brokerEpoch: number][]) => ({
  brokers: new Map<number, LiveBroker>(
    registrations.map(([id, brokerEpoch]) => [id, { id, brokerEpoch, endpoints: [], rack: null, features: new Map(), isCordoned: false }]),
  ),
})

/** A partition on brokers 1, 2 and 3, changed by transaction 100, in leader epoch 5. */
const partition = (leader: number, isr: number[]): PartitionState => ({
  replicas: [1, 2, 3],
  addingReplicas: [],
  removingReplicas: [],
  leadership: { leader, isr, leaderEpoch: 5, controllerEpoch: 1, partitionEpoch: 9, changedAt: 100 },
})
const clean = { unclean: false }

test('nothing changes while the leader and all in sync are live', () => {
  assert.equal(leadershipAfterBrokerChange(partition(1, [1, 2]), live([1, 10], [2, 11]), clean), undefined)
})

test('a follower that is gone leaves the in-sync replicas', () => {
  assert.deepEqual(leadershipAfterBrokerChange(partition(1, [1, 2, 3]), live([1, 10], [3, 11]), clean), {
    leader: 1,
    leaderEpoch: 6,
    isr: [1, 3],
  })
})

test('the first live replica in sync follows a leader that is gone', () => {
  assert.deepEqual(leadershipAfterBrokerChange(partition(1, [1, 3]), live([2, 10], [3, 11]), clean), {
    leader: 3,
    leaderEpoch: 6,
    isr: [3],
  })
})

test('a leader that has registered again since it became one begins a new epoch', () => {
  assert.deepEqual(leadershipAfterBrokerChange(partition(1, [1, 2]), live([1, 101], [2, 11]), clean), {
    leader: 1,
    leaderEpoch: 6,
    isr: [1, 2],
  })
})

test('without a live replica in sync there is no leader, and the last in sync are remembered', () => {
  const gone = leadershipAfterBrokerChange(partition(1, [1]), live([2, 10]), clean)
  assert.deepEqual(gone, { leader: -1, leaderEpoch: 6, isr: [1] })
  assert.equal(leadershipAfterBrokerChange(partition(-1, [1]), live([2, 10]), clean), undefined)
  assert.deepEqual(leadershipAfterBrokerChange(partition(-1, [1]), live([2, 10]), { unclean: true }), {
    leader: 2,
    leaderEpoch: 6,
    isr: [2],
  })
})

test('an operator elects the preferred leader when it is in sync, and any leader at all when there is none', () => {
  const all = live([1, 10], [2, 11], [3, 12])
  assert.equal(electLeader(partition(1, [1, 2]), all, 'preferred'), 'ELECTION_NOT_NEEDED')
  assert.equal(electLeader(partition(2, [2, 3]), all, 'preferred'), 'PREFERRED_LEADER_NOT_AVAILABLE')
  assert.equal(electLeader(partition(2, [1, 2]), live([2, 11]), 'preferred'), 'PREFERRED_LEADER_NOT_AVAILABLE')
  assert.deepEqual(electLeader(partition(2, [1, 2]), all, 'preferred'), { leader: 1, leaderEpoch: 6, isr: [1, 2] })
  assert.equal(electLeader(partition(2, [2]), all, 'unclean'), 'ELECTION_NOT_NEEDED')
  assert.deepEqual(electLeader(partition(-1, [1]), live([3, 12]), 'unclean'), { leader: 3, leaderEpoch: 6, isr: [3] })
  assert.equal(electLeader(partition(-1, [1]), live(), 'unclean'), 'ELIGIBLE_LEADERS_NOT_AVAILABLE')
})
