import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { libuvOffload } from '@tidelog/core'
import { buildBatch, type NewRecord } from '@tidelog/protocol'
import { SerializationError } from '../errors.ts'
import { bytes, type Deserializer, type DeserializerContext, int32, json, string, synchronous } from '../serde/serde.ts'
import { type ConsumerRecord, decodeAll, type RecordDeserializers } from './consumer-record.ts'
import { FetchedChunk } from './fetched-chunk.ts'
import { PartitionState } from './partition-state.ts'

const asBytes = { key: undefined, value: undefined }

/** The records of one fetched batch that begins at offset 40. */
function recordsOf<K = Buffer, V = Buffer>(
  records: readonly NewRecord[],
  deserializers: RecordDeserializers<K, V> = asBytes,
): ConsumerRecord<K, V>[] {
  const state = new PartitionState<K, V>({ topic: 't', partition: 2 })
  state.seek({ offset: 40, leaderEpoch: -1 })
  const batch = buildBatch(records, { baseOffset: 40, partitionLeaderEpoch: 5 })
  const chunk = new FetchedChunk(state, batch, { deserializers, checkCrcs: true, abortedTransactions: null, offload: libuvOffload() })
  const taken: ConsumerRecord<K, V>[] = []
  chunk.take(records.length, taken)
  return taken
}

const sample = {
  timestamp: 1_700_000_000_123,
  key: Buffer.from('k'),
  value: Buffer.from('{"n":1}'),
  headers: [
    { key: 'h', value: Buffer.from('1') },
    { key: 'h', value: null },
  ],
}

/** All that a record says of itself. */
const contentOf = ({
  topic,
  partition,
  offset,
  timestamp,
  timestampType,
  leaderEpoch,
  key,
  value,
  headers,
}: ConsumerRecord<unknown, unknown>) => ({ topic, partition, offset, timestamp, timestampType, leaderEpoch, key, value, headers })

test('a detached record says the same as the one it was made of', () => {
  const [, record] = recordsOf([{ timestamp: 1_699_999_999_000 }, sample], { key: string.deserialize, value: json().deserialize })
  const detached = record!.detach()
  assert.deepEqual(contentOf(detached), contentOf(record!))
  assert.deepEqual(contentOf(detached), {
    topic: 't',
    partition: 2,
    offset: 41,
    timestamp: 1_700_000_000_123,
    timestampType: 'CreateTime',
    leaderEpoch: 5,
    key: 'k',
    value: { n: 1 },
    headers: sample.headers,
  })
  assert.equal(String(detached), 't-2@41')
  const [nothing] = recordsOf([{ key: null, value: null }])
  assert.deepEqual([nothing!.detach().key, nothing!.detach().value, nothing!.detach().headers], [null, null, []])
})

test('a detached record does not keep what was fetched in memory, the record and its bytes do', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
  const big = Buffer.alloc(1 << 20)
  const kept: unknown[] = []
  const fetched = () => {
    const [record] = recordsOf([{ value: Buffer.from('small') }, { value: big }])
    return { record: record!, memory: new WeakRef(record!.valueBytes!.buffer) }
  }
  const detached = (() => {
    const { record, memory } = fetched()
    // The value has been asked for, and the user keeps the one of the detached record.
    assert.equal(record.value!.toString(), 'small')
    kept.push(record.detach().value)
    return memory
  })()
  const pinned = (() => {
    const { record, memory } = fetched()
    kept.push(record.value)
    return memory
  })()
  for (let round = 0; round < 3; round++) {
    await turn()
    collect()
  }
  assert.equal(detached.deref(), undefined)
  assert.notEqual(pinned.deref(), undefined)
  assert.deepEqual(kept.map(String), ['small', 'small'])
})

