import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { FramedConnection } from '@tidelog/net'
import {
  BatchBuilder,
  batchHeader,
  Fetch,
  InitProducerId,
  iterateBatches,
  ListOffsets,
  Produce,
  type ProduceResponse,
  prepareCodec,
} from '@tidelog/protocol'
import { BLOCKED_MS, batchOf, connectTo, createTopic, leastDisturbed, startTestBroker } from '@tidelog/testkit'

/** Rows B of faults.md: batches that must not get into a log. */

/** A batch with some header bytes changed and its CRC made right again. */
function altered(batch: Buffer, alter: (batch: Buffer) => void): Buffer {
  const copy = Buffer.from(batch)
  alter(copy)
  batchHeader.setCrc(copy, 0)
  return copy
}

class Topic {
  readonly name: string
  readonly connection: FramedConnection
  constructor(name: string, connection: FramedConnection) {
    this.name = name
    this.connection = connection
  }

  async produce(
    records: Buffer | null,
    { version = 9, acks = -1 }: { version?: number; acks?: number } = {},
  ): Promise<ProduceResponse['responses'][number]['partitionResponses'][number]> {
    const { responses } = await this.connection.send(Produce, version, {
      transactionalId: null,
      acks,
      timeoutMs: 2000,
      topicData: [{ name: this.name, partitionData: [{ index: 0, records }] }],
    })
    return responses[0]!.partitionResponses[0]!
  }

  async codeOf(records: Buffer | null, options?: { version?: number; acks?: number }): Promise<number> {
    return (await this.produce(records, options)).errorCode
  }

  async endOffset(): Promise<number> {
    const { topics } = await this.connection.send(ListOffsets, 1, {
      replicaId: -1,
      topics: [{ name: this.name, partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
    })
    return topics[0]!.partitions[0]!.offset
  }

  async batches(): Promise<{ baseOffset: number; count: number }[]> {
    const { responses } = await this.connection.send(Fetch, 11, {
      replicaId: -1,
      maxWaitMs: 0,
      minBytes: 0,
      topics: [{ topic: this.name, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 2 ** 20 }] }],
      forgottenTopicsData: [],
    })
    return [...iterateBatches(responses[0]!.partitions[0]!.records!)].map(({ baseOffset, recordsCount }) => ({
      baseOffset,
      count: recordsCount,
    }))
  }
}

async function topicOn(t: TestContext, configs: Record<string, string> = {}, brokerConfig: Record<string, string> = {}): Promise<Topic> {
  const broker = await startTestBroker({ config: brokerConfig })
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  await createTopic(connection, 'b', { configs })
  return new Topic('b', connection)
}

const CORRUPT_MESSAGE = 2
const INVALID_RECORD = 87

test('B1 B2 B4: a wrong CRC, size or count is refused, and nothing of it is appended', async (t) => {
  const topic = await topicOn(t)
  const good = batchOf([{}, {}])
  const cases: [string, Buffer, number][] = [
    ['a flipped bit in the records', Buffer.from(good).fill(0xff, good.length - 2, good.length - 1), CORRUPT_MESSAGE],
    ['a flipped bit in the header', Buffer.from(good).fill(9, 30, 31), CORRUPT_MESSAGE],
    ['a size below the header', Buffer.from(good).fill(0, 8, 11).fill(20, 11, 12), CORRUPT_MESSAGE],
    ['a size of zero', Buffer.from(good).fill(0, 8, 12), CORRUPT_MESSAGE],
    ['a negative size', Buffer.from(good).fill(0xff, 8, 12), CORRUPT_MESSAGE],
    ['a batch longer than the bytes', good.subarray(0, -1), INVALID_RECORD],
    ['less than a header', good.subarray(0, 30), INVALID_RECORD],
    ['no bytes', Buffer.alloc(0), INVALID_RECORD],
    ['a negative count', altered(good, (batch) => batch.writeInt32BE(-1, 57)), INVALID_RECORD],
    ['no records', altered(good, (batch) => batch.writeInt32BE(0, 57)), INVALID_RECORD],
    ['a count beyond the offsets', altered(good, (batch) => batch.writeInt32BE(3, 57)), INVALID_RECORD],
    ['a last offset beyond the count', altered(good, (batch) => batch.writeInt32BE(2, 23)), INVALID_RECORD],
    ['a negative last offset', altered(good, (batch) => batch.writeInt32BE(-1, 23)), INVALID_RECORD],
    ['a base offset that is not 0', altered(good, (batch) => batchHeader.setBaseOffset(batch, 0, 5)), INVALID_RECORD],
  ]
  for (const [what, bytes, code] of cases) assert.equal(await topic.codeOf(bytes), code, what)
  assert.equal(await topic.codeOf(null), INVALID_RECORD)
  assert.equal(await topic.endOffset(), 0)
  assert.equal(await topic.codeOf(good), 0)
  assert.equal(await topic.endOffset(), 2)
})

