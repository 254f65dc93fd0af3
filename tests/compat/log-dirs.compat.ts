import assert from 'node:assert/strict'
import test from 'node:test'
import { AlterReplicaLogDirs, DescribeLogDirs } from '@tidelog/protocol'
import { type BrokerKind, startBrokerProcess } from './harness.ts'
import { Peer, type Range } from './wire/peer.ts'

const moving = 'moved'
const WAIT_MS = 30_000

/** Everything that AlterReplicaLogDirs may be asked, and where partitions lie afterwards. */
async function scenario(peer: Peer, versions: readonly number[]): Promise<void> {
  await peer.topic(moving, { partitions: 2 })
  const describe = async (topic: string) => {
    const { results } = await peer.call(DescribeLogDirs, 1, { topics: null })
    const dirs = results.map(({ logDir }) => logDir).sort()
    const places = results.flatMap(({ logDir, topics }) =>
      topics.flatMap(({ name, partitions }) =>
        name === topic
          ? partitions.map(({ partitionIndex, isFutureKey }) => ({ partitionIndex, isFutureKey, dir: dirs.indexOf(logDir) }))
          : [],
      ),
    )
    return { dirs, places: places.sort((a, b) => a.partitionIndex - b.partitionIndex || Number(a.isFutureKey) - Number(b.isFutureKey)) }
  }
  const { dirs } = await describe(moving)
  const [one, two] = dirs as [string, string]
  const settled = async (label: string, topic: string, wanted: readonly number[]) => {
    const deadline = performance.now() + WAIT_MS
    for (;;) {
      const { places } = await describe(topic)
      if (places.map(({ dir }) => dir).join() === wanted.join() || performance.now() > deadline) return peer.note(label, places)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  for (const version of versions) {
    const see = async (what: string, wishes: readonly (readonly [path: string, topic: string, partitions: number[]])[]) => {
      const request = { dirs: wishes.map(([path, name, partitions]) => ({ path, topics: [{ name, partitions }] })) }
      const { results } = await peer.call(AlterReplicaLogDirs, version, request)
      const rows = results.flatMap(({ topicName, partitions }) =>
        partitions.map(({ partitionIndex, errorCode }) => `${topicName}-${partitionIndex}: ${errorCode}`),
      )
      peer.note(`AlterReplicaLogDirs ${version}: ${what}`, rows.sort())
    }
    await see('to the first dir', [[one, moving, [0, 1]]])
    await settled(`AlterReplicaLogDirs ${version}: both in the first dir`, moving, [0, 0])
    await see('one to the second', [[two, moving, [1]]])
    await settled(`AlterReplicaLogDirs ${version}: one in the second dir`, moving, [0, 1])
    await see('to where they are', [
      [one, moving, [0]],
      [two, moving, [1]],
    ])
    await see('no dir of the broker', [['/nowhere', moving, [0]]])
    await see('a dir in other letters', [[`${two}/`, moving, [0]]])
    await see('no dir', [['', moving, [0]]])
    await see('unknown partition', [[two, moving, [7]]])
    await see('negative partition', [[two, moving, [-1]]])
    await see('unknown topic', [[two, `not-yet-${version}`, [0, 1]]])
    await see('unknown topic and dir', [['/nowhere', 'no-such-topic', [0]]])
    await see('bad name', [[two, 'a/b', [0]]])
    await see('long name', [[two, 'x'.repeat(249), [0]]])
    await see('longest name that has room', [[two, 'x'.repeat(213), [0]]])
    await see('name without room', [[two, 'x'.repeat(214), [0]]])
    await see('a partition in two dirs', [
      [one, moving, [1]],
      [two, moving, [1]],
    ])
    await see('nothing', [])
    await see('no partitions', [[two, moving, []]])
    await peer.topic(`not-yet-${version}`, { partitions: 2 })
    await settled(`AlterReplicaLogDirs ${version}: a topic that was asked for before it was made`, `not-yet-${version}`, [1, 1])
  }
}

for (const [kind, versions] of [
  ['kafka-4.3', [1, 2]],
  ['kafka-3.9', [0]],
] as const) {
  test(`moves between log dirs are answered and end as ${kind}'s, in versions ${versions}`, async (t) => {
    const run = async (which: BrokerKind) => {
      const broker = await startBrokerProcess(t, { 'log.dirs': 'data,more' }, which)
      const none: ReadonlyMap<number, Range> = new Map()
      const peer = new Peer(broker.port, none)
      t.after(() => peer.close())
      await scenario(peer, versions)
      return peer.seen
    }
    const [kafka, ours] = await Promise.all([run(kind), run('tidelog')])
    assert.deepEqual(Object.fromEntries(ours), Object.fromEntries(kafka))
  })
}
