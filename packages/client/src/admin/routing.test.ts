import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import {
  AddRaftVoter,
  CreateAcls,
  CreateDelegationToken,
  CreateTopics,
  DeleteTopics,
  DescribeCluster,
  DescribeDelegationToken,
  errorTable,
  FindCoordinator,
  GetTelemetrySubscriptions,
  Metadata,
  OffsetFetch,
  RemoveRaftVoter,
  ShareGroupDescribe,
  UnregisterBroker,
} from '@tidelog/protocol'
import { type FakeBroker, fakeBroker, metadataOf, startTestBroker } from '@tidelog/testkit'
import { UnsupportedVersionError } from '../errors.ts'
import { Admin } from './admin.ts'

const uuid = 'AAAAAAAAAAAAAAAAAAAAFw'
const quick = { retryBackoffMs: 1, retryBackoffMaxMs: 2, reconnectBackoffMs: 1 }

async function twoBrokers(t: TestContext): Promise<{ admin: Admin; one: FakeBroker; two: FakeBroker }> {
  const [one, two] = [await fakeBroker(t, { nodeId: 1 }), await fakeBroker(t, { nodeId: 2 })]
  for (const broker of [one, two]) broker.serve(Metadata, () => metadataOf([one, two]))
  const admin = new Admin({ bootstrapServers: one.bootstrapServers, ...quick })
  t.after(() => admin.close())
  return { admin, one, two }
}

const acl = (principal: string) =>
  ({
    resourceType: 'topic',
    resourceName: 'a',
    patternType: 'literal',
    principal,
    host: '*',
    operation: 'read',
    permissionType: 'allow',
  }) as const

test('the controller moves: what it has not done is asked of the next one, and only that', async (t) => {
  const { admin, one, two } = await twoBrokers(t)
  const codes: Record<string, number> = { a: 0, b: errorTable.NOT_CONTROLLER.code, c: errorTable.INVALID_REQUEST.code }
  one.serve(CreateAcls, ({ creations }) => {
    for (const broker of [one, two]) broker.serve(Metadata, () => metadataOf([one, two], 2))
    return { results: creations.map(({ principal }) => ({ errorCode: codes[principal]!, errorMessage: null })) }
  })
  two.serve(CreateAcls, ({ creations }) => ({ results: creations.map(() => ({ errorCode: 0, errorMessage: null })) }))
  await assert.rejects(
    admin.createAcls([acl('a'), acl('b'), acl('c')]),
    ({ failures, succeeded }: { failures: Map<string, { code: string }>; succeeded: string[] }) => {
      assert.deepEqual([[...failures.values()].map(({ code }) => code), succeeded.length], [['INVALID_REQUEST'], 2])
      return true
    },
  )
  assert.deepEqual(
    two.requests(CreateAcls).map(({ creations }) => creations.map(({ principal }) => principal)),
    [['b']],
  )
})

test('with bootstrapControllers the active controller is asked, also when it changes; brokers are never', async (t) => {
  const [one, two] = [await fakeBroker(t, { nodeId: 1 }), await fakeBroker(t, { nodeId: 2 })]
  let active = 1
  for (const controller of [one, two]) {
    controller.serve(DescribeCluster, ({ endpointType }) => {
      assert.equal(endpointType, 2)
      const brokers = [one, two].map(({ nodeId, host, port }) => ({ brokerId: nodeId, host, port, isFenced: false }))
      return { errorCode: 0, endpointType, clusterId: 'c', controllerId: active, brokers }
    })
    controller.serve(Metadata, () => assert.fail('controllers have no metadata for clients'))
    controller.serve(UnregisterBroker, () => {
      if (controller.nodeId !== 1) return { errorCode: 0, errorMessage: null }
      active = 2
      return { errorCode: errorTable.NOT_CONTROLLER.code, errorMessage: null }
    })
  }
  const admin = new Admin({ bootstrapControllers: two.bootstrapServers, ...quick })
  t.after(() => admin.close())
  await admin.unregisterBroker(9)
  assert.deepEqual(
    [one, two].map((controller) => controller.requests(UnregisterBroker).length),
    [1, 1],
  )
  const { controllerId, brokers } = await admin.describeCluster()
  assert.deepEqual([controllerId, brokers.map(({ nodeId }) => nodeId)], [2, [1, 2]])
  assert.throws(() => new Admin({ bootstrapControllers: 'a:1', bootstrapServers: 'b:1' }), /do not go together/)
  assert.throws(() => new Admin({ bootstrapControllers: 'a' }), /bootstrapControllers: 'a' is not host:port/)
})