test('B3: Produce since version 3 takes one batch of magic 2, and zstd since version 7', async (t) => {
  const topic = await topicOn(t)
  const good = batchOf()
  await prepareCodec('zstd')
  const packed = batchOf([{}], 'zstd')
  assert.equal(await topic.codeOf(Buffer.concat([good, good])), INVALID_RECORD)
  for (const magic of [0, 1]) assert.equal(await topic.codeOf(Buffer.from(good).fill(magic, 16, 17)), INVALID_RECORD)
  assert.equal(await topic.codeOf(Buffer.from(good).fill(3, 16, 17)), CORRUPT_MESSAGE)
  assert.equal(await topic.codeOf(packed, { version: 6 }), 76)
  assert.equal(await topic.codeOf(packed, { version: 7 }), 0)
  assert.equal(await topic.endOffset(), 1)
})

test('B5: a compressed batch that is cut, garbage or of no known codec is refused', async (t) => {
  const topic = await topicOn(t)
  const records = Array.from({ length: 50 }, (_, index) => ({ value: Buffer.from(`value ${index}`) }))
  await prepareCodec('zstd')
  for (const codec of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
    const good = batchOf(records, codec)
    const cut = Buffer.from(good.subarray(0, -7))
    cut.writeInt32BE(cut.length - 12, 8)
    batchHeader.setCrc(cut, 0)
    const garbage = altered(good, (batch) => batch.fill(0xa5, 61))
    for (const [what, bytes] of [
      ['cut', cut],
      ['garbage', garbage],
    ] as const) {
      const code = await topic.codeOf(bytes)
      assert.ok(code === CORRUPT_MESSAGE || code === INVALID_RECORD, `${codec} ${what}: ${code}`)
    }
  }
  for (const codec of [5, 6, 7]) {
    const code = await topic.codeOf(altered(batchOf(), (batch) => batch.writeInt16BE(codec, 21)))
    assert.ok(code === CORRUPT_MESSAGE || code === INVALID_RECORD, `codec ${codec}: ${code}`)
  }
  assert.equal(await topic.endOffset(), 0)
})

test('B7: a batch above max.message.bytes is 10, one above segment.bytes 18', async (t) => {
  const topic = await topicOn(t)
  assert.equal(await topic.codeOf(batchOf([{ value: Buffer.alloc(1_048_588) }])), 10)
  await createTopic(topic.connection, 'small', { configs: { 'segment.bytes': '1048576', 'max.message.bytes': '3000000' } })
  const small = new Topic('small', topic.connection)
  assert.equal(await small.codeOf(batchOf([{ value: Buffer.alloc(1_048_576) }])), 18)
  assert.equal(await small.endOffset(), 0)
})

test('B8: a null key on a compacted topic and a control batch of a client are refused; a million headers are bounded', async (t) => {
  const topic = await topicOn(t, { 'cleanup.policy': 'compact' })
  const refused = await topic.produce(batchOf([{}, { key: null }, {}, { key: null }]))
  assert.equal(refused.errorCode, INVALID_RECORD)
  assert.deepEqual(
    refused.recordErrors.map(({ batchIndex }) => batchIndex),
    [1, 3],
  )
  assert.equal(await topic.codeOf(altered(batchOf(), (batch) => batch.writeInt16BE(0x20, 21))), INVALID_RECORD)
  assert.equal(await topic.endOffset(), 0)
  const headers = Array.from({ length: 1_000_000 }, () => ({ key: '', value: null }))
  const builder = new BatchBuilder({ codec: 'none' })
  builder.append({ key: Buffer.from('k'), value: null, timestamp: 0, headers })
  const million = builder.build()
  assert.equal(await topic.codeOf(million), 10, 'they are more than max.message.bytes')
  await createTopic(topic.connection, 'large', { configs: { 'max.message.bytes': '4000000' } })
  const large = new Topic('large', topic.connection)
  const { longestTurnMs, result } = await leastDisturbed(3, () => large.codeOf(million))
  assert.equal(result, 0)
  assert.ok(longestTurnMs < BLOCKED_MS, `the event loop stood still for ${longestTurnMs} ms`)
})

