import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { ByteWriter, seededRandom } from '@tidelog/core'
import { FRAME_HEADER_BYTES, FrameReader } from '@tidelog/net'
import {
  type Api,
  ApiVersions,
  apiByKey,
  batchHeader,
  Fetch,
  Metadata,
  Produce,
  ResponseHeader,
  type ResponseInput,
} from '@tidelog/protocol'
import { batchOf, bombOf } from '@tidelog/testkit'
import { Admin } from '../admin/admin.ts'
import { Consumer } from '../consumer/consumer.ts'
import { Producer } from '../producer/producer.ts'
import { string } from '../serde/serde.ts'

/** What a fake broker answers to a request: what stands behind the correlation id, or all the bytes; undefined: nothing. */
type Answer = (api: Api, version: number, good: () => Buffer, correlationId: number) => Buffer | { readonly raw: Buffer } | undefined

function encoded<A extends Api>(api: A, version: number, response: ResponseInput<A>): Buffer {
  const writer = new ByteWriter()
  api.response.codec(version).write(writer, response as never)
  return writer.toBuffer()
}

const topicId = 'AAAAAAAAAAAAAAAAAAAAAg'

/** What a decent broker with one topic `a` would say. */
function decent(api: Api, version: number, port: number): Buffer {
  if (api.key === ApiVersions.key) {
    const served = [0, 1, 2, 3, 10, 11, 12, 14, 18, 19, 22].map((key) => ({
      apiKey: key,
      minVersion: 0,
      maxVersion: apiByKey(key)!.announced![1],
    }))
    return encoded(ApiVersions, version, { errorCode: 0, apiKeys: served })
  }
  if (api.key === Metadata.key) {
    const partitions = [
      { errorCode: 0, partitionIndex: 0, leaderId: 1, leaderEpoch: 0, replicaNodes: [1], isrNodes: [1], offlineReplicas: [] },
    ]
    return encoded(Metadata, version, {
      brokers: [{ nodeId: 1, host: '127.0.0.1', port }],
      clusterId: 'c',
      controllerId: 1,
      topics: [{ errorCode: 0, name: 'a', topicId, partitions }],
    })
  }
  if (api.key === Fetch.key) return encoded(Fetch, version, { errorCode: 0, sessionId: 0, responses: [] })
  if (api.key === Produce.key) return encoded(Produce, version, { responses: [] })
  if (api.key === 22)
    return encoded(apiByKey(22)!, version, {
      errorCode: 0,
      producerId: 1,
      producerEpoch: 0,
      ongoingTxnProducerId: -1,
      ongoingTxnProducerEpoch: -1,
    } as never)
  return Buffer.alloc(0)
}