test('a quota on changes of topics is waited for, or told at once to who does not want to wait (KIP-599)', async (t) => {
  const broker = await fakeBroker(t)
  const admin = new Admin({ bootstrapServers: broker.bootstrapServers, ...quick })
  t.after(() => admin.close())
  const isEven = () => broker.requests(CreateTopics).length % 2 === 0
  broker.serve(CreateTopics, ({ topics }) => ({
    topics: topics.map(({ name }) => ({
      name,
      topicId: uuid,
      errorCode: name === 'b' && !isEven() ? errorTable.THROTTLING_QUOTA_EXCEEDED.code : 0,
      errorMessage: null,
      configs: null,
    })),
  }))
  await admin.createTopics([{ topic: 'a' }, { topic: 'b' }])
  assert.deepEqual(
    broker.requests(CreateTopics).map(({ topics }) => topics.map(({ name }) => name)),
    [['a', 'b'], ['b']],
  )
  await assert.rejects(admin.createTopics([{ topic: 'b' }], { retryOnQuotaViolation: false }), { code: 'THROTTLING_QUOTA_EXCEEDED' })
  assert.equal(broker.requests(CreateTopics).length, 3)
})

test('a coordinator moves: its group is looked for again, the others are not asked twice', async (t) => {
  const { admin, one, two } = await twoBrokers(t)
  const groupOf = (groupId: string, errorCode = 0) => ({
    errorCode,
    groupId,
    groupState: 'Stable',
    groupEpoch: 1,
    assignmentEpoch: 1,
    assignorName: 'simple',
    members: [],
  })
  for (const broker of [one, two]) {
    broker.serve(FindCoordinator, ({ coordinatorKeys }) => ({
      coordinators: coordinatorKeys.map((key) => {
        const { nodeId, host, port } = key === 'h' && one.requests(ShareGroupDescribe).length > 0 ? two : one
        return { key, nodeId, host, port, errorCode: 0, errorMessage: null }
      }),
    }))
  }
  one.serve(ShareGroupDescribe, ({ groupIds }) => ({
    groups: groupIds.map((groupId) => groupOf(groupId, groupId === 'h' ? errorTable.NOT_COORDINATOR.code : 0)),
  }))
  two.serve(ShareGroupDescribe, ({ groupIds }) => ({ groups: groupIds.map((groupId) => groupOf(groupId)) }))
  const groups = await admin.describeShareGroups(['g', 'h'])
  assert.deepEqual(
    [...groups.values()].map(({ groupId, coordinator }) => [groupId, coordinator.nodeId]),
    [
      ['g', 1],
      ['h', 2],
    ],
  )
  assert.deepEqual(
    [one, two].map((broker) => broker.requests(ShareGroupDescribe).map(({ groupIds }) => groupIds)),
    [[['g', 'h']], [['h']]],
  )
})

