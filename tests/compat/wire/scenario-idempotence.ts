/** Producer ids: where they come from, and what sequences and epochs a partition takes from them. KIP-98, KIP-360. */
import { DeleteRecords, DescribeProducers, errorTable, InitProducerId } from '@tidelog/protocol'
import { batch, type codecs, someRecords } from './odd-batches.ts'
import type { Peer } from './peer.ts'

const MAX_SEQUENCE = 2 ** 31 - 1

export async function askForProducerIds(peer: Peer): Promise<void> {
  const { code: loading } = errorTable.COORDINATOR_LOAD_IN_PROGRESS
  // Kafka fetches its first ids when the first one is asked for.
  while ((await peer.call(InitProducerId, 2, { transactionalId: null, transactionTimeoutMs: 1 })).errorCode === loading);
  for (const version of peer.versions(InitProducerId)) {
    const see = (what: string, request: object) =>
      peer.see(`InitProducerId ${version}: ${what}`, InitProducerId, version, {
        transactionalId: null,
        transactionTimeoutMs: 60_000,
        ...request,
      })
    await see('fresh', {})
    await see('timeout -1', { transactionTimeoutMs: -1 })
    await see('timeout 2^31-1', { transactionTimeoutMs: MAX_SEQUENCE })
    await see('empty transactional id', { transactionalId: '' })
    if (version < 3) continue
    await see('id and epoch', { producerId: 4_000_000, producerEpoch: 3 })
    await see('id without epoch', { producerId: 4_000_000 })
    await see('epoch without id', { producerEpoch: 3 })
    await see('last epoch', { producerId: 4_000_000, producerEpoch: 32_767 })
    await see('negative id', { producerId: -5, producerEpoch: 0 })
  }
}

export async function sendSequences(peer: Peer): Promise<void> {
  const topic = 'sequences'
  await peer.topic(topic)
  let producerId = 5_000_000
  const send = (what: string, baseSequence: number, { count = 1, producerEpoch = 0, codec = 'none' as (typeof codecs)[number] } = {}) =>
    peer.produce(`sequences: ${what}`, topic, batch(someRecords(count), { producerId, producerEpoch, baseSequence, codec }))

  for (const sequence of [0, 1, 2, 3, 4, 5, 6]) await send(`batch ${sequence}`, sequence)
  for (const sequence of [6, 5, 4, 3, 2, 1, 0]) await send(`batch ${sequence} again`, sequence)
  await send('gap', 9)
  await send('duplicate with more records', 6, { count: 2 })
  await send('overlap', 6, { count: 3 })
  await send('next', 7, { count: 3 })
  await send('part of the last', 8)
  await send('next after three', 10)
  await send('compressed duplicate', 10, { codec: 'gzip' })
  await send('newer epoch, sequence 5', 5, { producerEpoch: 1 })
  await send('newer epoch, sequence 0', 0, { producerEpoch: 1 })
  await send('newer epoch, sequence 0 again', 0, { producerEpoch: 1 })
  await send('older epoch', 11)
  await send('older epoch, known batch', 10)
  await send('epoch skips', 0, { producerEpoch: 9 })
  await send('epoch -1', 1, { producerEpoch: -1 })
  await send('sequence -1', -1, { producerEpoch: 9 })
  await send('sequence -2', -2, { producerEpoch: 9 })
  await send('epoch 32767', 0, { producerEpoch: 32_767 })

  producerId++
  await send('unknown producer, sequence 10', 10)
  await send('unknown producer, then 11', 11)
  await send('unknown producer, then 0', 0)
  producerId++
  await send('unknown producer, epoch 3, sequence 0', 0, { producerEpoch: 3 })
  await send('unknown producer, epoch 4, sequence 7', 7, { producerEpoch: 4 })
  producerId++
  await send('wrap: up to the last but one', MAX_SEQUENCE - 3, { count: 2 })
  await send('wrap: across', MAX_SEQUENCE - 1, { count: 4 })
  await send('wrap: across, again', MAX_SEQUENCE - 1, { count: 4 })
  await send('wrap: gap behind', 3)
  await send('wrap: behind', 2)
  await send('wrap: at the end of numbers', MAX_SEQUENCE)
  producerId++
  await send('wrap exactly: last', MAX_SEQUENCE)
  await send('wrap exactly: 0', 0)
  await send('wrap exactly: last again', MAX_SEQUENCE)
  producerId++
  const several = [0, 1, 2].map((baseSequence) => batch(someRecords(1), { producerId, producerEpoch: 0, baseSequence }))
  await peer.produce('sequences: several batches in one', topic, Buffer.concat(several))
  producerId = 0
  await send('producer id 0', 0)
  producerId = -2
  await send('producer id -2', 0)
  producerId = -1
  await send('no producer id, but a sequence', 5, { producerEpoch: 2 })

  producerId = 5_100_000
  const afterDelete = async (what: string, request: { offset: number }) => {
    await peer.see(`sequences: ${what}`, DeleteRecords, 2, {
      topics: [{ name: topic, partitions: [{ partitionIndex: 0, offset: request.offset }] }],
      timeoutMs: 5000,
    })
  }
  await send('before DeleteRecords: 0', 0)
  await send('before DeleteRecords: 1', 1)
  await afterDelete('DeleteRecords of all', { offset: -1 })
  await send('after DeleteRecords: 1 again', 1)
  await send('after DeleteRecords: gap', 5)
  await send('after DeleteRecords: 2', 2)
  await peer.stored('sequences: stored', topic, 32)
  await peer.see('sequences: producers', DescribeProducers, 0, { topics: [{ name: topic, partitionIndexes: [0] }] })
}

export async function describeProducers(peer: Peer): Promise<void> {
  await peer.topic('producers', { partitions: 2 })
  for (const partition of [0, 1]) {
    const producer = { producerId: 6_000_000 + partition, producerEpoch: 2, baseSequence: 0 }
    await peer.append('producers', batch(someRecords(3), producer), partition)
  }
  await peer.append('producers', batch(someRecords(3)), 1)
  for (const version of peer.versions(DescribeProducers)) {
    const see = (what: string, topics: { name: string; partitionIndexes: number[] }[]) =>
      peer.see(`DescribeProducers ${version}: ${what}`, DescribeProducers, version, { topics })
    await see('both partitions', [{ name: 'producers', partitionIndexes: [0, 1] }])
    await see('unknown partition', [{ name: 'producers', partitionIndexes: [0, 5, -1] }])
    await see('unknown topic', [{ name: 'no-such-topic', partitionIndexes: [0] }])
    await see('bad name', [{ name: 'a/b', partitionIndexes: [0] }])
    await see('twice', [{ name: 'producers', partitionIndexes: [0, 0] }])
    await see('nothing', [])
  }
}
