/** What a restart leaves: leader epochs that have moved on, and producers that go on where they were. */
import { DescribeProducers, Fetch, ListOffsets, Metadata, OffsetForLeaderEpoch } from '@tidelog/protocol'
import { batch, someRecords, someTimeMs, text } from './odd-batches.ts'
import type { Peer } from './peer.ts'

const topic = 'restarted'
const producerId = 9_000_000
const sent = (baseSequence: number, producerEpoch = 0): Buffer => batch(someRecords(1), { producerId, producerEpoch, baseSequence })

export async function beforeRestart(peer: Peer): Promise<void> {
  await peer.topic(topic)
  for (let sequence = 0; sequence < 7; sequence++) await peer.append(topic, sent(sequence))
  await peer.append(topic, batch([{ timestamp: someTimeMs + 500, key: null, value: text('late') }], { codec: 'gzip' }))
}

export async function afterRestart(peer: Peer): Promise<void> {
  await peer.ready(topic, 1)
  await peer.produce('restart: the last batch again', topic, sent(6))
  await peer.produce('restart: the last but one again', topic, sent(5))
  await peer.produce('restart: a gap', topic, sent(9))
  await peer.produce('restart: the next batch', topic, sent(7))
  await peer.produce('restart: the next epoch', topic, sent(0, 1))
  const { topics } = await peer.call(Metadata, 9, { topics: [{ name: topic }], allowAutoTopicCreation: false })
  const { leaderEpoch } = topics[0]!.partitions[0]!
  // Kafka takes two epochs to go and come back, we one.
  peer.names.set('leader epoch', leaderEpoch, 'the current epoch')
  for (const [what, epoch] of [
    ['older', leaderEpoch - 1],
    ['current', leaderEpoch],
    ['newer', leaderEpoch + 1],
  ] as const) {
    const fetchVersion = peer.newest(Fetch)
    const request = peer.fetchRequest(fetchVersion, [[topic, 0, { offset: 10, leaderEpoch: epoch }]])
    await peer.see(`restart: Fetch with the ${what} epoch`, Fetch, fetchVersion, request)
    await peer.see(`restart: ListOffsets with the ${what} epoch`, ListOffsets, 7, {
      replicaId: -1,
      isolationLevel: 0,
      topics: [{ name: topic, partitions: [{ partitionIndex: 0, timestamp: someTimeMs, currentLeaderEpoch: epoch }] }],
    })
    await peer.see(`restart: OffsetForLeaderEpoch of the ${what} epoch`, OffsetForLeaderEpoch, 4, {
      replicaId: -1,
      topics: [{ topic, partitions: [{ partition: 0, leaderEpoch: epoch }] }],
    })
    const fetched = peer.fetchRequest(fetchVersion, [[topic, 0, { offset: 9, lastFetchedEpoch: epoch }]])
    await peer.see(`restart: Fetch after fetching from the ${what} epoch`, Fetch, fetchVersion, fetched)
  }
  await peer.see('restart: OffsetForLeaderEpoch of the first epoch', OffsetForLeaderEpoch, 4, {
    replicaId: -1,
    topics: [{ topic, partitions: [{ partition: 0, leaderEpoch: 0 }] }],
  })
  for (const timestamp of [-1, -2, -3, someTimeMs + 400]) {
    await peer.see(`restart: ListOffsets ${timestamp}`, ListOffsets, 7, {
      replicaId: -1,
      isolationLevel: 0,
      topics: [{ name: topic, partitions: [{ partitionIndex: 0, timestamp }] }],
    })
  }
  await peer.stored('restart: stored', topic)
  await peer.see('restart: producers', DescribeProducers, 0, { topics: [{ name: topic, partitionIndexes: [0] }] })
}
