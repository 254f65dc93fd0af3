import assert from 'node:assert/strict'
import test from 'node:test'
import { type Random, seededRandom, silentLogger } from '@tidelog/core'
import { errorName, errorTable, KafkaError } from '@tidelog/protocol'
import { commitRequest, GroupHarness, joinRequest, MemoryLog, turn } from './group-harness.test.ts'
import { replayLog } from './log-replay.ts'

const caller = { apiVersion: 9, clientId: 'client', clientHost: '/127.0.0.1' }
const code = (name: keyof typeof errorTable) => errorTable[name].code
const commitOf = (committedOffset: number, groupId = 'g') => ({
  ...commitRequest,
  groupId,
  topics: [{ ...commitRequest.topics[0]!, partitions: [{ ...commitRequest.topics[0]!.partitions[0]!, committedOffset }] }],
})
const fetchAll = (groupId = 'g') => ({ groupId, topics: null, requireStable: false })

/** The answer's error, also where the whole call is refused. */
async function outcomeOf(call: Promise<number>): Promise<string> {
  try {
    return errorName(await call)
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error
    return error.errorName
  }
}

/** One broker's coordinator while everything under it goes wrong: the schedule is the seed's. */
async function commitThroughFaults(seed: number): Promise<{ acked: number; refused: Set<string> }> {
  const random: Random = seededRandom(seed)
  const harness = await GroupHarness.start()
  const { log } = harness
  const append = log.append.bind(log)
  let [acked, sent, epoch] = [-1, 0, 0]
  const refused = new Set<string>()
  const waiting: Promise<void>[] = []
  const commit = (offset: number) => {
    const answer = harness.groups.commitOffsets(commitOf(offset), caller).then(([topic]) => topic!.partitions[0]!.errorCode)
    return outcomeOf(answer).then((outcome) => {
      if (outcome === 'NONE') acked = Math.max(acked, offset)
      else refused.add(outcome)
    })
  }
  for (let step = 0; step < 300; step++) {
    const choice = random.int(12)
    if (choice < 6) waiting.push(commit(sent++))
    else if (choice === 6) {
      log.release()
      log.hold()
    } else if (choice === 7) log.release()
    else if (choice === 8) log.failure = random.int(2) === 0 ? undefined : new KafkaError('NOT_ENOUGH_REPLICAS')
    else if (choice === 9) {
      // The append happens, and its outcome is lost.
      log.append = async (batch) => {
        log.append = append
        await append(batch)
        throw new KafkaError('REQUEST_TIMED_OUT')
      }
    } else if (choice === 10) harness.groups.resigned(0)
    else void harness.groups.elected(0, ++epoch, log)
    if (random.int(3) === 0) await turn()
  }
  log.release()
  log.failure = undefined
  log.append = append
  await Promise.all(waiting)
  await harness.groups.elected(0, ++epoch, log)
  const [topic] = await harness.groups.fetchOffsets(fetchAll())
  const found = topic?.partitions[0]?.committedOffset ?? -1
  assert.ok(found >= acked && found < sent, `seed ${seed}: offset ${found} is committed, ${acked} was acked, ${sent} were sent`)
  assert.equal(await commit(sent).then(() => acked), sent, `seed ${seed}: it works again`)
  harness.groups.close()
  return { acked, refused }
}

test('G4: elections, slow and failed appends, lost outcomes: commits are refused with 14, 15 and 16, and no committed offset goes back', async () => {
  const refused = new Set<string>()
  for (let seed = 1; seed <= 40; seed++) for (const error of (await commitThroughFaults(seed)).refused) refused.add(error)
  assert.deepEqual([...refused].sort(), ['COORDINATOR_LOAD_IN_PROGRESS', 'COORDINATOR_NOT_AVAILABLE', 'NOT_COORDINATOR'])
})

