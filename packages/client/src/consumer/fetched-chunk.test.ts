import assert from 'node:assert/strict'
import { test } from 'node:test'
import { libuvOffload } from '@tidelog/core'
import { buildBatch, buildEndTxnMarker, type CodecName, downConvert, prepareCodec } from '@tidelog/protocol'
import type { ConsumerRecord } from './consumer-record.ts'
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

test('records stay what they are while further batches are decompressed', async () => {
  await prepareCodec('zstd')
  for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] satisfies CodecName[]) {
    const values = Array.from({ length: 6 }, (_, index) => `${index}`.repeat(2000))
    const bytes = Buffer.concat(values.map((value, index) => batch(index, [value], { codec })))
    const state = new PartitionState({ topic: 't', partition: 0 })
    state.seek({ offset: 0, leaderEpoch: -1 })
    const chunk = new FetchedChunk(state, bytes, { deserializers, checkCrcs: true, abortedTransactions: null, offload })
    const taken: ConsumerRecord[] = []
    for (;;) {
      chunk.take(100, taken)
      if (chunk.preparing === undefined) break
      await chunk.preparing
    }
    assert.deepEqual(
      taken.map(({ value }) => value!.toString()),
      values,
      codec,
    )
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

test('a record that breaks the structure of its batch is an error that names its place, after the records before it', async () => {
  const bytes = batch(0, ['a', 'b', 'c'])
  bytes[61 + 2 * ((bytes.length - 61) / 3)] = 0xfe // the size of the third record
  await assert.rejects(contentOf(bytes, { checkCrcs: false }), { code: 'CORRUPT_MESSAGE', topic: 't', partition: 0, offset: 2 })
  const state = new PartitionState({ topic: 't', partition: 0 })
  state.seek({ offset: 0, leaderEpoch: -1 })
  const chunk = new FetchedChunk(state, bytes, { deserializers, checkCrcs: false, abortedTransactions: null, offload })
  const taken: ConsumerRecord[] = []
  assert.throws(() => chunk.take(10, taken), { code: 'CORRUPT_MESSAGE', offset: 2 })
  assert.deepEqual(
    taken.map(({ offset }) => offset),
    [0, 1],
  )
  assert.deepEqual(state.position, { offset: 2, leaderEpoch: 3 })
})

test('messages of the old formats are records like any others', async () => {
  const records = ['a', 'b', 'c'].map((value, index) => ({
    timestamp: 1000 + index,
    key: Buffer.from(`k${value}`),
    value: Buffer.from(value),
  }))
  for (const codec of ['none', 'gzip', 'lz4'] satisfies CodecName[]) {
    for (const toMagic of [0, 1] as const) {
      const messages = await downConvert(
        buildBatch(records, { baseOffset: 7, codec }),
        { toMagic, firstOffset: 0, maxOutputBytes: 1000 },
        offload,
      )
      const bytes = Buffer.concat(messages)
      assert.deepEqual((await contentOf(bytes, { from: 8 })).values, ['8b', '9c'])
      const state = new PartitionState({ topic: 't', partition: 0 })
      state.seek({ offset: 7, leaderEpoch: -1 })
      const first = new FetchedChunk(state, bytes, { deserializers, checkCrcs: true, abortedTransactions: null, offload }).next()!
      const { offset, timestamp, timestampType, leaderEpoch, key, headers } = first
      assert.deepEqual(
        { offset, timestamp, timestampType, leaderEpoch, key: String(key), headers },
        { offset: 7, timestamp: toMagic === 0 ? -1 : 1000, timestampType: 'CreateTime', leaderEpoch: -1, key: 'ka', headers: [] },
      )
    }
  }
})
