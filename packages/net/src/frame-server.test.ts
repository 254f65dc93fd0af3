import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { silentLogger, systemClock } from '@tidelog/core'
import { FrameReader } from './frame-reader.ts'
import { type FrameServer, type FrameServerOptions, listenForFrames } from './frame-server.ts'
import { RequestBudget } from './request-budget.ts'

/** A server that echoes each frame; a frame `wait…` is answered when `release` is called, `silent` not at all, `fail` closes. */
async function echoServer(t: TestContext, options: Partial<FrameServerOptions> = {}) {
  const started: string[] = []
  const waiting: (() => void)[] = []
  const server: FrameServer = await listenForFrames({
    host: '127.0.0.1',
    port: 0,
    clock: systemClock,
    logger: silentLogger,
    mayOverlap: (frame) => frame.includes('overlap'),
    handle: async (frame) => {
      const text = frame.toString('latin1', 0, 40)
      started.push(text)
      if (text.startsWith('wait')) await new Promise<void>((resolve) => waiting.push(resolve))
      if (text.startsWith('fail')) throw new Error('refused')
      return text.startsWith('silent') ? null : { chunks: [frame] }
    },
    ...options,
  })
  t.after(() => server.close(0))
  return { server, started, waiting }
}

function framed(body: string | Buffer): Buffer {
  const bytes = Buffer.from(body)
  const frame = Buffer.alloc(4 + bytes.length)
  frame.writeInt32BE(bytes.length)
  bytes.copy(frame, 4)
  return frame
}

async function client(t: TestContext, port: number) {
  const socket = createConnection({ host: '127.0.0.1', port })
  socket.on('error', () => {})
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  const frames: string[] = []
  const reader = new FrameReader(1 << 30)
  let wake = () => {}
  socket.on('data', (chunk) => {
    reader.push(chunk, (frame) => frames.push(frame.toString('latin1')))
    wake()
  })
  const received = async (count: number) => {
    while (frames.length < count) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    return frames
  }
  return { socket, frames, received }
}

const closed = (socket: Socket) => (socket.destroyed ? Promise.resolve() : once(socket, 'close').then(() => {}))
const until = async (condition: () => boolean) => {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

test('frames are cut from the stream however it is split, and answered in order', async (t) => {
  const { server } = await echoServer(t)
  const big = Buffer.alloc(700_000, 'x')
  const stream = Buffer.concat([framed('a'), framed(''), framed(big), framed('b')])
  const { socket, received } = await client(t, server.port)
  // One byte at a time across the first headers, then pieces that end anywhere.
  for (let at = 0; at < stream.length; at += at < 20 ? 1 : 99_991) {
    socket.write(stream.subarray(at, at + (at < 20 ? 1 : 99_991)))
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.deepEqual(
    (await received(4)).map((frame) => frame.length),
    [1, 0, 700_000, 1],
  )
})

for (const [what, bytes] of [
  ['a negative length', Buffer.from([0xff, 0xff, 0xff, 0xff])],
  ['a length above the limit', Buffer.from([0x06, 0x40, 0x00, 0x01])],
  ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')],
  ['a TLS hello', Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01])],
  ['an SSH banner', Buffer.from('SSH-2.0-OpenSSH_9.6\r\n')],
] as const) {
  test(`${what} closes the connection without a reply, and other connections go on`, async (t) => {
    const { server, started } = await echoServer(t)
    const bad = await client(t, server.port)
    const good = await client(t, server.port)
    bad.socket.write(bytes)
    await closed(bad.socket)
    assert.equal(bad.frames.length, 0)
    good.socket.write(framed('still here'))
    assert.deepEqual(await good.received(1), ['still here'])
    assert.deepEqual(started, ['still here'])
  })
}

test('a frame takes memory for the bytes that came, not for those it declares', () => {
  const reader = new FrameReader(100 * 1024 * 1024)
  const header = Buffer.alloc(5)
  header.writeInt32BE(99 * 1024 * 1024)
  reader.push(header, () => assert.fail('no frame is complete'))
  assert.ok(reader.partialBytes <= 4096, `${reader.partialBytes} bytes held for one that came`)
})

