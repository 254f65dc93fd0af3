import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { InvariantError, silentLogger } from '@tidelog/core'
import { connect } from '@tidelog/net'
import { CreateTopics, Fetch, JoinGroup, ListOffsets, Metadata, Produce } from '@tidelog/protocol'
import { nodeFileSystem } from '@tidelog/storage'
import {
  BLOCKED_MS,
  batchOf,
  connectTo,
  createTopic,
  framed,
  leastDisturbed,
  RawPeer,
  recordsIn,
  startTestBroker,
  temporaryDirectory,
} from '@tidelog/testkit'
import { BrokerStartError, startBroker } from './broker.ts'

const start = (config: Record<string, string>) =>
  startBroker({ config: { listeners: 'PLAINTEXT://127.0.0.1:0', ...config }, logger: silentLogger })

async function refusal(config: Record<string, string>): Promise<string> {
  const error: unknown = await start(config).then(
    (broker) => broker.close(),
    (reason) => reason,
  )
  assert.ok(error instanceof BrokerStartError, 'it started')
  assert.doesNotMatch(error.message, /\n/)
  return error.message
}

test('X7: what cannot be started says why in one line, and nothing is touched', async (t) => {
  const dir = await temporaryDirectory(t)
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => taken.once('listening', resolve))
  t.after(() => taken.close())
  const { port } = taken.address() as { port: number }
  const config = { 'log.dirs': join(dir, 'data') }
  assert.match(await refusal({ ...config, 'num.partitions': 'many' }), /num\.partitions/)
  assert.match(await refusal({ ...config, listeners: 'SSL://127.0.0.1:0' }), /SSL/)
  assert.match(await refusal({ ...config, listeners: `PLAINTEXT://127.0.0.1:${port}` }), /in use/)
  assert.match(await refusal({ ...config, listeners: 'PLAINTEXT://203.0.113.7:0' }), /not an address/)
  assert.deepEqual(await readdir(dir), [])
})

test('L15: a log dir of another cluster or broker, damaged or in use is refused and stays as it is', async (t) => {
  const dir = await temporaryDirectory(t)
  const config = { 'log.dirs': dir }
  const broker = await start(config)
  assert.match(await refusal(config), /in use/)
  await broker.close()
  const files = (await readdir(dir)).sort()
  assert.match(await refusal({ ...config, 'node.id': '7' }), /node\.id/)
  const path = join(dir, 'meta.properties')
  const meta = await readFile(path, 'utf8')
  await writeFile(path, meta.replace(/cluster\.id=.*/, 'cluster.id=AnotherClusterAltogether'))
  assert.match(await refusal(config), /cluster/)
  await writeFile(path, 'version=9\n')
  assert.match(await refusal(config), /damaged/)
  assert.deepEqual((await readdir(dir)).sort(), files)
  await writeFile(path, meta)
  await (await start(config)).close()
})

test('a restart finds topics, ids and records again; the node id comes from the directory', async (t) => {
  const dir = await temporaryDirectory(t)
  const first = await start({ 'log.dirs': dir, 'node.id': '42' })
  const before = await connectTo(t, first)
  const topicId = await createTopic(before, 'kept', { partitions: 3, configs: { 'retention.ms': '-1' } })
  const records = batchOf([{ value: 'one' }, { value: 'two' }])
  await before.send(Produce, 9, {
    transactionalId: null,
    acks: -1,
    timeoutMs: 1000,
    topicData: [{ name: 'kept', partitionData: [{ index: 2, records }] }],
  })
  await first.close()
  const second = await start({ 'log.dirs': dir })
  t.after(() => second.close())
  assert.deepEqual([second.nodeId, second.clusterId], [42, first.clusterId])
  const after = await connectTo(t, second)
  const { topics } = await after.send(Metadata, 12, { topics: [{ name: 'kept', topicId: 'AAAAAAAAAAAAAAAAAAAAAA' }] })
  assert.deepEqual([topics[0]!.topicId, topics[0]!.partitions.length], [topicId, 3])
  assert.ok(topics[0]!.partitions.every(({ leaderId, isrNodes }) => leaderId === 42 && isrNodes[0] === 42))
  const { responses } = await after.send(Fetch, 11, {
    replicaId: -1,
    maxWaitMs: 0,
    minBytes: 0,
    topics: [{ topic: 'kept', partitions: [{ partition: 2, fetchOffset: 0, partitionMaxBytes: 1000 }] }],
    forgottenTopicsData: [],
  })
  assert.deepEqual(
    recordsIn(responses[0]!.partitions[0]!.records).map(({ value }) => value),
    ['one', 'two'],
  )
})