test('offsets of several groups are asked for together, one by one of a broker that cannot', async (t) => {
  const broker = await fakeBroker(t)
  const { nodeId, host, port } = broker
  broker.serve(FindCoordinator, ({ coordinatorKeys }) => ({
    coordinators: coordinatorKeys.map((key) => ({ key, nodeId, host, port, errorCode: 0, errorMessage: null })),
  }))
  const rows = [{ name: 'a', partitions: [{ partitionIndex: 0, committedOffset: 7, metadata: '', errorCode: 0 }] }]
  broker.serve(OffsetFetch, ({ groups }) => ({ groups: groups.map(({ groupId }) => ({ groupId, topics: rows, errorCode: 0 })) }), [8, 9])
  const specs = new Map([
    ['g', undefined],
    ['h', [{ topic: 'a', partition: 0 }]],
  ])
  const ask = async () => {
    const admin = new Admin({ bootstrapServers: broker.bootstrapServers })
    t.after(() => admin.close())
    const offsets = await admin.listConsumerGroupOffsets(specs)
    assert.deepEqual(
      [...offsets].map(([groupId, found]) => [groupId, found.get({ topic: 'a', partition: 0 })?.offset]),
      [
        ['g', 7],
        ['h', 7],
      ],
    )
  }
  await ask()
  assert.equal(broker.requests(OffsetFetch).length, 1)
  broker.serve(OffsetFetch, () => ({ topics: rows, errorCode: 0 }), [1, 7])
  await ask()
  assert.equal(broker.requests(OffsetFetch).length, 3)
})

test('tokens, voters and the client instance id: what was asked for travels, and what comes back is told in full', async (t) => {
  const broker = await fakeBroker(t)
  const token = {
    principalType: 'User',
    principalName: 'alice',
    tokenRequesterPrincipalType: 'User',
    tokenRequesterPrincipalName: 'admin:1',
    tokenId: 'id',
    hmac: Buffer.from('secret'),
  }
  const bob = { principalType: 'User', principalName: 'bob' }
  broker.serve(CreateDelegationToken, () => ({ errorCode: 0, ...token, issueTimestampMs: 1, expiryTimestampMs: 2, maxTimestampMs: 3 }))
  broker.serve(DescribeDelegationToken, ({ owners }) => ({
    errorCode: 0,
    tokens: (owners ?? []).map(() => ({ ...token, issueTimestamp: 1, expiryTimestamp: 2, maxTimestamp: 3, renewers: [bob] })),
  }))
  broker.serve(AddRaftVoter, () => ({ errorCode: 0, errorMessage: null }))
  broker.serve(RemoveRaftVoter, () => ({ errorCode: 0, errorMessage: null }))
  broker.serve(GetTelemetrySubscriptions, () => ({
    errorCode: 0,
    clientInstanceId: uuid,
    subscriptionId: 1,
    acceptedCompressionTypes: [],
    pushIntervalMs: 1000,
    telemetryMaxBytes: 1000,
    deltaTemporality: true,
    requestedMetrics: [],
  }))
  const admin = new Admin({ bootstrapServers: broker.bootstrapServers, enableMetricsPush: true })
  t.after(() => admin.close())

  const created = await admin.createDelegationToken({ owner: 'User:alice', renewers: ['User:bob'], maxLifetimeMs: 9 })
  const described = {
    tokenId: 'id',
    owner: 'User:alice',
    requester: 'User:admin:1',
    renewers: ['User:bob'],
    issueTimestamp: 1,
    expiryTimestamp: 2,
    maxTimestamp: 3,
    hmac: Buffer.from('secret'),
  }
  assert.deepEqual(created, described)
  const [{ ownerPrincipalName, renewers, maxLifetimeMs } = assert.fail()] = broker.requests(CreateDelegationToken)
  assert.deepEqual([ownerPrincipalName, renewers, maxLifetimeMs], ['alice', [bob], 9])
  assert.deepEqual(await admin.describeDelegationToken({ owners: ['User:alice'] }), [described])
  await assert.rejects(admin.describeDelegationToken({ owners: ['alice'] }), { code: 'INVALID_ARGUMENT' })

  const voter = { voterId: 4, voterDirectoryId: uuid }
  await admin.addRaftVoter({ ...voter, endpoints: [{ name: 'CONTROLLER', host: 'h', port: 65_535 }] }, { clusterId: 'c' })
  await admin.removeRaftVoter(voter)
  const [{ voterId, voterDirectoryId, listeners, clusterId } = assert.fail()] = broker.requests(AddRaftVoter)
  assert.deepEqual([voterId, voterDirectoryId, listeners[0]!.port, clusterId], [4, uuid, 65_535, 'c'])

  assert.equal(await admin.clientInstanceId(), uuid)
  assert.equal(await admin.clientInstanceId(), uuid)
  assert.equal(broker.requests(GetTelemetrySubscriptions).length, 1)
})

