/** What a producer can send: every version, every outcome, and batches that no producer should build. */
import { gzipSync } from 'node:zlib'
import { type CodecName, Fetch, Produce, type RequestInput } from '@tidelog/protocol'
import {
  altered,
  batch,
  batchAround,
  batchOfBytes,
  codecs,
  field,
  message,
  messageSet,
  rawRecord,
  someRecords,
  someTimeMs,
  text,
  varint,
} from './odd-batches.ts'
import type { Peer } from './peer.ts'

const MINUTE_MS = 60_000
/** Known to every broker of a comparison. */
const STORED_VERSION = 12
const noTopic = 'no-such-topic'

export async function produceInEveryVersion(peer: Peer): Promise<void> {
  for (const version of peer.versions(Produce)) {
    const name = (what: string): string => `Produce ${version}: ${what}`
    const topic = `produce-${version}`
    const records = (): Buffer => (version < 3 ? messageSet(version < 2 ? 0 : 1, ['a', 'b']) : batch(someRecords(2)))
    await peer.topic(topic, { partitions: 2 })
    await peer.topic(`${topic}-log-append-time`, { configs: { 'message.timestamp.type': 'LogAppendTime' } })
    const send = (what: string, bytes: Uint8Array | null, options = {}) => peer.produce(name(what), topic, bytes, { version, ...options })

    await send('two records', records())
    await send('acks 1', records(), { acks: 1 })
    for (const acks of [5, -2]) await send(`acks ${acks}`, records(), { acks })
    await peer.produce(name('LogAppendTime'), `${topic}-log-append-time`, records(), { version })
    await peer.stored(name('stored under LogAppendTime'), `${topic}-log-append-time`)
    await peer.produce(name('unknown topic'), noTopic, records(), { version })
    if (version < 13) {
      await peer.produce(name('topic name with a slash'), 'a/b', records(), { version })
      await peer.produce(name('empty topic name'), '', records(), { version })
    }
    for (const partition of [2, -1]) {
      await peer.see(name(`partition ${partition}`), Produce, version, peer.produceRequest(version, [[topic, partition, records()]]))
    }
    await send('no bytes', Buffer.alloc(0))
    await send('three bytes', Buffer.from('abc'))
    await send('cut off', records().subarray(0, 50))
    await send('cut off rest', Buffer.concat([records(), records().subarray(0, 40)]))
    await send('two batches', Buffer.concat([records(), records()]))
    await send('other format', version < 3 ? batch() : messageSet(1, ['a']))
    await send('mixed formats', Buffer.concat([message({ magic: 0, value: text('a') }), message({ magic: 1, value: text('b') })]))
    for (const codec of codecs) {
      const bytes = version < 3 ? oldWith(version < 2 ? 0 : 1, codec) : batch(someRecords(3), { codec })
      await send(`codec ${codec}`, bytes)
    }
    await peer.see(
      name('some of several partitions fail'),
      Produce,
      version,
      peer.produceRequest(version, [
        [topic, 0, records()],
        [noTopic, 0, records()],
        [topic, 7, records()],
        [topic, 1, records()],
      ]),
    )
    await peer.see(name('no topics'), Produce, version, peer.produceRequest(version, []))
    await peer.seeNoAnswer(name('acks 0'), Produce, version, peer.produceRequest(version, [[topic, 0, records()]], { acks: 0 }))
    await peer.seeNoAnswer(
      name('acks 0 to an unknown topic'),
      Produce,
      version,
      peer.produceRequest(version, [[noTopic, 0, records()]], { acks: 0 }),
    )
    if (version >= 3) {
      await send('transactional without transactional id', batch(someRecords(1), { isTransactional: true, ...firstOf(7) }))
      await send('transactional id without transaction', batch(), { transactionalId: 'tx' })
    }
    await peer.stored(name('stored in partition 0'), topic)
  }
}

const firstOf = (producerId: number) => ({ producerId, producerEpoch: 0, baseSequence: 0 })

const oldWith = (magic: 0 | 1, codec: CodecName): Buffer => messageSet(magic, ['x', 'y', 'z'], { codec })