test('closing answers who waits, is quick, happens once, and leaves no socket or timer', async (t) => {
  const handles = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout' || kind.startsWith('TCP'))
  const before = handles().length
  const broker = await startTestBroker({ config: { 'group.initial.rebalance.delay.ms': '60000' } })
  const waiting = await connectTo(t, broker)
  const member = await connectTo(t, broker)
  await createTopic(waiting, 'w')
  const fetch = waiting.send(Fetch, 11, {
    replicaId: -1,
    maxWaitMs: 600_000,
    minBytes: 1,
    topics: [{ topic: 'w', partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }] }],
    forgottenTopicsData: [],
  })
  const join = member.send(JoinGroup, 3, {
    groupId: 'g',
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 600_000,
    memberId: '',
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: Buffer.alloc(0) }],
  })
  join.catch(() => {})
  await new Promise((resolve) => setTimeout(resolve, 20))
  const began = Date.now()
  await Promise.all([broker.close(), broker.close()])
  await broker.closed
  assert.ok(Date.now() - began < 2500, `closing took ${Date.now() - began} ms`)
  assert.equal((await fetch).responses[0]!.partitions[0]!.errorCode, 6)
  await join.catch(() => {})
  waiting.close()
  member.close()
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.deepEqual(handles().length, before)
})

test('advertised listeners are what clients are told, with the bound port where they say none', async (t) => {
  const dir = await temporaryDirectory(t)
  const broker = await start({
    'log.dirs': dir,
    listeners: 'INSIDE://127.0.0.1:0,OUTSIDE://127.0.0.1:0',
    'listener.security.protocol.map': 'INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT',
    'inter.broker.listener.name': 'INSIDE',
    'advertised.listeners': 'INSIDE://127.0.0.1:0,OUTSIDE://broker.example:9999',
  })
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  const { brokers } = await connection.send(Metadata, 9, { topics: [] })
  assert.deepEqual(
    brokers.map(({ nodeId, host, port }) => [nodeId, host, port]),
    [[1, '127.0.0.1', broker.port]],
  )
})

test('connections above max.connections and max.connections.per.ip are closed', async (t) => {
  for (const config of [
    { 'max.connections': '2' },
    { 'max.connections.per.ip': '2' },
    { 'max.connections.per.ip': '0', 'max.connections.per.ip.overrides': '127.0.0.1:2' },
  ] as Record<string, string>[]) {
    const broker = await startTestBroker({ config })
    t.after(() => broker.close())
    const first = await connectTo(t, broker)
    const second = await connectTo(t, broker)
    await first.send(Metadata, 9, { topics: [] })
    await second.send(Metadata, 9, { topics: [] })
    const third = await RawPeer.connect(t, broker.port)
    await third.closed()
    await second.send(Metadata, 9, { topics: [] })
  }
})

test('X4: a million partitions, a fetch of 100,000 and a thousand sessions too many are bounded, and others are served meanwhile', async (t) => {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  const { longestTurnMs: creationMs } = await leastDisturbed(3, async () => {
    for (const [numPartitions, assignments] of [
      [1_000_000, []],
      [2 ** 31 - 1, []],
      [-1, Array.from({ length: 90_000 }, (_, partitionIndex) => ({ partitionIndex, brokerIds: [1] }))],
    ] as const) {
      const { topics } = await connection.send(CreateTopics, 7, {
        topics: [{ name: 'huge', numPartitions, replicationFactor: assignments.length > 0 ? -1 : 1, assignments, configs: [] }],
        timeoutMs: 1000,
        validateOnly: false,
      })
      assert.ok([37, 44].includes(topics[0]!.errorCode), `error ${topics[0]!.errorCode}`)
    }
  })
  assert.ok(creationMs < BLOCKED_MS, `the event loop stood still for ${creationMs} ms`)
  await createTopic(connection, 'x4')
  const ask = (count: number) => ({
    replicaId: -1,
    maxWaitMs: 0,
    minBytes: 0,
    sessionId: 0,
    sessionEpoch: 0,
    topics: [
      {
        topic: 'x4',
        partitions: Array.from({ length: count }, (_, partition) => ({ partition, fetchOffset: 0, partitionMaxBytes: 1000 })),
      },
    ],
    forgottenTopicsData: [],
  })
  const patient = await connect({ host: broker.host, port: broker.port, clientId: 'test', requestTimeoutMs: 60_000 })
  t.after(() => patient.close())
  const large = await leastDisturbed(1, () => patient.send(Fetch, 11, ask(100_000)))
  assert.equal(large.result.responses[0]!.partitions.filter(({ errorCode }) => errorCode === 3).length, 99_999)
  // The request is built and its answer read in this process too; tests/faults measures the broker alone.
  assert.ok(large.longestTurnMs < 1000, `the event loop stood still for ${large.longestTurnMs} ms`)
  assert.ok(large.rssGrowthBytes < 500 * 2 ** 20, `memory grew by ${large.rssGrowthBytes} bytes`)
  let withSession = 0
  for (let count = 0; count < 1100; count++) if ((await connection.send(Fetch, 11, ask(1))).sessionId > 0) withSession++
  assert.ok(withSession <= 1000 && withSession > 900, `${withSession} sessions in 1,000 slots`)
})

