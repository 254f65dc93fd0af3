import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { type OffloadTask, seededRandom } from '@tidelog/core'
import { codecNames, prepareCodec } from '../compression/index.ts'
import { KafkaError } from '../errors.ts'
import { type BatchOptions, buildBatch, type NewRecord } from './batch-builder.ts'
import * as batchHeader from './batch-header.ts'
import { batchAt, type RecordBatch } from './record-batch.ts'
import { type RecordRules, RecordValidationError, validateClientHeader, validateRecords } from './validate-records.ts'

const rules: RecordRules = {
  requireKeys: false,
  minTimestampMs: 1000,
  maxTimestampMs: 2000,
  maxOutputBytes: 50_000_000,
}
const inline = { run: <T>(task: OffloadTask<T>) => task.run() }

before(() => prepareCodec('zstd'))

const at = (timestamp: number, key: string | null = 'k'): NewRecord => ({
  timestamp,
  key: key === null ? null : Buffer.from(key),
  value: Buffer.from('value'),
})

function batchOf(records: NewRecord[], options: BatchOptions = {}): RecordBatch {
  const bytes = buildBatch(records, options)
  return batchAt(bytes, 0, bytes.length)!
}

/** A batch around records that a builder would never write. */
function batchWith(records: Buffer, count: number): RecordBatch {
  const bytes = Buffer.concat([Buffer.alloc(batchHeader.BATCH_OVERHEAD_BYTES), records])
  batchHeader.writeHeader(bytes, 0, bytes.length, {
    baseOffset: 0,
    partitionLeaderEpoch: -1,
    attributes: 0,
    lastOffsetDelta: count - 1,
    baseTimestamp: 1500,
    maxTimestamp: 1500,
    producerId: -1,
    producerEpoch: -1,
    baseSequence: -1,
    recordsCount: count,
  })
  return batchAt(bytes, 0, bytes.length)!
}

const changed = (change: (bytes: Buffer) => void): RecordBatch => {
  const batch = batchOf([at(1500), at(1600)])
  change(batch.buffer)
  return batch
}

test('a good batch passes, and its largest timestamp is told', async () => {
  for (const codec of codecNames) {
    const batch = batchOf([at(1500), at(1900), at(-1), at(1700)], { codec })
    validateClientHeader(batch)
    assert.deepEqual(await validateRecords(batch, rules, inline), { maxTimestamp: 1900 })
  }
  assert.deepEqual(await validateRecords(batchOf([at(-1)]), rules, inline), { maxTimestamp: -1 })
})

/** Codecs that are decompressed in passing, up to a size. */
const inPassing: readonly string[] = ['lz4', 'snappy']

test('a batch is validated at once when it is not compressed, small, or decompressed in passing, else aside', async () => {
  const names: string[] = []
  const offload = {
    run: <T>(task: OffloadTask<T>) => {
      names.push(task.name)
      return task.run()
    },
  }
  const random = Buffer.from(seededRandom(1).bytes(100_000))
  const large: NewRecord[] = [{ timestamp: 1500, value: random }]
  assert.ok(!(validateRecords(batchOf(large), rules, offload) instanceof Promise))
  for (const codec of codecNames.slice(1)) {
    assert.ok(!(validateRecords(batchOf([at(1500)], { codec }), rules, offload) instanceof Promise), codec)
    assert.deepEqual(await validateRecords(batchOf(large, { codec }), rules, offload), { maxTimestamp: 1500 })
  }
  assert.deepEqual(
    names,
    codecNames.slice(1).flatMap((codec) => (inPassing.includes(codec) ? [] : `decompress ${codec}`)),
  )
})

test('a small batch with a large output is decompressed aside, and refused above the limit', async () => {
  for (const codec of codecNames.slice(1)) {
    const bomb = batchOf([{ timestamp: 1500, value: Buffer.alloc(3_000_000) }], { codec })
    const result = validateRecords(bomb, rules, inline)
    if (bomb.sizeBytes < 16_384) assert.ok(result instanceof Promise, codec)
    assert.deepEqual(await result, { maxTimestamp: 1500 })
    await assert.rejects(async () => await validateRecords(bomb, { ...rules, maxOutputBytes: 2_999_999 }, inline), {
      errorName: 'INVALID_RECORD',
    })
  }
})

test('a compacted topic needs keys, and the records without are named', () => {
  const batch = batchOf([at(1500), at(1500, null), at(1500), at(1500, null)])
  assert.throws(
    () => validateRecords(batch, { ...rules, requireKeys: true }, inline),
    (error) => {
      assert.ok(error instanceof RecordValidationError)
      assert.equal(error.errorName, 'INVALID_RECORD')
      assert.deepEqual(
        error.recordErrors.map(({ batchIndex }) => batchIndex),
        [1, 3],
      )
      return true
    },
  )
})

