import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { ByteReader, ByteWriter } from '@tidelog/core'
import {
  type Api,
  batchHeader,
  CreateTopics,
  DeleteRecords,
  Fetch,
  FindCoordinator,
  ListOffsets,
  OffsetCommit,
  OffsetForLeaderEpoch,
  Produce,
  writeRequestHeader,
} from '@tidelog/protocol'
import { batchOf, connectTo, createTopic, framed, RawPeer, startTestBroker } from '@tidelog/testkit'

/** Row P15 of faults.md: int64 beyond what a number holds. They are sent in the exact form, and nothing of them is ever rounded. */

const beyond = [2n ** 53n, 2n ** 53n + 1n, 2n ** 62n, 2n ** 63n - 1n, -(2n ** 53n) - 1n, -(2n ** 63n)]

/** Sends requests whose int64 are bigints, and reads the answers in that form too. */
async function exactPeer(t: TestContext, port: number) {
  const peer = await RawPeer.connect(t, port)
  let count = 0
  return async (api: Api, version: number, request: object) => {
    const writer = new ByteWriter()
    const header = { requestApiKey: api.key, requestApiVersion: version, correlationId: count, clientId: 'exact' }
    writeRequestHeader(writer, header, api.requestHeaderVersion(version))
    api.request.exactCodec(version).write(writer, request as never)
    peer.socket.write(framed(writer.toBuffer()))
    const answers = await peer.receive(++count)
    assert.equal(answers.length, count, `${api.name} closed the connection`)
    const reader = new ByteReader(answers[count - 1]!, api.responseHeaderVersion(version) === 1 ? 5 : 4)
    // biome-ignore lint/suspicious/noExplicitAny: the exact forms have no types of their own
    return api.response.exactCodec(version).read(reader) as any
  }
}

async function brokerWithRecords(t: TestContext) {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  await createTopic(connection, 'p15')
  const produce = async (records: Buffer) => {
    const topicData = [{ name: 'p15', partitionData: [{ index: 0, records }] }]
    const { responses } = await connection.send(Produce, 9, { transactionalId: null, acks: -1, timeoutMs: 1000, topicData })
    return responses[0]!.partitionResponses[0]!.errorCode
  }
  assert.equal(await produce(batchOf([{}, {}, {}])), 0)
  return { connection, produce, send: await exactPeer(t, broker.port) }
}