/** The same topic or partition named twice in one request. */
export async function produceTwiceToOnePartition(peer: Peer): Promise<void> {
  for (const version of [3, 9, peer.newest(Produce)]) {
    const topic = `twice-${version}`
    await peer.topic(topic, { partitions: 2 })
    const row = (index: number, value: string) => ({ index, records: batch([{ timestamp: someTimeMs, value: text(value) }]) })
    const named = { name: version < 13 ? topic : '', topicId: version < 13 ? undefined! : peer.idOf(topic) }
    const request = (topicData: RequestInput<typeof Produce>['topicData']) => ({ acks: -1, timeoutMs: 5000, topicData })
    const partitions = [row(0, 'first'), row(1, 'other'), row(0, 'second')]
    await peer.see(`Produce ${version}: a partition twice`, Produce, version, request([{ ...named, partitionData: partitions }]))
    await peer.see(
      `Produce ${version}: a topic twice`,
      Produce,
      version,
      request([
        { ...named, partitionData: [row(1, 'third')] },
        { ...named, partitionData: [row(0, 'fourth')] },
      ]),
    )
    await peer.see(
      `Produce ${version}: a topic and partition twice`,
      Produce,
      version,
      request([
        { ...named, partitionData: [row(0, 'fifth')] },
        { ...named, partitionData: [row(0, 'sixth')] },
      ]),
    )
    await peer.stored(`Produce ${version}: stored of what came twice`, topic)
  }
}

type Case = readonly [what: string, bytes: Uint8Array]

/** Sends each case to a partition of its own, so that what one broker takes does not move the offsets of the next. */
async function eachAlone(peer: Peer, topic: string, cases: readonly Case[], version = peer.newest(Produce)): Promise<void> {
  await peer.topic(topic, { partitions: cases.length })
  for (const [partition, [what, bytes]] of cases.entries()) {
    await peer.see(`${topic}: ${what}`, Produce, version, peer.produceRequest(version, [[topic, partition, bytes]]))
    await peer.see(`${topic}: ${what}, stored`, Fetch, STORED_VERSION, peer.fetchRequest(STORED_VERSION, [[topic, partition]]))
  }
}

/** Batches that break the format, as they are and compressed. */
export async function produceBrokenBatches(peer: Peer): Promise<void> {
  const cases: Case[] = []
  const send = (what: string, bytes: Uint8Array) => cases.push([what, bytes])
  const plain = batch(someRecords(3))
  const with_ = (change: (bytes: Buffer) => void) => altered(plain, change)

  send('bad crc', Buffer.concat([plain.subarray(0, -1), Buffer.from('!')]))
  for (const magic of [3, 127, -1])
    send(
      `magic ${magic}`,
      with_((bytes) => field.magic(bytes, magic)),
    )
  for (const length of [-1, 0, 13, 14, 40, 48]) {
    send(
      `batch length ${length}`,
      with_((bytes) => field.batchLength(bytes, length)),
    )
  }
  send(
    'batch length beyond the bytes',
    with_((bytes) => field.batchLength(bytes, 10_000)),
  )
  for (const offset of [5, -1])
    send(
      `base offset ${offset}`,
      with_((bytes) => field.baseOffset(bytes, offset)),
    )
  for (const epoch of [0, 9])
    send(
      `leader epoch ${epoch}`,
      with_((bytes) => field.leaderEpoch(bytes, epoch)),
    )
  for (const delta of [-1, 0, 1, 3])
    send(
      `last offset delta ${delta}`,
      with_((bytes) => field.lastOffsetDelta(bytes, delta)),
    )
  for (const count of [-1, 0, 2, 4])
    send(
      `records count ${count}`,
      with_((bytes) => field.recordsCount(bytes, count)),
    )
  for (const count of [0, 2, 4]) {
    send(
      `records count and last offset for ${count}`,
      with_((bytes) => {
        field.recordsCount(bytes, count)
        field.lastOffsetDelta(bytes, count - 1)
      }),
    )
  }
  for (const codec of codecs) {
    for (const count of [2, 4]) {
      send(`${codec}, records count and last offset for ${count}`, batchAround(Buffer.concat(threeRaw()), { count, codec }))
    }
  }
  send('no records at all', batchOfBytes(Buffer.alloc(0), { count: 0 }))
  send('count 1 without bytes', batchOfBytes(Buffer.alloc(0)))
  for (const [what, attributes] of [
    ['LogAppendTime', 0x08],
    ['transactional', 0x10],
    ['control', 0x20],
    ['transactional control', 0x30],
    ['delete horizon', 0x40],
    ['bit 7', 0x80],
    ['bits 8 to 15', -256],
    ['codec 5', 5],
    ['codec 6', 6],
    ['codec 7', 7],
  ] as const) {
    send(
      `attributes say ${what}`,
      with_((bytes) => field.attributes(bytes, attributes)),
    )
  }
  for (const codecId of [1, 2, 3, 4]) {
    send(`codec ${codecId} with garbage`, batchOfBytes(Buffer.from('this is no compressed stream'), { attributes: codecId }))
    send(`codec ${codecId} with nothing`, batchOfBytes(Buffer.alloc(0), { attributes: codecId }))
  }
  for (const codec of codecs) {
    if (codec === 'none') continue
    const whole = batch(
      Array.from({ length: 30 }, (_, index) => ({ timestamp: someTimeMs, value: Buffer.from(`${(index * 7919) % 1000}-`.repeat(40)) })),
      { codec },
    )
    send(
      `${codec} stream cut off`,
      altered(whole.subarray(0, -12), (bytes) => field.batchLength(bytes, bytes.length - 12)),
    )
    send(
      `${codec} stream with bytes behind it`,
      altered(Buffer.concat([whole, Buffer.from('behind')]), (bytes) => field.batchLength(bytes, bytes.length - 12)),
    )
  }
  for (const timestamps of [
    [-1, -1],
    [0, 0],
    [5, 9],
    [someTimeMs, -1],
    [someTimeMs, someTimeMs + 500],
    [-5, -5],
  ] as const) {
    send(
      `base and max timestamp ${timestamps}`,
      with_((bytes) => {
        field.baseTimestamp(bytes, timestamps[0])
        field.maxTimestamp(bytes, timestamps[1])
      }),
    )
  }
  await eachAlone(peer, 'broken-batches', cases)
}