function framedAnswer(api: Api, version: number, correlationId: number, body: Buffer): Buffer {
  const header = new ByteWriter()
  ResponseHeader.codec(api.responseHeaderVersion(version)).write(header, { correlationId })
  const bytes = Buffer.concat([header.toBuffer(), body])
  const length = Buffer.alloc(FRAME_HEADER_BYTES)
  length.writeInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

async function brokerThat(t: TestContext, answer: Answer): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    const reader = new FrameReader(2 ** 24)
    socket.on('error', () => {})
    socket.on('data', (chunk) =>
      reader.push(chunk, (frame) => {
        const api = apiByKey(frame.readInt16BE(0))!
        const version = frame.readInt16BE(2)
        const correlationId = frame.readInt32BE(4)
        const body = answer(api, version, () => decent(api, version, (server.address() as AddressInfo).port), correlationId)
        if (body !== undefined) socket.write('raw' in body ? body.raw : framedAnswer(api, version, correlationId, body))
      }),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Bytes that are no answer to anything: huge lengths, over-long varints, null where there is none, the end too early. */
const malformed: Record<string, Buffer> = {
  'array lengths of 2^31-1': Buffer.alloc(64, Buffer.from([0x7f, 0xff, 0xff, 0xff])),
  'over-long varints': Buffer.alloc(64, 0xff),
  'compact lengths of -1': Buffer.alloc(16),
  'nothing at all': Buffer.alloc(0),
  'one byte': Buffer.from([1]),
}

for (const [what, bytes] of Object.entries(malformed)) {
  test(`P10: a broker that answers with ${what} gets an error out of every client, not a crash`, async (t) => {
    const all = await brokerThat(t, () => bytes)
    const options = { bootstrapServers: all, defaultApiTimeoutMs: 300, reconnectBackoffMs: 5, retryBackoffMs: 5, logger: undefined }
    const admin = new Admin(options)
    await assert.rejects(admin.listTopics({ timeoutMs: 300 }), (error: { code: string }) =>
      ['MALFORMED_RESPONSE', 'UNSUPPORTED_VERSION', 'TIMEOUT'].includes(error.code),
    )
    await admin.close()

    // ApiVersions and Metadata are sound, and only then does it go wrong.
    const later = await brokerThat(t, (api, _, good) => ([ApiVersions.key, Metadata.key, 22].includes(api.key) ? good() : bytes))
    const producer = new Producer({
      bootstrapServers: later,
      maxBlockMs: 300,
      retryBackoffMs: 5,
      reconnectBackoffMs: 5,
      retries: 2,
      enableIdempotence: false,
    })
    await assert.rejects(producer.send({ topic: 'a', value: 'v' }), (error: { code: string }) =>
      ['MALFORMED_RESPONSE', 'DISCONNECTED'].includes(error.code),
    )
    await producer.close({ timeoutMs: 100 })
    const consumer = new Consumer({ bootstrapServers: later, defaultApiTimeoutMs: 300, reconnectBackoffMs: 5, retryBackoffMs: 5 })
    consumer.assign([{ topic: 'a', partition: 0 }])
    consumer.seek({ topic: 'a', partition: 0 }, 0)
    await consumer.poll({ timeoutMs: 100 }).catch((error) => assert.equal(error.code, 'MALFORMED_RESPONSE'))
    await consumer.close({ timeoutMs: 100 })
  })
}

test('P10: sound answers with random bytes changed never get more than an error out of a client', async (t) => {
  const random = seededRandom(10)
  const bootstrapServers = await brokerThat(t, (api, _, good) => {
    const body = good()
    if (api.key === ApiVersions.key && random.int(3) > 0) return body
    for (let flips = random.int(4); flips > 0 && body.length > 0; flips--) body[random.int(body.length)] = random.int(256)
    return body
  })
  for (let round = 0; round < 40; round++) {
    const options = { bootstrapServers, reconnectBackoffMs: 0, retryBackoffMs: 0, requestTimeoutMs: 50, socketConnectionSetupTimeoutMs: 50 }
    const admin = new Admin({ ...options, defaultApiTimeoutMs: 50 })
    await admin.describeTopics(['a']).catch((error) => assert.ok(error.code !== undefined, error.stack))
    await admin.close()
    const consumer = new Consumer({ ...options, defaultApiTimeoutMs: 50 })
    consumer.assign([{ topic: 'a', partition: 0 }])
    consumer.seek({ topic: 'a', partition: 0 }, 0)
    await consumer.poll({ timeoutMs: 5 }).catch((error) => assert.ok(error.code !== undefined, error.stack))
    await consumer.close({ timeoutMs: 50 })
  }
})

test('an answer that never comes is a timeout, and closing does not wait for it', async (t) => {
  const bootstrapServers = await brokerThat(t, (api, _, good) => (api.key === ApiVersions.key ? good() : undefined))
  const admin = new Admin({ bootstrapServers, requestTimeoutMs: 50 })
  await assert.rejects(admin.listTopics({ timeoutMs: 120 }), { code: 'TIMEOUT' })
  const waiting = assert.rejects(admin.describeCluster(), { code: 'CLOSED' })
  await admin.close()
  await waiting
})

// --- frames ------------------------------------------------------------------------------------------------------------------------

const lengthOf = (bytes: number): Buffer => {
  const length = Buffer.alloc(FRAME_HEADER_BYTES)
  length.writeInt32BE(bytes)
  return length
}

const badFrames: Readonly<Record<string, (good: Buffer) => Buffer>> = {
  'a negative length': () => lengthOf(-1),
  'a length of 2 GiB': () => Buffer.concat([lengthOf(2 ** 31 - 1), Buffer.alloc(1000)]),
  'the correlation id of another request': (good) => {
    const bytes = Buffer.from(good)
    bytes.writeInt32BE(bytes.readInt32BE(4) + 1, 4)
    return bytes
  },
  'two answers to one request': (good) => Buffer.concat([good, good]),
  'bytes behind the answer': (good) =>
    Buffer.concat([lengthOf(good.length - FRAME_HEADER_BYTES + 3), good.subarray(FRAME_HEADER_BYTES), Buffer.alloc(3)]),
  'no room for a correlation id': () => Buffer.concat([lengthOf(2), Buffer.alloc(2)]),
}

for (const [what, frameOf] of Object.entries(badFrames)) {
  test(`P8: an answer with ${what} costs its connection, and the client goes on with another one`, async (t) => {
    let left = 2
    const bootstrapServers = await brokerThat(t, (api, version, good, correlationId) => {
      if (api.key !== Metadata.key || left-- <= 0) return good()
      return { raw: frameOf(framedAnswer(api, version, correlationId, good())) }
    })
    const admin = new Admin({ bootstrapServers, reconnectBackoffMs: 1, retryBackoffMs: 1 })
    t.after(() => admin.close())
    const answers: unknown[] = []
    while (answers.length < 3) {
      const names = await admin.listTopics().catch((error) => {
        assert.ok(['MALFORMED_RESPONSE', 'DISCONNECTED', 'TIMEOUT'].includes(error.code), error.stack)
      })
      if (names !== undefined) answers.push(names)
    }
    assert.ok(left <= 0)
  })
}

test('P4: an answer that declares 400 MiB and sends little holds little, and is a timeout', async (t) => {
  const bootstrapServers = await brokerThat(t, (api, _, good) =>
    api.key === ApiVersions.key ? good() : { raw: Buffer.concat([lengthOf(400 * 1024 * 1024), Buffer.alloc(100)]) },
  )
  const before = process.memoryUsage().arrayBuffers
  const admin = new Admin({ bootstrapServers, requestTimeoutMs: 50, reconnectBackoffMs: 5, retryBackoffMs: 5 })
  await assert.rejects(admin.listTopics({ timeoutMs: 200 }), { code: 'TIMEOUT' })
  assert.ok(process.memoryUsage().arrayBuffers - before < 64 * 1024 * 1024)
  await admin.close()
})

// --- records -----------------------------------------------------------------------------------------------------------------------

/** A good batch of two records with its bytes changed, and its checksum right all the same. */
function changed(change: (batch: Buffer) => void, source = batchOf([{ value: 'one' }, { value: 'two' }])): Buffer {
  const batch = Buffer.from(source)
  change(batch)
  batchHeader.setCrc(batch, 0)
  return batch
}

const RECORDS_AT = 61
const badRecords: Readonly<Record<string, () => Buffer>> = {
  'a gzip bomb': () => bombOf('gzip'),
  'a snappy bomb': () => bombOf('snappy'),
  'an lz4 bomb': () => bombOf('lz4'),
  'a zstd bomb': () => bombOf('zstd'),
  'a record count of 2^31-1': () => changed((batch) => batch.writeInt32BE(2 ** 31 - 1, 57)),
  'a negative record count': () => changed((batch) => batch.writeInt32BE(-5, 57)),
  'a record more than there are': () => changed((batch) => batch.writeInt32BE(3, 57)),
  'a record whose length is longer than the batch': () => changed((batch) => batch.writeUInt8(0x7e, RECORDS_AT)),
  'a record of negative length': () => changed((batch) => batch.writeUInt8(0x01, RECORDS_AT)),
  'an over-long varint': () => changed((batch) => batch.fill(0xff, RECORDS_AT, RECORDS_AT + 12)),
  'a batch length of 2^31-1': () => changed((batch) => batch.writeInt32BE(2 ** 31 - 1, 8)),
  'a batch length below its header': () => changed((batch) => batch.writeInt32BE(20, 8)),
  'a negative batch length': () => changed((batch) => batch.writeInt32BE(-100, 8)),
  'a magic of the future': () => changed((batch) => batch.writeInt8(7, 16)),
  'an unknown codec': () => changed((batch) => batch.writeInt16BE(6, 21)),
  'compressed garbage': () => changed((batch) => batch.writeInt16BE(4, 21)),
  'an offset beyond 2^53': () => changed((batch) => batch.writeBigInt64BE(2n ** 62n, 0)),
  'a negative offset': () => changed((batch) => batch.writeBigInt64BE(-9n, 0)),
  'a checksum that is wrong': () => {
    const batch = Buffer.from(batchOf([{ value: 'one' }]))
    batch.writeUInt32BE(0, 17)
    return batch
  },
}

/** Answers Fetch with `records` where the position is 0, and with one good record behind it. */
const serving =
  (records: Buffer): Answer =>
  (api, version, good) => {
    if (api.key !== Fetch.key) return good()
    const past = batchOf([{ value: 'behind' }])
    batchHeader.setBaseOffset(past, 0, 100)
    const row = { partitionIndex: 0, errorCode: 0, highWatermark: 101, abortedTransactions: null }
    const answerWith = (bytes: Buffer) =>
      encoded(Fetch, version, { errorCode: 0, sessionId: 0, responses: [{ topicId, partitions: [{ ...row, records: bytes }] }] })
    return fetchOffsets.shift() === 100 ? answerWith(past) : answerWith(records)
  }
/** Offsets of the fetches to come, where they are not 0. */
const fetchOffsets: number[] = []

for (const [what, records] of Object.entries(badRecords)) {
  test(`P10: records with ${what} are an error of their partition, which names the place, and seek() gets past them`, async (t) => {
    fetchOffsets.length = 0
    const bootstrapServers = await brokerThat(t, serving(records()))
    const consumer = new Consumer({ bootstrapServers, retryBackoffMs: 5, valueDeserializer: string, requestTimeoutMs: 5000 })
    t.after(() => consumer.close({ timeoutMs: 100 }))
    const a = { topic: 'a', partition: 0 }
    consumer.assign([a])
    consumer.seek(a, 0)
    await assert.rejects(
      async () => {
        // What comes before the bad place is handed out.
        for (let polls = 0; polls < 10; polls++) for (const record of await consumer.poll({ timeoutMs: 1000 })) assert.ok(record.offset < 2)
      },
      (error: { code: string; topic?: string; partition?: number }) => {
        assert.ok(['CORRUPT_MESSAGE', 'MESSAGE_TOO_LARGE'].includes(error.code), String(error))
        return true
      },
    )
    consumer.pause([a])
    fetchOffsets.push(...Array<number>(50).fill(100))
    consumer.seek(a, 100)
    consumer.resume([a])
    const values: (string | null)[] = []
    while (values.length === 0) {
      const polled = await consumer.poll({ timeoutMs: 1000 }).catch((error) => assert.ok(error.code !== undefined, String(error)))
      for (const { value } of polled ?? []) values.push(value)
    }
    assert.deepEqual(values, ['behind'])
  })
}

// --- answers that contradict themselves --------------------------------------------------------------------------------------------

test('P8: answers to a producer that contradict themselves fail records, and never the process', async (t) => {
  const partitionResponse = { index: 0, errorCode: 0, baseOffset: 0 }
  const answers: ResponseInput<typeof Produce>[] = [
    { responses: [] },
    { responses: [{ name: 'a', topicId, partitionResponses: [] }] },
    { responses: [{ name: 'b', topicId: 'AAAAAAAAAAAAAAAAAAAABg', partitionResponses: [partitionResponse] }] },
    { responses: [{ name: 'a', topicId, partitionResponses: [{ ...partitionResponse, index: 77 }] }] },
    { responses: [{ name: 'a', topicId, partitionResponses: [{ ...partitionResponse, index: -1 }] }] },
    { responses: [{ name: 'a', topicId, partitionResponses: [{ ...partitionResponse, errorCode: 9999 }] }] },
    { responses: [{ name: 'a', topicId, partitionResponses: [partitionResponse, partitionResponse] }] },
    {
      responses: [
        {
          name: 'a',
          topicId,
          partitionResponses: [{ ...partitionResponse, errorCode: 6, currentLeader: { leaderId: 99, leaderEpoch: 99 } }],
        },
      ],
      nodeEndpoints: [{ nodeId: 99, host: '127.0.0.1', port: 1 }],
    },
  ]
  for (const answer of answers) {
    const bootstrapServers = await brokerThat(t, (api, version, good) =>
      api.key === Produce.key ? encoded(Produce, version, answer) : good(),
    )
    const producer = new Producer({
      bootstrapServers,
      deliveryTimeoutMs: 80,
      requestTimeoutMs: 40,
      lingerMs: 0,
      retryBackoffMs: 5,
      reconnectBackoffMs: 5,
    })
    await producer.send({ topic: 'a', partition: 0, value: 'v' }).catch((error) => assert.ok(error.code !== undefined, error.stack))
    await producer.close({ timeoutMs: 50 })
  }
})

test('P8: metadata that contradicts itself is a timeout or an error, and nothing is kept of it', async (t) => {
  const good = { errorCode: 0, partitionIndex: 0, leaderId: 1, leaderEpoch: 0, replicaNodes: [1], isrNodes: [1], offlineReplicas: [] }
  const topics = (partitions: (typeof good)[]) => [{ errorCode: 0, name: 'a', topicId, partitions }]
  const answers: ((port: number) => ResponseInput<typeof Metadata>)[] = [
    () => ({ brokers: [], clusterId: null, controllerId: -1, topics: topics([good]) }),
    (port) => ({
      brokers: [{ nodeId: 1, host: '127.0.0.1', port }],
      clusterId: 'c',
      controllerId: 7,
      topics: topics([{ ...good, partitionIndex: 2 ** 31 - 1 }]),
    }),
    (port) => ({
      brokers: [{ nodeId: 1, host: '127.0.0.1', port }],
      clusterId: 'c',
      controllerId: 7,
      topics: topics([{ ...good, partitionIndex: -1 }]),
    }),
    (port) => ({
      brokers: [{ nodeId: 1, host: '127.0.0.1', port }],
      clusterId: 'c',
      controllerId: 7,
      topics: topics([{ ...good, leaderId: 42 }]),
    }),
    () => ({ brokers: [{ nodeId: 1, host: '', port: 0 }], clusterId: 'c', controllerId: 1, topics: topics([good]) }),
    () => ({ brokers: [{ nodeId: 1, host: '127.0.0.1', port: 70_000 }], clusterId: 'c', controllerId: 1, topics: topics([good]) }),
    (port) => ({
      brokers: [{ nodeId: -5, host: '127.0.0.1', port }],
      clusterId: 'c',
      controllerId: -5,
      topics: [{ errorCode: 0, name: null, topicId, partitions: [good] }],
    }),
  ]
  for (const answerOf of answers) {
    let port = 0
    const bootstrapServers = await brokerThat(t, (api, version, decentAnswer) =>
      api.key === Metadata.key ? encoded(Metadata, version, answerOf(port)) : decentAnswer(),
    )
    port = Number(bootstrapServers.split(':')[1])
    const quick = { bootstrapServers, requestTimeoutMs: 40, retryBackoffMs: 5, reconnectBackoffMs: 5 }
    const producer = new Producer({ ...quick, deliveryTimeoutMs: 80, lingerMs: 0, maxBlockMs: 60 })
    await producer.send({ topic: 'a', partition: 0, value: 'v' }).catch((error) => assert.ok(error.code !== undefined, error.stack))
    await producer.close({ timeoutMs: 50 })
    const consumer = new Consumer({ ...quick, defaultApiTimeoutMs: 60 })
    consumer.assign([{ topic: 'a', partition: 0 }])
    consumer.seek({ topic: 'a', partition: 0 }, 0)
    await consumer.poll({ timeoutMs: 40 }).catch((error) => assert.ok(error.code !== undefined, error.stack))
    await consumer.close({ timeoutMs: 50 })
  }
})
