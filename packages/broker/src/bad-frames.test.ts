import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { ByteWriter } from '@tidelog/core'
import { ApiVersions, CreateTopics, Fetch, ListOffsets, Metadata, Produce, writeRequestHeader } from '@tidelog/protocol'
import { batchOf, connectTo, createTopic, framed, RawPeer, startTestBroker, until } from '@tidelog/testkit'
import type { Broker } from './broker.ts'

/** Rows P of faults.md: bytes that are no requests, and peers that misbehave. Every one of them leaves the other connections alone. */

async function withBroker(t: TestContext, config: Record<string, string> = {}): Promise<Broker> {
  const broker = await startTestBroker({ config })
  t.after(() => broker.close())
  return broker
}

async function assertServes(t: TestContext, broker: Broker): Promise<void> {
  const connection = await connectTo(t, broker)
  assert.equal((await connection.send(ApiVersions, 3, { clientSoftwareName: 'test', clientSoftwareVersion: '1' })).errorCode, 0)
}

/** Each body closes its connection, without an answer; others are served. */
async function assertClosedFor(t: TestContext, broker: Broker, bodies: readonly [what: string, body: Buffer][]): Promise<void> {
  for (const [what, body] of bodies) {
    const peer = await RawPeer.connect(t, broker.port)
    peer.socket.write(framed(body))
    await peer.closed()
    assert.equal(peer.answers.length, 0, what)
  }
  await assertServes(t, broker)
}

function request(apiKey: number, apiVersion: number, body: Uint8Array = Buffer.alloc(0), headerVersion: 1 | 2 = 1): Buffer {
  const writer = new ByteWriter()
  writeRequestHeader(writer, { requestApiKey: apiKey, requestApiVersion: apiVersion, correlationId: 1, clientId: 'raw' }, headerVersion)
  writer.bytes(body)
  return writer.toBuffer()
}

const varint = (value: number): Buffer => {
  const writer = new ByteWriter()
  writer.unsignedVarint(value)
  return writer.toBuffer()
}
/** Empty tagged fields in order. */
const tags = (count: number): Buffer => {
  const writer = new ByteWriter()
  for (let tag = 0; tag < count; tag++) {
    writer.unsignedVarint(tag)
    writer.unsignedVarint(0)
  }
  return writer.toBuffer()
}
const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

test('P1 P2 P3: what cannot be a frame closes the connection without a reply', async (t) => {
  const broker = await withBroker(t)
  const streams: [string, Buffer][] = [
    ['a negative length', int32(-1)],
    ['the most negative length', int32(-(2 ** 31))],
    ['a length above socket.request.max.bytes', int32(104_857_601)],
    ['the largest length', int32(2 ** 31 - 1)],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
    ['a TLS hello', Buffer.from('16030102000100', 'hex')],
    ['an SSH banner', Buffer.from('SSH-2.0-OpenSSH_9.6\r\n')],
  ]
  const before = process.memoryUsage().arrayBuffers
  for (const [what, bytes] of streams) {
    const peer = await RawPeer.connect(t, broker.port)
    peer.socket.write(bytes)
    await peer.closed()
    assert.equal(peer.answers.length, 0, what)
  }
  const held = process.memoryUsage().arrayBuffers - before
  assert.ok(held < 2 * 1024 * 1024, `${held} bytes are held`)
  await assertServes(t, broker)
})

test('P4: peers that declare much and send little hold little, and are closed when idle', async (t) => {
  const broker = await withBroker(t, { 'connections.max.idle.ms': '400' })
  const before = process.memoryUsage().arrayBuffers
  const peers = await Promise.all(Array.from({ length: 100 }, () => RawPeer.connect(t, broker.port)))
  // Behind a request, so that its answer tells that the bytes have come.
  const whole = framed(request(ApiVersions.key, 0))
  for (const peer of peers) peer.socket.write(Buffer.concat([whole, int32(99 * 1024 * 1024), Buffer.from([0])]))
  await Promise.all(peers.map((peer) => peer.receive(1)))
  const held = process.memoryUsage().arrayBuffers - before
  assert.ok(held < 16 * 1024 * 1024, `${held} bytes are held for 100 bytes received`)
  await Promise.all(peers.map((peer) => peer.closed()))
  await assertServes(t, broker)
})

