import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { ByteReader, ByteWriter } from '@tidelog/core'
import { ApiVersions, Metadata, Produce, ResponseHeader, readRequestHeader } from '@tidelog/protocol'
import { ConnectionError } from './connection-error.ts'
import { FrameReader } from './frame-reader.ts'
import { connect, type FramedConnection } from './framed-connection.ts'

interface Request {
  readonly apiKey: number
  readonly correlationId: number
  readonly socket: Socket
}

/** A peer whose answers the test writes itself. */
async function fakeBroker(t: TestContext, onRequest: (request: Request) => void) {
  const server = createServer((socket) => {
    const reader = new FrameReader(1 << 20)
    socket.on('error', () => {})
    socket.on('data', (chunk) =>
      reader.push(chunk, (frame) => {
        const { requestApiKey, correlationId } = readRequestHeader(new ByteReader(frame), 1)
        onRequest({ apiKey: requestApiKey, correlationId, socket })
      }),
    )
    t.after(() => socket.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return (server.address() as { port: number }).port
}

async function connected(t: TestContext, port: number, requestTimeoutMs = 2000): Promise<FramedConnection> {
  const connection = await connect({ host: '127.0.0.1', port, clientId: 'test', requestTimeoutMs })
  t.after(() => connection.close())
  return connection
}

function frame(body: Uint8Array): Buffer {
  const bytes = Buffer.alloc(4 + body.length)
  bytes.writeInt32BE(body.length)
  bytes.set(body, 4)
  return bytes
}

function apiVersionsAnswer(correlationId: number, errorCode = 0, version = 0): Buffer {
  const writer = new ByteWriter()
  ResponseHeader.codec(0).write(writer, { correlationId })
  ApiVersions.response.codec(version).write(writer, {
    errorCode,
    apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 3 }],
    supportedFeatures: [],
    finalizedFeatures: [],
  })
  return frame(writer.toBuffer())
}

test('answers go to their requests, in order, however the stream is split', async (t) => {
  const port = await fakeBroker(t, ({ correlationId, socket }) => {
    for (const byte of apiVersionsAnswer(correlationId, correlationId)) socket.write(Buffer.from([byte]))
  })
  const connection = await connected(t, port)
  const answers = await Promise.all([0, 1, 2].map(() => connection.send(ApiVersions, 0, {})))
  assert.deepEqual(
    answers.map(({ errorCode }) => errorCode),
    [0, 1, 2],
  )
})

test('a broker that does not know our ApiVersions version is understood', async (t) => {
  const port = await fakeBroker(t, ({ correlationId, socket }) => void socket.write(apiVersionsAnswer(correlationId, 35)))
  const connection = await connected(t, port)
  const answer = await connection.send(ApiVersions, 4, { clientSoftwareName: 'a', clientSoftwareVersion: '1' })
  assert.equal(answer.errorCode, 35)
  assert.deepEqual(answer.apiKeys, [{ apiKey: 18, minVersion: 0, maxVersion: 3 }])
})

test('no more than maxInFlight requests are on the way', async (t) => {
  const waiting: Request[] = []
  const port = await fakeBroker(t, (request) => void waiting.push(request))
  const connection = await connect({ host: '127.0.0.1', port, clientId: null, requestTimeoutMs: 2000, maxInFlight: 2 })
  t.after(() => connection.close())
  const answers = [0, 1, 2].map(() => connection.send(ApiVersions, 0, {}))
  while (waiting.length < 2) await new Promise((resolve) => setImmediate(resolve))
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(waiting.length, 2)
  assert.equal(connection.pending, 3)
  waiting[0]!.socket.write(apiVersionsAnswer(0))
  await answers[0]
  while (waiting.length < 3) await new Promise((resolve) => setImmediate(resolve))
  waiting[1]!.socket.write(Buffer.concat([apiVersionsAnswer(1), apiVersionsAnswer(2)]))
  await Promise.all(answers)
})

test('an observer hears of each request, its answer, a queue and a timeout', async (t) => {
  const waiting: Request[] = []
  const port = await fakeBroker(t, (request) => void waiting.push(request))
  const heard: string[] = []
  const connection = await connect({
    host: '127.0.0.1',
    port,
    clientId: 'c',
    requestTimeoutMs: 50,
    maxInFlight: 1,
    observer: {
      sent: ({ api, correlationId, clientId, createdMs, sentMs }) => {
        assert.ok(sentMs >= createdMs)
        heard.push(`sent ${api.name} ${correlationId} by ${clientId}`)
      },
      answered: ({ correlationId, sentMs }, { response, bytes, nowMs }) => {
        assert.ok(nowMs >= sentMs && bytes > 0 && (response as { errorCode: number }).errorCode === 0)
        heard.push(`answered ${correlationId}`)
      },
      timedOut: ({ correlationId }) => heard.push(`timed out ${correlationId}`),
      waiting: ({ size }) => heard.push(`waiting ${size}`),
    },
  })
  const first = connection.send(ApiVersions, 0, {}, { timeoutMs: 10_000 })
  const second = connection.send(ApiVersions, 0, {})
  while (waiting.length < 1) await new Promise((resolve) => setImmediate(resolve))
  waiting[0]!.socket.write(apiVersionsAnswer(0))
  await first
  await assert.rejects(second, { reason: 'timeout' })
  assert.deepEqual(heard, ['sent ApiVersions 0 by c', 'waiting 1', 'answered 0', 'sent ApiVersions 1 by c', 'waiting 0', 'timed out 1'])
})

test('an unanswered request fails after its timeout, and the connection with it', async (t) => {
  const port = await fakeBroker(t, () => {})
  const connection = await connected(t, port, 20)
  let reason: ConnectionError | undefined
  connection.onClose((error) => {
    reason = error
  })
  await assert.rejects(connection.send(Metadata, 0, { topics: [] }), { name: 'ConnectionError', reason: 'timeout' })
  assert.equal(connection.closed, true)
  assert.equal(reason?.reason, 'timeout')
  await assert.rejects(connection.send(ApiVersions, 0, {}), ConnectionError)
})

for (const [what, answerOf] of [
  ['a negative frame length', () => Buffer.from([0xff, 0xff, 0xff, 0xff])],
  ['a frame above the limit', () => Buffer.from([0x7f, 0xff, 0xff, 0xff])],
  ['an empty frame', () => frame(Buffer.alloc(0))],
  ["another request's correlation id", (id: number) => apiVersionsAnswer(id + 1)],
  ['an array longer than the frame', (id: number) => frame(Buffer.from([0, 0, 0, id, 0, 0, 0x7f, 0xff, 0xff, 0xff]))],
  ['a body cut off', (id: number) => frame(apiVersionsAnswer(id).subarray(4, -1))],
  ['bytes behind the answer', (id: number) => frame(Buffer.concat([apiVersionsAnswer(id).subarray(4), Buffer.alloc(3)]))],
  ['text', () => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
] as const) {
  test(`an answer with ${what} fails what is pending and closes, and the process lives`, async (t) => {
    const port = await fakeBroker(t, ({ correlationId, socket }) => void socket.write(answerOf(correlationId)))
    const connection = await connected(t, port)
    await assert.rejects(connection.send(ApiVersions, 0, {}), { name: 'ConnectionError', reason: 'malformed' })
    assert.equal(connection.closed, true)
  })
}

test('an answer nobody asked for closes the connection', async (t) => {
  const port = await fakeBroker(t, ({ correlationId, socket }) => {
    socket.write(Buffer.concat([apiVersionsAnswer(correlationId), apiVersionsAnswer(correlationId)]))
  })
  const connection = await connected(t, port)
  const failed = new Promise<ConnectionError>((resolve) => connection.onClose(resolve))
  await connection.send(ApiVersions, 0, {})
  assert.equal((await failed).reason, 'malformed')
})

test('a request without an answer holds up nothing', async (t) => {
  const port = await fakeBroker(t, ({ apiKey, correlationId, socket }) => {
    if (apiKey === ApiVersions.key) socket.write(apiVersionsAnswer(correlationId))
  })
  const connection = await connected(t, port)
  await connection.sendNoResponse(Produce, 3, { acks: 0, timeoutMs: 1, topicData: [] })
  assert.equal((await connection.send(ApiVersions, 0, {})).errorCode, 0)
})

test('connecting fails with a reason: nobody there, aborted, too slow', async (t) => {
  const port = await fakeBroker(t, () => {})
  const free = await new Promise<number>((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
  const options = { host: '127.0.0.1', clientId: null, requestTimeoutMs: 1000 }
  await assert.rejects(connect({ ...options, port: free }), { reason: 'refused' })
  await assert.rejects(connect({ ...options, port, signal: AbortSignal.abort() }), { reason: 'aborted' })
  const controller = new AbortController()
  const aborted = connect({ ...options, port, signal: controller.signal })
  controller.abort()
  await assert.rejects(aborted, { reason: 'aborted' })
})

test('a peer that goes away fails what is pending', async (t) => {
  const port = await fakeBroker(t, ({ socket }) => void socket.resetAndDestroy())
  const connection = await connected(t, port)
  await assert.rejects(connection.send(ApiVersions, 0, {}), { reason: 'closed' })
})