test('G4: a coordinator that goes away in a join or a sync sends its members to look for it; the next one knows what lies in the log', async () => {
  const harness = await GroupHarness.start()
  const { groups, log, clock } = harness
  const { memberId } = await groups.joinGroup(joinRequest, caller)
  const joining = groups.joinGroup({ ...joinRequest, memberId }, caller)
  clock.advance(0)
  const { generationId } = await joining
  const sync = { groupId: 'g', generationId, memberId, groupInstanceId: null, protocolType: null, protocolName: null }
  const assignments = [{ memberId, assignment: Buffer.from('all') }]
  log.hold()
  const syncing = groups.syncGroup({ ...sync, assignments })
  await turn()
  groups.resigned(0)
  assert.equal((await syncing).errorCode, code('NOT_COORDINATOR'))
  const heartbeat = () => groups.heartbeat({ groupId: 'g', generationId, memberId, groupInstanceId: null }).errorCode
  assert.throws(heartbeat, (error: KafkaError) => error.errorName === 'NOT_COORDINATOR')
  const loading = groups.elected(0, 1, log)
  assert.throws(heartbeat, (error: KafkaError) => error.errorName === 'COORDINATOR_LOAD_IN_PROGRESS')
  log.release()
  await loading
  // The append that was under way may have come before or behind what the new coordinator has read; its members rejoin or go on.
  const after = heartbeat()
  assert.ok(after === 0 || after === code('UNKNOWN_MEMBER_ID'), `heartbeat after the move: ${after}`)
  const again = await groups.joinGroup({ ...joinRequest, groupId: 'another' }, caller)
  assert.equal(again.errorCode, code('MEMBER_ID_REQUIRED'))
})

test('G6: 100,000 partitions in one commit are answered together, more than a batch holds as a whole, while others commit', async () => {
  const { groups, log } = await GroupHarness.start()
  const one = commitRequest.topics[0]!.partitions[0]!
  const topics = [{ name: 'orders', partitions: Array.from({ length: 100_000 }, (_, partitionIndex) => ({ ...one, partitionIndex })) }]
  log.maxBatchBytes = 64 << 20
  const heapBefore = process.memoryUsage().heapUsed
  const [large, small] = await Promise.all([
    groups.commitOffsets({ ...commitRequest, groupId: 'large', topics }, caller),
    groups.commitOffsets(commitRequest, caller),
  ])
  assert.equal(large[0]?.partitions.filter(({ errorCode }) => errorCode === 0).length, 100_000)
  assert.equal(small[0]?.partitions[0]?.errorCode, 0)
  const [fetched] = await groups.fetchOffsets(fetchAll('large'))
  assert.equal(fetched?.partitions.length, 100_000)
  assert.ok(process.memoryUsage().heapUsed - heapBefore < 400 << 20, 'memory in proportion')
  log.maxBatchBytes = 1 << 20
  const [refused] = await groups.commitOffsets({ ...commitRequest, groupId: 'larger', topics }, caller)
  assert.deepEqual(new Set(refused?.partitions.map(({ errorCode }) => errorCode)), new Set([code('UNKNOWN_SERVER_ERROR')]))
  assert.deepEqual(await groups.fetchOffsets(fetchAll('larger')), [])
})

test('G8: a bit that has turned anywhere in the offsets topic costs its own batch, is reported, and never becomes an offset that nobody committed', async () => {
  const harness = await GroupHarness.start()
  for (let group = 0; group < 3; group++) await harness.groups.commitOffsets(commitOf(1000 + group, `g${group}`), caller)
  const { batches } = harness.log
  const sizes = batches.map((batch) => batch.length)
  // Behind length and magic, without which nobody can tell where the next batch begins.
  for (let at = 17; at < sizes[1]!; at++) {
    const damaged = new MemoryLog()
    for (const [index, batch] of batches.entries()) {
      const copy = Buffer.from(batch)
      if (index === 1) copy[at]! ^= 1 << (at % 8)
      damaged.batches.push(copy)
    }
    const errors: string[] = []
    const logger = { ...silentLogger, error: (message: string) => void errors.push(message) }
    const found = new Map<string, number>()
    const counts = await replayLog(
      damaged,
      { record: (key, value) => void found.set(key.toString('latin1'), value!.readInt32BE(6)), endTransaction: () => {} },
      { maxBytes: 1 << 20, isWanted: () => true, logger },
    )
    assert.deepEqual([...found.values()], [1000, 1002], `byte ${at}`)
    assert.deepEqual([counts.unreadable, errors.length], [1, 1], `byte ${at}`)
  }
})