test('P5 P6: a frame without a request, an unknown API, an unknown version close the connection', async (t) => {
  const broker = await withBroker(t)
  const bodies: [string, Buffer][] = [
    ['an empty frame', Buffer.alloc(0)],
    ['a cut header', Buffer.from([0, 3, 0, 1, 0])],
    ['a header only', request(Produce.key, 9, undefined, 2)],
    ['an unknown API', request(4711, 0)],
    ['an API of the controller quorum', request(52, 0)],
    ['an inter-broker API', request(4, 7, undefined, 2)],
    ['a version that is not yet', request(Fetch.key, 99)],
    ['a version that is unstable', request(22, 6, undefined, 2)],
    ['a negative version', request(Metadata.key, -1)],
  ]
  await assertClosedFor(t, broker, bodies)
})

test('P7: ApiVersions of a version to come is answered in version 0 with 35; a client name that is none with 42', async (t) => {
  const broker = await withBroker(t)
  const peer = await RawPeer.connect(t, broker.port)
  peer.socket.write(framed(request(ApiVersions.key, 77, Buffer.from('whatever follows'))))
  const [answer] = await peer.receive(1)
  assert.deepEqual([...answer!], [0, 0, 0, 1, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4])
  const connection = await connectTo(t, broker)
  const refused = await connection.send(ApiVersions, 3, { clientSoftwareName: 'no spaces please', clientSoftwareVersion: '1' })
  assert.equal(refused.errorCode, 42)
})

test('P8 P9 P10: lengths that the bytes do not bear out, tags without end and nulls where none may be close the connection', async (t) => {
  const broker = await withBroker(t)
  const name = Buffer.concat([varint(2), Buffer.from('a')])
  const bodies: [string, Buffer][] = [
    ['an array of 2^31-1', request(Metadata.key, 1, int32(2 ** 31 - 1))],
    ['an array of -2', request(Metadata.key, 1, int32(-2))],
    ['a compact array of 2^32-1', request(Metadata.key, 9, varint(2 ** 32 - 1), 2)],
    ['a null array that may not be', request(ListOffsets.key, 1, Buffer.concat([int32(-1), int32(-1)]))],
    ['a null string that may not be', request(CreateTopics.key, 5, Buffer.concat([Buffer.from([0]), varint(2), varint(0)]), 2)],
    ['20 million tagged fields in the header', Buffer.concat([request(Metadata.key, 9).subarray(0), varint(20_000_000)])],
    [
      'a million tagged fields that are there, in the header',
      Buffer.concat([request(Metadata.key, 9), varint(1_000_000), tags(1_000_000)]),
    ],
    ['a tag longer than the frame', request(Metadata.key, 9, Buffer.concat([varint(1), varint(7), varint(1000)]), 1)],
    ['an over-long varint', request(Metadata.key, 9, Buffer.from([0x80, 0x80, 0x80, 0x80, 0x80, 0x01]), 1)],
    [
      'records longer than the frame',
      request(Produce.key, 9, Buffer.concat([Buffer.from([0, 0, 1]), int32(1), varint(2), name, varint(2), int32(0), varint(1 << 30)]), 2),
    ],
  ]
  await assertClosedFor(t, broker, bodies)
})

