import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { type Random, seededRandom } from '@tidelog/core'
import { codecNames, prepareCodec } from '../compression/index.ts'
import { KafkaError } from '../errors.ts'
import { BatchBuilder, type BatchOptions, buildBatch, estimateRecordBytes, type NewRecord } from './batch-builder.ts'
import * as batchHeader from './batch-header.ts'
import { buildEndTxnMarker, readEndTxnMarker } from './control-records.ts'
import type { KafkaRecord } from './kafka-record.ts'
import { readRecords, uncompressBatch } from './read-records.ts'
import { batchAt, iterateBatches, type RecordBatch } from './record-batch.ts'

const limit = { maxOutputBytes: 10_000_000 }
const inline = { run: <T>(task: { run: () => Promise<T> }) => task.run() }

before(() => prepareCodec('zstd'))

function only(bytes: Buffer): RecordBatch {
  const batch = batchAt(bytes, 0, bytes.length)
  assert.ok(batch)
  assert.equal(batch.sizeBytes, bytes.length)
  return batch
}

function anyBytes(random: Random, most: number): Buffer | null {
  return random.int(5) === 0 ? null : Buffer.from(random.bytes(random.int(most)))
}

function anyRecord(random: Random): Required<NewRecord> {
  return {
    timestamp: [-1, 0, 1_700_000_000_000, 1_700_000_000_000 + random.int(2 ** 40), Number.MAX_SAFE_INTEGER][random.int(5)]!,
    key: anyBytes(random, 40),
    value: anyBytes(random, 2 ** random.int(13)),
    headers: Array.from({ length: random.int(4) }, () => ({ key: 'hé'.repeat(random.int(3)), value: anyBytes(random, 80) })),
  }
}

function plain({ timestamp, key, value, headers }: KafkaRecord) {
  return { timestamp, key, value, headers }
}

test('records read back as they were appended, with every codec', async () => {
  for (let seed = 0; seed < 60; seed++) {
    const random = seededRandom(seed)
    const records = Array.from({ length: 1 + random.int(60) }, () => anyRecord(random))
    const codec = codecNames[random.int(codecNames.length)]!
    const builder = new BatchBuilder({ codec, baseOffset: random.int(2 ** 45), expectedBytes: random.int(5000) })
    for (const record of records) {
      const before = builder.sizeBytes
      const announced = builder.recordBytes(record)
      builder.append(record)
      assert.equal(builder.sizeBytes - before, announced, `seed ${seed}`)
      assert.ok(announced <= estimateRecordBytes(record), `seed ${seed}`)
    }
    const batch = only(seed % 2 === 0 ? builder.build() : await builder.buildAside(inline))
    batch.ensureValid()
    assert.equal(batch.recordsCount, records.length)
    assert.equal(batch.maxTimestamp, Math.max(...records.map(({ timestamp }) => timestamp)))
    const uncompressed = await uncompressBatch(batch, limit, inline)
    for (const options of [limit, { ...limit, uncompressed }]) {
      const read = [...readRecords(batch, options)]
      assert.deepEqual(read.map(plain), records, `seed ${seed}, ${codec}`)
      assert.deepEqual(
        read.map(({ offset }) => offset),
        records.map((_, index) => batch.baseOffset + index),
      )
    }
  }
})

const allFields = {
  baseOffset: 2 ** 53 - 100,
  partitionLeaderEpoch: 7,
  producerId: 2 ** 40 + 1,
  producerEpoch: 32767,
  baseSequence: 2 ** 31 - 2,
  isTransactional: true,
  isControl: false,
} satisfies BatchOptions

const three: NewRecord[] = [{ timestamp: 5, value: Buffer.from('a') }, { timestamp: 9, key: Buffer.from('b') }, { timestamp: 7 }]

test('the header says what the builder was told', () => {
  const batch = only(buildBatch(three, allFields))
  const { baseOffset, partitionLeaderEpoch, producerId, producerEpoch, baseSequence, isTransactional, isControl } = batch
  assert.deepEqual({ baseOffset, partitionLeaderEpoch, producerId, producerEpoch, baseSequence, isTransactional, isControl }, allFields)
  assert.equal(batch.lastOffset, 2 ** 53 - 98)
  assert.equal(batch.baseTimestamp, 5)
  assert.equal(batch.maxTimestamp, 9)
  assert.equal(batch.lastSequence, 0) // after 2^31-1 comes 0
  assert.equal(batch.isLogAppendTime, false)
  assert.equal(batch.deleteHorizonMs, undefined)
})

test('offset and leader epoch are set without touching the CRC', () => {
  const bytes = buildBatch(three)
  const crc = batchHeader.crc(bytes, 0)
  batchHeader.setBaseOffset(bytes, 0, 123_456_789_012)
  batchHeader.setPartitionLeaderEpoch(bytes, 0, 42)
  const batch = only(bytes)
  batch.ensureValid()
  assert.equal(batchHeader.crc(bytes, 0), crc)
  assert.equal(batch.baseOffset, 123_456_789_012)
  assert.equal(batch.partitionLeaderEpoch, 42)
})

