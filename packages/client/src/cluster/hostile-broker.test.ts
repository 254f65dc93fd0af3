import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { ByteWriter, seededRandom } from '@tidelog/core'
import { FRAME_HEADER_BYTES, FrameReader } from '@tidelog/net'
import { type Api, ApiVersions, apiByKey, Fetch, Metadata, Produce, ResponseHeader, type ResponseInput } from '@tidelog/protocol'
import { Admin } from '../admin/admin.ts'
import { Consumer } from '../consumer/consumer.ts'
import { Producer } from '../producer/producer.ts'

/** What a fake broker answers to a request, behind the correlation id; undefined: nothing. */
type Answer = (api: Api, version: number, good: () => Buffer) => Buffer | undefined

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
        const body = answer(api, version, () => decent(api, version, (server.address() as AddressInfo).port))
        if (body === undefined) return
        const header = new ByteWriter()
        ResponseHeader.codec(api.responseHeaderVersion(version)).write(header, { correlationId: frame.readInt32BE(4) })
        const bytes = Buffer.concat([header.toBuffer(), body])
        const length = Buffer.alloc(FRAME_HEADER_BYTES)
        length.writeInt32BE(bytes.length)
        socket.write(Buffer.concat([length, bytes]))
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
