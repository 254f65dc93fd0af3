import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { seededRandom, silentLogger } from '@tidelog/core'
import type { LeaderAndIsrRequest, StopReplicaRequest } from '@tidelog/protocol'
import { LogManager, resolveLogConfig } from '@tidelog/storage'
import { batchOf, ManualClock, until } from '@tidelog/testkit'
import { ReplicaManager } from './replica-manager.ts'
import { TimerWheel } from './timer-wheel.ts'

const topicId = 'AQEBAQEBAQEBAQEBAQEBAQ'

async function managerOn(t: TestContext, configs: Record<string, string> = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'tidelog-replicas-'))
  const clock = new ManualClock()
  const logs = await LogManager.open({
    dirs: [dir],
    configOf: () => resolveLogConfig(new Map(Object.entries(configs)), () => undefined),
    clock,
    random: seededRandom(1),
    logger: silentLogger,
  })
  const timers = new TimerWheel(clock)
  const replicas = new ReplicaManager({
    nodeId: 1,
    logs,
    timers,
    topics: { hasPartition: (topic) => topic === 'elsewhere', topicName: (id) => (id === topicId ? 't' : undefined) },
    logger: silentLogger,
  })
  const events: string[] = []
  replicas.addListener({
    onLeader: ({ name, leaderEpoch }) => events.push(`leader of ${name} in ${leaderEpoch}`),
    onResigned: (topic, index) => events.push(`resigned from ${topic}-${index}`),
  })
  t.after(async () => {
    await replicas.close()
    timers.close()
    await logs.close()
    await rm(dir, { recursive: true, force: true })
  })
  return { replicas, clock, events }
}

const decide = (
  state: { leader?: number; leaderEpoch?: number; partitionEpoch?: number; isr?: number[]; replicas?: number[] },
  rest: { controllerEpoch?: number; topicId?: string } = {},
): LeaderAndIsrRequest => ({
  controllerId: 1,
  isKRaftController: false,
  controllerEpoch: 1,
  brokerEpoch: -1,
  type: 1,
  ungroupedPartitionStates: [],
  liveLeaders: [],
  ...rest,
  topicStates: [
    {
      topicName: 't',
      topicId: rest.topicId ?? topicId,
      partitionStates: [
        {
          topicName: 't',
          partitionIndex: 0,
          controllerEpoch: 1,
          leader: 1,
          leaderEpoch: 0,
          isr: [1],
          partitionEpoch: 0,
          replicas: [1],
          addingReplicas: [],
          removingReplicas: [],
          isNew: true,
          leaderRecoveryState: 0,
          ...state,
        },
      ],
    },
  ],
})

const stop = (deletePartition: boolean): StopReplicaRequest => ({
  controllerId: 1,
  isKRaftController: false,
  controllerEpoch: 1,
  brokerEpoch: -1,
  deletePartitions: false,
  ungroupedPartitions: [],
  topics: [],
  topicStates: [{ topicName: 't', partitionStates: [{ partitionIndex: 0, leaderEpoch: -1, deletePartition }] }],
})

test('alone in sync, what is appended is committed at once', async (t) => {
  const { replicas, events } = await managerOn(t)
  await replicas.applyLeaderAndIsr(decide({ leaderEpoch: 3 }))
  const partition = replicas.leaderOf('t', 0)
  const appended = await partition.append(batchOf([{}, {}]), { acks: -1, timeoutMs: 1000 })
  assert.deepEqual([appended.baseOffset, appended.lastOffset, partition.highWatermark], [0, 1, 2])
  assert.equal(partition.log.latestEpoch, 3)
  assert.deepEqual(events, ['leader of t-0 in 3'])
  assert.equal(replicas.topicName(topicId), 't')
})

test('with another replica in sync, acks=-1 waits for the high watermark: until the other leaves, or the time is over', async (t) => {
  const { replicas, clock } = await managerOn(t)
  await replicas.applyLeaderAndIsr(decide({ isr: [1, 2], replicas: [1, 2] }))
  const partition = replicas.leaderOf('t', 0)
  const first = await partition.append(batchOf(), { acks: 1, timeoutMs: 1000 })
  assert.deepEqual([first.baseOffset, partition.highWatermark, partition.logEndOffset], [0, 0, 1])
  const late = partition.append(batchOf(), { acks: -1, timeoutMs: 100 })
  late.catch(() => {})
  await until(() => partition.logEndOffset === 2)
  clock.advance(200)
  await assert.rejects(late, { errorName: 'REQUEST_TIMED_OUT' })
  const patient = partition.append(batchOf(), { acks: -1, timeoutMs: 60_000 })
  await until(() => partition.logEndOffset === 3)
  await replicas.applyLeaderAndIsr(decide({ isr: [1], replicas: [1, 2], partitionEpoch: 1 }))
  assert.equal((await patient).baseOffset, 2)
  assert.equal(partition.highWatermark, 3)
})

