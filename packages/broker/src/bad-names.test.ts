import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ByteReader, ByteWriter } from '@tidelog/core'
import type { FramedConnection } from '@tidelog/net'
import {
  BatchBuilder,
  CreateTopics,
  DeleteGroups,
  DeleteTopics,
  DescribeConfigs,
  DescribeGroups,
  Fetch,
  FindCoordinator,
  IncrementalAlterConfigs,
  iterateBatches,
  JoinGroup,
  LeaveGroup,
  ListGroups,
  Metadata,
  OffsetCommit,
  OffsetFetch,
  Produce,
  readRecords,
  SyncGroup,
  writeRequestHeader,
} from '@tidelog/protocol'
import { batchOf, connectTo, createTopic, framed, RawPeer, startTestBroker, temporaryDirectory } from '@tidelog/testkit'
import type { Broker } from './broker.ts'

/** Rows P11 to P14 of faults.md: names that are no names, and names that break careless code. */

const INVALID_TOPIC = 17

async function brokerAndConnection(
  t: TestContext,
  config: Record<string, string> = {},
): Promise<{ broker: Broker; connection: FramedConnection }> {
  const broker = await startTestBroker({ config })
  t.after(() => broker.close())
  return { broker, connection: await connectTo(t, broker) }
}

const logDir = (broker: Broker): string => broker.config['log.dirs']![0]!

async function creationCode(connection: FramedConnection, name: string): Promise<number> {
  const { topics } = await connection.send(CreateTopics, 5, {
    topics: [{ name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
    timeoutMs: 5000,
    validateOnly: false,
  })
  return topics[0]!.errorCode
}

const produceTo = (name: string, records: Buffer) => ({
  transactionalId: null,
  acks: -1,
  timeoutMs: 5000,
  topicData: [{ name, partitionData: [{ index: 0, records }] }],
})

test('P13: a topic name that is no name is error 17 wherever it comes, and nothing is made in or beside the log dir', async (t) => {
  const { broker, connection } = await brokerAndConnection(t, { 'auto.create.topics.enable': 'true' })
  const dir = logDir(broker)
  const before = [await readdir(dir), await readdir(dirname(dir))].map((names) => new Set(names))
  const names = ['', '.', '..', 'x'.repeat(250), 'a/b', '../../x', '..\\x', '%2e%2e%2f', 'a b', 'a\0b', 'é', 'a\n', '../t-0', '/etc/passwd']
  for (const name of names) {
    assert.equal(await creationCode(connection, name), INVALID_TOPIC, `CreateTopics ${JSON.stringify(name)}`)
    const { topics } = await connection.send(Metadata, 9, { topics: [{ name }], allowAutoTopicCreation: true })
    assert.equal(topics[0]!.errorCode, INVALID_TOPIC, `Metadata ${JSON.stringify(name)}`)
    const { responses } = await connection.send(Produce, 9, produceTo(name, batchOf()))
    assert.ok([3, INVALID_TOPIC].includes(responses[0]!.partitionResponses[0]!.errorCode), `Produce ${JSON.stringify(name)}`)
    const deleted = await connection.send(DeleteTopics, 5, { topicNames: [name], timeoutMs: 1000 })
    assert.ok([3, INVALID_TOPIC].includes(deleted.responses[0]!.errorCode), `DeleteTopics ${JSON.stringify(name)}`)
  }
  assert.deepEqual(
    (await readdir(dir)).filter((name) => !before[0]!.has(name)),
    [],
  )
  // Other tests make folders in the system's temporary directory meanwhile; none of them has one of these names.
  const beside = (await readdir(dirname(dir))).filter((name) => !before[1]!.has(name) && !name.startsWith('tidelog'))
  assert.deepEqual(
    beside.filter((name) => names.some((bad) => bad !== '' && name.includes(bad))),
    [],
  )
})

test('P14: names that differ only in dots and underscores collide; the longest name is created, used and deleted', async (t) => {
  const { broker, connection } = await brokerAndConnection(t)
  assert.equal(await creationCode(connection, 'a.b'), 0)
  assert.equal(await creationCode(connection, 'a_b'), INVALID_TOPIC)
  const { topics } = await connection.send(Metadata, 9, { topics: [{ name: 'a_b' }], allowAutoTopicCreation: false })
  assert.equal(topics[0]!.errorCode, 3)
  const longest = 'y'.repeat(249)
  assert.equal(await creationCode(connection, longest), 0)
  const { responses } = await connection.send(Produce, 9, produceTo(longest, batchOf()))
  assert.equal(responses[0]!.partitionResponses[0]!.errorCode, 0)
  const deleted = await connection.send(DeleteTopics, 5, { topicNames: [longest], timeoutMs: 5000 })
  assert.equal(deleted.responses[0]!.errorCode, 0)
  const left = (await readdir(logDir(broker))).filter((name) => name.startsWith('yyy'))
  assert.ok(
    left.every((name) => name.endsWith('-delete') && Buffer.byteLength(name) <= 255),
    left.join(),
  )
  assert.equal(await creationCode(connection, longest), 0, 'and may be created again')
})

const objectNames = ['__proto__', 'constructor', 'hasOwnProperty', 'toString', 'prototype']

test('P12: the names of what every object has are topics, keys, headers and configurations like any other, also after a restart', async (t) => {
  const dir = await temporaryDirectory(t)
  const first = await brokerAndConnection(t, { 'log.dirs': dir })
  let { connection } = first
  const unknown = await connection.send(Metadata, 9, { topics: objectNames.map((name) => ({ name })), allowAutoTopicCreation: false })
  assert.deepEqual(
    unknown.topics.map(({ errorCode }) => errorCode),
    objectNames.map(() => 3),
  )
  for (const name of objectNames) {
    assert.equal(await creationCode(connection, name), 0, name)
    assert.equal(await creationCode(connection, name), 36, `${name} exists`)
    const builder = new BatchBuilder({ codec: 'none' })
    builder.append({
      key: Buffer.from(name),
      value: Buffer.from(name),
      timestamp: Date.now(),
      headers: [{ key: name, value: Buffer.from(name) }],
    })
    const { responses } = await connection.send(Produce, 9, produceTo(name, builder.build()))
    assert.equal(responses[0]!.partitionResponses[0]!.errorCode, 0, name)
    const alter = await connection.send(IncrementalAlterConfigs, 1, {
      resources: [{ resourceType: 2, resourceName: name, configs: [{ name, configOperation: 0, value: 'x' }] }],
      validateOnly: false,
    })
    assert.equal(alter.responses[0]!.errorCode, 40, `there is no configuration ${name}`)
    const set = await connection.send(IncrementalAlterConfigs, 1, {
      resources: [{ resourceType: 2, resourceName: name, configs: [{ name: 'segment.bytes', configOperation: 0, value: '1234567' }] }],
      validateOnly: false,
    })
    assert.equal(set.responses[0]!.errorCode, 0, name)
  }
  await first.broker.close()
  connection = (await brokerAndConnection(t, { 'log.dirs': dir })).connection
  for (const name of objectNames) {
    const { responses } = await connection.send(Fetch, 11, {
      replicaId: -1,
      maxWaitMs: 0,
      minBytes: 0,
      topics: [{ topic: name, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }] }],
      forgottenTopicsData: [],
    })
    const [batch] = [...iterateBatches(responses[0]!.partitions[0]!.records!)]
    const [record] = [...readRecords(batch!, { maxOutputBytes: 1000 })]
    assert.deepEqual(
      [String(record!.key), String(record!.value), record!.headers.map(({ key, value }) => [key, String(value)])],
      [name, name, [[name, name]]],
    )
    const { results } = await connection.send(DescribeConfigs, 4, {
      resources: [{ resourceType: 2, resourceName: name, configurationKeys: ['segment.bytes', ...objectNames] }],
    })
    assert.deepEqual(
      results[0]!.configs.map(({ name: config, value }) => [config, value]),
      [['segment.bytes', '1234567']],
    )
  }
  const gone = await connection.send(DeleteTopics, 5, { topicNames: objectNames, timeoutMs: 5000 })
  assert.ok(gone.responses.every(({ errorCode }) => errorCode === 0))
})

