import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createConnection } from 'node:net'
import { type TestContext, test } from 'node:test'
import { ByteWriter, silentLogger, systemClock } from '@tidelog/core'
import { connect, FrameReader, listenForFrames } from '@tidelog/net'
import { ApiVersions, DeleteTopics, Heartbeat, KafkaError, Metadata, Produce } from '@tidelog/protocol'
import type { BrokerServices } from './broker-services.ts'
import { CloseConnection, type DefinedHandler, defineHandler, noResponse } from './define-handler.ts'
import { Dispatcher } from './dispatch.ts'
import { announcedApisOf, apiVersions } from './handlers/18-api-versions.ts'

const errors: string[] = []

async function serve(t: TestContext, handlers: DefinedHandler[]) {
  const logger = { ...silentLogger, error: (message: string) => void errors.push(message) }
  const all = [apiVersions as unknown as DefinedHandler, ...handlers]
  const services = {
    logger,
    announcedApis: announcedApisOf(all.map(({ api }) => api)),
    supportedFeatures: new Map(),
    image: { finalizedFeatures: { epoch: 0, levels: new Map() } },
  } as unknown as BrokerServices
  const dispatcher = new Dispatcher({ handlers: all, services, listenerName: 'PLAINTEXT', logger })
  const server = await listenForFrames({
    host: '127.0.0.1',
    port: 0,
    clock: systemClock,
    logger,
    handle: (frame, connection) => dispatcher.handle(frame, connection),
    mayOverlap: (frame) => dispatcher.mayOverlap(frame),
  })
  t.after(() => server.close(0))
  return server.port
}

/** Sends raw bytes as one frame; resolves with the answers that came before the peer closed, or the first one. */
async function raw(t: TestContext, port: number, body: Buffer): Promise<{ closed: boolean; answers: Buffer[] }> {
  const socket = createConnection({ host: '127.0.0.1', port })
  t.after(() => socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'connect')
  const answers: Buffer[] = []
  const reader = new FrameReader(1 << 20)
  const answered = new Promise<boolean>((resolve) => {
    socket.on('data', (chunk) =>
      reader.push(chunk, (frame) => {
        answers.push(frame)
        resolve(false)
      }),
    )
  })
  const length = Buffer.alloc(4)
  length.writeInt32BE(body.length)
  socket.write(Buffer.concat([length, body]))
  const closed = await Promise.race([answered, once(socket, 'close').then(() => true)])
  return { closed, answers }
}

function header(apiKey: number, apiVersion: number, rest: Buffer = Buffer.from([0xff, 0xff])): Buffer {
  const writer = new ByteWriter()
  writer.int16(apiKey)
  writer.int16(apiVersion)
  writer.int32(7)
  writer.bytes(rest)
  return writer.toBuffer()
}

const unserved: [string, Buffer][] = [
  ['an empty frame', Buffer.alloc(0)],
  ['a cut header', Buffer.from([0, 18, 0])],
  ['a header without a body', header(3, 1)],
  ['an unknown API', header(999, 0)],
  ['a negative API', header(-1, 0)],
  ['an API that is known and not served', header(Heartbeat.key, 0)],
  ['a version below what is served', header(Metadata.key, -1)],
  ['a version above what is served', header(Metadata.key, 99)],
  ['a client id longer than the frame', header(Metadata.key, 1, Buffer.from([0x7f, 0xff, 1]))],
]
for (const [what, body] of unserved) {
  test(`${what} closes the connection without an answer`, async (t) => {
    const port = await serve(t, [defineHandler(Metadata, () => ({ brokers: [], topics: [] })) as unknown as DefinedHandler])
    assert.deepEqual(await raw(t, port, body), { closed: true, answers: [] })
  })
}

