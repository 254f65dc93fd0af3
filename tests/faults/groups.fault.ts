import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { seededRandom } from '@tidelog/core'
import { connect } from '@tidelog/net'
import { DescribeGroups, errorName, FindCoordinator, OffsetCommit, OffsetFetch } from '@tidelog/protocol'
import { connectTo, createTopic, RawMember, until } from '@tidelog/testkit'
import { type BrokerProcess, counts, startBrokerProcess, temporaryDir } from './broker-process.ts'
import type { Connection } from './single-producer.ts'

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

async function coordinatorReady(connection: Connection, groupId: string): Promise<void> {
  await until(async () => (await connection.send(FindCoordinator, 2, { key: groupId, keyType: 0 })).errorCode === 0)
}

const PARTITIONS = 400

/** Every partition to one member, in turns. */
function roundRobin(memberIds: readonly string[]): Map<string, Buffer> {
  const lists = new Map<string, number[]>(memberIds.map((memberId) => [memberId, []]))
  for (let partition = 0; partition < PARTITIONS; partition++) lists.get(memberIds[partition % memberIds.length]!)!.push(partition)
  return new Map([...lists].map(([memberId, partitions]) => [memberId, Buffer.from(partitions.join(','))]))
}

/** What members were given, by generation: nobody may get what another has. */
class Ownership {
  readonly #owners = new Map<number, Map<string, string>>()
  assignments = 0

  note({ generation, memberId, assignment }: RawMember): void {
    this.assignments++
    const owners = this.#owners.get(generation) ?? new Map<string, string>()
    this.#owners.set(generation, owners)
    for (const partition of assignment.toString().split(',').filter(Boolean)) {
      const other = owners.get(partition)
      assert.ok(other === undefined || other === memberId, `partition ${partition} of generation ${generation}: ${other} and ${memberId}`)
      owners.set(partition, memberId)
    }
  }

  /** Partitions that somebody owns in a generation. */
  countOf(generation: number): number {
    return this.#owners.get(generation)?.size ?? 0
  }
}

/** One member that comes and goes until `isChurning` turns false, and then stays until `isOver`. */
async function live(
  broker: BrokerProcess,
  ownership: Ownership,
  state: { isChurning: boolean; isOver: boolean },
  random: ReturnType<typeof seededRandom>,
  stable: Map<object, number>,
): Promise<void> {
  const dial = () => connect({ host: broker.host, port: broker.port, clientId: 'churn', requestTimeoutMs: 30_000 })
  const self = {}
  let member = new RawMember(await dial(), { groupId: 'churn', sessionTimeoutMs: 6000, rebalanceTimeoutMs: 3000 })
  while (!state.isOver) {
    const joined = await member.join()
    const synced = joined === 0 ? await member.sync(roundRobin) : joined
    if (synced === 0) {
      ownership.note(member)
      stable.set(self, member.generation)
    }
    let outcome = synced
    while (outcome === 0 && !state.isOver) {
      await pause(100 + random.int(400))
      if (state.isChurning && random.int(60) === 0) {
        stable.delete(self)
        if (random.int(2) === 0) await member.leave()
        else {
          // Gone without a word.
          member.connection.close()
          member = new RawMember(await dial(), { groupId: 'churn', sessionTimeoutMs: 6000, rebalanceTimeoutMs: 3000 })
        }
        await pause(random.int(1000))
        break
      }
      outcome = await member.heartbeat()
    }
    const name = errorName(outcome)
    if (name === 'UNKNOWN_MEMBER_ID' || name === 'ILLEGAL_GENERATION') member.forget()
    else assert.ok(['NONE', 'REBALANCE_IN_PROGRESS'].includes(name), name)
  }
  member.connection.close()
}

test('G5: 200 members that come and go for a minute, half of them without a word, converge: one generation, every partition owned once', async (t) => {
  const broker = await startBrokerProcess(temporaryDir(t), {
    overrides: { 'group.initial.rebalance.delay.ms': '0', 'group.min.session.timeout.ms': '1000' },
  })
  const observer = await connectTo(t, broker)
  await coordinatorReady(observer, 'churn')
  const ownership = new Ownership()
  const state = { isChurning: true, isOver: false }
  const stable = new Map<object, number>()
  const seed = Number(process.env.SEED ?? 1)
  const members = Array.from({ length: 200 }, (_, index) => live(broker, ownership, state, seededRandom(seed * 1000 + index), stable))
  const failed = Promise.all(members).then(() => undefined)
  await Promise.race([pause(60_000), failed])
  state.isChurning = false
  const startMs = performance.now()
  const isConverged = () => stable.size === 200 && new Set(stable.values()).size === 1
  await Promise.race([
    failed,
    (async () => {
      for (;;) {
        const { groups } = await observer.send(DescribeGroups, 5, { groups: ['churn'], includeAuthorizedOperations: false })
        if (isConverged() && groups[0]?.groupState === 'Stable' && groups[0].members.length === 200) return
        assert.ok(
          performance.now() - startMs < 30_000,
          `${stable.size} members in ${new Set(stable.values()).size} generations, ${groups[0]?.groupState}`,
        )
        await pause(100)
      }
    })(),
  ])
  const [generation] = stable.values()
  assert.equal(ownership.countOf(generation!), PARTITIONS)
  t.diagnostic(
    `${generation} generations, ${ownership.assignments} assignments, stable ${Math.round(performance.now() - startMs)} ms after the churn; ${broker.memory().peak} MiB`,
  )
  state.isOver = true
  await failed
})