test('a serde reads a key or value where it lies, and gives what it would of a copy', () => {
  const value = Buffer.from('{"é":"ü"}')
  assert.equal(recordsOf([{ value }], { key: undefined, value: string.deserialize })[0]!.value, '{"é":"ü"}')
  assert.deepEqual(recordsOf([{ value }], { key: undefined, value: json().deserialize })[0]!.value, { é: 'ü' })
  assert.deepEqual(recordsOf([{ value }], { key: undefined, value: bytes.deserialize })[0]!.value, value)
  assert.equal(
    recordsOf([{ value: int32.serialize(-5, { topic: 't', isKey: false }) as Buffer }], { key: undefined, value: int32.deserialize })[0]!
      .value,
    -5,
  )
  const contexts: unknown[] = []
  const own = (data: Buffer, { topic, isKey }: DeserializerContext) => contexts.push({ topic, isKey }, data.toString())
  recordsOf([sample], { key: own, value: own })[0]!.decode()
  assert.deepEqual(contexts, [{ topic: 't', isKey: true }, 'k', { topic: 't', isKey: false }, '{"n":1}'])
})

test('a deserializer is waited for only if it returns a promise, and is called once a record', async () => {
  let calls = 0
  const own = (data: Buffer) => {
    calls++
    return data.length > 1 ? Promise.resolve(`later ${data}`) : `now ${data}`
  }
  const now = recordsOf([{ value: Buffer.from('a') }, { value: Buffer.from('b') }], { key: undefined, value: own })
  assert.equal(decodeAll(now), undefined)
  assert.deepEqual(
    now.map(({ value }) => value),
    ['now a', 'now b'],
  )
  const later = recordsOf([{ value: Buffer.from('a') }, { value: Buffer.from('bb') }, { value: Buffer.from('c') }], {
    key: undefined,
    value: own,
  })
  await decodeAll(later)
  assert.deepEqual(
    later.map(({ value }) => value),
    ['now a', 'later bb', 'now c'],
  )
  assert.equal(later[1]!.detach().value, 'later bb')
  assert.equal(calls, 5)
})

test('key and value that both fail to be read are errors where they are asked for, and no unhandled rejections', async () => {
  const fails = (what: string) => () => Promise.reject(new Error(`no ${what}`))
  const [record] = recordsOf([sample], { key: fails('key'), value: fails('value') })
  await record!.decode()
  assert.throws(() => record!.key, { code: 'SERIALIZATION_FAILED', message: /the key of t-2@40 cannot be read: no key/ })
  assert.throws(() => record!.value, { code: 'SERIALIZATION_FAILED', message: /the value of t-2@40 cannot be read: no value/ })
})

test('P10: headers that go beyond their record are an error of their own, the rest of the record can be read', () => {
  const batch = buildBatch([{ value: Buffer.from('v') }, { value: Buffer.from('w') }], { baseOffset: 40 })
  batch[61 + 6 + 1] = 0x7e // the count of the first record's headers
  const state = new PartitionState({ topic: 't', partition: 0 })
  state.seek({ offset: 40, leaderEpoch: -1 })
  const options = { deserializers: asBytes, checkCrcs: false, abortedTransactions: null, offload: libuvOffload() }
  const chunk = new FetchedChunk(state, batch, options)
  const record = chunk.next()!
  assert.equal(record.value!.toString(), 'v')
  assert.throws(() => record.headers, { code: 'SERIALIZATION_FAILED', message: /the headers of t-0@40/ })
  assert.equal(chunk.next()!.value!.toString(), 'w')
})

test("deserializers see their record's headers when they ask for them; broken ones fail only those that do", () => {
  const seeing: Deserializer<string> = (data, { topic, isKey, headers }) =>
    `${topic} ${isKey} ${data} ${headers!.map(({ key, value }) => `${key}=${value}`)}`
  const [record] = recordsOf([sample], { key: seeing, value: synchronous(seeing) })
  record!.decode()
  assert.deepEqual([record!.key, record!.detach().value], ['t true k h=1,h=null', 't false {"n":1} h=1,h=null'])
  const [broken] = recordsOf([{ ...sample, headers: [{ key: 'h', value: Buffer.from('long') }] }], {
    key: string.deserialize,
    value: synchronous(seeing),
  })
  const { valueBytes } = broken!
  // The header's length, behind the count, the key's length and the key.
  Buffer.from(valueBytes!.buffer).writeUInt8(0x7e, valueBytes!.byteOffset + valueBytes!.length + 3)
  assert.equal(broken!.key, 'k')
  assert.throws(() => broken!.value, SerializationError)
})
