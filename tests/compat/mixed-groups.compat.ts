import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import { Admin, Producer } from '@tidelog/client'
import {
  javaMember,
  librdkafkaMember,
  type MixedMember,
  type MixedProtocol,
  OURS,
  ourMember,
  ReadLog,
  TOPIC,
} from './groups/mixed-member.ts'
import { type BrokerKind, startBrokerProcess } from './harness.ts'

const PARTITIONS = 6
const settings = {
  'offsets.topic.num.partitions': '1',
  'offsets.topic.replication.factor': '1',
  'group.initial.rebalance.delay.ms': '0',
  'group.min.session.timeout.ms': '1000',
  'group.consumer.min.heartbeat.interval.ms': '100',
  'group.consumer.heartbeat.interval.ms': '300',
  'group.consumer.assignment.interval.ms': '0',
}

const classic = (name: string, javaClass: string): MixedProtocol => ({
  name,
  ours: { partitionAssignmentStrategy: [name], heartbeatIntervalMs: 300, sessionTimeoutMs: 6000 },
  java: ['--session-timeout', '6000', '--assignment-strategy', `org.apache.kafka.clients.consumer.${javaClass}`],
  librdkafka: name,
})
const protocols: readonly MixedProtocol[] = [
  classic('range', 'RangeAssignor'),
  classic('cooperative-sticky', 'CooperativeStickyAssignor'),
  { name: 'consumer', ours: { groupProtocol: 'consumer' }, java: ['--group-protocol', 'consumer'], librdkafka: 'consumer' },
]

/** Waits until each partition has one owner among `members`, and each of them a share. */
async function balanced(members: readonly MixedMember[]): Promise<void> {
  const holds = () => {
    const owned = members.flatMap((member) => [...member.owned])
    return owned.length === PARTITIONS && new Set(owned).size === PARTITIONS && members.every(({ owned }) => owned.size > 0)
  }
  const deadline = performance.now() + 60_000
  while (!holds()) {
    assert.ok(performance.now() < deadline, members.map(({ description }) => description).join('\n---\n'))
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Records to every partition, a few at a time, until it is stopped. */
function producing(t: TestContext, bootstrapServers: string): { stop(): Promise<void> } {
  const producer = new Producer({ bootstrapServers })
  t.after(() => producer.close({ timeoutMs: 5000 }))
  let isStopped = false
  const value = Buffer.from('event')
  const done = (async () => {
    while (!isStopped) {
      await producer.sendMany(Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: TOPIC, partition, value })))
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  })()
  return {
    async stop() {
      isStopped = true
      await done
    },
  }
}

/** Members come, two by two, and go, one by one: whoever goes on with a partition does so at one of these, or at a round more of cooperative members. */
const MAX_TURNS = 8

for (const kind of ['tidelog', 'kafka-4.3'] satisfies readonly BrokerKind[]) {
  for (const protocol of protocols) {
    test(`G1: members of ours, of Java and of librdkafka in one group (${protocol.name}, ${kind}) come and go, and each record is read, by its owner`, async (t) => {
      const broker = await startBrokerProcess(t, settings, kind)
      const { bootstrap } = broker
      const admin = new Admin({ bootstrapServers: bootstrap })
      t.after(() => admin.close())
      await admin.createTopics([{ topic: TOPIC, numPartitions: PARTITIONS }])
      const load = producing(t, bootstrap)
      const log = new ReadLog()
      const one = ourMember(t, log, bootstrap, protocol)
      const [java, librdkafka] = await Promise.all([javaMember(t, log, bootstrap, protocol), librdkafkaMember(t, log, bootstrap, protocol)])
      await balanced([one, java, librdkafka])
      const two = ourMember(t, log, bootstrap, protocol)
      await balanced([one, java, librdkafka, two])
      await one.leave()
      await balanced([java, librdkafka, two])
      await java.leave()
      await balanced([librdkafka, two])
      await load.stop()
      const partitions = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: TOPIC, partition }))
      const ends = await admin.listOffsets(partitions.map((partition) => ({ ...partition, spec: 'latest' as const })))
      const written = ends.reduce((sum, { offset }) => sum + offset, 0)
      const deadline = performance.now() + 30_000
      while (log.recordCount < written) {
        assert.ok(performance.now() < deadline, `${log.recordCount} of ${written} records were read`)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      // The other two do not commit again what a rebalance kept them from committing; what ours has read is committed when another gets the partition.
      assert.deepEqual(
        log.repeats.filter(({ readers }) => readers[0]!.startsWith(OURS)),
        [],
      )
      assert.ok(log.mostTurns <= MAX_TURNS, `a partition was read in ${log.mostTurns} turns`)
      t.diagnostic(`${written} records, ${log.repeats.length} read again, ${log.mostTurns} turns at most`)
      await librdkafka.leave()
      await balanced([two])
      await two.leave()
    })
  }
}
