import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectSocket, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { ByteWriter } from '@tidelog/core'
import type { FramedConnection } from '@tidelog/net'
import { ApiVersions, Fetch, ListOffsets, Metadata, Produce, writeRequestHeader } from '@tidelog/protocol'
import { batchOf, connectTo, createTopic, framed } from '@tidelog/testkit'
import { type BrokerProcess, counts, startBrokerProcess, temporaryDir } from './broker-process.ts'

async function openSockets(t: TestContext, { host, port }: BrokerProcess, count: number): Promise<Socket[]> {
  const sockets: Socket[] = []
  t.after(() => {
    for (const socket of sockets) socket.destroy()
  })
  while (sockets.length < count) {
    // As many as wait in the listener's queue: more would be tried again by the kernel after a second.
    const some = Array.from({ length: Math.min(40, count - sockets.length) }, () => connectSocket({ host, port }))
    for (const socket of some) socket.on('error', () => {})
    sockets.push(...some)
    await Promise.all(some.map((socket) => once(socket, 'connect')))
  }
  return sockets
}

/** The longest that somebody else waits for an answer while `work` goes on, in ms. */
async function longestWaitDuring(bystander: FramedConnection, work: () => Promise<unknown>): Promise<number> {
  let done = false
  let longestMs = 0
  const working = work().finally(() => {
    done = true
  })
  while (!done) {
    const startedMs = performance.now()
    await bystander.send(ApiVersions, 0, {})
    longestMs = Math.max(longestMs, performance.now() - startedMs)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await working
  return longestMs
}

const request = (apiKey: number, apiVersion: number, body: Uint8Array = Buffer.alloc(0), correlationId = 1): Buffer => {
  const writer = new ByteWriter()
  writeRequestHeader(writer, { requestApiKey: apiKey, requestApiVersion: apiVersion, correlationId, clientId: 'raw' }, 1)
  writer.bytes(body)
  return framed(writer.toBuffer())
}

/** A sound request and its answer: what was sent before it on the same socket has been received. */
async function receivedBy(socket: Socket, ahead: Buffer): Promise<void> {
  socket.write(Buffer.concat([request(ApiVersions.key, 0), ahead]))
  await once(socket, 'data')
}

test('P4: sockets that declare 99 MiB and send a byte now and then hold what they have sent', async (t) => {
  const broker = await startBrokerProcess(temporaryDir(t))
  const bystander = await connectTo(t, broker)
  const count = counts(500, 500)
  const sockets = await openSockets(t, broker, count)
  const before = broker.memory().now
  const frame = Buffer.alloc(5)
  frame.writeInt32BE(99 * 1024 * 1024)
  const longestMs = await longestWaitDuring(bystander, async () => {
    await Promise.all(sockets.map((socket) => receivedBy(socket, frame)))
    for (let byte = 0; byte < counts(3, 30); byte++) {
      for (const socket of sockets) socket.write('x')
      await new Promise((resolve) => setTimeout(resolve, counts(20, 1000)))
    }
  })
  const { peak } = broker.memory()
  assert.ok(peak - before < 40, `${count} slow sockets took ${peak - before} MiB`)
  assert.ok(longestMs < 250, `somebody else waited ${longestMs} ms`)
})

test('5,000 idle connections cost little, and others are served', async (t) => {
  const broker = await startBrokerProcess(temporaryDir(t))
  const bystander = await connectTo(t, broker)
  const before = broker.memory().now
  const sockets = await openSockets(t, broker, 5000)
  await Promise.all(sockets.slice(0, 500).map((socket) => receivedBy(socket, Buffer.alloc(0))))
  await bystander.send(ApiVersions, 0, {})
  const { now } = broker.memory()
  t.diagnostic(`${now - before} MiB`)
  assert.ok(now - before < 100, `5,000 connections took ${now - before} MiB`)
})

test('P16: pipelined requests of a peer that never reads are held within bounds; it is closed when it idles', async (t) => {
  const broker = await startBrokerProcess(temporaryDir(t), { overrides: { 'connections.max.idle.ms': '3000' } })
  const bystander = await connectTo(t, broker)
  await createTopic(bystander, 'p16')
  const value = Buffer.alloc(500_000, 'x')
  const topicData = [{ name: 'p16', partitionData: [{ index: 0, records: batchOf([{ value }]) }] }]
  await bystander.send(Produce, 9, { transactionalId: null, acks: -1, timeoutMs: 1000, topicData })
  const body = new ByteWriter()
  Fetch.request.codec(4).write(body, {
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes: 1_000_000,
    topics: [{ topic: 'p16', partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000_000 }] }],
    forgottenTopicsData: [],
  })
  const [peer] = await openSockets(t, broker, 1)
  peer!.pause()
  const before = broker.memory().now
  // Five gigabytes of answers.
  for (let index = 0; index < 10_000; index++) peer!.write(request(Fetch.key, 4, body.toBuffer(), index))
  const pings = await longestWaitDuring(bystander, () => new Promise((resolve) => setTimeout(resolve, 1000)))
  assert.ok(pings < 250, `somebody else waited ${pings} ms`)
  const { peak } = broker.memory()
  assert.ok(peak - before < 60, `answers that nobody reads took ${peak - before} MiB`)
  const gone = new Promise<void>((resolve) => peer!.once('close', () => resolve()))
  // Reading again what the kernel holds shows the end.
  const closing = setInterval(() => peer!.write('x'), 200)
  t.after(() => clearInterval(closing))
  await gone
  clearInterval(closing)
  await bystander.send(ApiVersions, 0, {})
})