const threeRaw = (): Buffer[] => [0, 1, 2].map((offsetDelta) => rawRecord({ offsetDelta, value: `r${offsetDelta}` }))

/** Records whose inside is wrong, in a batch that is right; in each codec that matters to the way they are walked. */
export async function produceBrokenRecords(peer: Peer): Promise<void> {
  const cases: readonly (readonly [string, Buffer[]])[] = [
    ['offset delta 1 first', [rawRecord({ offsetDelta: 1 })]],
    ['offset delta -1', [rawRecord({ offsetDelta: -1 })]],
    ['same offset twice', [rawRecord(), rawRecord()]],
    ['offsets backward', [rawRecord({ offsetDelta: 1 }), rawRecord({ offsetDelta: 0 })]],
    ['attributes 1', [rawRecord({ attributes: 1 })]],
    ['length 0', [rawRecord({ length: 0 })]],
    ['length -1', [rawRecord({ length: -1 })]],
    ['length too short', [rawRecord({ length: 4 })]],
    ['length too long', [rawRecord({ length: 60 })]],
    ['length shorter than fields by one', [rawRecord({ length: 7 }), rawRecord({ offsetDelta: 1 })]],
    ['length longer than fields by one', [rawRecord({ length: 9 }), rawRecord({ offsetDelta: 1 })]],
    ['key length beyond', [rawRecord({ keyLength: 200 })]],
    ['key length -2', [rawRecord({ keyLength: -2, key: '' })]],
    ['value length beyond', [rawRecord({ valueLength: 200 })]],
    ['value length -2', [rawRecord({ valueLength: -2, value: '' })]],
    ['null key and value', [rawRecord({ keyLength: -1, key: '', valueLength: -1, value: '' })]],
    ['headers count -1', [rawRecord({ headersCount: -1 })]],
    ['headers count beyond', [rawRecord({ headersCount: 1000 })]],
    ['null header key', [rawRecord({ headersCount: 1, headers: Buffer.concat([varint(-1), varint(1), Buffer.from('v')]) })]],
    ['null header value', [rawRecord({ headersCount: 1, headers: Buffer.concat([varint(1), Buffer.from('h'), varint(-1)]) })]],
    ['header value beyond', [rawRecord({ headersCount: 1, headers: Buffer.concat([varint(1), Buffer.from('h'), varint(50)]) })]],
    ['a varint that never ends', [Buffer.alloc(20, 0xff)]],
    ['bytes behind the last record', [rawRecord(), Buffer.from('more')]],
  ]
  for (const codec of ['none', 'gzip'] as const) {
    const batches = cases.map(([what, records]): Case => {
      const count = what === 'bytes behind the last record' ? 1 : records.length
      return [what, batchAround(Buffer.concat(records), { count, codec })]
    })
    await eachAlone(peer, `broken-records-${codec}`, batches)
  }
}

