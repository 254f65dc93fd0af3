import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { seededRandom } from '@tidelog/core'
import { compressSync, prepareCodec } from '../compression/index.ts'
import { KafkaError } from '../errors.ts'
import { BatchBuilder, buildBatch } from './batch-builder.ts'
import { buildEndTxnMarker } from './control-records.ts'
import { downConvert, type UpConvertOptions, upConvert } from './convert.ts'
import type { KafkaRecord } from './kafka-record.ts'
import type { NewMessage, OldMagic } from './message.ts'
import { writeMessageSet } from './message-set.ts'
import { readRecords } from './read-records.ts'
import { batchAt, iterateBatches } from './record-batch.ts'

const limit = { maxOutputBytes: 10_000_000 }
const rules: UpConvertOptions = {
  ...limit,
  requireKeys: false,
  minTimestampMs: Number.NEGATIVE_INFINITY,
  maxTimestampMs: Number.POSITIVE_INFINITY,
}
const inline = { run: <T>(task: { run: () => Promise<T> }) => task.run() }
const oldCodecs = ['none', 'gzip', 'snappy', 'lz4'] as const
const magics: OldMagic[] = [0, 1]

before(() => prepareCodec('zstd'))

function plain({ offset, timestamp, key, value }: KafkaRecord) {
  return { offset, timestamp, key: key?.toString() ?? null, value: value?.toString() ?? null }
}

function recordsIn(bytes: Buffer) {
  return [...iterateBatches(bytes)].flatMap((batch) => {
    batch.ensureValid()
    return [...readRecords(batch, limit)].map(plain)
  })
}

function message(magic: OldMagic, offset: number, value: string | null, changes: Partial<NewMessage> = {}): NewMessage {
  return {
    magic,
    offset,
    timestamp: magic === 0 ? -1 : 1000 + offset,
    key: Buffer.from('k'),
    value: value === null ? null : Buffer.from(value),
    ...changes,
  }
}

/** What an old producer sends when it compresses: a wrapper around messages with offsets from 0. */
function wrapper(codec: 'gzip' | 'snappy' | 'lz4', messages: NewMessage[], offset: number): NewMessage {
  const { magic } = messages[0]!
  const value = compressSync(codec, writeMessageSet(messages), { magic })
  return { magic, offset, timestamp: 1002, key: null, value, codecId: ['none', 'gzip', 'snappy', 'lz4'].indexOf(codec) }
}

test('an old message is laid out as Kafka has it', () => {
  const v0 = writeMessageSet([{ offset: 3, magic: 0, timestamp: -1, key: null, value: Buffer.from('a') }])
  assert.equal(v0.toString('hex'), `${'0'.repeat(15)}3${'0000000f'}${'51df3a32'}0000ffffffff0000000161`)
  const v1 = writeMessageSet([{ offset: 3, magic: 1, timestamp: 1, key: Buffer.alloc(0), value: null }])
  assert.equal(v1.readInt32BE(8), v1.length - 12)
  assert.equal(v1.subarray(16).toString('hex'), `0100${'0'.repeat(15)}1${'00000000'}ffffffff`)
})

test('message sets of an old producer become one v2 batch with the same records', async () => {
  for (const magic of magics) {
    const messages = [message(magic, 0, 'a'), message(magic, 1, null), message(magic, 2, 'c')]
    const expected = messages.map(({ timestamp, value }, offset) => ({ offset, timestamp, key: 'k', value: value?.toString() ?? null }))
    for (const codec of oldCodecs) {
      const wrappers = codec === 'none' ? [messages] : [[wrapper(codec, messages, 2)], [wrapper(codec, messages, 0)]]
      for (const set of wrappers) {
        const bytes = await upConvert(writeMessageSet(set), rules, inline)
        const batch = batchAt(bytes, 0, bytes.length)!
        assert.equal(batch.sizeBytes, bytes.length)
        assert.equal(batch.magic, 2)
        assert.equal(batch.codecId, oldCodecs.indexOf(codec))
        assert.deepEqual(recordsIn(bytes), expected, `v${magic} ${codec}`)
      }
    }
  }
})

test('up-conversion stamps the time of the append and takes the codec it is given', async () => {
  const set = writeMessageSet([message(1, 0, 'a'), message(1, 1, 'b')])
  const bytes = await upConvert(set, { ...rules, codec: 'zstd', logAppendTimeMs: 7777 }, inline)
  const batch = batchAt(bytes, 0, bytes.length)!
  assert.ok(batch.isLogAppendTime)
  assert.equal(batch.codecId, 4)
  assert.deepEqual(
    recordsIn(bytes).map(({ timestamp }) => timestamp),
    [7777, 7777],
  )
})

