import assert from 'node:assert/strict'
import { test } from 'node:test'
import { libuvOffload } from '@tidelog/core'
import { buildBatch, buildEndTxnMarker, type CodecName, prepareCodec } from '@tidelog/protocol'
import { type AbortedTransaction, FetchedChunk } from './fetched-chunk.ts'
import { PartitionState } from './partition-state.ts'

const offload = libuvOffload()
const deserializers = { key: undefined, value: undefined }

function batch(baseOffset: number, values: readonly string[], options: Parameters<typeof buildBatch>[1] = {}): Buffer {
  return buildBatch(
    values.map((value) => ({ timestamp: 1, value: Buffer.from(value) })),
    { baseOffset, partitionLeaderEpoch: 3, ...options },
  )
}

/** A marker at its place in the log. */
function marker(offset: number, type: 'abort' | 'commit', producerId: number): Buffer {
  const bytes = buildEndTxnMarker({ type, producerId, producerEpoch: 0, timestamp: 1, coordinatorEpoch: 0 })
  bytes.writeBigInt64BE(BigInt(offset), 0)
  return bytes
}

/** What a chunk hands out, and where the position ends up. */
async function contentOf(
  records: Buffer,
  {
    from = 0,
    aborted = null,
    checkCrcs = true,
  }: { from?: number; aborted?: readonly AbortedTransaction[] | null; checkCrcs?: boolean } = {},
): Promise<{ values: string[]; position: number }> {
  const state = new PartitionState({ topic: 't', partition: 0 })
  state.seek({ offset: from, leaderEpoch: -1 })
  const chunk = new FetchedChunk(state, records, { deserializers, checkCrcs, abortedTransactions: aborted, offload })
  const values: string[] = []
  for (;;) {
    const record = chunk.next()
    if (record !== undefined) values.push(`${record.offset}${record.valueBytes}`)
    else if (chunk.preparing !== undefined) await chunk.preparing
    else return { values, position: state.position!.offset }
  }
}

test('a fetch from the middle of a batch hands out what is asked for, under every codec', async () => {
  await prepareCodec('zstd')
  for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] satisfies CodecName[]) {
    const bytes = Buffer.concat([batch(5, ['a', 'b', 'c'], { codec }), batch(8, ['d'.repeat(100_000)], { codec })])
    const { values, position } = await contentOf(bytes, { from: 6 })
    assert.deepEqual(values, ['6b', '7c', `8${'d'.repeat(100_000)}`])
    assert.equal(position, 9)
  }
})

test('the position goes past what compaction has removed, and past control batches, which nobody gets', async () => {
  const bytes = Buffer.concat([batch(0, ['a'], { lastOffset: 6 }), marker(7, 'commit', 1)])
  assert.deepEqual(await contentOf(bytes), { values: ['0a'], position: 8 })
})

test('read_committed leaves out aborted transactions and nothing else; read_uncommitted hands them out', async () => {
  const transactional = (producerId: number) => ({ producerId, producerEpoch: 0, baseSequence: 0, isTransactional: true })
  const bytes = Buffer.concat([
    batch(0, ['a'], transactional(1)),
    batch(1, ['b'], transactional(2)),
    batch(2, ['c']),
    marker(3, 'abort', 1),
    batch(4, ['d'], transactional(1)),
    marker(5, 'commit', 2),
    batch(6, ['e'], { producerId: 1, producerEpoch: 0, baseSequence: 9 }),
    marker(7, 'commit', 1),
    batch(8, ['f'], transactional(2)),
    marker(9, 'abort', 2),
    batch(10, ['g'], transactional(2)),
  ])
  const aborted = [
    { producerId: 2, firstOffset: 8 },
    { producerId: 1, firstOffset: 0 },
  ]
  assert.deepEqual((await contentOf(bytes, { aborted })).values, ['1b', '2c', '4d', '6e', '10g'])
  assert.deepEqual((await contentOf(bytes)).values, ['0a', '1b', '2c', '4d', '6e', '8f', '10g'])
})

test('a batch whose CRC does not fit is an error that names the place, after what comes before it', async () => {
  const bad = batch(2, ['c', 'd'])
  bad[bad.length - 1]! ^= 1
  const bytes = Buffer.concat([batch(0, ['a', 'b']), bad])
  await assert.rejects(contentOf(bytes), { code: 'CORRUPT_MESSAGE', topic: 't', partition: 0, offset: 2 })
  await assert.rejects(contentOf(Buffer.alloc(100, 0xff)), { code: 'CORRUPT_MESSAGE' })
})

test('a last batch that is cut off is left for the next fetch', async () => {
  const bytes = Buffer.concat([batch(0, ['a']), batch(1, ['b']).subarray(0, 60)])
  assert.deepEqual(await contentOf(bytes), { values: ['0a'], position: 1 })
})