test('under LogAppendTime every record has the time of the append, and the CRC holds', () => {
  const bytes = Buffer.concat([Buffer.alloc(10), buildBatch(three)])
  batchHeader.setLogAppendTime(bytes, 10, 1_700_000_000_123)
  const batch = batchAt(bytes, 10, bytes.length)!
  batch.ensureValid()
  assert.ok(batch.isLogAppendTime)
  assert.deepEqual(
    [...readRecords(batch, limit)].map(({ timestamp }) => timestamp),
    [1_700_000_000_123, 1_700_000_000_123, 1_700_000_000_123],
  )
})

test('what a producer learns late is set in place, and the CRC holds', () => {
  const bytes = buildBatch(three)
  batchHeader.setProducerState(bytes, 0, { producerId: 9, producerEpoch: 1, baseSequence: 77, isTransactional: true })
  const batch = only(bytes)
  batch.ensureValid()
  assert.deepEqual([batch.producerId, batch.producerEpoch, batch.baseSequence, batch.lastSequence], [9, 1, 77, 79])
  assert.ok(batch.isTransactional)
})

test('a compacted batch keeps its offsets, its last offset and its delete horizon', () => {
  const builder = new BatchBuilder({ baseOffset: 100, lastOffset: 110, deleteHorizonMs: 5000 })
  builder.append({ timestamp: 1000, key: Buffer.from('k') }, 103)
  const batch = only(builder.build())
  assert.equal(batch.lastOffset, 110)
  assert.equal(batch.deleteHorizonMs, 5000)
  const [record] = [...readRecords(batch, limit)]
  assert.equal(record!.offset, 103)
  assert.equal(record!.timestamp, 1000)
})

test('any changed byte after the CRC field is noticed', () => {
  const bytes = buildBatch(three)
  for (let at = 17; at < bytes.length; at++) {
    const changed = Buffer.from(bytes)
    changed[at]! ^= 0x10
    assert.throws(() => only(changed).ensureValid(), { errorName: 'CORRUPT_MESSAGE' })
  }
})

test('batches are iterated up to the first that is cut off', () => {
  const [first, second] = [buildBatch(three), buildBatch(three.slice(1))]
  const both = Buffer.concat([first, second])
  for (let end = 0; end <= both.length; end++) {
    const found = [...iterateBatches(both.subarray(0, end))].length
    assert.equal(found, end < first.length ? 0 : end < both.length ? 1 : 2)
  }
})

test('a size or magic that cannot be is a CORRUPT_MESSAGE', () => {
  const broken = (change: (bytes: Buffer) => void) => {
    const bytes = buildBatch(three)
    change(bytes)
    return () => [...iterateBatches(bytes)]
  }
  for (const length of [-1, 0, 13, 48])
    assert.throws(
      broken((bytes) => bytes.writeInt32BE(length, 8)),
      { errorName: 'CORRUPT_MESSAGE' },
    )
  for (const magic of [-1, 3, 127])
    assert.throws(
      broken((bytes) => bytes.writeInt8(magic, 16)),
      { errorName: 'CORRUPT_MESSAGE' },
    )
})

test('records of broken batches end in an INVALID_RECORD and nothing else', () => {
  const good = buildBatch(Array.from({ length: 5 }, (_, index) => anyRecord(seededRandom(index))))
  for (let seed = 0; seed < 1000; seed++) {
    const random = seededRandom(seed)
    const bytes = Buffer.from(good)
    for (let change = random.int(3); change >= 0; change--) bytes[57 + random.int(bytes.length - 57)] = random.int(256)
    try {
      for (const { key, value, headers } of readRecords(only(bytes), limit)) void [key, value, headers]
    } catch (error) {
      assert.ok(error instanceof KafkaError && error.errorName === 'INVALID_RECORD', `seed ${seed}: ${error}`)
    }
  }
})

test('a transaction marker reads back, and other control records are none', () => {
  for (const type of ['abort', 'commit'] as const) {
    const batch = only(buildEndTxnMarker({ type, coordinatorEpoch: 12, producerId: 5, producerEpoch: 3, timestamp: 99 }))
    batch.ensureValid()
    assert.ok(batch.isControl && batch.isTransactional)
    const [record] = [...readRecords(batch, limit)]
    assert.deepEqual(readEndTxnMarker(record!), { type, coordinatorEpoch: 12 })
  }
  assert.equal(readEndTxnMarker({ key: Buffer.from('00000002', 'hex'), value: null }), undefined)
  assert.throws(() => readEndTxnMarker({ key: Buffer.from('0000', 'hex'), value: null }), { errorName: 'CORRUPT_MESSAGE' })
  assert.throws(() => readEndTxnMarker({ key: Buffer.from('00000001', 'hex'), value: Buffer.alloc(5) }), { errorName: 'CORRUPT_MESSAGE' })
})