test('P12: the same names are groups, members, instances and protocols like any other', async (t) => {
  const { connection } = await brokerAndConnection(t)
  await createTopic(connection, 'constructor')
  for (const name of objectNames) {
    const coordinator = await connection.send(FindCoordinator, 3, { key: name, keyType: 0 })
    assert.equal(coordinator.errorCode, 0)
    const described = await connection.send(DescribeGroups, 5, { groups: [name], includeAuthorizedOperations: false })
    assert.equal(described.groups[0]!.groupState, 'Dead', `${name} is not there yet`)
    const joinAs = (memberId: string) =>
      connection.send(JoinGroup, 5, {
        groupId: name,
        sessionTimeoutMs: 10_000,
        rebalanceTimeoutMs: 10_000,
        memberId,
        groupInstanceId: name,
        protocolType: 'consumer',
        protocols: [{ name, metadata: Buffer.alloc(0) }],
      })
    const stranger = await joinAs(name)
    assert.equal(stranger.errorCode, 25, `nobody is member ${name}`)
    const member = await joinAs('')
    assert.deepEqual([member.errorCode, member.protocolName], [0, name])
    const generation = { groupId: name, generationId: member.generationId, memberId: member.memberId, groupInstanceId: name }
    const sync = await connection.send(SyncGroup, 3, {
      ...generation,
      assignments: [{ memberId: member.memberId, assignment: Buffer.from(name) }],
    })
    assert.deepEqual([sync.errorCode, String(sync.assignment)], [0, name])
    const commit = await connection.send(OffsetCommit, 7, {
      groupId: name,
      generationIdOrMemberEpoch: member.generationId,
      memberId: member.memberId,
      groupInstanceId: name,
      topics: [{ name: 'constructor', partitions: [{ partitionIndex: 0, committedOffset: 7, committedMetadata: name }] }],
    })
    assert.equal(commit.topics[0]!.partitions[0]!.errorCode, 0)
    const left = await connection.send(LeaveGroup, 3, { groupId: name, members: [{ memberId: '', groupInstanceId: name }] })
    assert.deepEqual([left.errorCode, left.members[0]!.errorCode], [0, 0])
    const fetched = await connection.send(OffsetFetch, 7, { groupId: name, topics: null, requireStable: false })
    assert.deepEqual(
      fetched.topics.map((topic) => [topic.name, topic.partitions.map(({ committedOffset, metadata }) => [committedOffset, metadata])]),
      [['constructor', [[7, name]]]],
    )
  }
  const { groups } = await connection.send(ListGroups, 3, {})
  assert.deepEqual(groups.map(({ groupId }) => groupId).sort(), [...objectNames].sort())
  const deleted = await connection.send(DeleteGroups, 2, { groupsNames: objectNames })
  assert.ok(deleted.results.every(({ errorCode }) => errorCode === 0))
})