/** Offsets of groups as a consumer of each would commit them, until the broker is gone. */
async function commitUntilGone(connection: Connection, acked: Map<string, number>, next: Map<string, number>): Promise<Set<string>> {
  const refusals = new Set<string>()
  for (;;) {
    for (const groupId of acked.keys()) {
      const committedOffset = next.get(groupId)!
      next.set(groupId, committedOffset + 1)
      const request = {
        groupId,
        generationIdOrMemberEpoch: -1,
        memberId: '',
        topics: [{ name: 'orders', partitions: [{ partitionIndex: 0, committedOffset, committedMetadata: 'x'.repeat(3000) }] }],
      }
      const answer = await connection.send(OffsetCommit, 8, request).catch(() => undefined)
      if (answer === undefined) return refusals
      const errorCode = answer.topics[0]!.partitions[0]!.errorCode
      if (errorCode === 0) acked.set(groupId, committedOffset)
      else refusals.add(errorName(errorCode))
    }
  }
}

async function committedOf(connection: Connection, groupId: string): Promise<number> {
  for (;;) {
    const { errorCode, topics } = await connection.send(OffsetFetch, 7, { groupId, topics: null, requireStable: false })
    if (errorCode === 0) return topics[0]?.partitions[0]?.committedOffset ?? -1
    assert.ok(
      ['COORDINATOR_LOAD_IN_PROGRESS', 'NOT_COORDINATOR', 'COORDINATOR_NOT_AVAILABLE'].includes(errorName(errorCode)),
      errorName(errorCode),
    )
    await pause(20)
  }
}

/** A member that joins, syncs and heartbeats while the broker lives: where it is when the broker goes is chance. */
async function memberUntilGone(connection: Connection): Promise<void> {
  const member = new RawMember(connection, { groupId: 'members', sessionTimeoutMs: 6000, rebalanceTimeoutMs: 2000 })
  try {
    for (;;) {
      const joined = await member.join()
      const synced = joined === 0 ? await member.sync(roundRobin) : joined
      const outcome = synced === 0 ? await member.heartbeat() : synced
      if (errorName(outcome) === 'UNKNOWN_MEMBER_ID') member.forget()
      if (outcome === 0 && (await member.leave()) !== 0) member.forget()
    }
  } catch {
    // Its connection is gone, with the broker.
  }
}

async function startAgain(t: TestContext, dir: string): Promise<{ broker: BrokerProcess; connection: Connection }> {
  const broker = await startBrokerProcess(dir, {
    overrides: {
      'group.initial.rebalance.delay.ms': '0',
      // Small segments and a cleaner that never rests: the offsets topic is compacted all the time.
      'offsets.topic.segment.bytes': '1048576',
      'log.cleaner.backoff.ms': '10',
      'log.cleaner.min.cleanable.ratio': '0.01',
    },
  })
  return { broker, connection: await connectTo(t, broker) }
}

test('G4, G8: kill -9 in joins, syncs and commits, while the offsets topic is compacted: groups load again, no acked offset goes back, members go on', async (t) => {
  const dir = temporaryDir(t)
  const random = seededRandom(Number(process.env.SEED ?? 1))
  const acked = new Map(Array.from({ length: 5 }, (_, i) => [`g${i}`, -1]))
  const next = new Map([...acked.keys()].map((groupId) => [groupId, 0]))
  let { broker, connection } = await startAgain(t, dir)
  await createTopic(connection, 'orders')
  const rounds = counts(6, 40)
  for (let round = 0; round < rounds; round++) {
    await coordinatorReady(connection, 'g0')
    const working = Promise.all([
      commitUntilGone(connection, acked, next),
      ...(await Promise.all(Array.from({ length: 4 }, () => connectTo(t, broker)))).map(memberUntilGone),
    ])
    await pause(200 + random.int(1500))
    broker.child.kill('SIGKILL')
    const [refusals] = await working
    for (const refusal of refusals)
      assert.ok(['COORDINATOR_LOAD_IN_PROGRESS', 'NOT_COORDINATOR', 'COORDINATOR_NOT_AVAILABLE'].includes(refusal), refusal)
    await broker.ended
    const again = await startAgain(t, dir)
    broker = again.broker
    connection = again.connection
    for (const [groupId, offset] of acked) {
      const found = await committedOf(connection, groupId)
      assert.ok(found >= offset && found < next.get(groupId)!, `round ${round}, ${groupId}: ${found} is committed, ${offset} was acked`)
      acked.set(groupId, found)
    }
  }
  const member = new RawMember(connection, { groupId: 'members', sessionTimeoutMs: 6000, rebalanceTimeoutMs: 2000 })
  assert.equal(await member.join(), 0, 'the group works again')
  assert.equal(await member.sync(roundRobin), 0)
  t.diagnostic(`${rounds} kills, up to ${Math.max(...next.values())} commits a group`)
})