test('P16: 10,000 pipelined requests of a peer that does not read hold little, and are answered in order when it reads', async (t) => {
  const broker = await withBroker(t)
  const connection = await connectTo(t, broker)
  await createTopic(connection, 'p16', { partitions: 2 })
  const peer = await RawPeer.connect(t, broker.port)
  peer.socket.pause()
  const count = 10_000
  // Each answer repeats the name, so that all of them are some 50 MB, which no socket holds.
  const name = 'n'.repeat(5000)
  const nameBytes = Buffer.concat([int32(1), Buffer.from([name.length >> 8, name.length & 0xff]), Buffer.from(name)])
  const frames: Buffer[] = []
  for (let index = 0; index < count; index++) {
    const body = request(Metadata.key, 1, nameBytes)
    body.writeInt32BE(index, 4)
    frames.push(framed(body))
  }
  const before = process.memoryUsage().arrayBuffers
  const sent = Buffer.concat(frames)
  peer.socket.write(sent)
  await assertServes(t, broker)
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  const held = process.memoryUsage().arrayBuffers - before - sent.length
  assert.ok(held < 30 * 1024 * 1024, `${held} bytes are held`)
  assert.ok(peer.socket.writableLength > 0, 'it is not read while it does not read')
  peer.socket.resume()
  const answers = await peer.receive(count)
  assert.equal(answers.length, count)
  assert.ok(answers.every((answer, index) => answer.readInt32BE() === index))
})

test('P16: a peer that does not take its answers is closed when it has taken nothing for connections.max.idle.ms', async (t) => {
  const broker = await withBroker(t, { 'connections.max.idle.ms': '300' })
  const peer = await RawPeer.connect(t, broker.port)
  peer.socket.pause()
  const name = Buffer.alloc(20_000, 'n')
  const body = request(Metadata.key, 1, Buffer.concat([int32(1), Buffer.from([name.length >> 8, name.length & 0xff]), name]))
  const frames = Buffer.concat(Array<Buffer>(1000).fill(framed(body)))
  const gone = new Promise<string>((resolve) => peer.socket.once('error', (error) => resolve((error as NodeJS.ErrnoException).code ?? '')))
  peer.socket.write(frames)
  assert.match(await gone, /ECONNRESET|EPIPE/)
  await assertServes(t, broker)
})

test('P17: resets in the middle of requests and answers leave nothing behind, and what was appended stays', async (t) => {
  const broker = await withBroker(t)
  const connection = await connectTo(t, broker)
  await createTopic(connection, 'p17')
  const fetchBody = new ByteWriter()
  Fetch.request.codec(4).write(fetchBody, {
    replicaId: -1,
    maxWaitMs: 60_000,
    minBytes: 1,
    maxBytes: 1000,
    isolationLevel: 0,
    topics: [{ topic: 'p17', partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }] }],
    forgottenTopicsData: [],
  })
  const waits = framed(request(Fetch.key, 4, fetchBody.toBuffer()))
  const produceBody = new ByteWriter()
  Produce.request.codec(3).write(produceBody, {
    transactionalId: null,
    acks: -1,
    timeoutMs: 1000,
    topicData: [{ name: 'p17', partitionData: [{ index: 0, records: batchOf() }] }],
  })
  const appends = framed(request(Produce.key, 3, produceBody.toBuffer()))
  const endOffset = async (): Promise<number> => {
    const { topics } = await connection.send(ListOffsets, 1, {
      replicaId: -1,
      topics: [{ name: 'p17', partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
    })
    return topics[0]!.partitions[0]!.offset
  }
  const sockets = () => process.getActiveResourcesInfo().filter((kind) => kind.startsWith('TCP')).length
  const before = sockets()
  for (let round = 0; round < 100; round++) {
    const peer = await RawPeer.connect(t, broker.port)
    peer.socket.write(round % 2 === 0 ? waits : waits.subarray(0, 5 + (round % 20)))
    await new Promise((resolve) => setImmediate(resolve))
    peer.socket.resetAndDestroy()
  }
  assert.equal(await endOffset(), 0)
  // Whole appends, whose peers do not wait for the answer, and one more of which half has come.
  for (let round = 0; round < 20; round++) {
    const peer = await RawPeer.connect(t, broker.port)
    peer.socket.write(Buffer.concat([appends, appends.subarray(0, 40)]))
    await until(async () => (await endOffset()) === round + 1)
    peer.socket.resetAndDestroy()
  }
  await until(() => sockets() <= before)
  assert.equal(await endOffset(), 20)
  await assertServes(t, broker)
})