test('P15: Fetch, DeleteRecords, OffsetCommit, ListOffsets and OffsetForLeaderEpoch refuse what a number cannot hold, and go on', async (t) => {
  const { connection, send } = await brokerWithRecords(t)
  assert.equal((await connection.send(FindCoordinator, 3, { key: 'p15', keyType: 0 })).errorCode, 0)
  for (const value of beyond) {
    for (const version of [4, 11, 12]) {
      const partition = {
        partition: 0,
        fetchOffset: value,
        partitionMaxBytes: 1000,
        currentLeaderEpoch: -1,
        logStartOffset: value,
        lastFetchedEpoch: -1,
      }
      const fetched = await send(Fetch as unknown as Api, version, {
        replicaId: -1,
        maxWaitMs: 10_000,
        minBytes: 1,
        maxBytes: 1000,
        isolationLevel: 0,
        sessionId: 0,
        sessionEpoch: -1,
        topics: [{ topic: 'p15', partitions: [partition] }],
        forgottenTopicsData: [],
        rackId: '',
      })
      assert.equal(fetched.responses[0].partitions[0].errorCode, 1, `Fetch ${version} of ${value}`)
    }
    const deleted = await send(DeleteRecords as unknown as Api, 2, {
      topics: [{ name: 'p15', partitions: [{ partitionIndex: 0, offset: value }] }],
      timeoutMs: 1000,
    })
    assert.equal(deleted.topics[0].partitions[0].errorCode, 1, `DeleteRecords ${value}`)
    for (const version of [2, 8]) {
      const partition = { partitionIndex: 0, committedOffset: value, committedLeaderEpoch: -1, committedMetadata: '' }
      const committed = await send(OffsetCommit as unknown as Api, version, {
        groupId: 'p15',
        generationIdOrMemberEpoch: -1,
        memberId: '',
        groupInstanceId: null,
        retentionTimeMs: -1n,
        topics: [{ name: 'p15', partitions: [partition] }],
      })
      assert.equal(committed.topics[0].partitions[0].errorCode, 42, `OffsetCommit ${version} of ${value}`)
    }
    const listed = await send(ListOffsets as unknown as Api, 5, {
      replicaId: -1,
      isolationLevel: 0,
      topics: [{ name: 'p15', partitions: [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp: value }] }],
    })
    const { errorCode, offset } = listed.topics[0].partitions[0]
    // No record is so late; a negative time that stands for nothing is refused.
    assert.deepEqual([errorCode, offset], value > 0n ? [0, -1n] : [35, -1n], `ListOffsets ${value}`)
  }
  const { topics } = await connection.send(ListOffsets, 1, {
    replicaId: -1,
    topics: [{ name: 'p15', partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
  })
  assert.equal(topics[0]!.partitions[0]!.offset, 3)
  const beginning = await connection.send(OffsetForLeaderEpoch, 3, {
    replicaId: -1,
    topics: [{ topic: 'p15', partitions: [{ partition: 0, currentLeaderEpoch: -1, leaderEpoch: 0 }] }],
  })
  assert.equal(beginning.topics[0]!.partitions[0]!.endOffset, 3)
})

test('P15: offsets just behind the end, negative and at the edge of a number are answered as Kafka does', async (t) => {
  const { send } = await brokerWithRecords(t)
  const codeOf = async (offset: bigint): Promise<number> => {
    const fetched = await send(Fetch as unknown as Api, 11, {
      replicaId: -1,
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: 1000,
      isolationLevel: 0,
      sessionId: 0,
      sessionEpoch: -1,
      topics: [
        {
          topic: 'p15',
          partitions: [{ partition: 0, fetchOffset: offset, partitionMaxBytes: 1000, currentLeaderEpoch: -1, logStartOffset: -1n }],
        },
      ],
      forgottenTopicsData: [],
      rackId: '',
    })
    return fetched.responses[0].partitions[0].errorCode
  }
  const expected: [offset: bigint, code: number][] = [
    [3n, 0],
    [4n, 1],
    [-1n, 1],
    [2n ** 53n - 1n, 1],
    [1n - 2n ** 53n, 1],
  ]
  for (const [offset, code] of expected) assert.equal(await codeOf(offset), code, `offset ${offset}`)
})

test('P15: record timestamps that a number cannot hold are 32, and nothing is appended', async (t) => {
  const { connection, produce } = await brokerWithRecords(t)
  for (const value of beyond) {
    for (const [what, at] of [
      ['base', 27],
      ['largest', 35],
    ] as const) {
      const batch = batchOf([{}, {}])
      batch.writeBigInt64BE(value, at)
      batchHeader.setCrc(batch, 0)
      const code = await produce(batch)
      // The largest is taken from the records: what a producer claims of it is not looked at.
      if (what === 'base') assert.equal(code, 32, `${what} timestamp ${value}`)
      else assert.ok(code === 0 || code === 32, `${what} timestamp ${value}: ${code}`)
    }
  }
  assert.equal(await produce(batchOf([{ timestamp: -1 }])), 0, 'no timestamp is a legal one')
  const { topics } = await connection.send(ListOffsets, 1, {
    replicaId: -1,
    topics: [{ name: 'p15', partitions: [{ partitionIndex: 0, timestamp: 2 ** 53 - 1 }] }],
  })
  assert.equal(topics[0]!.partitions[0]!.offset, -1, 'no record is that late')
})

test('P15: sizes and counts at the edges of an int32 are answered', async (t) => {
  const { send } = await brokerWithRecords(t)
  for (const edge of [2 ** 31 - 1, -(2 ** 31), -1, 0]) {
    const fetched = await send(Fetch as unknown as Api, 11, {
      replicaId: -1,
      maxWaitMs: Math.min(edge, 20),
      minBytes: edge,
      maxBytes: edge,
      isolationLevel: 0,
      sessionId: 0,
      sessionEpoch: -1,
      topics: [
        {
          topic: 'p15',
          partitions: [{ partition: edge, fetchOffset: 0n, partitionMaxBytes: edge, currentLeaderEpoch: edge, logStartOffset: 0n }],
        },
      ],
      forgottenTopicsData: [],
      rackId: '',
    })
    assert.equal(fetched.errorCode, 0)
    const created = await send(CreateTopics as unknown as Api, 5, {
      topics: [{ name: 'edge', numPartitions: edge, replicationFactor: 1, assignments: [], configs: [] }],
      timeoutMs: edge,
      validateOnly: true,
    })
    assert.equal(created.topics.length, 1)
  }
})