/** Byte strings that decoders take for text: a lone byte, an over-long slash, a surrogate, a code point beyond the last. */
const notUtf8 = ['61ff', '61c0af', '61eda080', '61f4908080', '61e282'].map((hex) => Buffer.from(hex, 'hex'))

const shortString = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes])
const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

function requestOf(apiKey: number, apiVersion: number, body: Buffer, clientId = Buffer.from('raw')): Buffer {
  const writer = new ByteWriter()
  writeRequestHeader(writer, { requestApiKey: apiKey, requestApiVersion: apiVersion, correlationId: 1, clientId: null }, 1)
  const header = writer.toBuffer().subarray(0, -2) // without the null client id
  return framed(Buffer.concat([header, shortString(clientId), body]))
}

test('P11: names whose bytes are not UTF-8 are no topics (17) and no groups (24), are told apart, and change nothing for others', async (t) => {
  const { broker, connection } = await brokerAndConnection(t)
  await createTopic(connection, 'a-')
  const peer = await RawPeer.connect(t, broker.port)
  let answers = 0
  const ask = async (frame: Buffer): Promise<Buffer> => {
    peer.socket.write(frame)
    const all = await peer.receive(++answers)
    assert.equal(all.length, answers, 'the connection lives')
    return all[answers - 1]!
  }
  for (const name of notUtf8) {
    // CreateTopics 0: [name, partitions, replication, assignments, configs], timeout
    const creation = Buffer.concat([int32(1), shortString(name), int32(1), Buffer.from([0, 1]), int32(0), int32(0), int32(1000)])
    const created = await ask(requestOf(CreateTopics.key, 2, Buffer.concat([creation, Buffer.from([0])])))
    assert.ok(created.includes(shortString(name)), 'the answer names the topic with the bytes of the request')
    assert.equal(CreateTopics.response.codec(2).read(readerBehindHeader(created)).topics[0]!.errorCode, INVALID_TOPIC)
    // Metadata 1: [name]
    const described = await ask(requestOf(Metadata.key, 1, Buffer.concat([int32(1), shortString(name)])))
    assert.equal(Metadata.response.codec(1).read(readerBehindHeader(described)).topics[0]!.errorCode, INVALID_TOPIC)
    assert.ok(described.includes(shortString(name)))
    // FindCoordinator 0: key; JoinGroup 0: group, session timeout, member, protocol type, [name, metadata]; OffsetFetch 2: group, topics
    const found = await ask(requestOf(FindCoordinator.key, 0, shortString(name)))
    assert.equal(FindCoordinator.response.codec(0).read(readerBehindHeader(found)).errorCode, 24)
    const joining = Buffer.concat([
      shortString(name),
      int32(10_000),
      shortString(Buffer.alloc(0)),
      shortString(Buffer.from('consumer')),
      int32(0),
    ])
    const joined = await ask(requestOf(JoinGroup.key, 0, joining))
    assert.equal(JoinGroup.response.codec(0).read(readerBehindHeader(joined)).errorCode, 24)
    const fetched = await ask(requestOf(OffsetFetch.key, 2, Buffer.concat([shortString(name), int32(-1)])))
    assert.equal(OffsetFetch.response.codec(2).read(readerBehindHeader(fetched)).errorCode, 24)
    // A client may call itself what it likes.
    const asked = await ask(requestOf(Metadata.key, 1, int32(0), name))
    assert.equal(Metadata.response.codec(1).read(readerBehindHeader(asked)).topics.length, 0)
  }
  const nul = await ask(requestOf(Metadata.key, 1, Buffer.concat([int32(1), shortString(Buffer.from('a\0b'))])))
  assert.equal(Metadata.response.codec(1).read(readerBehindHeader(nul)).topics[0]!.errorCode, INVALID_TOPIC)
  const { topics } = await connection.send(Metadata, 9, { topics: null })
  assert.deepEqual(
    topics.filter(({ isInternal }) => !isInternal).map(({ name }) => name),
    ['a-'],
  )
})

const readerBehindHeader = (answer: Buffer): ByteReader => new ByteReader(answer, 4)