test('a timestamp outside of the bounds is an INVALID_TIMESTAMP, as is one that cannot be represented', () => {
  for (const timestamps of [[999], [2001], [1500, 3000], [Number.MAX_SAFE_INTEGER]]) {
    const batch = batchOf(timestamps.map((timestamp) => at(timestamp)))
    assert.throws(() => validateRecords(batch, rules, inline), { errorName: 'INVALID_TIMESTAMP' })
  }
  const any = { ...rules, minTimestampMs: Number.NEGATIVE_INFINITY, maxTimestampMs: Number.POSITIVE_INFINITY }
  const beyond = changed((bytes) => bytes.writeBigInt64BE(2n ** 53n + 1n, 27))
  assert.throws(() => validateRecords(beyond, any, inline), { errorName: 'INVALID_TIMESTAMP' })
  const sumBeyond = changed((bytes) => bytes.writeBigInt64BE(2n ** 53n - 2n, 27))
  assert.throws(() => validateRecords(sumBeyond, any, inline), { errorName: 'INVALID_TIMESTAMP' })
})

test('the errors told of one batch are bounded', () => {
  const batch = batchOf(Array.from({ length: 5000 }, () => at(1500, null)))
  assert.throws(
    () => validateRecords(batch, { ...rules, requireKeys: true }, inline),
    (error) => error instanceof RecordValidationError && error.recordErrors.length === 100 && /5000 record errors/.test(error.message),
  )
})

test('what breaks the structure of records is an INVALID_RECORD', () => {
  // length 7: attributes, timestamp 0, offset 0, null key, null value, no headers; then what is wrong with each
  const cases: [string, string, number][] = [
    ['no records at all', '', 1],
    ['fewer records than counted', '0c000000010100', 2],
    ['bytes after the last record', '0c00000001010000', 1],
    ['record longer than the batch', '7e000000010100', 1],
    ['negative record length', '01000000010100', 1],
    ['record shorter than its fields', '0a0000000101', 1],
    ['record longer than its fields', '0e00000001010000', 1],
    ['key beyond the record', '0c000000500100', 1],
    ['value beyond the record', '0c000000015000', 1],
    ['key length beyond 32 bits', '16000000ffffffff7f010000', 1],
    ['more headers than bytes', '0c000000010150', 1],
    ['negative header count', '0c000000010101', 1],
    ['negative header key', '0e0000000101020100', 1],
    ['header value beyond the record', '100000000101020050', 1],
    ['offsets that do not rise by one', '0c000002010100', 1],
  ]
  for (const [what, hex, count] of cases) {
    const batch = batchWith(Buffer.from(hex, 'hex'), count)
    assert.throws(() => validateRecords(batch, rules, inline), { errorName: 'INVALID_RECORD' }, what)
  }
  assert.deepEqual(validateRecords(batchWith(Buffer.from('0c000000010100', 'hex'), 1), rules, inline), { maxTimestamp: 1500 })
})

test('an unknown codec is an INVALID_RECORD', () => {
  for (const codecId of [5, 6, 7]) {
    const batch = changed((bytes) => bytes.writeInt16BE(codecId, 21))
    assert.throws(() => validateRecords(batch, rules, inline), { errorName: 'INVALID_RECORD' })
  }
})

test('a header that contradicts itself or is not a client matter is an INVALID_RECORD', () => {
  const headers: [string, (bytes: Buffer) => void][] = [
    ['base offset', (bytes) => bytes.writeInt32BE(1, 4)],
    ['negative count', (bytes) => bytes.writeInt32BE(-1, 57)],
    ['no records', (bytes) => bytes.writeInt32BE(0, 57)],
    ['count above offsets', (bytes) => bytes.writeInt32BE(3, 57)],
    ['negative offset range', (bytes) => bytes.writeInt32BE(-1, 23)],
    ['control batch', (bytes) => bytes.writeInt16BE(0x20, 21)],
    ['producer without sequence', (bytes) => bytes.writeBigInt64BE(5n, 43)],
  ]
  for (const [what, change] of headers) {
    assert.throws(() => validateClientHeader(changed(change)), { errorName: 'INVALID_RECORD' }, what)
  }
})

test('no change of a batch makes the walk fail in another way', async () => {
  for (let seed = 0; seed < 1500; seed++) {
    const random = seededRandom(seed)
    const records = Array.from({ length: 1 + random.int(5) }, () => ({
      ...at(1000 + random.int(1000)),
      headers: [{ key: 'h', value: Buffer.from(random.bytes(random.int(5))) }],
    }))
    const batch = batchOf(records, { codec: codecNames[seed % 5]! })
    const bytes = batch.buffer
    for (let change = random.int(3); change >= 0; change--) bytes[57 + random.int(bytes.length - 57)] = random.int(256)
    try {
      await validateRecords(batch, { ...rules, maxOutputBytes: 100_000 }, inline)
    } catch (error) {
      assert.ok(error instanceof KafkaError && /^INVALID_/.test(error.errorName), `seed ${seed}: ${error}`)
    }
  }
})