test('a request waits for those before it, unless both may overlap', async (t) => {
  const { server, started, waiting } = await echoServer(t)
  const { socket, received } = await client(t, server.port)
  socket.write(Buffer.concat(['wait overlap 1', 'overlap 2', 'plain 3', 'overlap 4'].map(framed)))
  await until(() => started.length === 2)
  assert.deepEqual(started, ['wait overlap 1', 'overlap 2'])
  waiting[0]!()
  assert.deepEqual(await received(4), ['wait overlap 1', 'overlap 2', 'plain 3', 'overlap 4'])
})

test('a reply tells when its bytes are not needed any more: when the system has them, and not before', async (t) => {
  const sent: string[] = []
  const { server } = await echoServer(t, {
    handle: async (frame) => {
      const mark = frame.toString('latin1', 0, 1)
      return { chunks: [Buffer.alloc(mark === 'l' ? 24 * 1024 * 1024 : 100), Buffer.alloc(20_000)], onSent: () => sent.push(mark) }
    },
  })
  const { socket, received } = await client(t, server.port)
  socket.write(framed(Buffer.from('small')))
  await received(1)
  assert.deepEqual(sent, ['s'])
  socket.pause() // more than any socket buffer takes: part of it waits for the peer
  socket.write(framed(Buffer.from('large')))
  await until(() => [...server.connections][0]!.outputBytes > 0)
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(sent, ['s'])
  socket.resume()
  await received(2)
  assert.deepEqual(sent, ['s', 'l'])
})

test('a request without a reply leaves no gap, and one that fails closes the connection', async (t) => {
  const { server } = await echoServer(t)
  const { socket, received, frames } = await client(t, server.port)
  socket.write(Buffer.concat([framed('silent'), framed('a')]))
  assert.deepEqual(await received(1), ['a'])
  socket.write(Buffer.concat([framed('fail'), framed('b')]))
  await closed(socket)
  assert.deepEqual(frames, ['a'])
})

test('a peer that pipelines without reading is paused with bounded memory, and served in order when it reads', async (t) => {
  const { server } = await echoServer(t, { limits: { maxOutputBytes: 64 * 1024 } })
  const { socket, received } = await client(t, server.port)
  socket.pause()
  const body = Buffer.alloc(4000, '.')
  const count = 10_000
  for (let index = 0; index < count; index++) {
    const frame = framed(body)
    frame.writeInt32BE(index, 4)
    socket.write(frame)
  }
  const connection = [...server.connections][0]!
  await until(() => connection.outputBytes > 64 * 1024)
  await until(() => socket.bytesWritten - socket.writableLength > 0)
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  assert.ok(connection.outputBytes < 1024 * 1024, `${connection.outputBytes} bytes of replies held`)
  assert.ok(connection.requestBytes < 1024 * 1024, `${connection.requestBytes} bytes of requests held`)
  socket.resume()
  const frames = await received(count)
  assert.ok(frames.every((frame, index) => Buffer.from(frame.slice(0, 4), 'latin1').readInt32BE() === index))
})

test('a peer that sent its last request and half-closed still gets the reply', async (t) => {
  const { server, started, waiting } = await echoServer(t)
  const { socket, received } = await client(t, server.port)
  socket.end(framed('wait'))
  await until(() => started.length === 1)
  waiting[0]!()
  assert.deepEqual(await received(1), ['wait'])
  await closed(socket)
  await until(() => server.connections.size === 0)
})

test('a reset in the middle of a request or a reply leaves nothing behind', async (t) => {
  const { server, started, waiting } = await echoServer(t)
  for (let round = 0; round < 50; round++) {
    const middle = await client(t, server.port)
    middle.socket.write(framed('cut').subarray(0, 6))
    const pending = await client(t, server.port)
    const before = started.length
    pending.socket.write(framed('wait'))
    await until(() => started.length > before)
    middle.socket.resetAndDestroy()
    pending.socket.resetAndDestroy()
  }
  for (const release of waiting) release()
  await until(() => server.connections.size === 0)
  const { socket, received } = await client(t, server.port)
  socket.write(framed('a'))
  assert.deepEqual(await received(1), ['a'])
})