test('bad message sets get the codes that Kafka answers', async () => {
  const good = [message(1, 0, 'a'), message(1, 1, 'b')]
  const set = (messages: NewMessage[]) => writeMessageSet(messages)
  const flipped = set(good)
  flipped[35]! ^= 1
  const cases: [string, Buffer, Partial<UpConvertOptions>, string][] = [
    ['bad CRC', flipped, {}, 'CORRUPT_MESSAGE'],
    ['nothing', Buffer.alloc(0), {}, 'INVALID_RECORD'],
    ['a v2 batch', buildBatch([{ value: null }]), {}, 'INVALID_RECORD'],
    ['mixed formats', set([message(1, 0, 'a'), message(0, 1, 'b')]), {}, 'INVALID_RECORD'],
    ['compressed beside another', set([wrapper('gzip', good, 1), message(1, 2, 'c')]), {}, 'INVALID_RECORD'],
    ['wrapper in a wrapper', set([wrapper('gzip', [wrapper('gzip', good, 1)], 0)]), {}, 'INVALID_RECORD'],
    ['other format inside', set([{ ...wrapper('gzip', [message(0, 0, 'a')], 0), magic: 1 }]), {}, 'INVALID_RECORD'],
    ['wrapper without value', set([{ ...wrapper('gzip', good, 1), value: null }]), {}, 'INVALID_RECORD'],
    ['empty wrapper', set([{ ...wrapper('gzip', good, 1), value: compressSync('gzip', Buffer.alloc(0)) }]), {}, 'INVALID_RECORD'],
    ['garbage in a wrapper', set([{ ...wrapper('gzip', good, 1), value: Buffer.from('garbage') }]), {}, 'INVALID_RECORD'],
    ['zstd', set([{ ...message(1, 0, 'a'), codecId: 4 }]), {}, 'INVALID_RECORD'],
    ['unknown codec', set([{ ...message(1, 0, 'a'), codecId: 6 }]), {}, 'INVALID_RECORD'],
    ['no key', set([message(1, 0, 'a', { key: null })]), { requireKeys: true }, 'INVALID_RECORD'],
    ['too early', set(good), { minTimestampMs: 1001 }, 'INVALID_TIMESTAMP'],
    ['too large inside', set([wrapper('gzip', [message(1, 0, 'a'.repeat(10_000))], 0)]), { maxOutputBytes: 10_000 }, 'INVALID_RECORD'],
  ]
  for (const [what, bytes, options, errorName] of cases) {
    await assert.rejects(upConvert(bytes, { ...rules, ...options }, inline), { errorName }, what)
  }
})

test('a v2 batch becomes a message set with the same records, without headers', async () => {
  const records = [
    { timestamp: 1000, key: Buffer.from('k'), value: Buffer.from('a'), headers: [{ key: 'h', value: null }] },
    { timestamp: 900, key: null, value: Buffer.from('b') },
    { timestamp: 1100, key: Buffer.from('k'), value: null },
  ]
  for (const toMagic of magics) {
    for (const codec of oldCodecs) {
      const batch = buildBatch(records, { codec, baseOffset: 50 })
      const [set, ...more] = await downConvert(batch, { ...limit, toMagic, firstOffset: 50 }, inline)
      assert.equal(more.length, 0)
      const found = [...iterateBatches(set!)]
      assert.equal(found.length, codec === 'none' ? 3 : 1)
      assert.ok(found.every(({ magic }) => magic === toMagic))
      if (codec !== 'none') assert.equal(found[0]!.baseOffset, 52)
      const timestamps = toMagic === 0 ? [-1, -1, -1] : [1000, 900, 1100]
      assert.deepEqual(recordsIn(set!), [
        { offset: 50, timestamp: timestamps[0], key: 'k', value: 'a' },
        { offset: 51, timestamp: timestamps[1], key: null, value: 'b' },
        { offset: 52, timestamp: timestamps[2], key: 'k', value: null },
      ])
    }
  }
})

test('offsets that compaction left survive down-conversion, under compression too', async () => {
  const builder = new BatchBuilder({ codec: 'gzip', baseOffset: 100, lastOffset: 120, logAppendTimeMs: 4444 })
  builder.append({ timestamp: 1, key: Buffer.from('k') }, 103)
  builder.append({ timestamp: 2, key: Buffer.from('k') }, 111)
  const [set] = await downConvert(builder.build(), { ...limit, toMagic: 1, firstOffset: 0 }, inline)
  assert.deepEqual(
    recordsIn(set!).map(({ offset, timestamp }) => [offset, timestamp]),
    [
      [103, 4444],
      [111, 4444],
    ],
  )
})

test('down-conversion drops markers and what lies before the fetch, keeps old formats, and stops at zstd', async () => {
  const first = buildBatch(
    [
      { timestamp: 1, value: Buffer.from('a') },
      { timestamp: 2, value: Buffer.from('b') },
    ],
    { baseOffset: 10 },
  )
  const marker = buildEndTxnMarker({ type: 'commit', coordinatorEpoch: 1, producerId: 1, producerEpoch: 1, timestamp: 3 })
  const old = writeMessageSet([message(0, 13, 'old')])
  const zstd = buildBatch([{ timestamp: 4, value: Buffer.from('z') }], { baseOffset: 14, codec: 'zstd' })
  const options = { ...limit, toMagic: 1 as const, firstOffset: 11 }
  const sets = await downConvert(Buffer.concat([first, marker, old, zstd]), options, inline)
  assert.deepEqual(
    recordsIn(Buffer.concat(sets)).map(({ offset, value }) => [offset, value]),
    [
      [11, 'b'],
      [13, 'old'],
    ],
  )
  await assert.rejects(downConvert(zstd, options, inline), { errorName: 'UNSUPPORTED_COMPRESSION_TYPE' })
})

test('changed message sets end in an error that Kafka knows', async () => {
  for (let seed = 0; seed < 500; seed++) {
    const random = seededRandom(seed)
    const magic = magics[seed % 2]!
    const messages = [message(magic, 0, 'aaaa'), message(magic, 1, 'bbbb')]
    const codec = oldCodecs[random.int(4)]!
    const bytes = writeMessageSet(codec === 'none' ? messages : [wrapper(codec, messages, 1)])
    for (let change = random.int(3); change >= 0; change--) bytes[random.int(bytes.length)] = random.int(256)
    try {
      await upConvert(bytes, rules, inline)
      for (const batch of iterateBatches(bytes)) for (const record of readRecords(batch, limit)) plain(record)
    } catch (error) {
      assert.ok(error instanceof KafkaError, `seed ${seed}: ${error}`)
    }
  }
})