test('X4: a request of more elements than any cluster has partitions closes its connection, before it takes memory', async (t) => {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const peer = await RawPeer.connect(t, broker.port)
  // Metadata 9 of ten million topics without a name, two bytes each.
  const header = Buffer.from('00030009000000010003726177' + '00', 'hex')
  const count = Buffer.from([0x81, 0xad, 0xe2, 0x04])
  const { longestTurnMs, rssGrowthBytes } = await leastDisturbed(1, async () => {
    peer.socket.write(framed(Buffer.concat([header, count, Buffer.alloc(20_000_000, Buffer.from([1, 0])), Buffer.from([0, 0, 0, 0])])))
    await peer.closed()
  })
  assert.equal(peer.answers.length, 0)
  assert.ok(rssGrowthBytes < 150 * 2 ** 20, `memory grew by ${rssGrowthBytes} bytes`)
  assert.ok(longestTurnMs < BLOCKED_MS, `the event loop stood still for ${longestTurnMs} ms`)
  await (await connectTo(t, broker)).send(Metadata, 9, { topics: [] })
})

test('X5: a broken invariant of a log stops the broker, though it has another log dir; the process and other brokers live', async (t) => {
  const dirs = [await temporaryDirectory(t), await temporaryDirectory(t)]
  const bystander = await startTestBroker()
  t.after(() => bystander.close())
  let broken = false
  const fs = {
    ...nodeFileSystem,
    write: (fd: number, bytes: Buffer, position: number) =>
      broken ? Promise.reject(new InvariantError('the log end offset must grow')) : nodeFileSystem.write(fd, bytes, position),
  }
  const config = { listeners: 'PLAINTEXT://127.0.0.1:0', 'log.dirs': dirs.join() }
  const broker = await startBroker({ config, logger: silentLogger, fs })
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  await createTopic(connection, 'x5')
  broken = true
  const topicData = [{ name: 'x5', partitionData: [{ index: 0, records: batchOf() }] }]
  const refused = await connection.send(Produce, 9, { transactionalId: null, acks: -1, timeoutMs: 1000, topicData }).then(
    ({ responses }) => responses[0]!.partitionResponses[0]!,
    () => undefined,
  )
  assert.notEqual(refused?.errorCode, 0)
  assert.doesNotMatch(refused?.errorMessage ?? '', /\n|\.js/)
  await assert.rejects(broker.closed, /invariant/)
  await (await connectTo(t, bystander)).send(Metadata, 9, { topics: [] })
})

test('X5: when the last log dir fails the broker stops itself, and the process lives', async (t) => {
  const dir = await temporaryDirectory(t)
  let broken = false
  const fs = {
    ...nodeFileSystem,
    write: (fd: number, bytes: Buffer, position: number) =>
      broken
        ? Promise.reject(Object.assign(new Error('EIO: the disk is gone'), { code: 'EIO' }))
        : nodeFileSystem.write(fd, bytes, position),
  }
  const broker = await startBroker({ config: { listeners: 'PLAINTEXT://127.0.0.1:0', 'log.dirs': dir }, logger: silentLogger, fs })
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  await createTopic(connection, 'x5')
  const produce = () =>
    connection.send(Produce, 9, {
      transactionalId: null,
      acks: -1,
      timeoutMs: 1000,
      topicData: [{ name: 'x5', partitionData: [{ index: 0, records: batchOf() }] }],
    })
  assert.equal((await produce()).responses[0]!.partitionResponses[0]!.errorCode, 0)
  broken = true
  const refused = await produce().then(
    ({ responses }) => responses[0]!.partitionResponses[0]!.errorCode,
    () => 'closed',
  )
  assert.ok(refused === 56 || refused === 'closed', `${refused}`)
  await assert.rejects(broker.closed, /log dir/)
  broken = false
  const again = await start({ 'log.dirs': dir })
  t.after(() => again.close())
  const after = await connectTo(t, again)
  const { topics } = await after.send(ListOffsets, 1, {
    replicaId: -1,
    topics: [{ name: 'x5', partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
  })
  assert.equal(topics[0]!.partitions[0]!.offset, 1, 'what was acknowledged is there, what was refused is not')
})