test('X4: while a fetch or a listing of 100,000 partitions is answered, others are served', async (t) => {
  const broker = await startBrokerProcess(temporaryDir(t))
  const bystander = await connectTo(t, broker)
  await createTopic(bystander, 'x4')
  const rows = Array.from({ length: 100_000 }, (_, partition) => partition)
  const fetch = new ByteWriter()
  Fetch.request.codec(4).write(fetch, {
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes: 1_000_000,
    topics: [{ topic: 'x4', partitions: rows.map((partition) => ({ partition, fetchOffset: 0, partitionMaxBytes: 1000 })) }],
    forgottenTopicsData: [],
  })
  const list = new ByteWriter()
  ListOffsets.request.codec(1).write(list, {
    replicaId: -1,
    topics: [{ name: 'x4', partitions: rows.map((partitionIndex) => ({ partitionIndex, timestamp: -1 })) }],
  })
  const [peer] = await openSockets(t, broker, 1)
  const before = broker.memory().now
  for (const frame of [request(Fetch.key, 4, fetch.toBuffer()), request(ListOffsets.key, 1, list.toBuffer())]) {
    const longestMs = await longestWaitDuring(bystander, async () => {
      peer!.write(frame)
      const [first] = (await once(peer!, 'data')) as [Buffer]
      let left = first.readInt32BE(0) + 4 - first.length
      while (left > 0) left -= ((await once(peer!, 'data')) as [Buffer])[0].length
    })
    t.diagnostic(`somebody else waited ${Math.round(longestMs)} ms at most`)
    assert.ok(longestMs < 1000, `somebody else waited ${longestMs} ms`)
  }
  const { peak } = broker.memory()
  assert.ok(peak - before < 250, `they took ${peak - before} MiB`)
})

test('P17: resets amid requests and answers leave no memory and no socket behind, and every finished append stays', async (t) => {
  const broker = await startBrokerProcess(temporaryDir(t))
  const bystander = await connectTo(t, broker)
  await createTopic(bystander, 'p17')
  const produce = new ByteWriter()
  Produce.request.codec(3).write(produce, {
    transactionalId: null,
    acks: -1,
    timeoutMs: 1000,
    topicData: [{ name: 'p17', partitionData: [{ index: 0, records: batchOf([{ value: Buffer.alloc(2000) }]) }] }],
  })
  const fetch = new ByteWriter()
  Fetch.request.codec(4).write(fetch, {
    maxWaitMs: 60_000,
    minBytes: 2 ** 30,
    maxBytes: 1_000_000,
    topics: [{ topic: 'p17', partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000_000 }] }],
    forgottenTopicsData: [],
  })
  const whole = request(Produce.key, 3, produce.toBuffer())
  const waiting = request(Fetch.key, 4, fetch.toBuffer())
  const kinds = [
    whole,
    whole.subarray(0, 1000),
    waiting,
    Buffer.concat([whole, whole, waiting]),
    Buffer.concat([whole, whole.subarray(0, 3)]),
  ]
  const endOffset = async (): Promise<number> => {
    const { topics } = await bystander.send(ListOffsets, 1, {
      replicaId: -1,
      topics: [{ name: 'p17', partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
    })
    return topics[0]!.partitions[0]!.offset
  }
  let sent = 0
  const round = async (index: number): Promise<void> => {
    const [socket] = await openSockets(t, broker, 1)
    const bytes = kinds[index % kinds.length]!
    sent += index % kinds.length === 3 ? 2 : bytes.length >= whole.length && bytes !== waiting ? 1 : 0
    await new Promise<void>((resolve) => socket!.write(bytes, () => resolve()))
    socket!.resetAndDestroy()
  }
  for (let index = 0; index < 500; index++) await round(index)
  const before = broker.memory().now
  for (let index = 0; index < counts(1000, 10_000); index++) await round(index)
  const { brokers } = await bystander.send(Metadata, 1, { topics: [] })
  assert.equal(brokers.length, 1)
  const { now } = broker.memory()
  assert.ok(now - before < 60, `resets left ${now - before} MiB`)
  const end = await endOffset()
  assert.ok(end > 0 && end <= sent, `${end} of ${sent} appends`)
})