test('an unknown version of ApiVersions is answered in version 0 with error 35 and the range', async (t) => {
  const port = await serve(t, [])
  const { answers } = await raw(t, port, header(ApiVersions.key, 99))
  const expected = new ByteWriter()
  expected.int32(7)
  ApiVersions.response.codec(0).write(expected, {
    errorCode: 35,
    apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 4 }],
    supportedFeatures: [],
    finalizedFeatures: [],
  })
  assert.deepEqual(answers, [expected.toBuffer()])
})

test('ApiVersions announces what is served, and refuses a client name that is none', async (t) => {
  const port = await serve(t, [defineHandler(Metadata, () => ({ brokers: [], topics: [] })) as unknown as DefinedHandler])
  const connection = await connect({ host: '127.0.0.1', port, clientId: null, requestTimeoutMs: 1000 })
  t.after(() => connection.close())
  const good = await connection.send(ApiVersions, 3, { clientSoftwareName: 'my-client', clientSoftwareVersion: '1.2.3' })
  assert.equal(good.errorCode, 0)
  assert.deepEqual(
    good.apiKeys.map(({ apiKey, maxVersion }) => [apiKey, maxVersion]),
    [
      [18, 4],
      [3, 13],
    ],
  )
  assert.equal(good.finalizedFeaturesEpoch, 0)
  for (const name of ['', '-a', 'a b', 'a\n', 'a-']) {
    const bad = await connection.send(ApiVersions, 3, { clientSoftwareName: name, clientSoftwareVersion: '1' })
    assert.equal(bad.errorCode, 42, JSON.stringify(name))
  }
})

test("X5: a handler's failure is answered where the API has a place for it, and the connection lives", async (t) => {
  let failure: () => never = () => {
    throw new TypeError('a defect')
  }
  const port = await serve(t, [
    defineHandler(Heartbeat, () => failure()) as unknown as DefinedHandler,
    defineHandler(DeleteTopics, async () => failure(), {
      errorResponse: ({ topicNames }, errorCode) => ({ responses: topicNames.map((name) => ({ name, errorCode })) }),
    }) as unknown as DefinedHandler,
    defineHandler(Metadata, () => failure()) as unknown as DefinedHandler,
  ])
  const connection = await connect({ host: '127.0.0.1', port, clientId: null, requestTimeoutMs: 1000 })
  t.after(() => connection.close())
  errors.length = 0
  const heartbeat = () => connection.send(Heartbeat, 0, { groupId: 'g', generationId: 1, memberId: 'm' })
  assert.equal((await heartbeat()).errorCode, -1)
  assert.deepEqual(errors, ['a handler failed'])
  const { responses } = await connection.send(DeleteTopics, 1, { topicNames: ['a', 'b'], timeoutMs: 1 })
  assert.deepEqual(
    responses.map(({ name, errorCode }) => [name, errorCode]),
    [
      ['a', -1],
      ['b', -1],
    ],
  )
  failure = () => {
    throw new KafkaError('NOT_COORDINATOR')
  }
  assert.equal((await heartbeat()).errorCode, 16)
  await assert.rejects(connection.send(Metadata, 0, { topics: [] }), { reason: 'closed' }, 'Metadata 0 has no place for an error')
})

test('a request without a reply leaves the connection open; one that closes it says why in the log', async (t) => {
  let acks0: () => typeof noResponse = () => noResponse
  const port = await serve(t, [defineHandler(Produce, () => acks0()) as unknown as DefinedHandler])
  const connection = await connect({ host: '127.0.0.1', port, clientId: null, requestTimeoutMs: 1000 })
  t.after(() => connection.close())
  await connection.sendNoResponse(Produce, 3, { acks: 0, timeoutMs: 1, topicData: [] })
  assert.equal((await connection.send(ApiVersions, 0, {})).errorCode, 0)
  acks0 = () => {
    throw new CloseConnection('acks=0 and an error')
  }
  const closed = new Promise<void>((resolve) => connection.onClose(() => resolve()))
  await connection.sendNoResponse(Produce, 3, { acks: 0, timeoutMs: 1, topicData: [] })
  await closed
})