test('an idle connection is closed, one whose request is being worked on is not', async (t) => {
  const { server, started, waiting } = await echoServer(t, { maxIdleMs: 40 })
  const busy = await client(t, server.port)
  busy.socket.write(framed('wait'))
  await until(() => started.length === 1)
  const idle = await client(t, server.port)
  await closed(idle.socket)
  assert.equal(busy.socket.destroyed, false)
  waiting[0]!()
  assert.deepEqual(await busy.received(1), ['wait'])
})

test('a refused connection is closed and the others live', async (t) => {
  const { server } = await echoServer(t, { admit: () => (server.connections.size >= 1 ? 'too many connections' : undefined) })
  const first = await client(t, server.port)
  first.socket.write(framed('a'))
  await first.received(1)
  const second = await client(t, server.port)
  await closed(second.socket)
  first.socket.write(framed('b'))
  assert.deepEqual(await first.received(2), ['a', 'b'])
})

test('closing answers what is in progress, and gives up on it after the grace', async (t) => {
  const { server, started, waiting } = await echoServer(t)
  const quick = await client(t, server.port)
  quick.socket.write(framed('wait quick'))
  await until(() => started.length === 1)
  const stuck = await client(t, server.port)
  stuck.socket.write(framed('wait stuck'))
  await until(() => started.length === 2)
  const done = server.close(50)
  waiting[0]!()
  assert.deepEqual(await quick.received(1), ['wait quick'])
  await done
  assert.equal(stuck.frames.length, 0)
  assert.equal(server.connections.size, 0)
})

test('a port in use is the system error that says so', async (t) => {
  const { server } = await echoServer(t)
  const again = listenForFrames({
    host: '127.0.0.1',
    port: server.port,
    clock: systemClock,
    logger: silentLogger,
    mayOverlap: () => false,
    handle: async () => null,
  })
  await assert.rejects(again, { code: 'EADDRINUSE' })
})

test('connections together stay within the budget, and go on when part of it is free', async (t) => {
  const budget = new RequestBudget(1000)
  const { server, started, waiting } = await echoServer(t, { budget })
  const first = await client(t, server.port)
  first.socket.write(framed(`wait${'.'.repeat(1000)}`))
  await until(() => started.length === 1)
  assert.equal(budget.isSpent, true)
  const second = await client(t, server.port)
  second.socket.write(framed('one that is read anyway'))
  await second.received(1)
  second.socket.write(framed('one that waits'))
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(second.frames.length, 1)
  waiting[0]!()
  assert.deepEqual((await second.received(2))[1], 'one that waits')
  assert.equal(budget.isSpent, false)
})

test('connections above the creation rate wait their turn', async (t) => {
  let connections = 0
  const { server } = await echoServer(t, { admissionDelayMs: () => (connections++ === 0 ? 0 : 30) })
  const first = await client(t, server.port)
  const second = await client(t, server.port)
  second.socket.write(framed('late'))
  first.socket.write(framed('early'))
  await first.received(1)
  assert.equal(second.frames.length, 0)
  assert.deepEqual(await second.received(1), ['late'])
})

test('memory of frames that are let go of is used again, and no frame is changed before it is', async (t) => {
  const seen: string[] = []
  let wrong = 0
  const { server } = await echoServer(t, {
    mayOverlap: () => true,
    letsGoOf: () => true,
    handle: async (frame) => {
      const mark = frame[0]!
      seen.push(`${frame.length}`)
      // The others of this connection arrive meanwhile.
      await new Promise((resolve) => setImmediate(resolve))
      for (let at = 0; at < frame.length; at += 997) if (frame[at] !== mark) wrong++
      return { chunks: [Buffer.from([mark])] }
    },
  })
  const peers = await Promise.all([1, 2, 3].map(() => client(t, server.port)))
  for (let round = 0; round < 40; round++) {
    for (const [index, { socket }] of peers.entries())
      socket.write(framed(Buffer.alloc(40_000 + ((round * 7919) % 200_000), (round * 3 + index) % 250)))
  }
  for (const { received } of peers) assert.equal((await received(40)).length, 40)
  assert.equal(seen.length, 120)
  assert.equal(wrong, 0)
})
