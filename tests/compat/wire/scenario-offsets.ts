/** Places in a log: ListOffsets, OffsetForLeaderEpoch, DeleteRecords, and what DescribeLogDirs says of sizes. */
import { DeleteRecords, DescribeLogDirs, ListOffsets, OffsetForLeaderEpoch } from '@tidelog/protocol'
import { batch, someRecords, someTimeMs, text } from './odd-batches.ts'
import type { Peer } from './peer.ts'

const noTopic = 'no-such-topic'
const specials = [-1, -2, -3, -4, -5, -6, -7]

export async function listOffsets(peer: Peer): Promise<void> {
  const topic = 'listed'
  await peer.topic(topic, { partitions: 4 })
  const at = (...times: number[]) => batch(times.map((time) => ({ timestamp: someTimeMs + time, key: null, value: text('v') })))
  await peer.append(topic, at(0, 10, 20))
  await peer.append(topic, at(50, 40, 60))
  await peer.append(topic, at(30, 60, 5))
  const packed = [100, 90, 100].map((time) => ({ timestamp: someTimeMs + time, key: null, value: text('v') }))
  await peer.append(topic, batch(packed, { codec: 'gzip' }))
  await peer.append(topic, batch([{ timestamp: -1, key: null, value: text('v') }]), 2)
  for (let count = 0; count < 4; count++) await peer.append(topic, at(count * 10), 3)
  await peer.call(DeleteRecords, 2, { topics: [{ name: topic, partitions: [{ partitionIndex: 3, offset: 2 }] }], timeoutMs: 5000 })
  await peer.topic('listed-append-time', { configs: { 'message.timestamp.type': 'LogAppendTime' } })
  await peer.append('listed-append-time', at(0, 1, 2))
  for (const version of peer.versions(ListOffsets)) {
    const see = (what: string, rows: readonly object[], { name = topic, ...options }: { name?: string; [option: string]: unknown } = {}) =>
      peer.see(`ListOffsets ${version}: ${what}`, ListOffsets, version, {
        replicaId: -1,
        ...(version >= 2 ? { isolationLevel: 0 } : {}),
        ...(version >= 10 ? { timeoutMs: 5000 } : {}),
        topics: [{ name, partitions: rows as never }],
        ...options,
      })
    const max = version === 0 ? { maxNumOffsets: 5 } : {}
    for (const timestamp of specials) {
      await see(
        `timestamp ${timestamp}`,
        [0, 1, 2, 3].map((partitionIndex) => ({ partitionIndex, timestamp, ...max })),
      )
      await see(`LogAppendTime, timestamp ${timestamp}`, [{ partitionIndex: 0, timestamp, ...max }], { name: 'listed-append-time' })
    }
    for (const time of [-1, 0, 1, 10, 20, 21, 45, 50, 55, 60, 61, 95, 100, 101]) {
      const timestamp = someTimeMs + time
      await see(
        `time ${time}`,
        [0, 1, 2, 3].map((partitionIndex) => ({ partitionIndex, timestamp, ...max })),
      )
    }
    await see('time 0 of 1970', [{ partitionIndex: 0, timestamp: 0, ...max }])
    await see('in a year', [{ partitionIndex: 0, timestamp: Date.now() + 31_536_000_000, ...max }])
    await see(
      'unknown partitions',
      [4, -1].map((partitionIndex) => ({ partitionIndex, timestamp: -1, ...max })),
    )
    await see('unknown topic', [{ partitionIndex: 0, timestamp: -1, ...max }], { name: noTopic })
    await see('bad name', [{ partitionIndex: 0, timestamp: -1, ...max }], { name: 'a/b' })
    await see(
      'twice',
      [0, 0, 1].map((partitionIndex) => ({ partitionIndex, timestamp: -1, ...max })),
    )
    await see('no partitions', [])
    for (const replicaId of [-2, -3, 0, 1, 7]) {
      await see(`as replica ${replicaId}`, [{ partitionIndex: 0, timestamp: -1, ...max }], { replicaId })
      await see(`as replica ${replicaId}, earliest`, [{ partitionIndex: 0, timestamp: -2, ...max }], { replicaId })
    }
    if (version === 0) {
      for (const maxNumOffsets of [0, 1, 2, -1]) {
        for (const timestamp of [-1, -2])
          await see(`at most ${maxNumOffsets} of ${timestamp}`, [{ partitionIndex: 0, timestamp, maxNumOffsets }])
      }
    }
    if (version >= 2) {
      for (const isolationLevel of [1, 2]) {
        for (const timestamp of [-1, -3, someTimeMs + 100]) {
          await see(`isolation ${isolationLevel}, ${timestamp}`, [{ partitionIndex: 0, timestamp }], { isolationLevel })
        }
      }
    }
    if (version >= 4) {
      for (const currentLeaderEpoch of [0, 1, -2]) {
        await see(`leader epoch ${currentLeaderEpoch}`, [{ partitionIndex: 0, timestamp: -1, currentLeaderEpoch }])
      }
    }
  }
}