test('fewer in sync than min.insync.replicas: nothing is appended; a factor of one asks for one', async (t) => {
  const { replicas } = await managerOn(t, { 'min.insync.replicas': '2' })
  await replicas.applyLeaderAndIsr(decide({ isr: [1], replicas: [1, 2] }))
  const partition = replicas.leaderOf('t', 0)
  await assert.rejects(partition.append(batchOf(), { acks: -1, timeoutMs: 1000 }), { errorName: 'NOT_ENOUGH_REPLICAS' })
  assert.equal(partition.logEndOffset, 0)
  assert.equal((await partition.append(batchOf(), { acks: 1, timeoutMs: 1000 })).baseOffset, 0)
  await replicas.applyLeaderAndIsr(decide({ isr: [1], replicas: [1], partitionEpoch: 1 }))
  assert.equal((await partition.append(batchOf(), { acks: -1, timeoutMs: 1000 })).baseOffset, 1)
})

test('who loses the lead fails what waits, and serves no more', async (t) => {
  const { replicas, events } = await managerOn(t)
  await replicas.applyLeaderAndIsr(decide({ isr: [1, 2], replicas: [1, 2] }))
  const partition = replicas.leaderOf('t', 0)
  const waiting = partition.append(batchOf(), { acks: -1, timeoutMs: 60_000 })
  waiting.catch(() => {})
  await until(() => partition.logEndOffset === 1)
  const underWay = partition.append(batchOf(), { acks: -1, timeoutMs: 60_000 })
  underWay.catch(() => {})
  let changes = 0
  partition.watch({ onReadable: () => {}, onChanged: () => changes++ })
  await replicas.applyLeaderAndIsr(decide({ leader: 2, leaderEpoch: 1, isr: [1, 2], replicas: [1, 2] }))
  for (const append of [waiting, underWay]) await assert.rejects(append, { errorName: 'NOT_LEADER_OR_FOLLOWER' })
  assert.equal(changes, 1)
  assert.throws(() => replicas.leaderOf('t', 0), { errorName: 'NOT_LEADER_OR_FOLLOWER' })
  await assert.rejects(partition.append(batchOf(), { acks: 1, timeoutMs: 1000 }), { errorName: 'NOT_LEADER_OR_FOLLOWER' })
  assert.deepEqual(events, ['leader of t-0 in 0', 'resigned from t-0'])
})

test('an append that is under way when the broker closes is acked, for it is in the log; a later one is not', async (t) => {
  const { replicas } = await managerOn(t)
  await replicas.applyLeaderAndIsr(decide({}))
  const partition = replicas.leaderOf('t', 0)
  const underWay = partition.append(batchOf(), { acks: -1, timeoutMs: 60_000 })
  await replicas.close()
  assert.equal((await underWay).baseOffset, 0)
  await assert.rejects(partition.append(batchOf(), { acks: -1, timeoutMs: 60_000 }), { errorName: 'NOT_LEADER_OR_FOLLOWER' })
})

test('an older controller, an older leader epoch and another topic id are refused', async (t) => {
  const { replicas } = await managerOn(t)
  const codes = async (request: LeaderAndIsrRequest) => {
    const { errorCode, topics } = await replicas.applyLeaderAndIsr(request)
    return [errorCode, topics[0]?.partitionErrors[0]?.errorCode]
  }
  assert.deepEqual(await codes(decide({ leaderEpoch: 5 }, { controllerEpoch: 4 })), [0, 0])
  assert.deepEqual(await codes(decide({ leaderEpoch: 6 }, { controllerEpoch: 3 })), [11, undefined])
  assert.deepEqual(await codes(decide({ leaderEpoch: 4 }, { controllerEpoch: 4 })), [0, 74])
  assert.deepEqual(await codes(decide({ leaderEpoch: 6 }, { controllerEpoch: 4, topicId: 'AgICAgICAgICAgICAgICAg' })), [0, 103])
  assert.equal(replicas.leaderOf('t', 0).leaderEpoch, 5)
})

test('a stopped replica is gone; deleted, its records are gone too', async (t) => {
  const { replicas, events } = await managerOn(t)
  await replicas.applyLeaderAndIsr(decide({}))
  await replicas.leaderOf('t', 0).append(batchOf(), { acks: -1, timeoutMs: 1000 })
  await replicas.applyStopReplica(stop(false))
  assert.throws(() => replicas.leaderOf('t', 0), { errorName: 'UNKNOWN_TOPIC_OR_PARTITION' })
  assert.throws(() => replicas.leaderOf('elsewhere', 0), { errorName: 'NOT_LEADER_OR_FOLLOWER' })
  await replicas.applyLeaderAndIsr(decide({ leaderEpoch: 1 }))
  assert.equal(replicas.leaderOf('t', 0).logEndOffset, 1)
  await replicas.applyStopReplica(stop(true))
  await replicas.applyLeaderAndIsr(decide({ leaderEpoch: 2 }))
  assert.equal(replicas.leaderOf('t', 0).logEndOffset, 0)
  assert.deepEqual(
    events,
    [0, 1, 2].flatMap((epoch) => [`leader of t-0 in ${epoch}`, ...(epoch < 2 ? ['resigned from t-0'] : [])]),
  )
})
