import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { before, test } from 'node:test'
import { codecById, prepareCodec } from '../compression/index.ts'
import { BatchBuilder } from './batch-builder.ts'
import { readEndTxnMarker } from './control-records.ts'
import type { KafkaRecord } from './kafka-record.ts'
import { readRecords } from './read-records.ts'
import { iterateBatches, type RecordBatch } from './record-batch.ts'
import { validateRecords } from './validate-records.ts'

interface ExpectedRecord {
  readonly offset: number
  readonly timestamp: number
  readonly key: string | null
  readonly value: string | null | { length: number; prefix: string }
  readonly headers: [string, string | null][]
}

const golden = new URL('../../../storage/fixtures/golden/', import.meta.url)
const expected = new Map<string, { high: number; records: ExpectedRecord[] }>(
  Object.entries(JSON.parse(readFileSync(new URL('expected.json', golden), 'utf8'))),
)
const limit = { maxOutputBytes: 10_000_000 }

before(() => prepareCodec('zstd'))

function logsOf(folder: string): Buffer[] {
  const dir = new URL(`data/${folder}/`, golden)
  const names = readdirSync(dir).filter((name) => name.endsWith('.log'))
  return names.sort().map((name) => readFileSync(new URL(name, dir)))
}

function batchesOf(folder: string): RecordBatch[] {
  return logsOf(folder).flatMap((log) => {
    const batches = [...iterateBatches(log)]
    assert.equal(batches.at(-1)?.sizeBytes, log.length - batches.at(-1)!.at, 'a whole log is whole batches')
    for (const batch of batches) batch.ensureValid()
    return batches
  })
}

function asExpected({ offset, timestamp, key, value, headers }: KafkaRecord, like: ExpectedRecord): ExpectedRecord {
  const text = value?.toString() ?? null
  const isLong = typeof like.value === 'object' && like.value !== null
  return {
    offset,
    timestamp,
    key: key?.toString() ?? null,
    value: isLong ? { length: value!.length, prefix: text!.slice(0, like.value.prefix.length) } : text,
    headers: headers.map(({ key: name, value: content }) => [name, content?.toString() ?? null]),
  }
}

for (const [name, { records, high }] of expected) {
  if (name.endsWith('read_committed')) continue
  test(`${name}: every record reads as librdkafka read it from Kafka`, () => {
    const folder = `${name.split(' ')[0]}-0`
    const data = batchesOf(folder).filter(({ isControl }) => !isControl)
    const read = data.flatMap((batch) => [...readRecords(batch, limit)])
    assert.equal(read.length, records.length)
    for (const [index, record] of read.entries()) assert.deepEqual(asExpected(record, records[index]!), records[index])
    assert.ok(read.at(-1)!.offset < high)
  })
}

const folders = readdirSync(new URL('data/', golden), { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))

for (const folder of folders) {
  test(`${folder}: every batch passes validation, and is built again byte for byte when it is not compressed`, async () => {
    const rules = { ...limit, requireKeys: false, minTimestampMs: Number.NEGATIVE_INFINITY, maxTimestampMs: Number.POSITIVE_INFINITY }
    for (const batch of batchesOf(folder)) {
      const records = [...readRecords(batch, limit)]
      const isDense = batch.recordsCount === batch.lastOffsetDelta + 1
      if (isDense) {
        const { maxTimestamp } = await validateRecords(batch, rules, { run: (task) => task.run() })
        assert.equal(maxTimestamp, batch.maxTimestamp)
      }
      const { baseOffset, lastOffset, partitionLeaderEpoch, producerId, producerEpoch, baseSequence, isTransactional, isControl } = batch
      const builder = new BatchBuilder({
        codec: codecById(batch.codecId),
        baseOffset,
        lastOffset,
        partitionLeaderEpoch,
        producerId,
        producerEpoch,
        baseSequence,
        isTransactional,
        isControl,
      })
      for (const record of records) {
        const before = builder.sizeBytes
        const announced = builder.recordBytes(record)
        builder.append(record, record.offset)
        if (isDense) assert.equal(builder.sizeBytes - before, announced)
      }
      const built = builder.build()
      if (batch.codecId === 0) assert.ok(built.equals(batch.bytes), `batch at ${baseOffset}`)
      const [again] = [...iterateBatches(built)]
      assert.deepEqual([...readRecords(again!, limit)].map(plain), records.map(plain))
    }
  })
}

function plain({ offset, timestamp, key, value, headers }: KafkaRecord): KafkaRecord {
  return { offset, timestamp, key, value, headers }
}

test('golden-txn: the markers that end its transactions', () => {
  const markers = batchesOf('golden-txn-0')
    .filter(({ isControl }) => isControl)
    .map((batch) => readEndTxnMarker([...readRecords(batch, limit)][0]!)?.type)
  // The first fences an earlier producer of the same transactional id: it ends a transaction without records.
  assert.deepEqual(markers, ['abort', 'commit', 'abort', 'commit', 'abort'])
})