/** Where topics limit what they take: keys, timestamps, sizes. */
export async function produceAgainstTopicLimits(peer: Peer): Promise<void> {
  await peer.topic('compacted', { configs: { 'cleanup.policy': 'compact' } })
  const keys = (...all: (string | null)[]) =>
    all.map((key, index) => ({ timestamp: someTimeMs + index, key: text(key), value: text(`v${index}`) }))
  const compacted = (what: string, bytes: Uint8Array) => peer.produce(`compacted topic: ${what}`, 'compacted', bytes)
  for (const codec of codecs) {
    await compacted(`${codec}, keyless`, batch(keys(null), { codec }))
    await compacted(`${codec}, second of three keyless`, batch(keys('a', null, 'c'), { codec }))
  }
  await compacted('five keyless', batch(keys(null, null, 'c', null, null, null)))
  await compacted('tombstone', batch([{ timestamp: someTimeMs, key: text('a'), value: null }]))
  await compacted('empty key', batch(keys('')))

  const bounds = { 'message.timestamp.before.max.ms': '3600000', 'message.timestamp.after.max.ms': '3600000' }
  await peer.topic('bounded-times', { configs: bounds })
  await peer.topic('bounded-append-times', { configs: { ...bounds, 'message.timestamp.type': 'LogAppendTime' } })
  await peer.topic('default-times')
  await peer.topic('bounded-compacted', { configs: { ...bounds, 'cleanup.policy': 'compact' } })
  const offsets = { '30 min ago': -30, '90 min ago': -90, 'in 30 min': 30, 'in 90 min': 90 }
  for (const topic of ['bounded-times', 'bounded-append-times', 'default-times']) {
    for (const [what, minutes] of Object.entries(offsets)) {
      const timestamp = Date.now() + minutes * MINUTE_MS
      for (const codec of ['none', 'gzip'] as const) {
        await peer.produce(`${topic}: ${codec}, ${what}`, topic, batch([{ timestamp, value: text('v') }], { codec }))
      }
    }
    for (const timestamp of [-1, -2, 0, 1]) {
      await peer.produce(`${topic}: timestamp ${timestamp}`, topic, batch([{ timestamp, value: text('v') }]))
    }
    await peer.stored(`${topic}: stored`, topic)
  }
  const now = Date.now()
  const late = now - 90 * MINUTE_MS
  await peer.produce(
    'bounded-times: two of four',
    'bounded-times',
    batch([now, late, now, late].map((timestamp) => ({ timestamp, value: text('v') }))),
  )
  await peer.produce('bounded-compacted: both wrong', 'bounded-compacted', batch([{ timestamp: late, key: null, value: text('v') }]))
  await peer.produce(
    'bounded-compacted: one wrong each',
    'bounded-compacted',
    batch([
      { timestamp: now, key: null, value: text('v') },
      { timestamp: late, key: text('k'), value: text('v') },
    ]),
  )
  await peer.produce(
    'LogAppendTime set by a producer',
    'bounded-append-times',
    altered(batch(), (bytes) => field.attributes(bytes, 8)),
  )

  await peer.topic('small-batches', { configs: { 'max.message.bytes': '1000' } })
  for (const bytes of [1000, 1001]) {
    await peer.produce(`max.message.bytes 1000: a batch of ${bytes}`, 'small-batches', batchOfSize(bytes))
  }
  const zeros = batch([{ timestamp: someTimeMs, value: Buffer.alloc(9000) }], { codec: 'gzip' })
  await peer.produce('max.message.bytes 1000: 9000 zeros, packed', 'small-batches', zeros)
  await peer.topic('default-size')
  for (const bytes of [1_048_588, 1_048_589]) await peer.produce(`default size: a batch of ${bytes}`, 'default-size', batchOfSize(bytes))
  await peer.topic('large-batches', { configs: { 'segment.bytes': '1048576', 'max.message.bytes': '3000000' } })
  for (const bytes of [1_048_576, 1_048_577, 2_000_000]) {
    await peer.produce(`segment.bytes 1 MiB: a batch of ${bytes}`, 'large-batches', batchOfSize(bytes))
  }
}