test('a broker too old for what a call wants gets no request that means something else', async (t) => {
  const broker = await fakeBroker(t)
  const admin = new Admin({ bootstrapServers: broker.bootstrapServers })
  t.after(() => admin.close())
  broker.serve(DeleteTopics, () => assert.fail('nothing is to be deleted'), [0, 5])
  broker.serve(Metadata, () => metadataOf([broker]), [0, 11])
  broker.serve(CreateDelegationToken, () => assert.fail('no token is to be created'), [0, 2])
  broker.serve(CreateAcls, () => assert.fail('nobody is to be allowed anything'), [0, 0])
  await assert.rejects(admin.deleteTopics({ topicIds: [uuid] }), UnsupportedVersionError)
  await assert.rejects(admin.describeTopics({ topicIds: [uuid] }), UnsupportedVersionError)
  await assert.rejects(admin.createDelegationToken({ owner: 'User:alice' }), UnsupportedVersionError)
  await assert.rejects(admin.createAcls([{ ...acl('a'), patternType: 'prefixed' }]), UnsupportedVersionError)
})

test('a broker that stays silent costs a call its own time limit, each thing that was asked for by name', async (t) => {
  const broker = await fakeBroker(t)
  const { nodeId, host, port } = broker
  const admin = new Admin({ bootstrapServers: broker.bootstrapServers, ...quick })
  t.after(() => admin.close())
  broker.serve(FindCoordinator, ({ coordinatorKeys }) => ({
    coordinators: coordinatorKeys.map((key) => ({ key, nodeId, host, port, errorCode: 0, errorMessage: null })),
  }))
  broker.serve(ShareGroupDescribe, () => undefined)
  await assert.rejects(
    admin.describeShareGroups(['g', 'h'], { timeoutMs: 40 }),
    ({ code, failures, retriable }: { code: string; failures: Map<string, unknown>; retriable: boolean }) => {
      assert.deepEqual([code, [...failures.keys()], retriable], ['TIMEOUT', ['g', 'h'], true])
      return true
    },
  )
  const waiting = assert.rejects(admin.describeShareGroups(['g']), { code: 'CLOSED' })
  await admin.close()
  await waiting
})

test('what a broker does not serve is an UnsupportedVersionError, at once', async (t) => {
  const broker = await startTestBroker()
  const admin = new Admin({ bootstrapServers: broker.bootstrapServers, enableMetricsPush: true })
  t.after(async () => {
    await admin.close()
    await broker.close()
  })
  const calls: Record<string, () => Promise<unknown>> = {
    describeMetadataQuorum: () => admin.describeMetadataQuorum(),
    addRaftVoter: () => admin.addRaftVoter({ voterId: 1, voterDirectoryId: uuid, endpoints: [] }),
    removeRaftVoter: () => admin.removeRaftVoter({ voterId: 1, voterDirectoryId: uuid }),
    describeShareGroups: () => admin.describeShareGroups(['g']),
    listShareGroupOffsets: () => admin.listShareGroupOffsets(new Map([['g', undefined]])),
    alterShareGroupOffsets: () => admin.alterShareGroupOffsets('g', [{ topic: 'a', partition: 0, offset: 1 }]),
    deleteShareGroupOffsets: () => admin.deleteShareGroupOffsets('g', ['a']),
    describeStreamsGroups: () => admin.describeStreamsGroups(['g']),
    clientInstanceId: () => admin.clientInstanceId(),
  }
  for (const [name, call] of Object.entries(calls)) await assert.rejects(call, UnsupportedVersionError, name)
  const metrics = new Map(admin.metrics().map(({ name, value }) => [name, value]))
  assert.ok(metrics.get('connection-count')! >= 1)
})
