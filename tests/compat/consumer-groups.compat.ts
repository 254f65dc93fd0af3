import assert from 'node:assert/strict'
import test from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { atRandom, goOn, migrating, ordinary, refusals, regular } from './groups/consumer-script.ts'
import { GroupStage } from './groups/group-stage.ts'
import { type BrokerKind, brokersInTurn, startBrokerProcess } from './harness.ts'

const settings = {
  'offsets.topic.num.partitions': '1',
  'offsets.topic.replication.factor': '1',
  'group.consumer.assignment.interval.ms': '0',
}

/** The first few, each with what came before the first: one difference often leads to more. */
function firstDifferences(kafka: readonly unknown[], ours: readonly unknown[]): string {
  const text = (value: unknown) => JSON.stringify(value)
  const others = kafka.flatMap((_, i) => (isDeepStrictEqual(kafka[i], ours[i]) ? [] : [i]))
  if (others.length === 0 && kafka.length === ours.length) return ''
  const before = kafka.slice(Math.max(0, (others[0] ?? 0) - 4), others[0]).map((value) => `both:  ${text(value)}`)
  const rows = others.slice(0, 6).flatMap((i) => [`Kafka: ${text(kafka[i])}`, `ours:  ${text(ours[i])}`])
  return [`${others.length} of ${kafka.length} (ours: ${ours.length}) differ`, ...before, ...rows].join('\n')
}

test("groups of the consumer protocol: answers and records are Kafka 4.3's, heartbeat by heartbeat", async (t) => {
  const run = async (kind: BrokerKind): Promise<{ seen: GroupStage['seen']; records: unknown[] }> => {
    const broker = await startBrokerProcess(t, settings, kind)
    const stage = new GroupStage(broker.port)
    await stage.topics({ A: 6, B: 3, C: 2 })
    await stage.coordinated('g')
    await refusals(stage)
    await ordinary(stage)
    await migrating(stage)
    await regular(stage)
    for (let seed = 1; seed <= 12; seed++) await atRandom(stage, seed, 150)
    const records = await stage.records()
    stage.peer.close()
    return { seen: stage.seen, records }
  }
  const [kafka, ours] = await Promise.all([run('kafka-4.3'), run('tidelog')])
  assert.equal(firstDifferences(kafka.seen, ours.seen), '', 'answers')
  assert.equal(firstDifferences(kafka.records, ours.records), '', 'records')
})

test('a consumer group goes on where it was when Kafka takes over its directory in the middle of a rebalance, and when we do', async (t) => {
  const run = async (kinds: readonly BrokerKind[]): Promise<GroupStage['seen']> => {
    const brokers = brokersInTurn(t)
    let broker = await brokers.start(kinds[0]!, settings)
    const stage = new GroupStage(broker.port)
    await stage.topics({ A: 6, B: 3 })
    for (const [turn, kind] of kinds.entries()) {
      if (turn > 0 && kind !== kinds[turn - 1]) {
        await broker.stop()
        broker = await brokers.start(kind, settings)
        stage.moveTo(broker.port)
      }
      await goOn(stage, turn)
    }
    stage.peer.close()
    await broker.stop()
    return stage.seen
  }
  const expected = await run(['kafka-4.3', 'kafka-4.3', 'kafka-4.3'])
  const seen = await run(['kafka-4.3', 'tidelog', 'kafka-4.3'])
  assert.equal(firstDifferences(expected, seen), '')
})