export function batchOfSize(bytes: number): Buffer {
  for (let value = bytes - 80; ; value++) {
    const built = batch([{ timestamp: someTimeMs, key: null, value: Buffer.alloc(value, 'x') }])
    if (built.length === bytes) return built
    if (built.length > bytes) throw new Error(`no batch has ${bytes} bytes`)
  }
}

/** compression.type of the topic against the codec of the batch. */
export async function produceIntoOtherCodecs(peer: Peer): Promise<void> {
  for (const type of ['uncompressed', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
    const topic = `compressed-${type}`
    await peer.topic(topic, { configs: { 'compression.type': type } })
    for (const codec of codecs) {
      await peer.produce(`compression.type ${type}: ${codec}`, topic, batch(someRecords(4, { valueBytes: 200 }), { codec }))
    }
    const idempotent = { producerId: 4_000_000, producerEpoch: 3, baseSequence: 17 }
    await peer.produce(`compression.type ${type}: idempotent`, topic, batch(someRecords(2), { codec: 'gzip', ...idempotent }))
    const headers = [
      { key: 'h', value: text('1') },
      { key: 'h', value: null },
    ]
    await peer.produce(`compression.type ${type}: headers`, topic, batch([{ timestamp: someTimeMs, key: null, value: null, headers }]))
    await peer.produce(
      `compression.type ${type}: odd header fields`,
      topic,
      altered(batch(someRecords(2)), (bytes) => {
        field.maxTimestamp(bytes, someTimeMs + 77)
        field.leaderEpoch(bytes, 4)
      }),
    )
    await peer.stored(`compression.type ${type}: stored`, topic)
  }
  await peer.topic('grows', { configs: { 'compression.type': 'uncompressed', 'max.message.bytes': '1000' } })
  const grows = batch([{ timestamp: someTimeMs, value: Buffer.alloc(5000) }], { codec: 'gzip' })
  await peer.produce('compression.type uncompressed: grows beyond max.message.bytes', 'grows', grows)
  await peer.topic('shrinks', { configs: { 'compression.type': 'gzip', 'max.message.bytes': '1000' } })
  await peer.produce('compression.type gzip: would shrink below max.message.bytes', 'shrinks', batchOfSize(5000))
  await peer.topic('append-time-gzip', { configs: { 'compression.type': 'gzip', 'message.timestamp.type': 'LogAppendTime' } })
  await peer.produce('compression.type gzip with LogAppendTime', 'append-time-gzip', batch(someRecords(2)))
  await peer.stored('compression.type gzip with LogAppendTime: stored', 'append-time-gzip')
}

/** Message sets into topics that convert, limit and compact. */
export async function produceOldFormats(peer: Peer): Promise<void> {
  const version = peer.newest(Produce)
  const cases: Case[] = []
  const alone = (what: string, bytes: Uint8Array) => cases.push([what, bytes])
  const send = (what: string, bytes: Uint8Array, topic: string) => peer.produce(`message set: ${what}`, topic, bytes, { version })
  for (const magic of [0, 1] as const) {
    const of = `v${magic}, `
    alone(`${of}null key`, messageSet(magic, ['a'], { key: null }))
    alone(`${of}null value`, messageSet(magic, [null]))
    alone(`${of}timestamp -1`, messageSet(magic, ['a', 'b'], { timestamp: -1 }))
    alone(`${of}bad crc`, message({ magic, value: text('a'), crc: 1 }))
    alone(`${of}offsets not from 0`, Buffer.concat([7, 9].map((offset) => message({ magic, offset, value: text('a') }))))
    alone(`${of}codec 4`, message({ magic, attributes: 4, value: text('garbage') }))
    alone(`${of}codec 5`, message({ magic, attributes: 5, value: text('garbage') }))
    alone(`${of}gzip of garbage`, message({ magic, attributes: 1, value: text('garbage') }))
    alone(`${of}gzip of null`, message({ magic, attributes: 1 }))
    alone(`${of}LogAppendTime`, message({ magic, attributes: 8, value: text('a') }))
    alone(`${of}LogAppendTime around gzip`, withAttributes(messageSet(magic, ['a', 'b'], { codec: 'gzip' }), 9))
    alone(`${of}two wrappers`, Buffer.concat([1, 2].map(() => messageSet(magic, ['a'], { codec: 'gzip' }))))
    alone(`${of}wrapper and plain`, Buffer.concat([messageSet(magic, ['a'], { codec: 'gzip' }), messageSet(magic, ['b'])]))
    alone(`${of}wrapper in a wrapper`, wrapperOf(magic, messageSet(magic, ['a'], { codec: 'gzip' })))
    alone(`${of}other format in the wrapper`, wrapperOf(magic, messageSet(magic === 0 ? 1 : 0, ['a'])))
    alone(`${of}nothing in the wrapper`, wrapperOf(magic, Buffer.alloc(0)))
    alone(`${of}bad crc in the wrapper`, wrapperOf(magic, message({ magic, value: text('a'), crc: 5 })))
    for (const codec of ['none', 'gzip', 'snappy', 'lz4'] as const) {
      alone(`${of}${codec}, three`, messageSet(magic, ['a', 'b', 'c'], { codec }))
    }
  }
  await eachAlone(peer, 'message-sets', cases, version)
  await peer.topic('old-compacted', { configs: { 'cleanup.policy': 'compact' } })
  await send('compacted, keyless', messageSet(1, ['a', 'b'], { key: null }), 'old-compacted')
  await send('compacted, gzip keyless', messageSet(1, ['a', 'b'], { key: null, codec: 'gzip' }), 'old-compacted')
  await peer.topic('old-bounded', { configs: { 'message.timestamp.before.max.ms': '3600000' } })
  await send('too old', messageSet(1, ['a']), 'old-bounded')
  await send('no time on a topic with bounds', messageSet(0, ['a']), 'old-bounded')
  await peer.topic('old-append-time', { configs: { 'message.timestamp.type': 'LogAppendTime' } })
  await send('v0 under LogAppendTime', messageSet(0, ['a', 'b']), 'old-append-time')
  await send('v1 gzip under LogAppendTime', messageSet(1, ['a', 'b'], { codec: 'gzip' }), 'old-append-time')
  await peer.stored('message set: stored under LogAppendTime', 'old-append-time')
  for (const type of ['uncompressed', 'gzip', 'zstd']) {
    await peer.topic(`old-to-${type}`, { configs: { 'compression.type': type } })
    await send(`plain into ${type}`, messageSet(1, ['a', 'b']), `old-to-${type}`)
    await send(`snappy into ${type}`, messageSet(1, ['a', 'b'], { codec: 'snappy' }), `old-to-${type}`)
    await peer.stored(`message set: stored under ${type}`, `old-to-${type}`)
  }
  await peer.topic('old-small', { configs: { 'max.message.bytes': '200' } })
  for (const bytes of [100, 140, 150, 160, 166, 167, 170, 180, 200, 201]) {
    const set = message({ magic: 1, value: Buffer.alloc(bytes - 34, 'x') })
    await send(`${bytes} bytes where 200 are allowed`, set, 'old-small')
  }
  const many = Array.from({ length: 8 }, () => 'y'.repeat(20))
  await send('eight that come to more than 200', messageSet(1, many), 'old-small')
  await peer.stored('message set: stored where 200 are allowed', 'old-small')
}

function withAttributes(set: Buffer, attributes: number): Buffer {
  const magic = set.readInt8(16)
  return message({
    magic,
    attributes,
    offset: Number(set.readBigInt64BE(0)),
    timestamp: magic === 0 ? -1 : Number(set.readBigInt64BE(18)),
    value: set.subarray((magic === 0 ? 18 : 26) + 8),
  })
}

function wrapperOf(magic: 0 | 1, inner: Buffer): Buffer {
  return message({ magic, attributes: 1, value: gzipSync(inner) })
}