export async function offsetsForLeaderEpochs(peer: Peer): Promise<void> {
  await peer.topic('epochs', { partitions: 2 })
  await peer.append('epochs', batch(someRecords(3)))
  for (const version of peer.versions(OffsetForLeaderEpoch)) {
    const see = (what: string, rows: readonly object[], { topic = 'epochs', ...options }: { topic?: string; replicaId?: number } = {}) =>
      peer.see(`OffsetForLeaderEpoch ${version}: ${what}`, OffsetForLeaderEpoch, version, {
        ...(version >= 3 ? { replicaId: -1 } : {}),
        topics: [{ topic, partitions: rows as never }],
        ...options,
      })
    for (const leaderEpoch of [0, 1, 5, -1, -2])
      await see(
        `epoch ${leaderEpoch}`,
        [0, 1].map((partition) => ({ partition, leaderEpoch })),
      )
    await see(
      'unknown partitions',
      [7, -1].map((partition) => ({ partition, leaderEpoch: 0 })),
    )
    await see('unknown topic', [{ partition: 0, leaderEpoch: 0 }], { topic: noTopic })
    await see('bad name', [{ partition: 0, leaderEpoch: 0 }], { topic: 'a/b' })
    await see(
      'twice',
      [0, 0].map((partition) => ({ partition, leaderEpoch: 0 })),
    )
    if (version >= 2) {
      for (const currentLeaderEpoch of [0, 1, -2])
        await see(`current ${currentLeaderEpoch}`, [{ partition: 0, leaderEpoch: 0, currentLeaderEpoch }])
    }
    if (version >= 3) {
      for (const replicaId of [-2, 1, 7]) await see(`as replica ${replicaId}`, [{ partition: 0, leaderEpoch: 0 }], { replicaId })
    }
  }
}

export async function deleteRecords(peer: Peer): Promise<void> {
  for (const version of peer.versions(DeleteRecords)) {
    const topic = `deleted-from-${version}`
    await peer.topic(topic, { partitions: 3 })
    for (let count = 0; count < 5; count++) await peer.append(topic, batch(someRecords(2)))
    const see = (what: string, rows: readonly (readonly [partition: number, offset: number])[], name = topic) =>
      peer.see(`DeleteRecords ${version}: ${what}`, DeleteRecords, version, {
        topics: [{ name, partitions: rows.map(([partitionIndex, offset]) => ({ partitionIndex, offset })) }],
        timeoutMs: 5000,
      })
    await see('before 3', [[0, 3]])
    await see('before 1, below the start', [[0, 1]])
    await see('before 3 again', [[0, 3]])
    await see('beyond the end', [[0, 11]])
    await see('offset -2', [[0, -2]])
    await see('before the end', [[0, 10]])
    await see('all of an empty one', [
      [1, -1],
      [2, 0],
    ])
    await see('all', [[0, -1]])
    await see('unknown partitions', [
      [3, 0],
      [-1, 0],
    ])
    await see('unknown topic', [[0, 0]], noTopic)
    await see('bad name', [[0, 0]], 'a/b')
    await see('twice', [
      [1, 0],
      [1, 0],
    ])
    await see('of __consumer_offsets', [[0, 0]], '__consumer_offsets')
    await peer.stored(`DeleteRecords ${version}: left`, topic, 10)
    await peer.topic(`deleted-from-compacted-${version}`, { configs: { 'cleanup.policy': 'compact' } })
    await see('of a compacted topic', [[0, 0]], `deleted-from-compacted-${version}`)
    await peer.topic(`deleted-from-both-${version}`, { configs: { 'cleanup.policy': 'compact,delete' } })
    await see('of a topic that compacts and deletes', [[0, 0]], `deleted-from-both-${version}`)
  }
}

export async function describeLogDirs(peer: Peer): Promise<void> {
  await peer.topic('sized', { partitions: 2 })
  await peer.append('sized', batch(someRecords(3)))
  await peer.append('sized', batch(someRecords(3), { producerId: 8_000_000, producerEpoch: 0, baseSequence: 0 }))
  for (const version of peer.versions(DescribeLogDirs)) {
    const see = (what: string, topics: { topic: string; partitions: number[] }[]) =>
      peer.see(`DescribeLogDirs ${version}: ${what}`, DescribeLogDirs, version, { topics })
    await see('a topic', [{ topic: 'sized', partitions: [0, 1] }])
    await see('one partition', [{ topic: 'sized', partitions: [1] }])
    await see('unknown', [
      { topic: 'sized', partitions: [9] },
      { topic: noTopic, partitions: [0] },
    ])
    await see('no topics', [])
    await see('no partitions', [{ topic: 'sized', partitions: [] }])
  }
}