test('B9: acks that are none are 21; with acks=0 an error closes the connection', async (t) => {
  const topic = await topicOn(t)
  assert.equal(await topic.codeOf(batchOf(), { acks: 5 }), 21)
  assert.equal(await topic.endOffset(), 0)
  const request = (records: Buffer) => ({
    acks: 0,
    timeoutMs: 1000,
    transactionalId: null,
    topicData: [{ name: 'b', partitionData: [{ index: 0, records }] }],
  })
  await topic.connection.sendNoResponse(Produce, 9, request(batchOf()))
  assert.equal(await topic.endOffset(), 1)
  const closed = new Promise<void>((resolve) => topic.connection.onClose(() => resolve()))
  await topic.connection.sendNoResponse(Produce, 9, request(batchOf().subarray(0, -1)))
  await closed
})

test('B10: the last five batches of a producer are known again; a gap and older ones are out of order; sequences wrap', async (t) => {
  const topic = await topicOn(t)
  const { producerId } = await topic.connection.send(InitProducerId, 4, { transactionalId: null, transactionTimeoutMs: 0 })
  const numbered = (baseSequence: number, producerEpoch = 0, count = 1) => {
    const batch = batchOf(Array.from({ length: count }, () => ({})))
    batchHeader.setProducerState(batch, 0, { producerId, producerEpoch, baseSequence, isTransactional: false })
    return batch
  }
  for (let sequence = 0; sequence < 7; sequence++) assert.equal((await topic.produce(numbered(sequence))).baseOffset, sequence)
  for (let sequence = 2; sequence < 7; sequence++) {
    const again = await topic.produce(numbered(sequence))
    assert.deepEqual([again.errorCode, again.baseOffset], [0, sequence])
  }
  assert.equal(await topic.codeOf(numbered(1)), 45)
  assert.equal(await topic.codeOf(numbered(8)), 45)
  assert.equal(await topic.endOffset(), 7)
  // A new epoch begins at 0; to come to the end of the sequences, a batch must lie just before it.
  assert.equal(await topic.codeOf(numbered(0, 1)), 0)
  assert.deepEqual(
    (await topic.batches()).map(({ baseOffset }) => baseOffset),
    [0, 1, 2, 3, 4, 5, 6, 7],
  )
})

test('B10: after sequence 2^31-1 comes 0', async (t) => {
  const topic = await topicOn(t)
  const numbered = (baseSequence: number) => {
    const batch = batchOf([{}, {}])
    batchHeader.setProducerState(batch, 0, { producerId: 77, producerEpoch: 0, baseSequence, isTransactional: false })
    return batch
  }
  // An unknown producer may begin anywhere: what it wrote before has been deleted.
  assert.equal(await topic.codeOf(numbered(2 ** 31 - 2)), 0)
  assert.equal(await topic.codeOf(numbered(0)), 0)
  assert.equal(await topic.endOffset(), 4)
})

test('B11: a batch of an older producer epoch is 47, and nothing of it is appended', async (t) => {
  const topic = await topicOn(t)
  const { producerId } = await topic.connection.send(InitProducerId, 4, { transactionalId: null, transactionTimeoutMs: 0 })
  const numbered = (baseSequence: number, producerEpoch: number) => {
    const batch = batchOf()
    batchHeader.setProducerState(batch, 0, { producerId, producerEpoch, baseSequence, isTransactional: false })
    return batch
  }
  assert.equal(await topic.codeOf(numbered(0, 3)), 0)
  for (const [sequence, epoch] of [
    [1, 2],
    [0, 2],
    [1, 0],
  ] as const) {
    assert.equal(await topic.codeOf(numbered(sequence, epoch)), 47)
  }
  assert.equal(await topic.codeOf(numbered(1, 4)), 45, 'a new epoch begins at 0')
  assert.equal(await topic.codeOf(numbered(0, 4)), 0)
  assert.equal(await topic.codeOf(numbered(1, 3)), 47)
  assert.equal(await topic.endOffset(), 2)
})

test('B11: what belongs to a transaction is refused without a transactional id', async (t) => {
  const topic = await topicOn(t)
  const batch = batchOf()
  batchHeader.setProducerState(batch, 0, { producerId: 1, producerEpoch: 0, baseSequence: 0, isTransactional: true })
  assert.equal(await topic.codeOf(batch), 53)
  assert.equal(await topic.endOffset(), 0)
})
